"""Cards go to JSON and back, and nothing else is taken for one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lungfish.core.errors import WeightsError
from lungfish.weights.catalogue import catalogue, find_entry
from lungfish.weights.store.record import Verification, WeightsRecord

LITE0 = find_entry("efficientnet_lite0.in1k")
VERIFIED = Verification(
    "timm 1.0.20, tf_efficientnet_lite0", 1000, 2e-6, 1.0, "2026-01-02T00:00:00+00:00", {"timm": "1.0.20"}
)
RECORD = WeightsRecord(
    LITE0, "2026-01-01T00:00:00+00:00", "NOASSERTION", "0" * 64, VERIFIED, "https://weights.example/x"
)


@pytest.mark.parametrize("record", [RECORD, WeightsRecord(LITE0, ""), replace(RECORD, verified=None)])
def test_there_and_back(record: WeightsRecord) -> None:
    assert WeightsRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    assert WeightsRecord.from_json(record.to_json()) == record


def test_every_entry_of_the_catalogue() -> None:
    for entry in catalogue().values():
        record = WeightsRecord(replace(entry, sha256="a" * 64, bytes=entry.bytes or 1), "2026-01-01T00:00:00+00:00")
        assert WeightsRecord.from_json(record.to_json()) == record, entry.name


def changed(change: Callable[[Any], object]) -> Any:
    row = RECORD.to_json()
    change(row)
    return row


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.pop("entry"),
        lambda row: row.pop("fetched"),
        lambda row: row.pop("schema"),
        lambda row: row.update(schema=2),
        lambda row: row.update(schema="1"),
        lambda row: row.update(fetched=1),
        lambda row: row.update(origin="x" * 10_001),
        lambda row: row.update(verified=[]),
        lambda row: row["verified"].update(top1_agreement=2),
        lambda row: row["verified"].pop("when"),
        lambda row: row["entry"].update(sha256="A" * 64),
        lambda row: row["entry"].update(sha256=""),
        lambda row: row["entry"].update(bytes=-1),
        lambda row: row["entry"].update(bytes=True),
        lambda row: row["entry"].update(top1="75"),
        lambda row: row["entry"].update(interpolation="nearest"),
        lambda row: row["entry"].update(crop_fraction=2),
        lambda row: row["entry"].update(unverified="top1"),
        lambda row: row["entry"].update(unverified=[1]),
        lambda row: row["entry"].update(name=None),
        lambda row: row["entry"]["flavour"].update(padding="valid"),
        lambda row: row["entry"]["normalization"].update(mean=[1, 2]),
        lambda row: row["entry"]["normalization"].update(std=[0, 0, 0]),
    ],
)
def test_what_is_no_card(change: Callable[[Any], object]) -> None:
    with pytest.raises(WeightsError, match="the record"):
        WeightsRecord.from_json(changed(change))


def test_a_card_of_another_version_is_read() -> None:
    """Keys that came later have their defaults, and keys that are not known are nobody's business."""
    older = changed(lambda row: row["entry"].pop("trained_from"))
    newer = changed(lambda row: (row.update(more=1), row["entry"].update(unknown=""), row["verified"].update(gpu="x")))
    assert WeightsRecord.from_json(older) == WeightsRecord.from_json(newer) == RECORD
