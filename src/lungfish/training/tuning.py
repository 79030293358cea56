"""How blocks are trained, as data."""

from __future__ import annotations

from dataclasses import dataclass

from lungfish.core.errors import UsageError


@dataclass(frozen=True)
class Tuning:
    """How the last blocks are trained, from activations of augmented views that are computed once.

    Args:
        views: augmented views of each photo, beside the plain one.
        min_area: least share of a photo's area that a view shows.
        flips: whether views are mirrored; not where left and right tell classes apart.
        tail_share: most of the network's multiply-adds that are trained; more is better and slower.
        epochs: passes over the photos.
        batch: photos in a step.
        learning_rate: at its highest.
        weight_decay: of AdamW.
        label_smoothing: share of each label that is spread over all classes.
        warm_up: share of the steps in which the learning rate rises.
        average: of the moving average, how much stays in a step.
        pull: weight of the squared distance to the starting point.
        patience: epochs without a lower loss on validation before training ends.
    """

    views: int = 4
    min_area: float = 0.35
    flips: bool = True
    tail_share: float = 0.4
    epochs: int = 8
    batch: int = 64
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    warm_up: float = 0.1
    average: float = 0.99
    pull: float = 0.0
    patience: int = 4

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "tuning.",
            views=(0, 1000),
            min_area=(0.01, 1),
            tail_share=(0.01, 1),
            epochs=(1, 10_000),
            batch=(1, 100_000),
            learning_rate=(1e-9, 10),
            weight_decay=(0, 10),
            label_smoothing=(0, 0.9),
            warm_up=(0, 1),
            average=(0, 0.999999),
            pull=(0, 1e6),
            patience=(1, 10_000),
        )


def check_ranges(settings: object, prefix: str, **ranges: tuple[float, float]) -> None:
    """Raise `UsageError` unless each named setting is within its range, ends included."""
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            raise UsageError(f"recipe: {prefix}{name} is {value!r}; allowed are {low:g} to {high:g}")
