from typing import Any

import pytest

from lungfish.architecture import Flavour
from lungfish.core.errors import ArchitectureError


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "pads"),
    [
        (224, 3, 2, (0, 1)),
        (225, 3, 2, (1, 1)),
        (112, 5, 2, (1, 2)),
        (7, 3, 1, (1, 1)),
        (1, 3, 2, (1, 1)),
        (4, 1, 2, (0, 0)),
    ],
)
def test_same(size: int, kernel: int, stride: int, pads: tuple[int, int]) -> None:
    assert Flavour("same").pads(size, kernel, stride) == pads


def test_symmetric() -> None:
    assert Flavour("symmetric").pads(224, 5, 2) == (2, 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"padding": "valid"}, "padding is 'valid'"),
        ({"bn_eps": 0}, "bn_eps is 0"),
        ({"bn_eps": 1.0}, r"bn_eps is 1\.0"),
    ],
)
def test_wrong_values(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        Flavour(**fields)
