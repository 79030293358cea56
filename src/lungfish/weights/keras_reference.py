"""A network of Keras Applications in a process of its own: TensorFlow and torch do not share one well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch
from lungfish.core.errors import WeightsError

FIRST_LAYER = "stem_conv_pad"  # of EfficientNet: what stands before it prepares pixels


class KerasReference:
    """Logits of a Keras model that holds the file.

    Args:
        model: a function of `keras.applications`.
        arch: its width, resolution and classes.
        file: `.h5` or `.weights.h5`.
    """

    def __init__(self, model: str, arch: Arch, file: Path) -> None:
        arguments: dict[str, Any] = {
            "classes": arch.classes,
            "input_shape": [arch.resolution_px, arch.resolution_px, 3],
        }
        if model.startswith("MobileNet"):
            arguments["alpha"] = arch.width
        command = [sys.executable, "-m", __name__, model, json.dumps(arguments), str(file)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        self._lock = Lock()

    def __call__(self, x_nchw: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 `[n, 3, height, width]` to `[n, classes]`. Raises `WeightsError`: Keras refused the file."""
        with self._lock:
            to, back = self._process.stdin, self._process.stdout
            assert to
            assert back
            try:
                _send(to, np.ascontiguousarray(x_nchw.transpose(0, 2, 3, 1)))
                return _receive(back)
            except (OSError, EOFError, ValueError):
                raise WeightsError(
                    f"Keras ended with exit code {self._process.wait()}", "What it said stands above."
                ) from None

    def __del__(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()


def _send(stream: IO[bytes], array: NDArray[np.float32]) -> None:
    np.lib.format.write_array(stream, array, allow_pickle=False)
    stream.flush()


def _receive(stream: IO[bytes]) -> NDArray[np.float32]:
    """The next array. Raises `ValueError` at the end of the stream."""
    array: NDArray[np.float32] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def main(name: str, arguments: str, file: str) -> None:
    """Answer batches of stdin on stdout until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the libraries print must not fall between the answers
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow"}
    import keras

    build = getattr(keras.applications, name)
    model = build(weights=None, classifier_activation=None, **json.loads(arguments))
    model.load_weights(file)
    if any(layer.name == FIRST_LAYER for layer in model.layers):
        model = keras.Model(model.get_layer(FIRST_LAYER).input, model.output)
    batches = os.fdopen(os.dup(0), "rb")
    while batches.peek(1):
        _send(answers, np.asarray(model(_receive(batches), training=False)))


if __name__ == "__main__":
    main(*sys.argv[1:])
