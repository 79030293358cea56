"""MobileNetV1: depthwise separable convolutions, and the same network with full convolutions for comparison."""

from __future__ import annotations

from dataclasses import replace

from lungfish.architecture.arch import Arch
from lungfish.architecture.table import BlockRow, NetworkTable

MOBILENET_V1 = NetworkTable(
    source="arXiv:1704.04861, Table 1; ReLU6 as in the authors' code",
    block="depthwise_separable",
    act="relu6",
    stem=32,
    head=0,
    rounding="down",
    initialization="truncated",
    rows=(  # expand kernel stride width depth
        BlockRow(1, 3, 1, 64, 1),
        BlockRow(1, 3, 2, 128, 2),
        BlockRow(1, 3, 2, 256, 2),
        BlockRow(1, 3, 2, 512, 6),
        BlockRow(1, 3, 2, 1024, 2),
    ),
)
FULL_CONVOLUTION = replace(MOBILENET_V1, source="arXiv:1704.04861, Table 4, Conv MobileNet", block="full_convolution")

VARIANTS = (  # width depth resolution dropout drop_path_rate
    Arch("mobilenet_v1", MOBILENET_V1, 1.0, 1.0, 224, 0.001, 0.0),
    Arch("mobilenet_v1_full", FULL_CONVOLUTION, 1.0, 1.0, 224, 0.001, 0.0),
)
