from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lungfish.job.stages import head as module
from lungfish.training.probe import Head, LabelledFeatures
from lungfish.training.recipe import Recipe


def dataset_of(listed: int, readable: int, embedded: int) -> Any:
    """Alternating classes; the last photos have no features, as test photos of a large set."""
    truth = np.arange(readable) % 2

    def samples(indices: np.ndarray) -> LabelledFeatures:
        assert (indices < embedded).all()
        return LabelledFeatures(np.eye(2, dtype=np.float32)[truth[indices]], truth[indices])

    return SimpleNamespace(
        labels=("a", "b"),
        photos=SimpleNamespace(photos=(None,) * listed),
        truth=truth,
        assignment=SimpleNamespace(units=np.arange(readable)),
        samples=samples,
    )


@pytest.mark.parametrize(
    ("listed", "readable", "embedded", "folds"),
    [(20, 20, 20, 5), (20, 8, 8, 4), (20, 3, 3, 0), (99, 99, 99, 5), (100, 100, 50, 0), (100, 99, 50, 0)],
)
def test_small_sets_are_cross_validated(listed: int, readable: int, embedded: int, folds: int) -> None:
    """Below 100 photos listed: then all have features, whichever of them could be read."""
    empty = np.empty((0, 0), np.float32)
    head = Head(empty, empty, 0.1, balanced=False, temperature=1.0, tried={})
    recipe = Recipe(cross_validate_below=100)
    found = module._cross_validate(dataset_of(listed, readable, embedded), head, recipe, seed=0)
    assert (found.top1 if found else ()) == (1.0,) * folds
