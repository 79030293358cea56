"""A small report with known figures."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lungfish.evaluation.figures import figures
from lungfish.evaluation.metrics import score
from lungfish.evaluation.rejection import choose_threshold, coverage_table
from lungfish.evaluation.report_data import ClassCount, Mistake, PhotosSummary, Report, TrainingSummary
from lungfish.evaluation.supporting_figures import CrossValidation, SupportingFigures
from lungfish.evaluation.thumbnail import thumbnail
from lungfish.runtime.artifact import ArtifactRow, Latency
from lungfish.runtime.manifest import WeightsOrigin

LATENCY = Latency(p50=12.34, p95=15.6, threads=2, runtime="onnxruntime 1.99 CPU")


def simulated(n: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float `[n, classes]` that are right about nine times in ten, and the truth int `[n]`."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % classes
    leaning = np.where(rng.uniform(size=n) < 0.9, truth, rng.integers(0, classes, n))
    logits = rng.normal(size=(n, classes)) + 6 * np.eye(classes)[leaning]
    p = np.exp(logits)
    return p / p.sum(axis=1, keepdims=True), truth


def report_of(labels: list[str], n: int = 400, name: str = "shoes-bundle") -> Report:
    p, truth = simulated(n, len(labels))
    threshold = choose_threshold(p, truth)
    measured = figures(p, truth)
    picture = thumbnail(Image.new("RGB", (300, 200), "teal"))
    int8 = ArtifactRow("model.int8.onnx", "onnx", "int8", 3_700_000, "b" * 64, why="loses 1.8 points on validation")
    fp32 = replace(int8, file="model.onnx", precision="fp32", bytes=13_500_000, sha256="a" * 64, why="")
    metrics = measured.metrics
    return Report(
        name=name,
        created="2031-05-06",
        labels=tuple(labels),
        test=measured,
        val=score(p, truth),
        mistakes=(Mistake(f"{labels[0]}/one.jpg", labels[0], labels[1], 0.9876, picture, picture),),
        supporting=SupportingFigures(threshold),
        coverage=coverage_table(p, truth, threshold.value),
        artifacts=(
            replace(fp32, top1=metrics.top1, ci95=metrics.ci95, latency_ms=LATENCY, status="pass"),
            replace(int8, top1=0.801, ci95=(0.75, 0.84), agreement_with_fp32=0.912, status="pass"),
        ),
        default="model.onnx",
        photos=PhotosSummary(tuple(ClassCount(label, 80, 10, 40) for label in labels), "by content hash"),
        weights=WeightsOrigin("efficientnet_lite0.in1k", "a package", "Apache-2.0", "c" * 64),
        training=TrainingSummary(
            "efficientnet_lite0", {"name": "probe"}, 7, 1.25, {"total": 92.4}, {"cores": 2}, {"numpy": "9.9.9"}
        ),
    )


@pytest.fixture
def report() -> Report:
    return report_of([f"class-{i}" for i in range(10)])


@pytest.fixture
def make_report():
    return report_of


@pytest.fixture
def folds() -> CrossValidation:
    return CrossValidation.of((0.80, 0.82, 0.84, 0.86, 0.88), 403, 480, 450, ships=True)
