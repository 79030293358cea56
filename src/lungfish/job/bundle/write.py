"""Write all files of a bundle other than its artifacts."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lungfish.core.version import __version__
from lungfish.data.split.photos_csv import write_split
from lungfish.data.split.review import photo_pairs
from lungfish.deploy.golden import golden_pixels, write_golden
from lungfish.deploy.model_card import CHANGES, CHANGES_OUTSIDE, OURS, UNKNOWN, model_card, notice
from lungfish.deploy.origin import origin
from lungfish.evaluation.figures import figures
from lungfish.evaluation.rejection import coverage_table
from lungfish.evaluation.report import render_report
from lungfish.evaluation.report_data import ClassCount, Epoch, PhotosSummary, Report, TrainingSummary
from lungfish.exporters.table import format_packages
from lungfish.job.bundle.contents import BundleContents
from lungfish.job.bundle.mistakes import worst_mistakes
from lungfish.job.bundle.split_text import split_sentence
from lungfish.job.dataset import Dataset
from lungfish.job.start import UNKNOWN_START
from lungfish.job.stopwatch import Stopwatch
from lungfish.runtime.bundle_files import file_rows, read_artifact
from lungfish.runtime.description import WEIGHTS_NAME
from lungfish.runtime.engines.table import open_engine
from lungfish.runtime.manifest import MANIFEST_NAME, DataSummary, FlavourRow, Manifest
from lungfish.runtime.measure import machine, versions
from lungfish.training.probe import is_balanced
from lungfish.training.recipe import TABLES

PACKAGES = ("lungfish", "numpy", "pillow", "scikit-learn", "scipy", "torch")  # in addition to those of the formats


def write_bundle(stage: Path, name: str, contents: BundleContents, clock: Stopwatch) -> None:
    """Write every file of a bundle into `stage`, which already contains the artifacts; `bundle.json` last.

    Args:
        stage: Folder that becomes the bundle.
        name: Name of the bundle.
        contents: Contents of the bundle.
        clock: Stopwatch whose seconds so far go into the report.
    """
    classifier, dataset = contents.classifier, contents.dataset
    _write_text(stage / "labels.txt", "".join(f"{label}\n" for label in classifier.labels))
    if not contents.outside:
        _write_text(stage / "recipe.toml", contents.recipe.to_toml())
    _write_text(stage / "NOTICE", _notice(contents))
    write_split(stage / "photos.csv", dataset.rows())
    if history := contents.training.history:
        _write_text(stage / "training.jsonl", "".join(f"{json.dumps(row)}\n" for row in history))
    classifier.write_safetensors(stage / WEIGHTS_NAME)
    pixels = golden_pixels(classifier.preprocess)
    answers = {row.file: open_engine(read_artifact(stage, row), row.format).run(pixels) for row in contents.rows}
    write_golden(stage, classifier.preprocess, answers)

    manifest = _manifest(contents)
    text = model_card(manifest, classifier.entry, _how(contents), contents.supporting, outside=contents.outside)
    _write_text(stage / "MODEL_CARD.md", text)
    _write_text(stage / "report.html", render_report(_report(name, contents, manifest, clock)))
    manifest = replace(manifest, files=file_rows(stage, contents.rows))
    _write_text(stage / MANIFEST_NAME, manifest.to_json())


def _notice(contents: BundleContents) -> str:
    record = contents.weights
    if record.entry.name == UNKNOWN_START:
        return UNKNOWN
    changes = CHANGES_OUTSIDE if contents.outside else CHANGES
    return notice(record.entry, record.accepted_license, changes) if record.entry.location else OURS


def _manifest(contents: BundleContents) -> Manifest:
    classifier, dataset = contents.classifier, contents.dataset
    flavour = classifier.network.flavour
    how = ", ".join(f"{why} {count}" for why, count in dataset.assignment.how.items())
    return Manifest(
        lungfish=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=contents.seed,
        packages=versions(sorted({*PACKAGES, *format_packages(row.format for row in contents.rows)})),
        architecture=classifier.network.arch.to_json(),
        flavour=FlavourRow(flavour.padding, flavour.bn_eps),
        weights=origin(contents.weights),
        labels=classifier.labels,
        thresholds={"known": contents.supporting.threshold.value},
        temperature=classifier.temperature,
        preprocess=classifier.preprocess,
        data=DataSummary(dataset.fingerprint(), dataset.counts(), {"how": how, "file": "photos.csv"}),
        artifacts=contents.rows,
        default=contents.default,
        test=contents.proof.test_metrics.to_json(),
        val=contents.proof.val_metrics.to_json(),
        machine=machine(),
    )


def _report(name: str, contents: BundleContents, manifest: Manifest, clock: Stopwatch) -> Report:
    dataset = contents.dataset
    truth = dataset.to_prove("test").truth
    return Report(
        name=name,
        created=manifest.created,
        labels=manifest.labels,
        test=figures(contents.proof.test, truth),
        val=contents.proof.val_metrics,
        mistakes=worst_mistakes(contents.classifier, dataset, contents.proof),
        supporting=contents.supporting,
        coverage=coverage_table(contents.proof.test, truth, contents.supporting.threshold.value),
        artifacts=contents.rows,
        default=contents.default,
        photos=replace(_photos(dataset), scenes=contents.scenes),
        weights=manifest.weights,
        training=TrainingSummary(
            architecture=contents.classifier.network.arch.name,
            recipe=_settings(contents),
            seed=contents.seed,
            temperature=contents.classifier.temperature,
            seconds=clock.seconds(),
            machine=manifest.machine,
            packages=manifest.packages,
        ),
        warnings=contents.warnings,
        what_changed=contents.what_changed,
        epochs=tuple(Epoch(row["top1"], row["val_top1"]) for row in contents.training.history),
        stages=contents.training.results,
        labels_review=contents.review,
        outside=contents.outside,
    )


def _how(contents: BundleContents) -> str:
    """Return what was trained, for the model card."""
    first, blocks = contents.training.first_block, sum(contents.classifier.network.arch.stage_depths)
    name = contents.weights.entry.name
    if contents.outside:
        start = (
            "" if name == UNKNOWN_START else f", from {name if contents.weights.entry.location else 'random weights'}"
        )
        return f"Trained outside Lungfish{start}"
    if not contents.recipe.pretrained:
        return "All layers, trained from a random initialization"
    if first is None:
        return f"A logistic head on the frozen trunk of {name}"
    if first == 0:
        return f"All layers, fine-tuned from {name}"
    trained = f"The last {blocks - first} of {blocks} blocks and the head" if first < blocks else "The head"
    return f"{trained}, fine-tuned from {name}; the rest is frozen"


def _settings(contents: BundleContents) -> dict[str, Any]:
    recipe, head = contents.recipe, contents.head
    if contents.outside:
        return {key: getattr(recipe, key) for key in ("calibration_photos", "int8_max_drop", "keep_known")}
    values = {key: value for key, value in asdict(recipe).items() if key not in TABLES and value is not None}
    for name, step in recipe.tables.items():
        values |= {f"{name}.{key}": value for key, value in asdict(step).items()}
    labels = contents.dataset.truth[contents.dataset.indices("train")]
    values["classes balanced"] = head.balanced if head else is_balanced(labels, recipe)
    if head:
        training = len(contents.dataset.embedded_indices("train"))
        values |= {"chosen penalty": head.penalty, "photos of the head": training}
    return values


def _photos(dataset: Dataset) -> PhotosSummary:
    return PhotosSummary(
        counts=tuple(ClassCount(label, **counts) for label, counts in dataset.counts_by_class().items()),
        split=split_sentence(dataset.assignment.how),
        skipped=dataset.examined.skipped,
        near_duplicates=photo_pairs(dataset.examined.records, dataset.copies, dataset.assignment.splits),
    )


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n", errors="surrogateescape")
