"""What many tests share: a cache of their own, the command line, and three bundles.

The color bundle is small enough to read: it names the color of a picture, from the mean of its pixels. The tiny one
holds pretrained weights that make a job quick. The trained one is what `lungfish train` makes of a few handwritten
digits from those weights; it is made once.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from lungfish.architecture import parse_arch
from lungfish.core.cache import FOLDER
from lungfish.core.hashing import sha256_bytes
from lungfish.runtime.artifact import ArtifactRow, FileRow
from lungfish.runtime.manifest import DataSummary, FlavourRow, Manifest, WeightsOrigin
from lungfish.runtime.metadata import graph_metadata
from lungfish.runtime.preprocessing import Preprocessing

from .local_server import publish_model, reply, server, start_server  # noqa: F401  fixtures
from .peak_memory import PeakMemory
from .tiny import write_tiny_weights

# Many tests, and their processes, share few cores: threads that wait must not keep one busy, and where pytest-xdist
# runs a worker for each core, one thread computes in each.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3  # of glibc's mallopt

# What a shell starts in the background ignores Ctrl-C, and so would every process that a test stops with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _libc(function: str, *arguments: int) -> None:
    """Call a function of glibc, if this is glibc."""
    if sys.platform == "linux":
        getattr(ctypes.CDLL(None), function, lambda *_: None)(*arguments)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--every-case", action="store_true", help="try every case where by default a sample is tried")


def pytest_configure(config: pytest.Config) -> None:
    _libc("mallopt", M_ARENA_MAX, 2)
    _libc("mallopt", M_MMAP_THRESHOLD, 1 << 20)
    gc.disable()  # imports make a million objects, none of them garbage
    if not hasattr(config, "workerinput"):  # the process that the workers of pytest-xdist belong to
        config.pluginmanager.register(PeakMemory())


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what tests have counted: how many cases they tried."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()  # imported modules stay anyway, and scanning them takes half a second in every full collection
    gc.enable()


@pytest.fixture(scope="session")
def every_case(request: pytest.FixtureRequest) -> bool:
    """Whether to try what `make test` has no time for."""
    return bool(request.config.getoption("--every-case"))


@pytest.fixture
def on_demand(every_case: bool) -> None:
    """Skip a test that takes long, unless it is asked for."""
    if not every_case:
        pytest.skip("takes long; --every-case runs it")


@pytest.fixture(autouse=True, scope="module")
def _memory_given_back() -> Iterator[None]:
    """Return freed memory to the system after each test file, if workers share the machine: glibc would keep it."""
    yield
    if "PYTEST_XDIST_WORKER" in os.environ:
        gc.collect()
        gc.freeze()
        _libc("malloc_trim", 0)


COLORS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
PREPROCESS = Preprocessing(8, crop_fraction=1.0)


def _color_model(labels: Sequence[str] = tuple(COLORS), sharpness: float = 0.02) -> Any:
    """An ONNX ModelProto: mean of the pixels, one logit for each color, softmax."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = sharpness * np.array([COLORS[label] for label in labels], np.float32) / 255
    nodes = [
        helper.make_node("Transpose", ["image"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["nchw"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["pixels"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights", "bias"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    side = PREPROCESS.resolution_px
    graph = helper.make_graph(
        nodes,
        "color",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", side, side, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(labels)])],
        [
            numpy_helper.from_array(np.zeros(len(labels), np.float32), "bias"),
            numpy_helper.from_array(weights, "weights"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, graph_metadata(labels, PREPROCESS))
    onnx.checker.check_model(model)
    return model


def _write_color_bundle(
    folder: Path, labels: Sequence[str] = tuple(COLORS), models: dict[str, bytes] | None = None, known: float = 0.5
) -> Path:
    """Write a bundle with the given model files; the first is the default."""
    models = models or {"model.onnx": _color_model(labels).SerializeToString()}
    folder.mkdir(parents=True)
    others = {"labels.txt": "\n".join(labels).encode(), "golden/note.txt": b"golden"}
    for name, data in {**models, **others}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    manifest = Manifest(
        lungfish="0",
        created="2026-01-01T00:00:00Z",
        seed=0,
        packages={"numpy": "2"},
        architecture=parse_arch("efficientnet_lite0").to_json(),
        flavour=FlavourRow("same", 1e-3),
        weights=WeightsOrigin(),
        labels=tuple(labels),
        thresholds={"known": known},
        temperature=1.0,
        preprocess=PREPROCESS,
        data=DataSummary("0", {"train": 3}, {}),
        artifacts=tuple(
            ArtifactRow(name, "onnx", "fp32", len(data), sha256_bytes(data)) for name, data in models.items()
        ),
        default=next(iter(models)),
        test={},
        val={},
        machine={},
        files={name: FileRow(sha256_bytes(data), len(data)) for name, data in others.items()},
    )
    (folder / "bundle.json").write_text(manifest.to_json(), encoding="utf-8")
    return folder


@pytest.fixture
def color_model() -> Callable[..., Any]:
    return _color_model


@pytest.fixture
def write_color_bundle() -> Callable[..., Path]:
    return _write_color_bundle


@pytest.fixture
def color_bundle(tmp_path: Path) -> Path:
    """A sound bundle of the classes red, green and blue."""
    return _write_color_bundle(tmp_path / "color-bundle")


@pytest.fixture
def rewrite() -> Callable[[Path, Callable[[dict[str, Any]], None]], None]:
    """Change a bundle's `bundle.json` in place."""

    def apply(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
        path = bundle / "bundle.json"
        manifest = json.loads(path.read_text(encoding="utf-8"))
        change(manifest)
        path.write_text(json.dumps(manifest), encoding="utf-8")

    return apply


@pytest.fixture
def color_photos(tmp_path: Path) -> Path:
    """Class folders red, green and blue of three photos each."""
    folder = tmp_path / "photos"
    for name, color in COLORS.items():
        (folder / name).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (20, 16 + index), color).save(folder / name / f"{index}.png")
    return folder


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Trained:
    """A finished job: 3 classes of 20 digits and one file that is no picture, the head of the tiny network fitted."""

    weights: Path
    photos: Path
    bundle: Path
    cache: Path
    ended: Ended


def _command(*arguments: object, cache: Path, cwd: Path | None = None, prelude: str = "") -> Ended:
    script = shutil.which("lungfish", path=str(Path(sys.executable).parent))
    command = [script] if script else [sys.executable, "-m", "lungfish"]
    if prelude:
        command = [sys.executable, "-c", f"{prelude}\nimport os, sys; os.execv(sys.argv[1], sys.argv[1:])", *command]
    done = subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        cwd=cwd,
        env=os.environ | {"LUNGFISH_CACHE": str(cache.parent)},
        timeout=600,
        check=False,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def _write_digits(folder: Path, classes: Sequence[str] = ("0", "1", "2"), count: int = 20) -> Path:
    """Class folders of handwritten digits: the first class shows zeros, the second ones."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for digit, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in np.flatnonzero(digits.target == digit)[:count]:
            gray = (255 - digits.images[index] * (255 / 16)).astype(np.uint8)
            Image.fromarray(gray).resize((40, 40)).save(folder / name / f"{index:04}.png")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test alone: no test touches the user's. It is not there yet."""
    monkeypatch.setenv("LUNGFISH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / FOLDER


@pytest.fixture(autouse=True)
def no_descriptor(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Whole jobs look for no scenes: the network that finds them takes longer than a tiny job. Tests of it open it."""
    if "lungfish" in request.fixturenames:
        monkeypatch.setattr("lungfish.job.dataset.open_descriptor", lambda *_: None)


@pytest.fixture
def lungfish(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run a command in this process: quick, with latencies of few runs."""
    from lungfish.cli.app import run
    from lungfish.runtime import measure

    monkeypatch.setattr(measure, "MOST_RUNS", measure.LEAST_RUNS)

    def call(*arguments: object) -> Ended:
        code = run([str(argument) for argument in arguments])
        return Ended(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def command() -> Callable[..., Ended]:
    """Run the installed `lungfish` in a process of its own, with the cache folder that is given.

    `prelude` is Python that the process runs before it becomes `lungfish`.
    """
    return _command


@pytest.fixture(scope="session")
def write_digits() -> Callable[..., Path]:
    return _write_digits


@pytest.fixture(scope="session")
def process_lock(tmp_path_factory: pytest.TempPathFactory) -> FileLock:
    """Lets one pytest-xdist worker at a time start several processes with torch, which take 400 MB each."""
    return FileLock(_shared_base(tmp_path_factory) / "processes.lock")


@pytest.fixture
def several_processes(process_lock: FileLock) -> Iterator[None]:
    """The test starts several processes with torch; see `process_lock`."""
    with process_lock:
        yield


@pytest.fixture(scope="session")
def rank_variables() -> Callable[[], list[dict[str, str]]]:
    """Environment variables for two processes that train together, as torchrun sets them; rank 0 comes first."""

    def call() -> list[dict[str, str]]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        return [shared | {"RANK": rank, "LOCAL_RANK": rank} for rank in "01"]

    return call


def _shared_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextmanager
def _shared(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """A folder that all workers of pytest-xdist share, and whether this one is the first and has to fill it."""
    folder = _shared_base(tmp_path_factory) / "shared" / name
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        is_new = not folder.exists()
        folder.mkdir(exist_ok=True)
        yield folder, is_new


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle to start from: `train PHOTOS --weights TINY` takes a second. See `tests/tiny.py`."""
    with _shared(tmp_path_factory, "tiny") as (folder, is_new):
        return write_tiny_weights(_write_color_bundle(folder / "tiny")) if is_new else folder / "tiny"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Trained:
    """The main job, done once by the command line, cold. Copy what is to be changed."""
    with _shared(tmp_path_factory, "trained") as (folder, is_new):
        photos, bundle, cache = folder / "digits", folder / "digits-bundle", folder / "cache" / FOLDER
        record = folder.with_suffix(".json")
        if is_new:
            _write_digits(photos)
            (photos / "1" / "broken.jpg").write_text("no picture")
            options = ("--out", bundle, "--weights", tiny, "--recipe", "probe", "--json")
            ended = _command("train", photos, *options, cache=cache)
            assert ended.code == 0, ended.err
            record.write_text(json.dumps(asdict(ended)))
        return Trained(tiny, photos, bundle, cache, Ended(**json.loads(record.read_text())))


@pytest.fixture
def copied_int8(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare a job of a real network the arithmetic of INT8: its `model-int8.onnx` is a copy of the FP32 file."""
    quantize = "lungfish.job.bundle.export.quantize_int8"
    monkeypatch.setattr(quantize, lambda source, target, _pixels: shutil.copy(source, target))
