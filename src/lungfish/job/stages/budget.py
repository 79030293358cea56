"""Which stages of a recipe the time is enough for, how long they will take, and how to say so."""

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
    """Return the stages of the recipe that follow gradients, in order, by name."""
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
    """Return a budget of so many seconds, and of half of the disk that the cache may fill."""
    return Budget(seconds, bytes_available() // 2)  # not counted: validation photos, and what else wants a place


def plan_stages(
    stages: Mapping[str, Stage[Any]], budget: Budget, minutes: float | None
) -> tuple[tuple[str, ...], float]:
    """Plan the stages one after the other, each with the time that those before it leave; change nothing.

    Args:
        stages: In order, by name.
        budget: For all of them.
        minutes: What the whole job may take; None without a limit.

    Returns:
        What will be done, in words, and the seconds that it takes.
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
            break  # what follows takes longer, and timing it takes time and memory
    return tuple(lines), needed_s


def describe(name: str, plan: Plan[Any], left_s: float, minutes: float | None) -> str:
    """Say what a stage would do with its budget.

    Args:
        name: The stage's name.
        plan: What it has planned.
        left_s: The seconds that it was planned with.
        minutes: What the whole job may take; None without a limit.
    """
    if plan.obstacle:
        return f"{name}: skipped: {plan.obstacle}"
    if plan.settings is None:
        left, more = in_words(max(left_s, 0)), _more_minutes(minutes, plan.seconds - left_s)
        return f"{name}: skipped: needs at least {in_words(plan.seconds)}, {left} left; {more} would include it"
    words = f"{name}: about {in_words(plan.seconds)}{what_is_shorter(plan, ', ')}"
    if plan.settings != plan.asked and plan.whole_seconds > left_s:  # not the disk
        words += f"; {_more_minutes(minutes, plan.whole_seconds - left_s)} would run all of it"
    return words


def what_is_shorter(plan: Plan[Any], before: str) -> str:
    """Say which settings the budget has changed, after the text that leads to it; empty if it changed none."""
    changed = plan.changed()
    return f"{before}shortened to {', '.join(f'{value} {key}' for key, value in changed.items())}" if changed else ""


def in_words(seconds: float) -> str:
    """Return seconds or minutes for a person."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _more_minutes(minutes: float | None, missing_s: float) -> str:
    return f"--minutes {math.ceil((minutes or 0) + missing_s / 60)}"
