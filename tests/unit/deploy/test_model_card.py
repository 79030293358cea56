import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from lungfish.deploy.model_card import model_card, notice
from lungfish.evaluation.metrics import Metrics
from lungfish.evaluation.rejection import Threshold
from lungfish.evaluation.supporting_figures import CrossValidation, SupportingFigures
from lungfish.runtime.manifest import Manifest
from lungfish.weights.catalogue import find_entry
from lungfish.weights.fetch.package import packaged_file
from lungfish.weights.store.record import WeightsRecord

ENTRY = find_entry("efficientnet_lite0.in1k")
CHOSEN = Threshold(0.5, 0.95, 60, 57, 60)


def manifest_of(trained: Any) -> Manifest:
    return Manifest.from_json((trained.bundle / "bundle.json").read_bytes())


def supporting(trained: Any) -> SupportingFigures:
    """What the job's JSON says, as the objects that it was made from."""
    value = trained.ended.json
    folds = CrossValidation(tuple(value["cross_validation"]), **value["cross_validated"])
    return SupportingFigures(Threshold(**value["known_threshold"]), folds)


def test_the_card_in_the_bundle_is_that_of_its_manifest(trained: Any) -> None:
    written = (trained.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    manifest = manifest_of(trained)
    how = "A logistic head on the frozen trunk of bundle:tiny"
    assert written == model_card(
        manifest, WeightsRecord.from_json(manifest.weights.record).entry, how, supporting(trained)
    )


def test_every_figure_is_the_manifests(trained: Any) -> None:
    manifest, card = manifest_of(trained), (trained.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    values = json.loads(manifest.to_json())
    assert f"Top-1 {100 * values['test']['top1']:.1f} % on {values['test']['n']} test photos" in card
    assert f"An answer below {values['thresholds']['known']:.2f}" in card
    assert f"`{values['default']}` is the file to use" in card
    for row in values["artifacts"]:
        assert f"| {row['file']} | {row['precision']} | {row['bytes']:,} | {100 * row['top1']:.1f} %" in card
    for label in values["labels"]:
        assert f"`{label}`" in card
    for word in ("Use", "Figures", "Training", "Limits", "License"):
        assert f"\n## {word}\n" in card


def test_the_test_photos_are_promised_no_more_than_was_kept(trained: Any) -> None:
    """Cross-validation of few photos uses them, and a given split may leak them."""
    card = " ".join((trained.bundle / "MODEL_CARD.md").read_text(encoding="utf-8").split())
    assert "used for nothing else" not in card
    assert "If `report.html` warns of copies or groups in different" in card
    assert "figure, if shown, is over all photos, test photos included" in card


def test_few_test_photos_do_not_stand_alone(trained: Any) -> None:
    card = (trained.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "\nThat is a small sample: in cross-validation over all 60 photos, " in card
    assert "The threshold was chosen by cross-validation over all photos, test photos" in card
    assert trained.ended.json["notes"] == [line for line in card.splitlines() if line.startswith("That is a small")]


def test_what_a_card_says_beside_its_figures(trained: Any) -> None:
    none = SupportingFigures(Threshold(0.0, 0.95, 0, 0, 18, "none"), None, Metrics(0.9, 0.9, 0.1, (0.596, 0.982), 10))
    card = model_card(manifest_of(trained), ENTRY, "A head", none)
    assert "- There is no “none of these” threshold, so every answer counts as known: a threshold needs 50" in card
    assert 'means "none of these"' not in card
    assert "\nOf your 10 validation photos it gets 9 right, 90.0 % (95 % interval 59.6–98.2 %); choices" in card
    assert "That is a small sample" not in card


def test_labels_cannot_write_markdown(trained: Any) -> None:
    labels = ("a`b", "[x](javascript:alert)", "\x1b[2J\n# head", "<script>")
    card = model_card(replace(manifest_of(trained), labels=labels), ENTRY, "A head", SupportingFigures(CHOSEN))
    assert r"`a'b`, `[x](javascript:alert)`, `\x1b[2J\n# head`, `<script>`." in card
    assert "\x1b" not in card
    assert "\n# head" not in card


def test_the_notice_in_the_bundle_is_that_of_its_weights(trained: Any) -> None:
    entry = WeightsRecord.from_json(manifest_of(trained).weights.record).entry
    assert entry.name == "bundle:tiny"
    assert (trained.bundle / "NOTICE").read_text(encoding="utf-8") == notice(entry)


def test_notice_names_the_weights_and_holds_their_license() -> None:
    text = notice(ENTRY)
    for fact in (ENTRY.name, ENTRY.copyright, ENTRY.source, ENTRY.url, ENTRY.paper, ENTRY.sha256, ENTRY.training_data):
        assert fact in text
    assert ENTRY.license == "Apache-2.0"
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_hash_in_the_notice_is_that_of_the_file() -> None:
    assert hashlib.sha256(packaged_file(ENTRY).read_bytes()).hexdigest() == ENTRY.sha256


@pytest.mark.parametrize(
    ("license_id", "words"),
    [
        ("mit", "Permission is hereby granted, free of charge"),
        ("BSD-3-Clause", "Redistributions in binary form must reproduce"),
        ("CC0-1.0", "https://spdx.org/licenses/CC0-1.0.html"),
        ("NOASSERTION", "Their publisher states no license"),
    ],
)
def test_each_license_has_its_text_or_its_place(license_id: str, words: str) -> None:
    text = notice(
        replace(ENTRY, license=license_id, copyright="Copyright (c) 2020 A\n  License:    FORGED"), license_id
    )
    assert words in text
    assert f"Accepted:   {license_id}, by whoever made this bundle" in text
    assert "\n  License:    FORGED" not in text  # what a stranger wrote stays in its line
