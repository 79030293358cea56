"""The interface of stages that train by gradient descent: context, budget, plan and execution."""

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
SHORTEST_EPOCHS = 3  # of a shortened stage: the learning rate needs time to rise and fall
# Factor on the expected training time: the speed of a machine varies, and training that is cut off before the learning
# rate has fallen is wasted.
RESERVE = 1.15


@dataclass(frozen=True, eq=False)
class TrainingContext:
    """Context shared by the stages of a job.

    Args:
        dataset: Photos of the job.
        recipe: Recipe of the job.
        entry: Weights that the network started from; defines the normalization of the pixels.
        preprocess: Preprocessing of the pixels.
        seed: Seed of the job.
        folder: Folder for the state of the run, for resuming it.
        job: Job fingerprint, which must be the same to resume.
        began: Start of the job, in seconds of `time.monotonic`.
        deadline: Latest end of the last stage, in seconds of `time.monotonic`.
        speed: Speed of this machine.
        group: Processes that train together.
        progress: Receives the progress over photos and batches.
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
        asked: Settings of the recipe; for a further run, those of the first.
        settings: The same settings, or shorter ones that fit the budget; None if the budget is too small for any.
        seconds: Time that `settings` take; if they are None, the time that the shortest would take.
        whole_seconds: Time for the longest settings that fit on the disk.
        first_block: First block that is trained; 0 if the stem is trained too.
        obstacle: Why no settings fit, if not for lack of time.
    """

    asked: T
    settings: T | None
    seconds: float
    whole_seconds: float
    first_block: int
    obstacle: str = ""

    def changed(self) -> dict[str, Any]:
        """Return the settings that the budget changed, by name; empty without settings."""
        return self.settings.changed_from(self.asked) if self.settings else {}


class Stage(Protocol[T]):
    """One way to train the network further.

    Attributes:
        settings: Settings of the recipe.
        is_again: Whether this trains once more from the head stage, like the stage before it, so that the weights of
            both runs can be averaged.
    """

    is_again: bool

    @property
    def settings(self) -> T: ...

    def estimate(self, budget: Budget, first: Plan[T] | None = None) -> Plan[T]:
        """Plan what fits a budget. Changes nothing.

        Args:
            budget: Budget of the stage.
            first: Plan of the first run, for a stage that repeats it.
        """
        ...

    def open(self, plan: Plan[T]) -> OpenStage:
        """Return an object that carries out a plan, whose `settings` are not None."""
        ...


class OpenStage(Protocol):
    """A stage that carries out its plan."""

    def cross_fit(self, head: Head, run: Run) -> Gain | None:
        """Return the fall in loss from the head to this stage, on training photos held out from both.

        The network is not changed. Return None if this is impossible, or would take too long.
        """
        ...

    def train(self, run: Run) -> FitResult:
        """Train the network in place."""
        ...

    def val_logits(self) -> NDArray[np.float32]:
        """Return the network's logits on the plain validation photos, float32 `[n, classes]`."""
        ...
