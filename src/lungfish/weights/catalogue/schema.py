"""The catalogue's files: read strictly, so that a wrong row never ships."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any

from lungfish.architecture import Flavour, parse_arch
from lungfish.weights.entry import Normalization, WeightsEntry

CONVERTERS = ("keras", "packaged", "slim", "timm", "timm_tf", "torchvision", "tpu")
LOCATION = re.compile(r"(package:\w+/|https://[\w.-]+/|hf:[\w.-]+/[\w.-]+@[\w.-]+/)\S+")
SHA256 = re.compile(r"([0-9a-f]{64})?")
DIGEST = re.compile(r"(md5:[0-9a-f]{32}|sha256:[0-9a-f]{8,63})?")
INTERPOLATIONS = ("bilinear", "bicubic")
FIELDS = {field.name: field for field in fields(WeightsEntry)}


def read_entries(file: str, text: str) -> Iterator[WeightsEntry]:
    """The entries of one file: a table `defaults`, and a row `[[weights]]` for each set.

    Raises:
        ValueError: says which row and which value is wrong.
    """
    document = tomllib.loads(text)
    for number, row in enumerate(document["weights"]):
        where = f"{file}, {row.get('name', f'row {number}')}"
        yield read_entry(where, document.get("defaults", {}) | row)


def read_entry(where: str, row: Mapping[str, Any]) -> WeightsEntry:
    """One entry from its row; `where` begins the messages. Raises `ValueError`."""

    def check(holds: object, key: str, allowed: str) -> None:
        if not holds:
            raise ValueError(f"{where}: {key} is {row.get(key)!r}; allowed: {allowed}")

    for key in row:
        check(key in FIELDS, key, f"no such key, only {', '.join(FIELDS)}")
    for key, field in FIELDS.items():
        check(key in row or field.default is not MISSING, key, "it must be given")
    for key, value in row.items():
        if FIELDS[key].type == "str":
            check(isinstance(value, str) and (value or FIELDS[key].default == ""), key, "a text")
    parse_arch(row["arch"])
    check(row["name"].count("."), "name", "ARCH.TAG")
    check(row["converter"] in CONVERTERS, "converter", ", ".join(CONVERTERS))
    check(LOCATION.fullmatch(row["location"]), "location", "package:, https:// or hf:OWNER/REPO@REVISION/")
    check(SHA256.fullmatch(row.get("sha256", "")), "sha256", "64 hex digits, or absent")
    check(DIGEST.fullmatch(row.get("digest", "")), "digest", "md5: or sha256: and hex digits, or absent")
    check(row.get("bytes") is None or row["bytes"] > 0, "bytes", "a positive number, or absent")
    check(row["interpolation"] in INTERPOLATIONS, "interpolation", ", ".join(INTERPOLATIONS))
    check(0.5 <= row["crop_fraction"] <= 1, "crop_fraction", "0.5 to 1")
    check(row.get("top1") is None or 0 < row["top1"] < 100, "top1", "percent, or absent")
    check(row.get("top1") is None or row.get("top1_source"), "top1_source", "given with top1")
    check(set(row.get("unverified", ())) <= set(FIELDS), "unverified", "names of keys")
    return WeightsEntry(
        **dict(row)
        | {
            "flavour": Flavour(**row["flavour"]),
            "normalization": Normalization(*(tuple(map(float, row["normalization"][key])) for key in ("mean", "std"))),
            "unverified": tuple(row.get("unverified", ())),
        }
    )
