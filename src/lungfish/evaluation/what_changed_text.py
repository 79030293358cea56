"""Describe what changed in plain sentences.

Labels and names in them are not escaped: whoever displays a sentence must escape it.
"""

from __future__ import annotations

from collections.abc import Sequence

from lungfish.core.names import plural
from lungfish.evaluation.what_changed import BETTER, INCONCLUSIVE, WORSE, WhatChanged
from lungfish.evaluation.wording import listed, percent


def headline(changed: WhatChanged) -> str:
    """Return the verdict over all photos, with its figures."""
    pairs, against = changed.overall, changed.against
    if not changed.classes:
        return f"Not comparable: the new bundle and {against.old} have no class in common."
    if not pairs.n:
        were = "photo of a shared class was a training photo", "photos of shared classes were training photos"
        why = f": {plural(against.trained_on, *were)} of one of the bundles" if against.trained_on else ""
        return f"Not compared: no photo is left{why}."
    found = {BETTER: "Better", WORSE: "Worse", INCONCLUSIVE: "Inconclusive"}[changed.verdict]
    return (
        f"{found}: the new bundle gets {pairs.new_correct:,} of {plural(pairs.n, 'photo')} right "
        f"({percent(pairs.new_correct / pairs.n)}), {against.old} {pairs.old_correct:,} "
        f"({percent(pairs.old_correct / pairs.n)}). The difference is {signed(pairs.difference)}\xa0points "
        f"(95\xa0% interval {signed_interval(pairs.ci95)}; {p_value(pairs.p)})."
    )


def notes(changed: WhatChanged) -> tuple[str, ...]:
    """Return what a reader of the figures should know, most important first."""
    pairs, against = changed.overall, changed.against
    found = []
    if pairs.n:
        found.append(
            f"Both are right on {pairs.both:,}, only the new one on {pairs.only_new:,}, only the old one on "
            f"{pairs.only_old:,}, neither on {pairs.neither:,}."
        )
        found.append(_by_class(changed))
    if against.trained_on and pairs.n:
        were = "photo that one of the bundles was trained on is", "photos that one of the bundles was trained on are"
        found.append(f"{plural(against.trained_on, *were)} left out.")
    if against.unlisted:
        do = "does not list its" if len(against.unlisted) == 1 else "do not list their"
        found.append(
            f"{listed(list(against.unlisted))} {do} training photos; figures on those would be too optimistic."
        )
    if against.added:
        found.append(f"New {_classes(against.added)}.{_taken(changed.answered_added, 'The new bundle')}")
    if against.removed:
        found.append(
            f"No longer known: {listed(list(against.removed), 10)}.{_taken(changed.answered_removed, 'The old bundle')}"
        )
    if against.other_classes:
        are = "photo of a class that only one bundle knows is", "photos of classes that only one bundle knows are"
        found.append(f"{plural(against.other_classes, *are)} left out.")
    return tuple(found)


def signed(difference: float) -> str:
    """Format `0.0612` as `+6.1`, in points."""
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def signed_interval(bounds: tuple[float, float]) -> str:
    """Format `(-0.05, 0.012)` as `-5.0 to +1.2`, in points."""
    return f"{signed(bounds[0])} to {signed(bounds[1])}"


def p_value(p: float) -> str:
    """Format a p-value as `p = 0.031`, with two significant digits, or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}" if p < 0.1 else f"p = {p:.2f}"


def _by_class(changed: WhatChanged) -> str:
    parts = [f"{verdict} on {listed(names, 10)}" for verdict in (BETTER, WORSE) if (names := changed.named(verdict))]
    unclear = len(changed.named(INCONCLUSIVE))
    if not parts:
        which = f"{'all ' if unclear > 1 else 'the '}{plural(unclear, 'class', 'classes')}"
        return f"By class: inconclusive for {which}."
    rest = f"; inconclusive for the other {plural(unclear, 'class', 'classes')}" if unclear else ""
    return f"By class: {'; '.join(parts)}{rest}."


def _taken(photos: int, who: str) -> str:
    if not photos:
        return ""
    return f" {who} predicts such a class for {plural(photos, 'photo')} of other classes, which counts as wrong."


def _classes(labels: Sequence[str]) -> str:
    return f"{'class' if len(labels) == 1 else 'classes'}: {listed(list(labels), 10)}"
