"""Decide whether a stage is kept, on validation photos, and on changed views of them to break ties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lungfish.core.names import plural
from lungfish.evaluation.stage_result import Gain
from lungfish.job.stages.stage import TrainingContext
from lungfish.job.stages.tie_break import ChangedPhotos
from lungfish.training.paired_gain import gain, losses, mistakes

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Network

Logits = NDArray[np.float32]  # [n, classes], on validation photos
CLEAR = 2.0  # standard errors by which a gain on few photos must exceed zero


@dataclass(frozen=True)
class Verdict:
    """Whether a stage is kept, why, and the gain that decided."""

    kept: bool
    why: str
    gain: Gain | None = None


class Judge:
    """Compares a network with its state before a stage.

    The number of right predictions decides, unless the difference is at most one standard error. Then the loss decides
    and, if its difference is that small too, the loss on changed views. The loss does not come first, because it favors
    less confident networks (decision 0020).

    Args:
        context: Training context; photos of one scene count together.
        few: Whether there are so few photos that a gain must be clear.
    """

    def __init__(self, context: TrainingContext, *, few: bool) -> None:
        val = context.dataset.indices("val")
        self._truth, self._units = context.dataset.truth[val], context.dataset.assignment.units[val]
        self._few = few
        self._changed = ChangedPhotos(context)

    def __call__(
        self,
        network: Network,
        start: Mapping[str, Tensor],
        logits: tuple[Logits, Logits],
        trial: Gain | None,
        rival: str,
    ) -> Verdict:
        """Decide whether the stage is kept. The network is not changed.

        Args:
            network: Network after the stage.
            start: Tensors before the stage.
            logits: Logits on validation photos before and after.
            trial: Clear gain in cross-validation; if None and photos are few, validation must show a clear gain.
            rival: Name of the result before the stage, for messages: `the head`, or that of a stage.
        """
        before, after = (losses(each, self._truth) for each in logits)
        found = gain(before, after, self._units)
        wrong_before, wrong_after = (mistakes(each, self._truth) for each in logits)
        photos = plural(found.photos, "validation photo")
        no_better = f"none beat {rival} ({100 * (1 - wrong_before.mean()):.1f} % of {photos} right)"
        if trial:
            kept = found.mean >= -found.error
            but = "" if kept else f", but its loss on {photos} is higher"
            return Verdict(kept, f"it beat {rival} in cross-validation on {trial.photos:,} training photos{but}", trial)
        if self._few:
            if found.is_clear(CLEAR):
                return Verdict(
                    True, f"its loss on {photos} is lower than with {rival}, by more than luck would explain", found
                )
            return Verdict(False, too_small(photos) if found.mean > 0 else no_better, found)
        right = gain(wrong_before, wrong_after, self._units)
        if abs(right.mean) > right.error:
            kept = right.mean > 0
            words = _more_right(right)
            return Verdict(kept, f"{words} than with {rival}" if kept else f"none beat {rival}: {words}", found)
        if abs(found.mean) > found.error:
            kept = found.mean > 0
            words = f"about as many of {photos} are right as with {rival}, and the loss is lower"
            return Verdict(kept, words if kept else no_better, found)
        changed = self._gain_on_changed(network, start)
        kept = changed.mean > 0
        views = "cropped, rotated, darker, warmer and blurred views of them"
        found_on_views = f"as good as {rival} on {photos}, {'better' if kept else 'not better'} on {views}"
        return Verdict(kept, found_on_views, changed)

    def _gain_on_changed(self, network: Network, start: Mapping[str, Tensor]) -> Gain:
        end, after = copied(network), self._changed.losses(network)
        network.load_state_dict(start)
        before = self._changed.losses(network)
        network.load_state_dict(end)
        return self._changed.gain(before, after)


def copied(network: Network) -> dict[str, Tensor]:
    """Return copies of the network's tensors, on the CPU."""
    return {key: tensor.detach().cpu().clone() for key, tensor in network.state_dict().items()}


def too_small(photos: str) -> str:
    """Return the words for an unclear gain.

    Args:
        photos: Photos of the comparison, in words.
    """
    return f"its improvement is too small to tell from luck on {photos}"


def _more_right(found: Gain) -> str:
    """Return the difference in the number of right predictions, in words."""
    count = round(found.mean * found.photos)
    return f"{abs(count)} {'more' if count > 0 else 'fewer'} of {plural(found.photos, 'validation photo')} are right"
