"""A step of a recipe that follows gradients: what it needs to know, and what it must be able to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lungfish.core.progress import Progress
from lungfish.evaluation.stage_result import Gain
from lungfish.job.dataset import Gathered
from lungfish.job.stages.speed import Pace
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.group import Group
from lungfish.training.loop import Fitted, Run
from lungfish.training.probe import Head
from lungfish.training.recipe import Recipe
from lungfish.training.stage_settings import Tuning
from lungfish.weights.entry import WeightsEntry

T = TypeVar("T", bound=Tuning)
SHORTEST_EPOCHS = 3  # of a step that is shortened: a schedule needs room to rise and fall
# Of the time that training is expected to take: a machine does not keep its pace, and a learning rate that has not come
# down when the time is up has wasted what went before.
RESERVE = 1.15


@dataclass(frozen=True, eq=False)
class Setting:
    """What the steps of a job share.

    Args:
        gathered: the photos.
        recipe: of the job.
        entry: the weights that the network started from; says how pixels are normalized.
        preprocess: the resize rule.
        seed: of the job.
        folder: where the run is kept, with what it had reached if it was stopped.
        job: what must be the same for it to go on.
        began: when the job began, of `time.monotonic`.
        deadline: for the last step's end, of `time.monotonic`.
        pace: of this machine.
        group: the processes that train together.
        progress: told of photos and batches.
    """

    gathered: Gathered
    recipe: Recipe
    entry: WeightsEntry
    preprocess: Preprocessing
    seed: int
    folder: Path
    job: Mapping[str, str]
    began: float
    deadline: float
    pace: Pace
    group: Group
    progress: Progress


class Step(Protocol[T]):
    """One way to train the network further. It holds the network, and what it needs of the photos.

    Attributes:
        tuning: The settings of the recipe.
        is_again: Whether this repeats the step before it from the head stage; the weights of both are averaged.
    """

    @property
    def tuning(self) -> T: ...

    @property
    def is_again(self) -> bool: ...

    def shortened(self, left_s: float) -> tuple[T | None, float]:
        """The settings of the recipe, or shorter ones that fit the time; None if none does.

        Returns:
            Settings, and the seconds that they, or the shortest ones, need.

        Raises:
            StorageError: none fits the disk.
        """
        ...

    def first_block(self, tuning: T, /) -> int:
        """The first block that is trained; 0 with the stem. The group agrees on it."""
        ...

    def cross_fit(self, head: Head, tuning: T, run: Run) -> Gain | None:
        """Return the fall in loss from the head to this step, on training photos that neither has seen.

        The network stays as it is. None where that cannot be found out, or would take too long.
        """
        ...

    def train(self, tuning: T, run: Run) -> Fitted:
        """Train the network in place."""
        ...

    def val_logits(self) -> NDArray[np.float32]:
        """float32 `[n, classes]` of the network as it is, on the plain validation photos."""
        ...
