"""Run a network of Keras Applications in a separate process: TensorFlow and torch do not coexist well in one."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import Arch
from lungfish.core.errors import WeightsError
from lungfish.core.names import in_short

LENGTH_BYTES = 8  # size of the length field before an array
FIRST_LAYER = "stem_conv_pad"  # in EfficientNet, where the layers before it preprocess pixels


class KerasReference:
    """Logits of a Keras model with the weights of a file.

    Args:
        model: Name of a function of `keras.applications`.
        arch: Network that gives width, resolution and classes.
        file: `.h5` or `.weights.h5`.
    """

    def __init__(self, model: str, arch: Arch, file: Path) -> None:
        arguments: dict[str, Any] = {
            "classes": arch.classes,
            "input_shape": [arch.resolution_px, arch.resolution_px, 3],
        }
        if model.startswith("MobileNet"):
            arguments["alpha"] = arch.width
        command = [sys.executable, "-P", "-m", __name__, model, json.dumps(arguments), str(file)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        self._lock = Lock()

    def __call__(self, x_nchw: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map inputs, float32 `[n, 3, height, width]`, to logits, float32 `[n, classes]`.

        Raises:
            WeightsError: Keras rejected the file.
        """
        with self._lock:
            to, back = self._process.stdin, self._process.stdout
            assert to
            assert back
            try:
                _send(to, np.ascontiguousarray(x_nchw.transpose(0, 2, 3, 1)))
                return _receive(back)
            except (OSError, EOFError, ValueError):
                raise WeightsError(
                    f"Keras ended with exit code {self._process.wait()}", "See its output above."
                ) from None

    def __del__(self) -> None:
        for stream in filter(None, (self._process.stdin, self._process.stdout)):
            with contextlib.suppress(OSError):  # unsent data for a process that has ended
                stream.close()
        self._process.wait()


def _send(stream: IO[bytes], array: NDArray[np.float32]) -> None:
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)  # numpy cannot write to pipes
    stream.write(buffer.tell().to_bytes(LENGTH_BYTES, "little") + buffer.getbuffer())
    stream.flush()


def _receive(stream: IO[bytes]) -> NDArray[np.float32]:
    """Return the next array. Raises `EOFError` or `ValueError` at the end of the stream."""
    length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
    array: NDArray[np.float32] = np.load(BytesIO(stream.read(length)), allow_pickle=False)
    return array


def main(name: str, arguments: str, file: str) -> None:
    """Read batches from stdin and write their logits to stdout, until stdin closes."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the libraries' output must not mix with the answers
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": "tensorflow"}
    import keras

    build = getattr(keras.applications, name)
    model = build(weights=None, classifier_activation=None, **json.loads(arguments))
    with TemporaryDirectory() as folder:
        model.load_weights(_named_for_keras(Path(file), Path(folder)))
    if any(layer.name == FIRST_LAYER for layer in model.layers):
        model = keras.Model(model.get_layer(FIRST_LAYER).input, model.output)
    batches = os.fdopen(os.dup(0), "rb")
    while batches.peek(1):
        _send(answers, np.asarray(model(_receive(batches), training=False)))


def _named_for_keras(file: Path, folder: Path) -> Path:
    """Return the file, or a copy in `folder` with the suffix by which Keras recognizes its newer layout."""
    import h5py

    if file.suffix == ".keras":
        return file
    with h5py.File(file) as opened:
        is_new = "layers" in opened
    return Path(shutil.copy(file, folder / "copy.weights.h5")) if is_new else file


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # warnings about missing tensors, each of which lists all of them
    try:
        main(*sys.argv[1:])
    except Exception as error:  # noqa: BLE001  Keras's errors may print whole tensors
        sys.exit(f"{type(error).__name__}: {in_short(error)}")
