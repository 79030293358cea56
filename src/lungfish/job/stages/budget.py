"""Plan which stages of a recipe fit the time and how long they take, and describe the plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lungfish.data.loading.activations import bytes_available
from lungfish.job.stages.finetune import FinetuneAgainStage, FinetuneStage
from lungfish.job.stages.full import FullStage
from lungfish.job.stages.stage import Budget, Plan, Stage, TrainingContext
from lungfish.training.stage_settings import Full

if TYPE_CHECKING:
    from lungfish.nn import Network


def list_stages(network: Network, context: TrainingContext) -> dict[str, Stage[Any]]:
    """Return the stages of the recipe that train by gradient descent, in order, by name."""
    stages: dict[str, Stage[Any]] = {}
    for name, settings in context.recipe.tables.items():
        if isinstance(settings, Full):
            stages[name] = FullStage(network, settings, context)
            continue
        stages[name] = first = FinetuneStage(network, settings, context)
        again = range(2, settings.runs + 1)
        stages |= {f"{name}-{number}": FinetuneAgainStage(first, number) for number in again}
    return stages


def budget_of(seconds: float) -> Budget:
    """Return a budget of these seconds, and of half the disk space that the cache may use."""
    return Budget(seconds, bytes_available() // 2)  # the rest is for validation photos and other files


def plan_stages(
    stages: Mapping[str, Stage[Any]], budget: Budget, minutes: float | None
) -> tuple[tuple[str, ...], float]:
    """Plan the stages in order, each with the time that is left by those before it. Changes nothing.

    Args:
        stages: Stages in order, by name.
        budget: Budget for all stages.
        minutes: Time limit of the whole job; None for no limit.

    Returns:
        A line of text for each stage, and the seconds that they take together.
    """
    lines, needed_s, first = [], 0.0, None
    for name, stage in stages.items():
        left_s = budget.seconds - needed_s
        plan = stage.estimate(Budget(left_s, budget.disk_bytes), first)
        lines.append(describe(name, plan, left_s, minutes))
        first = first if stage.is_again else plan
        if plan.settings is not None:
            needed_s += plan.seconds
        elif not stage.is_again:
            break  # later stages take longer, and measuring them costs time and memory
    return tuple(lines), needed_s


def describe(name: str, plan: Plan[Any], left_s: float, minutes: float | None) -> str:
    """Return a line of text on what a stage would do with its budget.

    Args:
        name: Name of the stage.
        plan: Plan of the stage.
        left_s: Seconds that the plan was made for.
        minutes: Time limit of the whole job; None for no limit.
    """
    if plan.obstacle:
        return f"{name}: skipped: {plan.obstacle}"
    if plan.settings is None:
        left, more = in_words(max(left_s, 0)), _more_minutes(minutes, plan.seconds - left_s)
        return f"{name}: skipped: needs at least {in_words(plan.seconds)}, {left} left; {more} would include it"
    words = f"{name}: about {in_words(plan.seconds)}{what_is_shorter(plan, ', ')}"
    if plan.settings != plan.asked and plan.whole_seconds > left_s:  # shortened for time, not disk space
        words += f"; {_more_minutes(minutes, plan.whole_seconds - left_s)} would run all of it"
    return words


def what_is_shorter(plan: Plan[Any], before: str) -> str:
    """Return the settings that the budget changed, as text after the prefix `before`; empty if none."""
    changed = plan.changed()
    return f"{before}shortened to {', '.join(f'{value} {key}' for key, value in changed.items())}" if changed else ""


def in_words(seconds: float) -> str:
    """Return a duration as text, in seconds or minutes."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _more_minutes(minutes: float | None, missing_s: float) -> str:
    return f"--minutes {math.ceil((minutes or 0) + missing_s / 60)}"
