"""EfficientNet-Lite: EfficientNet for integer hardware. No squeeze-and-excite, ReLU6 for swish, fixed ends."""

from __future__ import annotations

from lungfish.architecture.arch import Arch
from lungfish.architecture.table import Row, Table

EFFICIENTNET_LITE = Table(
    source="TensorFlow TPU models, efficientnet/lite",
    block="inverted_residual",
    act="relu6",
    stem=32,
    head=1280,
    stem_scales=False,
    head_scales="never",
    fixed_ends=True,
    rows=(  # expand kernel stride width depth
        Row(1, 3, 1, 16, 1),
        Row(6, 3, 2, 24, 2),
        Row(6, 5, 2, 40, 2),
        Row(6, 3, 2, 80, 3),
        Row(6, 5, 1, 112, 3),
        Row(6, 5, 2, 192, 4),
        Row(6, 3, 1, 320, 1),
    ),
)

VARIANTS = (  # width depth resolution dropout
    Arch("efficientnet_lite0", EFFICIENTNET_LITE, 1.0, 1.0, 224, 0.2),
    Arch("efficientnet_lite1", EFFICIENTNET_LITE, 1.0, 1.1, 240, 0.2),
    Arch("efficientnet_lite2", EFFICIENTNET_LITE, 1.1, 1.2, 260, 0.3),
    Arch("efficientnet_lite3", EFFICIENTNET_LITE, 1.2, 1.4, 280, 0.3),
    Arch("efficientnet_lite4", EFFICIENTNET_LITE, 1.4, 1.8, 300, 0.3),
)
