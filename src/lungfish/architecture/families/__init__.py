"""The named networks, in the order of the papers."""

from __future__ import annotations

from lungfish.architecture.arch import Arch
from lungfish.architecture.families import efficientnet, efficientnet_lite, mobilenet_v1, mobilenet_v2

FAMILIES = (mobilenet_v1, mobilenet_v2, efficientnet, efficientnet_lite)
NAMED: dict[str, Arch] = {arch.name: arch for family in FAMILIES for arch in family.VARIANTS}
