"""The named networks, in the papers' order."""

from __future__ import annotations

from lungfish.architecture.arch import Arch
from lungfish.architecture.families import efficientnet_lite

NAMED: dict[str, Arch] = {arch.name: arch for arch in efficientnet_lite.VARIANTS}
