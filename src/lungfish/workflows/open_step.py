"""The step that some settings are of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lungfish.training.tuning import Finetune, Full, Tuning
from lungfish.workflows.finetune_step import FinetuneStep
from lungfish.workflows.full_step import FullStep
from lungfish.workflows.step import Setting, Step

if TYPE_CHECKING:
    from lungfish.nn import Network


def open_step(network: Network, tuning: Tuning, setting: Setting) -> Step[Any]:
    """The step `finetune` or `full` of a network."""
    if isinstance(tuning, Finetune):
        return FinetuneStep(network, tuning, setting)
    assert isinstance(tuning, Full)
    return FullStep(network, tuning, setting)
