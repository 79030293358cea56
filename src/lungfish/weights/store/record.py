"""Record the origin, license, hashes and verification of fetched weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, get_type_hints

from lungfish.architecture import Flavour
from lungfish.core.errors import BundleError, WeightsError
from lungfish.core.untrusted import Fields
from lungfish.runtime.preprocessing import read_channels
from lungfish.weights.entry import WeightsEntry

SCHEMA = 1
PADDINGS = ("same", "symmetric")
LONGEST = 10_000  # characters


@dataclass(frozen=True)
class Verification:
    """How weights were compared with a reference.

    Args:
        reference: Library, version and model.
        images: Number of compared images.
        max_abs_diff: Largest absolute difference of the logits.
        top1_agreement: Share of the images with the same top class.
        when: Time, ISO 8601 in UTC.
        packages: Versions of the packages that took part, by name.
    """

    reference: str
    images: int
    max_abs_diff: float
    top1_agreement: float
    when: str
    packages: Mapping[str, str]


@dataclass(frozen=True)
class WeightsRecord:
    """One set of weights, as fetched.

    Args:
        entry: The published entry, with the hash and size of the fetched file.
        fetched: Time, ISO 8601 in UTC.
        accepted_license: License that the user accepted; empty if it is permissive.
        converted_sha256: SHA-256 of the file converted to our own names; empty if there is none.
        verified: The last verification, or None.
        origin: Where the file came from, as text without folders or credentials.
    """

    entry: WeightsEntry
    fetched: str
    accepted_license: str = ""
    converted_sha256: str = ""
    verified: Verification | None = None
    origin: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object, for a file of its own or for a bundle."""
        entry = asdict(self.entry)
        entry["normalization"] = {name: entry.pop(name) for name in ("mean", "std")}
        values = {"schema": SCHEMA} | asdict(self) | {"entry": entry}
        value: dict[str, Any] = json.loads(json.dumps(values))  # tuples become lists
        return value

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> WeightsRecord:
        """Read an untrusted JSON object. Unknown keys are ignored.

        Raises:
            WeightsError: A key is missing or out of range, or the schema is newer.
        """
        try:
            return _record(Fields(dict(values), "the record"))
        except BundleError as error:
            raise WeightsError(
                error.message, "If a newer lungfish wrote it, upgrade; otherwise fetch the weights again."
            ) from None


def _record(row: Fields) -> WeightsRecord:
    schema = row.integer("schema", 1, 10**6)
    if schema > SCHEMA:
        raise WeightsError(f"the record has schema {schema}; this lungfish reads up to {SCHEMA}", "Upgrade lungfish.")
    texts = _texts(row, WeightsRecord)
    verified = _verification(row.object("verified")) if row.has("verified") else None
    return WeightsRecord(entry=_entry(row.object("entry")), verified=verified, **texts)


def _verification(row: Fields) -> Verification:
    return Verification(
        reference=row.text("reference", LONGEST),
        images=row.integer("images", 0, 2**63),
        max_abs_diff=row.number("max_abs_diff", 0, 1e30),
        top1_agreement=row.number("top1_agreement", 0, 1),
        when=row.text("when"),
        packages=row.texts("packages"),
    )


def _entry(row: Fields) -> WeightsEntry:
    texts = _texts(row, WeightsEntry)
    flavour, pixels = row.object("flavour"), row.object("normalization")
    unverified = row.indexed("unverified", 100) if row.has("unverified") else None
    values: dict[str, Any] = texts | {
        "flavour": Flavour(flavour.one_of("padding", PADDINGS), flavour.number("bn_eps", 1e-12, 1)),  # type: ignore[arg-type]  # checked here
        "mean": read_channels(pixels, "mean"),
        "std": read_channels(pixels, "std"),
        "crop_fraction": row.number("crop_fraction", 0, 1),
        "sha256": row.sha256("sha256"),
        "bytes": row.integer("bytes", 0, 2**63) if row.has("bytes") else None,
        "top1": row.number_or_none("top1", 0, 100),
        "unverified": tuple(unverified.text(index) for index in unverified.values) if unverified else (),
    }
    try:
        return WeightsEntry(**values)
    except WeightsError as error:
        raise BundleError(f"{row.where}: {error.message}") from None


def _texts(row: Fields, kind: type[Any]) -> dict[str, str]:
    """Return the string fields of `kind`; fields that are newer than the record get their defaults."""
    types = get_type_hints(kind)
    names = [each.name for each in fields(kind) if each.name in row.values or each.default is MISSING]
    return {name: row.text(name, LONGEST) for name in names if types[name] is str}
