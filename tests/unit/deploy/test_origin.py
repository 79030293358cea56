"""What a bundle tells of its weights holds nobody's folders."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lungfish.deploy.origin import origin
from lungfish.weights.catalogue import find_entry
from lungfish.weights.store.record import Verification, WeightsRecord

ENTRY = replace(find_entry("mobilenet_v2.ra_in1k"), sha256="ab" * 32, bytes=7)
VERIFIED = Verification("timm 1.0", 4, 0.0, 1.0, "2026-01-01T00:00:00+00:00", {"timm": "1.0"})
RECORD = WeightsRecord(
    ENTRY, "2026-01-01T00:00:00+00:00", "GPL-3.0-only", "cd" * 32, VERIFIED, "https://hub.example/net"
)


def test_the_card_is_told_whole() -> None:
    stored = origin(RECORD)
    assert (stored.name, stored.source, stored.license, stored.sha256) == (
        ENTRY.name,
        ENTRY.source,
        ENTRY.license,
        ENTRY.sha256,
    )
    assert WeightsRecord.from_json(stored.record) == RECORD


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("location", "file:/home/me/secret folder/net.pth", "file:net.pth"),
        ("location", r"file:C:\Users\me\secret\net.pth", "file:net.pth"),
        ("arch", "/home/me/secret/mine.json", "mine.json"),
        ("arch", r"C:\Users\me\secret\mine.json", "mine.json"),
        ("location", "https://host.example/folder/net.pth", "https://host.example/folder/net.pth"),
        ("location", "hf:owner/repo@main/deep/net.pth", "hf:owner/repo@main/deep/net.pth"),
        ("arch", "mobilenet_v2:width=0.5", "mobilenet_v2:width=0.5"),
    ],
)
def test_folders_stay_here(field: str, value: str, kept: str) -> None:
    stored = origin(replace(RECORD, entry=replace(ENTRY, **{field: value})))
    assert stored.record["entry"][field] == kept
    assert "secret" not in json.dumps(stored.record)


def test_a_bundle_of_this_machine(tmp_path: Path) -> None:
    bundled = replace(ENTRY, name="shoes", location=f"file:{tmp_path / 'shoes' / 'weights.safetensors'}")
    assert str(tmp_path) not in json.dumps(origin(replace(RECORD, entry=bundled)).record)
