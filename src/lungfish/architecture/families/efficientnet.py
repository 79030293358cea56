"""EfficientNet: inverted residuals with squeeze-and-excite, scaled jointly in depth, width and resolution."""

from __future__ import annotations

from lungfish.architecture.arch import Arch
from lungfish.architecture.table import BlockRow, NetworkTable

EFFICIENTNET = NetworkTable(
    source="arXiv:1905.11946, Table 1",
    block="inverted_residual",
    act="silu",
    stem=32,
    head=1280,
    squeeze=0.25,
    rows=(  # expand kernel stride width depth
        BlockRow(1, 3, 1, 16, 1),
        BlockRow(6, 3, 2, 24, 2),
        BlockRow(6, 5, 2, 40, 2),
        BlockRow(6, 3, 2, 80, 3),
        BlockRow(6, 5, 1, 112, 3),
        BlockRow(6, 5, 2, 192, 4),
        BlockRow(6, 3, 1, 320, 1),
    ),
)

VARIANTS = (  # width depth resolution dropout
    Arch("efficientnet_b0", EFFICIENTNET, 1.0, 1.0, 224, 0.2),
    Arch("efficientnet_b1", EFFICIENTNET, 1.0, 1.1, 240, 0.2),
    Arch("efficientnet_b2", EFFICIENTNET, 1.1, 1.2, 260, 0.3),
    Arch("efficientnet_b3", EFFICIENTNET, 1.2, 1.4, 300, 0.3),
    Arch("efficientnet_b4", EFFICIENTNET, 1.4, 1.8, 380, 0.4),
    Arch("efficientnet_b5", EFFICIENTNET, 1.6, 2.2, 456, 0.4),
    Arch("efficientnet_b6", EFFICIENTNET, 1.8, 2.6, 528, 0.5),
    Arch("efficientnet_b7", EFFICIENTNET, 2.0, 3.1, 600, 0.5),
)
