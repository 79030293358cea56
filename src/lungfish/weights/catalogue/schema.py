"""Read the catalogue's files strictly, to keep invalid rows from shipping."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from lungfish.architecture import Flavour, parse_arch
from lungfish.core.errors import UsageError
from lungfish.weights.entry import WeightsEntry

CONVERTERS = ("keras", "packaged", "slim", "timm", "timm_tf", "torchvision", "tpu")
LOCATION = re.compile(r"(package:\w+/|https://[\w.-]+/|hf:[\w.-]+/[\w.-]+@[\w.-]+/)\S+")
SHA256 = re.compile(r"([0-9a-f]{64})?")
DIGEST = re.compile(r"(md5:[0-9a-f]{32}|sha256:[0-9a-f]{8,63})?")
SPDX = re.compile(r"[A-Za-z0-9.+-]+")
INTERPOLATIONS = ("bilinear", "bicubic")
PIXELS = "normalization"  # a table { mean, std } that holds these two fields
FIELDS = {field.name: field for field in fields(WeightsEntry) if field.name not in {"mean", "std"}}
TYPES = get_type_hints(WeightsEntry)
KINDS: Mapping[object, tuple[type | tuple[type, ...], str]] = {  # field type: TOML type and description
    str: (str, "a string"),
    float: ((int, float), "a number"),
    float | None: ((int, float), "a number"),
    int | None: (int, "a whole number"),
    tuple[str, ...]: (list, "a list of strings"),
    Flavour: (dict, "{ padding, bn_eps }"),
}


def read_entries(file: str, text: str) -> Iterator[WeightsEntry]:
    """Yield the entries of one file: a table `defaults`, and a row `[[weights]]` for each set.

    Raises:
        ValueError: A row is invalid; names the row and the value.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file}: {error}") from None
    if not {"weights"} <= document.keys() <= {"defaults", "weights"}:
        raise ValueError(f"{file} contains {', '.join(document)}; allowed: defaults, weights")
    for number, row in enumerate(document["weights"], start=1):
        where = f"{file}, {row.get('name', f'row {number}')}"
        yield read_entry(where, document.get("defaults", {}) | row)


def read_entry(where: str, row: Mapping[str, Any]) -> WeightsEntry:
    """Return the entry of one row; `where` starts the messages. Raises `ValueError`."""

    def check(is_valid: object, key: str, allowed: str) -> None:
        if not is_valid:
            raise ValueError(f"{where}: {key} is {row.get(key)!r}; allowed: {allowed}")

    row = dict(row)
    pixels = row.pop(PIXELS, {})
    for key, value in row.items():
        check(key in FIELDS, key, f"only the keys {', '.join(FIELDS)}")
        kind, description = KINDS[TYPES[key]]
        check(isinstance(value, kind) and value != "", key, description)
    for key, field in FIELDS.items():
        check(key in row or field.default is not MISSING, key, "required")
    try:
        parse_arch(row["arch"])
    except UsageError as error:
        check(False, "arch", f"an architecture: {error.message}")
    network, _, tag = row["name"].partition(".")
    check(tag and network.startswith(row["arch"].partition(":")[0]), "name", "ARCH.TAG")
    check(row["converter"] in CONVERTERS, "converter", ", ".join(CONVERTERS))
    check(LOCATION.fullmatch(row["location"]), "location", "package:, https:// or hf:OWNER/REPO@REVISION/")
    check(SPDX.fullmatch(row["license"]), "license", "an SPDX identifier or NOASSERTION")
    check(SHA256.fullmatch(row.get("sha256", "")), "sha256", "64 hex digits, or absent")
    check(DIGEST.fullmatch(row.get("digest", "")), "digest", "md5: or sha256: and hex digits, or absent")
    check(row.get("bytes", 1) > 0, "bytes", "a positive number, or absent")
    check(row["interpolation"] in INTERPOLATIONS, "interpolation", ", ".join(INTERPOLATIONS))
    check(0.5 <= row["crop_fraction"] <= 1, "crop_fraction", "0.5 to 1")
    check(0 < row.get("top1", 1) < 100, "top1", "percent, or absent")
    check("top1" not in row or row.get("top1_source"), "top1_source", "given with top1")
    check(set(row.get("unverified", ())) <= {*row, PIXELS}, "unverified", "names of keys that are given")
    flavour = row["flavour"]
    check(flavour.keys() == {"padding", "bn_eps"}, "flavour", "{ padding, bn_eps }")
    if not (isinstance(pixels, dict) and pixels.keys() == {"mean", "std"} and _are_channels(*pixels.values())):
        raise ValueError(f"{where}: {PIXELS} is {pixels!r}; allowed: mean and std of 3")
    values: dict[str, Any] = dict(row) | {
        "flavour": Flavour(**flavour),
        "mean": _channels(pixels["mean"]),
        "std": _channels(pixels["std"]),
        "unverified": tuple(row.get("unverified", ())),
    }
    return WeightsEntry(**values)


def _channels(values: list[float]) -> tuple[float, float, float]:
    red, green, blue = map(float, values)
    return red, green, blue


def _are_channels(*values: object) -> bool:
    return all(isinstance(each, list) and len(each) == 3 for each in values)
