"""EfficientNet-Lite: EfficientNet for integer hardware, with ReLU6 and without squeeze-and-excite.

Stem, head, and the depth of the first and last row are the same in all variants.
"""

from __future__ import annotations

from dataclasses import replace

from lungfish.architecture.arch import Arch
from lungfish.architecture.families.efficientnet import EFFICIENTNET

EFFICIENTNET_LITE = replace(
    EFFICIENTNET,
    source="TensorFlow TPU models, efficientnet/lite",
    act="relu6",
    squeeze=0.0,
    stem_scales=False,
    head_scales="never",
    fixed_ends=True,
)

VARIANTS = (  # width depth resolution dropout
    Arch("efficientnet_lite0", EFFICIENTNET_LITE, 1.0, 1.0, 224, 0.2),
    Arch("efficientnet_lite1", EFFICIENTNET_LITE, 1.0, 1.1, 240, 0.2),
    Arch("efficientnet_lite2", EFFICIENTNET_LITE, 1.1, 1.2, 260, 0.3),
    Arch("efficientnet_lite3", EFFICIENTNET_LITE, 1.2, 1.4, 280, 0.3),
    Arch("efficientnet_lite4", EFFICIENTNET_LITE, 1.4, 1.8, 300, 0.3),
)
