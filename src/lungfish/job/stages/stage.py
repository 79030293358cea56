"""A stage of a recipe that follows gradients: what it may use, what it plans to do with that, and how it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from lungfish.core.progress import Progress
from lungfish.evaluation.stage_result import Gain
from lungfish.job.dataset import Dataset
from lungfish.job.stages.speed import Speed
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.group import Group
from lungfish.training.loop import FitResult, Run
from lungfish.training.probe import Head
from lungfish.training.recipe import Recipe
from lungfish.training.stage_settings import Tuning
from lungfish.weights.entry import WeightsEntry

T = TypeVar("T", bound=Tuning)
SHORTEST_EPOCHS = 3  # of a stage that is shortened: a schedule needs room to rise and fall
# Of the time that training is expected to take: a machine does not keep its pace, and a learning rate that has not come
# down when the time is up has wasted what went before.
RESERVE = 1.15


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """What the stages of a job share.

    Args:
        dataset: The photos.
        recipe: The job's recipe.
        entry: The weights that the network started from; says how pixels are normalized.
        preprocess: The resize rule.
        seed: The job's seed.
        folder: Where the run is kept, with what it had reached if it was stopped.
        job: What must be the same for it to resume.
        began: When the job began, in seconds of `time.monotonic`.
        deadline: When the last stage must end, in seconds of `time.monotonic`.
        speed: The speed of this machine.
        group: The processes that train together.
        progress: Receives photos and batches.
    """

    dataset: Dataset
    recipe: Recipe
    entry: WeightsEntry
    preprocess: Preprocessing
    seed: int
    folder: Path
    job: Mapping[str, str]
    began: float
    deadline: float
    speed: Speed
    group: Group
    progress: Progress


@dataclass(frozen=True)
class Budget:
    """What a stage may use: seconds, and bytes on disk for activations."""

    seconds: float
    disk_bytes: int


@dataclass(frozen=True)
class Plan(Generic[T]):
    """What a stage would do with a budget.

    Args:
        asked: The settings of the recipe; for a further run, those of the first.
        settings: These settings, or shorter ones that fit the budget; None if the budget is too small for any.
        seconds: How long these settings take; if there are none, how long the shortest would.
        whole_seconds: How long the longest ones take that fit the disk.
        first_block: The first block that is trained; 0 with the stem.
        obstacle: Why no settings fit, where the reason is not time.
    """

    asked: T
    settings: T | None
    seconds: float
    whole_seconds: float
    first_block: int
    obstacle: str = ""

    def changed(self) -> dict[str, Any]:
        """Return the settings that the budget has changed, by name; empty without settings."""
        return self.settings.changed_from(self.asked) if self.settings else {}


class Stage(Protocol[T]):
    """One way to train the network further. It holds the network, and knows the photos.

    Attributes:
        settings: The settings of the recipe.
        is_again: Whether this repeats the stage before it from the head stage; the weights of both are averaged.
    """

    is_again: bool

    @property
    def settings(self) -> T: ...

    def estimate(self, budget: Budget, first: Plan[T] | None = None) -> Plan[T]:
        """Plan what fits a budget. Changes nothing.

        Args:
            budget: What may be used.
            first: The plan of the first run, for a stage that repeats it.
        """
        ...

    def open(self, plan: Plan[T]) -> OpenStage:
        """Return what carries out a plan that has settings."""
        ...


class OpenStage(Protocol):
    """A stage that carries out its plan."""

    def cross_fit(self, head: Head, run: Run) -> Gain | None:
        """Return the fall in loss from the head to this stage, on training photos that neither has seen.

        The network stays as it is. None where that cannot be found out, or would take too long.
        """
        ...

    def train(self, run: Run) -> FitResult:
        """Train the network in place."""
        ...

    def val_logits(self) -> NDArray[np.float32]:
        """Return float32 `[n, classes]` of the network as it is, on the plain validation photos."""
        ...
