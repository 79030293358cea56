"""Published ImageNet top-1 and costs of networks, as printed, each with its source.

Printed costs are rounded, and some are counted differently than in `lungfish.costs`: tests/golden explains every
difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from lungfish.architecture.arch import Arch
from lungfish.architecture.parse import parse_arch

YARDSTICK = "torchvision:"  # prefix of networks that are only compared with Lungfish's, not built


@dataclass(frozen=True, slots=True)
class Published:
    """One line of a published table.

    Args:
        name: Name of an architecture or of a yardstick, `torchvision:NAME`.
        top1: Top-1 accuracy on the ImageNet validation images, in percent.
        params_m: Parameters, in millions.
        macs_m: Multiply-adds, in millions.
        source: Paper and table, or repository.
    """

    name: str
    top1: float
    params_m: float
    macs_m: float
    source: str


_Line = tuple[float, float, dict[int, tuple[float, float]]]  # width, params, {resolution: (MACs, top-1)}


def _lines(family: str, source: str, lines: Iterable[_Line]) -> Iterator[Published]:
    for width, params_m, cells in lines:
        for resolution_px, (macs_m, top1) in cells.items():
            settings = [f"width={width:g}"] if width != 1 else []
            settings += [f"resolution={resolution_px}"] if resolution_px != 224 else []
            name = f"{family}:{','.join(settings)}" if settings else family
            yield Published(name, top1, params_m, macs_m, source)


_MOBILENET_V1: tuple[_Line, ...] = (
    (1.0, 4.24, {224: (569, 70.9), 192: (418, 70.0), 160: (291, 68.0), 128: (186, 65.2)}),
    (0.75, 2.59, {224: (317, 68.4), 192: (233, 67.2), 160: (162, 65.3), 128: (104, 62.1)}),
    (0.5, 1.34, {224: (150, 63.3), 192: (110, 61.7), 160: (77, 59.1), 128: (49, 56.3)}),
    (0.25, 0.47, {224: (41, 49.8), 192: (34, 47.7), 160: (21, 45.5), 128: (14, 41.5)}),
)
_MOBILENET_V1_PAPER: tuple[_Line, ...] = (
    (1.0, 4.2, {224: (569, 70.6)}),
    (0.75, 2.6, {224: (325, 68.4)}),
    (0.5, 1.3, {224: (149, 63.7)}),
    (0.25, 0.5, {224: (41, 50.6)}),
)
_MOBILENET_V2: tuple[_Line, ...] = (
    (1.4, 6.06, {224: (582, 75.0)}),
    (1.3, 5.34, {224: (509, 74.4)}),
    (1.0, 3.47, {224: (300, 71.8), 192: (221, 70.7), 160: (154, 68.8), 128: (99, 65.3), 96: (56, 60.3)}),
    (0.75, 2.61, {224: (209, 69.8), 192: (153, 68.7), 160: (107, 66.4), 128: (69, 63.2), 96: (39, 58.8)}),
    (0.5, 1.95, {224: (97, 65.4), 192: (71, 63.9), 160: (50, 61.0), 128: (32, 57.7), 96: (18, 51.2)}),
    (0.35, 1.66, {224: (59, 60.3), 192: (43, 58.2), 160: (30, 55.7), 128: (20, 50.8), 96: (11, 45.5)}),
)
_EFFICIENTNET = (  # top-1 in the paper, top-1 with AutoAugment, params, MACs
    ("efficientnet_b0", 76.3, 77.1, 5.3, 390),
    ("efficientnet_b1", 78.8, 79.1, 7.8, 700),
    ("efficientnet_b2", 79.8, 80.1, 9.2, 1000),
    ("efficientnet_b3", 81.1, 81.6, 12, 1800),
    ("efficientnet_b4", 82.6, 82.9, 19, 4200),
    ("efficientnet_b5", 83.3, 83.6, 30, 9900),
    ("efficientnet_b6", 84.0, 84.0, 43, 19000),
    ("efficientnet_b7", 84.4, 84.3, 66, 37000),
)
_EFFICIENTNET_LITE = (  # top-1, params, MACs
    ("efficientnet_lite0", 75.1, 4.7, 407),
    ("efficientnet_lite1", 76.7, 5.4, 631),
    ("efficientnet_lite2", 77.6, 6.1, 899),
    ("efficientnet_lite3", 79.8, 8.2, 1440),
    ("efficientnet_lite4", 81.5, 13.0, 2640),
)
_YARDSTICKS = (  # top-1, params, MACs
    ("torchvision:resnet50", 76.0, 25.56, 4100),
    ("torchvision:resnet152", 77.8, 60.2, 11600),
    ("torchvision:inception_v3", 78.8, 23.8, 5700),
)
_PAPER = "arXiv:1905.11946, Table 2"

PUBLISHED: tuple[Published, ...] = (  # if a network has several lines, the first is shown
    *_lines("mobilenet_v1", "TensorFlow slim, mobilenet_v1", _MOBILENET_V1),
    Published("mobilenet_v1_full", 71.7, 29.3, 4866, "arXiv:1704.04861, Table 4"),
    *_lines("mobilenet_v1", "arXiv:1704.04861, Table 6", _MOBILENET_V1_PAPER),
    *_lines("mobilenet_v2", "TensorFlow slim, mobilenet_v2", _MOBILENET_V2),
    *(Published(name, paper, params, macs, _PAPER) for name, paper, _, params, macs in _EFFICIENTNET),
    *(
        Published(name, released, params, macs, "TensorFlow TPU models, efficientnet, AutoAugment")
        for name, _, released, params, macs in _EFFICIENTNET
    ),
    *(Published(*line, "TensorFlow TPU models, efficientnet/lite") for line in _EFFICIENTNET_LITE),
    *(Published(*line, _PAPER) for line in _YARDSTICKS),
)


def published_figures(network: Arch | str) -> Published | None:
    """Return the first published line of a network, or of the yardstick with that name; None if there is none."""
    return _first_lines().get(network)


def published_archs() -> tuple[Arch, ...]:
    """Return the networks with published figures, in the order of the papers."""
    return tuple(key for key in _first_lines() if isinstance(key, Arch))


@cache
def _first_lines() -> dict[Arch | str, Published]:
    lines: dict[Arch | str, Published] = {}
    for line in PUBLISHED:
        lines.setdefault(line.name if line.name.startswith(YARDSTICK) else parse_arch(line.name), line)
    return lines
