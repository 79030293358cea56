"""Run ONNX graphs with onnxruntime, from uint8 pixels to probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import BundleError, MachineError
from lungfish.core.untrusted import HINT, shortened
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.engines.engine import BATCH_SIZE, INPUT, OUTPUT, ModelFiles
from lungfish.runtime.engines.onnx.graph_check import checked_graph

if TYPE_CHECKING:
    import onnxruntime

ACTIVATIONS = "activations"  # an output of float16 [batch, channels, height, width] instead of a float32 vector
CLASS_MAPS = "class_maps"  # an output of float32 [batch, classes, rows, columns]
_FATAL = 4  # onnxruntime's log level: errors are raised, so they need not be logged
# An Identity of one uint8 (opset 13), written with onnx.helper, to test whether onnxruntime works.
_TINY_GRAPH = (
    b'\x08\x08\x12\x00:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x02\x12\x04\n\x02'
    b"\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x02\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\r"
)


def open_onnx(files: ModelFiles, threads: int | None) -> OnnxEngine:
    """Open an untrusted ONNX artifact, which is a single file.

    Raises:
        BundleError: There is more than one file; or as `OnnxEngine` does.
        MachineError: onnxruntime does not work on this machine.
    """
    if len(files.contents) > 1:
        raise BundleError(f"the bundle lists {len(files.contents)} files for {files.name}; an ONNX model has one", HINT)
    return OnnxEngine(files.main, threads)


def onnx_devices() -> list[str]:
    """Test onnxruntime with one value and return its devices; errors are not caught."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    session = onnxruntime.InferenceSession(_TINY_GRAPH, providers=["CPUExecutionProvider"])
    pixel = np.array([7], np.uint8)
    if not np.array_equal(session.run(None, {"x": pixel})[0], pixel):
        raise MachineError("onnxruntime computes wrong values")
    return list(onnxruntime.get_available_providers())


class OnnxEngine:
    """Run on the CPU an ONNX graph that satisfies the bundle's contract.

    Args:
        data: Content of the file, which need not be trusted: it must pass `checked_graph` first.
        threads: Threads that compute one run; by default one for each physical core.
        output: Name of the output; `probabilities` in a bundle.
        trusted: Whether to skip the check; only for graphs that this process has exported, never for a bundle.

    Attributes:
        resolution_px: Side of the square input, in pixels.
        shape: Shape of the output for one photo; `(classes,)` in a bundle.
        metadata: Metadata of the file.
        threads: Threads that compute one run.
        runtime: Name and version of onnxruntime.

    Raises:
        BundleError: The file is not ONNX, or breaks the contract.
        MachineError: onnxruntime does not work on this machine.
    """

    def __init__(self, data: bytes, threads: int | None = None, output: str = OUTPUT, *, trusted: bool = False) -> None:
        self._batch_size = BATCH_SIZE
        if not trusted:
            data, self._batch_size = checked_graph(data, BATCH_SIZE)
        self.threads = threads or physical_cores()
        self.output = output
        self._session = _open(data, self.threads)
        self.resolution_px, self.shape = _check_contract(self._session, output)
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.runtime = runtime_name()

    @property
    def classes(self) -> int:
        """Length of the output for each photo."""
        return self.shape[0]

    def run(self, pixels: NDArray[np.uint8], /) -> NDArray[Any]:
        """Compute the output of a batch.

        Large batches are run in parts of `BATCH_SIZE` photos, or fewer if their activations would exceed
        `graph_check.MAX_LIVE_BYTES`.

        Args:
            pixels: uint8 `[batch, resolution, resolution, 3]`, RGB.

        Returns:
            float32 `[batch, classes]`; for `activations`, float16 `[batch, channels, height, width]`; for
            `class_maps`, float32 `[batch, classes, rows, columns]`.

        Raises:
            BundleError: The pixels have another type or shape, the graph fails on them, or its output is not finite.
        """
        expected = (self.resolution_px, self.resolution_px, 3)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != expected:
            raise BundleError(
                f"expected uint8 pixels {['batch', *expected]}, got {pixels.dtype} {list(pixels.shape)}",
                "Resize with the bundle's preprocessing.",
            )
        size = self._batch_size
        parts = [self._run(pixels[start : start + size]) for start in range(0, len(pixels), size)]
        return np.concatenate(parts) if parts else np.empty((0, *self.shape), _dtype(self.output))

    def _run(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        try:
            outputs: NDArray[Any] = self._session.run([self.output], {INPUT: pixels})[0]
        except Exception as error:  # noqa: BLE001  onnxruntime's errors share no base but this
            raise BundleError(f"the model fails on a batch of {len(pixels)}: {_first_line(error)}", HINT) from None
        shape = (len(pixels), *self.shape)
        if outputs.shape != shape or not np.isfinite(outputs).all():
            raise BundleError(f"the model's {self.output} are not finite or not of shape {list(shape)}", HINT)
        return outputs


def runtime_name() -> str:
    """Return name and version of onnxruntime: `onnxruntime 1.23.0`."""
    return f"onnxruntime {_onnxruntime().__version__}"


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MachineError(
            f"onnxruntime cannot be imported: {_first_line(error)}",
            "Reinstall it: pip install --force-reinstall onnxruntime",
        ) from None
    return onnxruntime


def _open(data: bytes, threads: int) -> onnxruntime.InferenceSession:
    engine = _onnxruntime()
    engine.disable_telemetry_events()
    options = engine.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.load_model_format", "ONNX")  # never guess ORT's own format from the bytes
    try:
        return engine.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # noqa: BLE001  onnxruntime's errors share no base but this
        raise BundleError(f"onnxruntime cannot load the model: {_first_line(error)}", HINT) from None


def _dtype(output: str) -> type[np.float16 | np.float32]:
    return np.float16 if output == ACTIVATIONS else np.float32


def _check_contract(session: onnxruntime.InferenceSession, output: str) -> tuple[int, tuple[int, ...]]:
    """Check the inputs and outputs of a graph; return its resolution, and the shape of its output for one photo."""
    dtype = "tensor(float16)" if output == ACTIVATIONS else "tensor(float)"
    axes = 3 if output in (ACTIVATIONS, CLASS_MAPS) else 1
    inputs = [(node.name, node.type, node.shape) for node in session.get_inputs()]
    outputs = [(node.name, node.type, node.shape) for node in session.get_outputs()]
    match inputs, outputs:
        case (
            [(name_in, "tensor(uint8)", [batch, int(height), int(width), 3])],
            [(name_out, kind, [_, *shape])],
        ) if not isinstance(batch, int) and height == width:
            named = (name_in, name_out, kind, len(shape)) == (INPUT, output, dtype, axes)
            if named and all(isinstance(side, int) for side in shape):
                return height, tuple(shape)
    raise BundleError(
        f"the model has inputs {shortened(inputs)} and outputs {shortened(outputs)}; a bundle's graph has "
        f"the input {INPUT}, uint8 [batch, height, width, 3], and the output {output}, float32 [batch, classes]",
        HINT,
    )


def _first_line(error: Exception) -> str:
    return shortened(str(error).splitlines()[0] if str(error) else type(error).__name__)
