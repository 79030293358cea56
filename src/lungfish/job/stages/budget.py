"""Which steps of a recipe the time is enough for, and how long they will take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lungfish.core.errors import StorageError
from lungfish.job.stages.again import AgainStep
from lungfish.job.stages.finetune import FinetuneStep
from lungfish.job.stages.full import FullStep
from lungfish.job.stages.stage import Setting, Step, T
from lungfish.training.recipe import Recipe
from lungfish.training.stage_settings import Full, Tuning

if TYPE_CHECKING:
    from lungfish.nn import Network


def open_steps(network: Network, setting: Setting) -> dict[str, Step[Any]]:
    """The steps of the recipe that follow gradients, in order, by name."""
    steps: dict[str, Step[Any]] = {}
    for name, tuning in setting.recipe.tables.items():
        if isinstance(tuning, Full):
            steps[name] = FullStep(network, tuning, setting)
            continue
        steps[name] = first = FinetuneStep(network, tuning, setting)
        steps |= {f"{name}-{number}": AgainStep(first, number) for number in range(2, tuning.runs + 1)}
    return steps


def plan_steps(recipe: Recipe, steps: Mapping[str, Step[Any]], left_s: float) -> tuple[tuple[str, ...], float]:
    """What will be done of the steps within the time, in words, and the seconds that it needs; changes nothing."""
    told, needed_s = [], 0.0
    for name, step in steps.items():
        chosen, words, seconds = fit_to_time(name, recipe.minutes, step, left_s - needed_s)
        told.append(words)
        needed_s += seconds
        if chosen is None and not step.is_again:
            break  # what follows takes longer, and timing it takes time and memory
    return tuple(told), needed_s


def fit_to_time(name: str, minutes: float | None, step: Step[T], left_s: float) -> tuple[T | None, str, float]:
    """Settings of a step that fit the time that is left, what to say of them, and the seconds that they need."""
    tuning = step.tuning
    try:
        chosen, needed_s = step.shortened(left_s)
    except StorageError as error:
        return None, f"{name}: skipped: {error.message}", 0.0
    if chosen is None:
        left = in_words(max(left_s, 0))
        why = f"{name}: skipped: needs at least {in_words(needed_s)}, {left} left"
        return None, f"{why}; {_more_minutes(minutes, needed_s - left_s)} would include it", 0.0
    words = f"{name}: about {in_words(needed_s)}{what_is_shorter(chosen, tuning, ', ')}"
    if chosen.changed_from(tuning):
        _, whole_s = step.shortened(math.inf)
        if whole_s > left_s:  # not the disk
            words += f"; {_more_minutes(minutes, whole_s - left_s)} would run all of it"
    return chosen, words, needed_s


def _more_minutes(minutes: float | None, missing_s: float) -> str:
    return f"--minutes {math.ceil((minutes or 0) + missing_s / 60)}"


def what_is_shorter(chosen: Tuning, tuning: Tuning, before: str) -> str:
    """What the time made of a step's settings, for a person, after the text that leads to it; empty if nothing."""
    changed = chosen.changed_from(tuning)
    return f"{before}shortened to {', '.join(f'{value} {key}' for key, value in changed.items())}" if changed else ""


def in_words(seconds: float) -> str:
    """Seconds or minutes for a person."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
