"""The second half of a job: everything that a bundle holds beside its artefacts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from lungfish.core.version import __version__
from lungfish.data.split.photos_csv import write_split
from lungfish.data.split.review import photo_pairs
from lungfish.deploy.classifier import Classifier
from lungfish.deploy.golden import golden_pixels, write_golden
from lungfish.deploy.model_card import OURS, model_card, notice
from lungfish.deploy.origin import origin
from lungfish.deploy.proof import Proof
from lungfish.evaluation.beside import Beside
from lungfish.evaluation.figures import figures
from lungfish.evaluation.rejection import coverage_table
from lungfish.evaluation.report import render_report
from lungfish.evaluation.report_data import (
    ClassCount,
    Epoch,
    LabelReview,
    Making,
    PhotosSummary,
    Report,
    SceneSummary,
)
from lungfish.evaluation.what_changed import WhatChanged
from lungfish.export.table import format_packages
from lungfish.job.bundle.beside import beside_test
from lungfish.job.bundle.mistakes import worst_mistakes
from lungfish.job.dataset import Gathered
from lungfish.job.stages.run import Learned
from lungfish.job.stopwatch import Stopwatch
from lungfish.runtime.artifact import ArtifactRow
from lungfish.runtime.bundle_files import file_rows, read_artifact
from lungfish.runtime.engines.table import open_engine
from lungfish.runtime.manifest import MANIFEST_NAME, DataSummary, FlavourRow, Manifest
from lungfish.runtime.measure import machine, versions
from lungfish.training.crossvalidation import HeldOut
from lungfish.training.probe import Head, is_balanced
from lungfish.training.recipe import TABLES, Recipe
from lungfish.weights.store.ledger import Card

PACKAGES = ("lungfish", "numpy", "pillow", "scikit-learn", "scipy", "torch")  # beside those of the formats
HOW_IN_WORDS = {
    "given": "as given with the photos",
    "saved": "as in the saved split",
    "content hash": "by a hash of the content, about 80/10/10",
    "with a copy, group or scene": "with a copy, their group or their scene",
}


@dataclass(frozen=True, eq=False)
class Made:
    """What a job has made when its artefacts are proven.

    Args:
        seed: of the job.
        recipe: resolved.
        weights: the card of the pretrained weights.
        classifier: the trained network.
        head: what was fitted on the frozen trunk, and how it was chosen; None without pretrained weights.
        learned: what came of the recipe's steps.
        gathered: the photos.
        rows: figures of the artefacts.
        default: file name of the artefact to use.
        proofs: answers of the artefacts by file name.
        folds: answers of the cross-validation; None if there was none.
        review: labels that may be wrong; None without a head to find them by.
        scenes: how many there are, and what they do to the figures.
        what_changed: since the previous bundle; None for the first one.
        warnings: what a person should know.
    """

    seed: int
    recipe: Recipe
    weights: Card
    classifier: Classifier
    head: Head | None
    learned: Learned
    gathered: Gathered
    rows: tuple[ArtifactRow, ...]
    default: str
    proofs: Mapping[str, Proof]
    folds: HeldOut | None
    review: LabelReview | None
    scenes: SceneSummary
    what_changed: WhatChanged | None
    warnings: tuple[str, ...]

    @property
    def proof(self) -> Proof:
        """That of the default artefact."""
        return self.proofs[self.default]

    @cached_property
    def beside(self) -> Beside:
        """What is known beside the test figures."""
        head_ships = self.head is not None and self.learned.first_block is None
        temperature = self.classifier.temperature if head_ships else None
        return beside_test(self.gathered, self.proof, self.folds, temperature, self.recipe.keep_known)


def write_bundle(stage: Path, name: str, made: Made, clock: Stopwatch) -> Manifest:
    """Write every file of a bundle into `stage`, which holds the artefacts already; `bundle.json` last.

    Args:
        stage: the folder that becomes the bundle.
        name: of the bundle.
        made: what to write down.
        clock: seconds of the steps so far go into the report.
    """
    classifier, gathered = made.classifier, made.gathered
    _write_text(stage / "labels.txt", "".join(f"{label}\n" for label in classifier.labels))
    _write_text(stage / "recipe.toml", made.recipe.to_toml())
    pretrained = made.recipe.pretrained
    _write_text(stage / "NOTICE", notice(made.weights.entry, made.weights.accepted_license) if pretrained else OURS)
    write_split(stage / "photos.csv", gathered.rows())
    if history := made.learned.history:
        _write_text(stage / "training.jsonl", "".join(f"{json.dumps(row)}\n" for row in history))
    classifier.write_safetensors(stage / "weights.safetensors")
    pixels = golden_pixels(classifier.preprocess)
    answers = {row.file: open_engine(read_artifact(stage, row), row.format).run(pixels) for row in made.rows}
    write_golden(stage, classifier.preprocess, answers)

    manifest = _manifest(made)
    _write_text(stage / "MODEL_CARD.md", model_card(manifest, classifier.entry, _how(made), made.beside))
    _write_text(stage / "report.html", render_report(_report(name, made, manifest, clock)))
    manifest = replace(manifest, files=file_rows(stage, made.rows))
    _write_text(stage / MANIFEST_NAME, manifest.to_json())
    return manifest


def _manifest(made: Made) -> Manifest:
    classifier, gathered = made.classifier, made.gathered
    flavour = classifier.network.flavour
    how = ", ".join(f"{why} {count}" for why, count in gathered.sides.how.items())
    return Manifest(
        lungfish=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=made.seed,
        packages=versions(sorted({*PACKAGES, *format_packages(row.format for row in made.rows)})),
        architecture=classifier.network.arch.to_json(),
        flavour=FlavourRow(flavour.padding, flavour.bn_eps),
        weights=origin(made.weights),
        labels=classifier.labels,
        thresholds={"known": made.beside.threshold.value},
        temperature=classifier.temperature,
        preprocess=classifier.preprocess,
        data=DataSummary(gathered.fingerprint(), gathered.counts(), {"how": how, "file": "photos.csv"}),
        artifacts=made.rows,
        default=made.default,
        test=made.proof.test_metrics.to_json(),
        val=made.proof.val_metrics.to_json(),
        machine=machine(),
    )


def _report(name: str, made: Made, manifest: Manifest, clock: Stopwatch) -> Report:
    gathered = made.gathered
    truth = gathered.to_prove("test").truth
    return Report(
        name=name,
        created=manifest.created,
        labels=manifest.labels,
        test=figures(made.proof.test, truth),
        val=made.proof.val_metrics,
        mistakes=worst_mistakes(made.classifier, gathered, made.proof),
        beside=made.beside,
        coverage=coverage_table(made.proof.test, truth, made.beside.threshold.value),
        artifacts=made.rows,
        default=made.default,
        photos=replace(_photos(gathered), scenes=made.scenes),
        weights=manifest.weights,
        making=Making(
            architecture=made.classifier.network.arch.name,
            recipe=_settings(made),
            seed=made.seed,
            temperature=made.classifier.temperature,
            seconds=clock.seconds(),
            machine=manifest.machine,
            packages=manifest.packages,
        ),
        warnings=made.warnings,
        what_changed=made.what_changed,
        epochs=tuple(Epoch(row["top1"], row["val_top1"]) for row in made.learned.history),
        steps=made.learned.results,
        labels_review=made.review,
    )


def _how(made: Made) -> str:
    """What was trained, for the model card."""
    first, blocks = made.learned.first_block, len(made.classifier.network.blocks)
    if not made.recipe.pretrained:
        return "All layers, trained from a random initialization"
    name = made.weights.entry.name
    if first is None:
        return f"A logistic head on the frozen trunk of {name}"
    if first == 0:
        return f"All layers, trained on from {name}"
    trained = f"The last {blocks - first} of {blocks} blocks and the head" if first < blocks else "The head"
    return f"{trained}, trained on from {name}, the rest frozen"


def _settings(made: Made) -> dict[str, Any]:
    recipe, head = made.recipe, made.head
    values = {key: value for key, value in asdict(recipe).items() if key not in TABLES and value is not None}
    for name, step in recipe.tables.items():
        values |= {f"{name}.{key}": value for key, value in asdict(step).items()}
    labels = made.gathered.truth[made.gathered.indices("train")]
    values["classes balanced"] = head.balanced if head else is_balanced(labels, recipe)
    if head:
        learned = len(made.gathered.embedded_indices("train"))
        values |= {"chosen penalty": head.penalty, "photos of the head": learned}
    return values


def _photos(gathered: Gathered) -> PhotosSummary:
    return PhotosSummary(
        counts=tuple(ClassCount(label, **counts) for label, counts in gathered.counts_by_class().items()),
        split=split_sentence(gathered.sides.how),
        skipped=gathered.examined.skipped,
        near_duplicates=photo_pairs(gathered.examined.records, gathered.copies, gathered.sides.splits),
    )


def split_sentence(how: Mapping[str, int]) -> str:
    """How photos were divided, after "split": in words, with counts if in more than one way.

    Args:
        how: from `Assignment.how`.
    """
    if len(how) == 1:
        return HOW_IN_WORDS[next(iter(how))]
    return ", ".join(f"{HOW_IN_WORDS[why]} ({count:,})" for why, count in how.items())


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n", errors="surrogateescape")
