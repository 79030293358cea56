"""Describe TensorFlow's TPU models: the authors' checkpoints of EfficientNet and EfficientNet-Lite.

Within each scope TensorFlow numbers layers of one kind in execution order, the first without a number. A block that
expands has one more convolution and batch norm, which shifts the numbers after them.
"""

from lungfish.weights.layouts import keras
from lungfish.weights.layouts.layout import Layout, Variable

# the layers come from an older Keras, which names the kernel of a depthwise convolution differently
VARIABLES = keras.VARIABLES | {"depthwise": {"weight": Variable("/depthwise_kernel", (2, 3, 0, 1))}}

_BLOCK = "{variant}/blocks_{block}"
_BOTH = {
    "depthwise.conv": f"{_BLOCK}/depthwise_conv2d",
    "squeeze_excite.reduce": f"{_BLOCK}/se/conv2d",
    "squeeze_excite.expand": f"{_BLOCK}/se/conv2d_1",
}
EFFICIENTNET = Layout(
    block="inverted_residual",
    variables=VARIABLES,
    outside={
        "stem.conv": "{variant}/stem/conv2d",
        "stem.norm": "{variant}/stem/tpu_batch_normalization",
        "head.conv": "{variant}/head/conv2d",
        "head.norm": "{variant}/head/tpu_batch_normalization",
        "classifier": "{variant}/head/dense",
    },
    plain={
        **_BOTH,
        "depthwise.norm": f"{_BLOCK}/tpu_batch_normalization",
        "project.conv": f"{_BLOCK}/conv2d",
        "project.norm": f"{_BLOCK}/tpu_batch_normalization_1",
    },
    expanding={
        **_BOTH,
        "expand.conv": f"{_BLOCK}/conv2d",
        "expand.norm": f"{_BLOCK}/tpu_batch_normalization",
        "depthwise.norm": f"{_BLOCK}/tpu_batch_normalization_1",
        "project.conv": f"{_BLOCK}/conv2d_1",
        "project.norm": f"{_BLOCK}/tpu_batch_normalization_2",
    },
)

LAYOUTS = (EFFICIENTNET,)
