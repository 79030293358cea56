"""MobileNetV2: inverted residuals with linear bottlenecks."""

from __future__ import annotations

from lungfish.architecture.arch import Arch
from lungfish.architecture.table import BlockRow, NetworkTable

MOBILENET_V2 = NetworkTable(
    source="arXiv:1801.04381, Table 2",
    block="inverted_residual",
    act="relu6",
    stem=32,
    head=1280,
    head_scales="up_only",
    initialization="truncated",
    rows=(  # expand kernel stride width depth
        BlockRow(1, 3, 1, 16, 1),
        BlockRow(6, 3, 2, 24, 2),
        BlockRow(6, 3, 2, 32, 3),
        BlockRow(6, 3, 2, 64, 4),
        BlockRow(6, 3, 1, 96, 3),
        BlockRow(6, 3, 2, 160, 3),
        BlockRow(6, 3, 1, 320, 1),
    ),
)

# width depth resolution dropout drop_path_rate
VARIANTS = (Arch("mobilenet_v2", MOBILENET_V2, 1.0, 1.0, 224, 0.2, 0.0),)
