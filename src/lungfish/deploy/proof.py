"""The artefacts themselves, through `runtime`, on the photos: every figure of a bundle comes from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import ParityError, UnreadablePhotoError
from lungfish.core.hashing import sha256_file
from lungfish.core.names import plural
from lungfish.core.progress import Advance, Progress
from lungfish.deploy.classifier import Classifier
from lungfish.evaluation.metrics import Metrics, agreement, score
from lungfish.runtime.answering import Model, answer_photos
from lungfish.runtime.artifact import ArtifactRow
from lungfish.runtime.measure import latency
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.runtime.session import Session

PARITY_TOLERANCE = 1e-4  # largest difference of probabilities between torch and the exported file

Probabilities = NDArray[np.float32]  # [n, classes]


@dataclass(frozen=True, eq=False)
class LabelledPhotos:
    """Photos to prove on: readers of their bytes, and their class indices `[n]`."""

    readers: Sequence[Callable[[], bytes]]
    truth: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Proof:
    """What one artefact answered on validation and on test photos, `[n, classes]` each, and how well."""

    val: Probabilities
    test: Probabilities
    val_metrics: Metrics
    test_metrics: Metrics


def check_parity(classifier: Classifier, artifact: Path, pixels: NDArray[np.uint8]) -> float:
    """Compare an exported FP32 file with the torch module on the same pixels; return the largest difference.

    Raises:
        ParityError: it is above `PARITY_TOLERANCE`.
    """
    exported = Session(artifact).run(pixels)
    difference = float(np.abs(exported - classifier.probabilities(pixels)).max())
    if not difference <= PARITY_TOLERANCE:
        raise ParityError(
            f"{artifact.name} computes something else than the network it was exported from: probabilities differ by "
            f"{difference:.2g}, allowed is {PARITY_TOLERANCE:g}",
            "This is a bug of Lungfish or of the installed onnxruntime; run lungfish doctor and report it.",
        )
    return difference


def prove(
    artifacts: Sequence[Path], val: LabelledPhotos, test: LabelledPhotos, preprocess: Preprocessing, progress: Progress
) -> dict[str, Proof]:
    """Let every artefact predict every photo; each photo is decoded once for all of them.

    Returns:
        Proofs by file name.

    Raises:
        UnreadablePhotoError: a photo that could be read before cannot be now.
    """
    models = {path.name: Session(path, threads=1).run for path in artifacts}
    with progress.task("Proving the artefacts", len(val.readers) + len(test.readers)) as advance:
        on_val = _predict(models, val, preprocess, advance)
        on_test = _predict(models, test, preprocess, advance)
    return {
        name: Proof(on_val[name], on_test[name], score(on_val[name], val.truth), score(on_test[name], test.truth))
        for name in models
    }


def artifact_rows(artifacts: Mapping[str, Path], proofs: Mapping[str, Proof], max_drop: float) -> list[ArtifactRow]:
    """The figures of every artefact. One passes if it is within `max_drop` of FP32's top-1 on validation.

    Args:
        artifacts: files by precision, `fp32` among them.
        proofs: by file name.
        max_drop: of top-1, 0 to 1.
    """
    reference = proofs[artifacts["fp32"].name]
    rows = []
    for precision, path in artifacts.items():
        proof = proofs[path.name]
        drop = reference.val_metrics.top1 - proof.val_metrics.top1
        passed = drop <= max_drop + 1e-9
        row = ArtifactRow(
            file=path.name,
            format="onnx",
            precision=precision,
            bytes=path.stat().st_size,
            sha256=sha256_file(path),
            top1=proof.test_metrics.top1,
            ci95=proof.test_metrics.ci95,
            agreement_with_fp32=agreement(proof.test, reference.test),
            latency_ms=latency(Session(path)),
            status="pass" if passed else "fail",
            why="" if passed else f"{100 * drop:.1f} points under fp32 on validation; allowed are {100 * max_drop:g}",
        )
        rows.append(row)
    return rows


def choose_default(rows: Sequence[ArtifactRow]) -> str:
    """File name of the smallest artefact that passes."""
    return min((row for row in rows if row.status == "pass"), key=lambda row: row.bytes).file


def _predict(
    models: Mapping[str, Model], photos: LabelledPhotos, preprocess: Preprocessing, advance: Advance
) -> dict[str, Probabilities]:
    answered = answer_photos(models, photos.readers, preprocess, advance)
    if answered.unreadable:
        reason = next(iter(answered.unreadable.values()))
        raise UnreadablePhotoError(
            f"{plural(len(answered.unreadable), 'photo')} changed while the job ran: {reason}", "Run it again."
        )
    return answered.probabilities
