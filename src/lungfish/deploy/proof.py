"""Prove the artifacts on photos, through `runtime`: the source of every figure in a bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import ParityError, UnreadablePhotoError
from lungfish.core.names import plural
from lungfish.core.progress import Advance, Progress
from lungfish.deploy.classifier import Classifier
from lungfish.evaluation.metrics import Metrics, agreement, score
from lungfish.exporters.artifact import Artifact
from lungfish.runtime.answering import Model, answer_photos
from lungfish.runtime.artifact import ArtifactRow
from lungfish.runtime.measure import latency
from lungfish.runtime.preprocessing import Preprocessing

PARITY_TOLERANCE = 1e-4  # largest difference of probabilities between the exported file and its reference

Probabilities = NDArray[np.float32]  # [n, classes]


@dataclass(frozen=True, eq=False)
class LabelledPhotos:
    """Photos to evaluate artifacts on: readers of their bytes, and their class indices `[n]`."""

    readers: Sequence[Callable[[], bytes]]
    truth: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Proof:
    """One artifact's answers to validation and test photos, `[n, classes]` each, and their figures."""

    val: Probabilities
    test: Probabilities
    val_metrics: Metrics
    test_metrics: Metrics


def check_parity(classifier: Classifier, artifact: Artifact, pixels: NDArray[np.uint8]) -> float:
    """Compare an exported FP32 artifact with its reference, in torch or numpy; return the largest difference.

    Raises:
        ParityError: The difference is above `PARITY_TOLERANCE`.
    """
    engine = artifact.open()
    difference = float(np.abs(engine.run(pixels) - classifier.probabilities(pixels)).max())
    if not difference <= PARITY_TOLERANCE:
        raise ParityError(
            f"{artifact.file} does not compute the same as the network it was exported from: probabilities differ by "
            f"{difference:.2g}; at most {PARITY_TOLERANCE:g} is allowed",
            f"This is a bug in Lungfish or in the installed {engine.runtime}; run lungfish doctor and report it.",
        )
    return difference


def prove(
    artifacts: Sequence[Artifact],
    val: LabelledPhotos,
    test: LabelledPhotos,
    preprocess: Preprocessing,
    progress: Progress,
) -> dict[str, Proof]:
    """Run every artifact on every photo; each photo is decoded once for all of them.

    Returns:
        Proofs by the name of the artifact's main file.

    Raises:
        UnreadablePhotoError: A photo that was readable before no longer is.
    """
    models = {artifact.file: artifact.open(threads=1).run for artifact in artifacts}
    with progress.task("Measuring the artifacts", len(val.readers) + len(test.readers)) as advance:
        on_val = _predict(models, val, preprocess, advance)
        on_test = _predict(models, test, preprocess, advance)
    return {
        name: Proof(on_val[name], on_test[name], score(on_val[name], val.truth), score(on_test[name], test.truth))
        for name in models
    }


def artifact_rows(artifacts: Sequence[Artifact], proofs: Mapping[str, Proof], max_drop: float) -> list[ArtifactRow]:
    """Return the figures of every artifact; one passes if its validation top-1 is within `max_drop` of that of FP32.

    Args:
        artifacts: Artifacts, FP32 first.
        proofs: Proofs by file name.
        max_drop: Allowed drop of top-1, 0 to 1.
    """
    reference = proofs[artifacts[0].file]
    rows = []
    for artifact in artifacts:
        proof = proofs[artifact.file]
        drop = reference.val_metrics.top1 - proof.val_metrics.top1
        passed = drop <= max_drop + 1e-9
        row = replace(
            artifact.row(),
            top1=proof.test_metrics.top1,
            ci95=proof.test_metrics.ci95,
            agreement_with_fp32=agreement(proof.test, reference.test),
            latency_ms=latency(artifact.open()),
            status="pass" if passed else "fail",
            why=""
            if passed
            else f"{100 * drop:.1f} points below fp32 on validation photos; at most {100 * max_drop:g} is allowed",
        )
        rows.append(row)
    return rows


def choose_default(rows: Sequence[ArtifactRow]) -> str:
    """Return the file name of the smallest artifact that passes."""
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
