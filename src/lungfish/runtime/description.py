"""Describe a bundle's models in `bundle.json` for users who run them without Lungfish.

Lungfish itself never reads this description.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lungfish.runtime.engines.engine import INPUT, OUTPUT
from lungfish.runtime.preprocessing import Preprocessing

WEIGHTS_NAME = "weights.safetensors"  # the float network; its logits are not divided by the temperature


def describe_models(preprocess: Preprocessing, classes: int) -> dict[str, Any]:
    """Return `input` and `output`, which are the same for all artifacts of a bundle.

    Args:
        preprocess: Resize rule of the bundle.
        classes: Number of classes.
    """
    return {
        "input": {
            "name": INPUT,
            "dtype": "uint8",
            "layout": "NHWC",
            "shape": ["batch", *preprocess.shape],
            "color": preprocess.color,
        },
        "output": {"name": OUTPUT, "dtype": "float32", "layout": "NC", "shape": ["batch", classes]},
    }


def temperature_inside(artifacts: Iterable[str], files: Iterable[str]) -> dict[str, bool]:
    """Return, for each file with weights, whether its logits are already divided by the temperature.

    Args:
        artifacts: Names of the artifacts.
        files: Names of the other files.
    """
    return dict.fromkeys(artifacts, True) | {name: False for name in files if name == WEIGHTS_NAME}
