"""What a bundle tells of the pretrained weights that it stands on."""

from __future__ import annotations

from dataclasses import replace

from lungfish.runtime.manifest import WeightsOrigin
from lungfish.weights.scheme import FILE
from lungfish.weights.store.record import WeightsRecord


def origin(record: WeightsRecord) -> WeightsOrigin:
    """The card for a bundle. Folders of this machine stay here: of a file only its name is told."""
    entry = record.entry
    arch, location = (_without_folders(text) for text in (entry.arch, entry.location))
    told = replace(record, entry=replace(entry, arch=arch, location=location))
    return WeightsOrigin(entry.name, entry.source, entry.license, entry.sha256, told.to_json())


def _without_folders(text: str) -> str:
    """The last part of a `file:` location, or of the path of an architecture's JSON file."""
    if not text.startswith(FILE) and not text.endswith(".json"):
        return text
    prefix = FILE if text.startswith(FILE) else ""
    return prefix + text.removeprefix(FILE).replace("\\", "/").rpartition("/")[2]
