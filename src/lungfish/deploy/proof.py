"""The artefacts themselves, through `runtime`, on the photos: every figure of a bundle comes from here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import ParityError
from lungfish.core.hashing import sha256_file
from lungfish.core.progress import Advance, Progress
from lungfish.deploy.classifier import Classifier
from lungfish.evaluation.metrics import Metrics, agreement, score
from lungfish.runtime.ahead import map_ahead
from lungfish.runtime.artifact import ArtifactRow
from lungfish.runtime.measure import latency
from lungfish.runtime.preprocess import Preprocess
from lungfish.runtime.session import Session, physical_cores

PARITY_TOLERANCE = 1e-4  # largest difference of probabilities between torch and the exported file
CHUNK_PHOTOS = 8

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
    artifacts: Sequence[Path], val: LabelledPhotos, test: LabelledPhotos, preprocess: Preprocess, progress: Progress
) -> dict[str, Proof]:
    """Let every artefact predict every photo; each photo is decoded once for all of them.

    Returns:
        Proofs by file name.

    Raises:
        UnreadablePhotoError: a photo that could be read before cannot be now.
    """
    sessions = [Session(path, threads=1) for path in artifacts]  # one thread each: photos run in parallel
    with progress.task("Proving the artefacts", len(val.readers) + len(test.readers)) as advance:
        on_val = _predict(sessions, val.readers, preprocess, advance)
        on_test = _predict(sessions, test.readers, preprocess, advance)
    return {
        path.name: Proof(p_val, p_test, score(p_val, val.truth), score(p_test, test.truth))
        for path, p_val, p_test in zip(artifacts, on_val, on_test, strict=True)
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
    sessions: Sequence[Session], readers: Sequence[Callable[[], bytes]], preprocess: Preprocess, advance: Advance
) -> list[Probabilities]:
    def run(chunk: Sequence[Callable[[], bytes]]) -> list[Probabilities]:
        pixels = np.stack([preprocess.pixels(preprocess.decode(read())) for read in chunk])
        return [session.run(pixels) for session in sessions]

    cores = physical_cores()
    chunks = [readers[start : start + CHUNK_PHOTOS] for start in range(0, len(readers), CHUNK_PHOTOS)]
    parts: list[list[Probabilities]] = [[] for _ in sessions]
    for answers in map_ahead(run, chunks, cores, 2 * cores):
        for part, probabilities in zip(parts, answers, strict=True):
            part.append(probabilities)
        advance(len(answers[0]))
    return [np.concatenate(part) for part in parts]
