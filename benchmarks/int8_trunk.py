"""Fit the head on features of an INT8 trunk instead of FP32: what it gains in time, and what it costs in accuracy.

Run: python benchmarks/int8_trunk.py [DATA] [--work DIR]. DATA holds `clothing-small`, `trashnet-small` and `cifar10`.
The trunk is quantized as artifacts are, on training photos. A head is fitted on the features of each trunk, and then
measured with the features of both on test photos: those of FP32 and of INT8 artifacts. Prints a table, writes
int8_trunk.json beside itself. Needs the `bench` install.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.architecture import parse_arch
from lungfish.exporters.exporter import GraphSpec
from lungfish.exporters.onnx_graph import trunk_graph
from lungfish.quantization.int8 import quantize_int8
from lungfish.runtime.cores import physical_cores
from lungfish.runtime.engines.onnx.engine import OnnxEngine
from lungfish.runtime.measure import machine, versions
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.probe import LabelledFeatures, fit_probe
from lungfish.training.recipe import Recipe
from lungfish.weights.catalogue import find_entry
from lungfish.weights.load import load_weights
from sets import open_set

HERE = Path(__file__).parent
CALIBRATION_PHOTOS, BATCH, ROUNDS, VAL_SHARE = 128, 16, 5, 0.1
Split = tuple[NDArray[np.uint8], NDArray[np.int64]]  # pixels [n, height, width, 3], labels [n]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?", type=Path, default=HERE.parents[1] / "shared" / "data")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "lungfish-sets")
    options = parser.parse_args()
    rows = [measure(name, open_set(name, options.data, options.work)) for name in ("clothing", "trashnet-0")]
    header = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "packages": versions(("lungfish", "numpy", "onnxruntime", "pillow", "scikit-learn")),
    }
    (HERE / "int8_trunk.json").write_text(json.dumps(header | {"sets": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"{'set':12} {'features of':12} {'images/s':>9} {'fp32 top-1':>11} {'int8 top-1':>11}  test photos")
    for row in rows:
        for trunk in ("fp32", "int8"):
            figures = row["head_fitted_on"][trunk]
            rate = statistics.median(row["images_per_s"][trunk])
            print(
                f"{row['set']:12} {trunk:12} {rate:9.0f} {figures['fp32']:11.3f} {figures['int8']:11.3f}  {row['test']}"
            )


def measure(name: str, folder: Path) -> dict[str, Any]:
    entry = find_entry("efficientnet_lite0.in1k")
    assert entry
    network = load_weights(entry, parse_arch(entry.arch))
    train, val, test = splits(folder, Preprocessing(network.arch.resolution_px))
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as work:
        fp32, int8 = Path(work, "trunk.onnx"), Path(work, "trunk-int8.onnx")
        graph = trunk_graph(network.arch, network.flavour, network.arrays, GraphSpec(entry.mean, entry.std))
        fp32.write_bytes(graph.SerializeToString())
        quantize_int8(fp32, int8, train[0][:: -(-len(train[0]) // CALIBRATION_PHOTOS)])
        quantizing_s = time.perf_counter() - began
        engines = {
            path: OnnxEngine(file.read_bytes(), threads=1, output="features", trusted=True)
            for path, file in (("fp32", fp32), ("int8", int8))
        }
    rates: dict[str, list[float]] = {trunk: [] for trunk in engines}
    for _ in range(ROUNDS):
        for trunk, engine in engines.items():
            began = time.perf_counter()
            features(engine, test[0])
            rates[trunk].append(len(test[0]) / (time.perf_counter() - began))
    on_test = {trunk: features(engine, test[0]) for trunk, engine in engines.items()}
    fitted = {}
    for trunk, engine in engines.items():
        of_train, of_val = (LabelledFeatures(features(engine, pixels), labels) for pixels, labels in (train, val))
        head = fit_probe(of_train, of_val, Recipe())
        fitted[trunk] = {
            artifact: float((head.logits(values).argmax(axis=1) == test[1]).mean())
            for artifact, values in on_test.items()
        }
    return {
        "set": name,
        "train": len(train[0]),
        "val": len(val[0]),
        "test": len(test[0]),
        "quantizing_s": quantizing_s,
        "images_per_s": rates,
        "head_fitted_on": fitted,
    }


def features(engine: OnnxEngine, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    batches = [pixels[start : start + BATCH] for start in range(0, len(pixels), BATCH)]
    with ThreadPoolExecutor(physical_cores()) as pool:
        return np.concatenate(list(pool.map(engine.run, batches)))


def splits(folder: Path, preprocess: Preprocessing) -> tuple[Split, Split, Split]:
    """Training, validation and test photos; without a validation folder, a tenth of the training photos."""
    read = {place.name: split(place, preprocess) for place in sorted(folder.iterdir()) if place.is_dir()}
    validation = next((read[name] for name in ("val", "validation") if name in read), None)
    if validation:
        return read["train"], validation, read["test"]
    pixels, labels = read["train"]
    order = np.random.default_rng(0).permutation(len(labels))
    val, train = np.split(order, [round(VAL_SHARE * len(labels))])
    return (pixels[train], labels[train]), (pixels[val], labels[val]), read["test"]


def split(place: Path, preprocess: Preprocessing) -> Split:
    classes = sorted(path.name for path in place.iterdir())
    files = [path for path in sorted(place.rglob("*")) if path.is_file()]
    with ThreadPoolExecutor(physical_cores()) as pool:
        pixels = list(pool.map(lambda path: preprocess.pixels(preprocess.decode(path.read_bytes())), files))
    return np.stack(pixels), np.array([classes.index(path.parent.name) for path in files])


if __name__ == "__main__":
    main()
