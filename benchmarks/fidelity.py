"""The packaged ImageNet weights through our network, our ONNX graph and our INT8 file, on 1,000 ImageNet photos.

Run: python benchmarks/fidelity.py [PHOTOS]. PHOTOS holds files named CLASS_SYNSET.jpg, one for each class; they are of
the training set, so top-1 reads high. INT8 is calibrated on 128 of them. Prints a table, writes fidelity.json.
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lungfish.core.progress import Lines, Progress
from lungfish.deploy.classifier import Classifier
from lungfish.evaluation.metrics import agreement, score
from lungfish.quantization.int8 import quantize_int8
from lungfish.runtime.answering import answer_photos
from lungfish.runtime.measure import machine, versions
from lungfish.weights.catalogue import find_entry
from lungfish.weights.load import from_network, load_network

HERE = Path(__file__).parent
NAMES = ("efficientnet_lite0.in1k",)
CALIBRATION_PHOTOS = 128


def main() -> None:
    photos = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[1] / "shared" / "data" / "imagenet-samples"
    rows = [row for name in NAMES for row in measure(name, sorted(photos.glob("*.jpg")))]
    packages = versions(("lungfish", "numpy", "onnxruntime", "pillow", "torch"))
    report = {"machine": machine(), "packages": packages, "rows": rows}
    (HERE / "fidelity.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{'weights':30}{'engine':14}{'top-1':>8}{'agreement with torch':>22}{'max |p - torch|':>18}")
    for row in rows:
        print(
            f"{row['weights']:30}{row['engine']:14}{row['top1']:8.4f}{row['agreement']:22.4f}{row['max_abs_diff']:18.2g}"
        )


def measure(name: str, paths: list[Path]) -> list[dict[str, Any]]:
    entry = find_entry(name)
    network = load_network(entry)
    preprocess = entry.preprocessing(network.arch.resolution_px)
    labels = tuple(str(index) for index in range(network.arch.classes))
    classifier = Classifier(from_network(network), 1.0, labels, preprocess, entry)
    truth = np.array([int(path.name.partition("_")[0]) for path in paths])
    with tempfile.TemporaryDirectory() as folder:
        fp32 = classifier.write(Path(folder))
        int8 = fp32.in_precision("int8")
        chosen = np.random.default_rng(0).choice(len(paths), CALIBRATION_PHOTOS, replace=False)
        pixels = [preprocess.pixels(preprocess.decode(paths[i].read_bytes())) for i in chosen]
        quantize_int8(fp32.path, int8.path, np.stack(pixels))
        models = {"torch": classifier.probabilities} | {
            f"onnx {each.precision}": each.open(threads=1).run for each in (fp32, int8)
        }
        readers = [partial(path.read_bytes) for path in paths]
        with Progress(Lines()).task(name, len(paths)) as advance:
            answered = answer_photos(models, readers, preprocess, advance).probabilities
    return [
        {
            "weights": name,
            "engine": engine,
            "top1": score(probabilities, truth).top1,
            "agreement": agreement(probabilities, answered["torch"]),
            "max_abs_diff": float(np.abs(probabilities - answered["torch"]).max()),
            "photos": len(paths),
        }
        for engine, probabilities in answered.items()
    ]


if __name__ == "__main__":
    main()
