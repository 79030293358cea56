"""The peer of `gpu.py`: timm's networks, trained on the GPU as its `train.py` does, in a process of their own.

Of their own, because cuDNN keeps for a whole process the plans that `cudnn.benchmark` lets it search for; timm's script
sets that, the loop of Lungfish does not.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from torch import Tensor

from networks import PAIRS
from transfer_peer import SETTINGS, peer_step

PAIR_OF = {pair.arch: pair for pair in PAIRS if pair.peer in ("timm mobilenetv2_100", "timm efficientnet_b0")}
CLASSES = 1000


@dataclass(frozen=True)
class Config:
    """How much is measured, and where.

    Args:
        device: `cuda:0` or `cpu`.
        side_px: of the pictures.
        batch: of a step.
        most_batch: up to which a larger one is looked for.
        steps: in a turn.
        rounds: of turns, after one that warms up.
        photos: of the table.
        workers: processes that read photos.
        compiled: whether steps go through torch.compile.
    """

    device: str
    side_px: int
    batch: int
    most_batch: int
    steps: int
    rounds: int
    photos: int
    workers: int
    compiled: bool = False

    def pixels(self) -> Tensor:
        """Random, uint8 `[batch, 3, side_px, side_px]`, on the device."""
        shape = (self.batch, 3, self.side_px, self.side_px)
        return torch.randint(0, 256, shape, dtype=torch.uint8, device=self.device)

    def labels(self) -> Tensor:
        """Random class indices, int64 `[batch]`, on the device."""
        return torch.randint(CLASSES, (self.batch,), device=self.device)

    def wait(self) -> None:
        """For the device to end what it is at."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


def peer_turn(arch: str, config: Config) -> float | None:
    """Images a second of timm's `arch` over the steps of a turn; None if it does not fit on the card.

    With another network or setting than the time before, a step that is not timed comes first.
    """
    try:
        step = peer_stepper(arch, config)
        began = time.perf_counter()
        for _ in range(config.steps):
            step()
        config.wait()
        return config.steps * config.batch / (time.perf_counter() - began)
    except torch.OutOfMemoryError:
        peer_stepper.cache_clear()
        return None


@lru_cache(maxsize=1)
def peer_stepper(arch: str, config: Config) -> Callable[[], None]:
    """A step as train.py takes it with `--amp --amp-dtype bfloat16 --channels-last`; the first one is taken."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.compiler.reset()
    torch.backends.cudnn.benchmark = True
    network = PAIR_OF[arch].build_peer().train().to(config.device).to(memory_format=torch.channels_last)
    optimizer = create_optimizer_v2(network, SETTINGS["opt"], SETTINGS["lr"], SETTINGS["weight_decay"])
    autocast = torch.autocast(config.device.partition(":")[0], torch.bfloat16)
    model = autocast(torch.compile(network) if config.compiled else network)
    loss = autocast(LabelSmoothingCrossEntropy(SETTINGS["smoothing"]))
    inputs, labels = torch.randn(config.pixels().shape, device=config.device), config.labels()

    def step() -> None:
        peer_step(model, optimizer, loss, inputs, labels)

    step()
    config.wait()
    return step
