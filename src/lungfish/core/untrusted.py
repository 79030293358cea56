"""Parse untrusted JSON files, checking the type and range of each value before it is used."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from lungfish.core.errors import BundleError
from lungfish.core.names import printable

HINT = "Copy the bundle again from its source, or make it again with lungfish train."
MAX_DEPTH = 32
MAX_VALUES = 500_000  # a parsed value takes up to 300 bytes; bundle.json has one for each label, and few others
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RESERVED = frozenset({"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10))})
_FORBIDDEN = frozenset('<>:"/\\|?*')


def parse_object(text: str | bytes, what: str) -> Fields:
    """Parse a JSON object that has no NaN, no repeated keys and no deep nesting.

    Args:
        text: The JSON text.
        what: Name of the file in error messages.

    Raises:
        BundleError: The text is not such an object.
    """
    try:
        check_values(text)
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
        depth = _depth(value)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else printable(str(error))
        raise BundleError(f"{what} is not valid JSON: {reason}", HINT) from None
    if not isinstance(value, dict):
        raise BundleError(f"{what} contains a {type(value).__name__}; it must be a JSON object", HINT)
    if depth > MAX_DEPTH:
        raise BundleError(f"{what} is nested more than {MAX_DEPTH} deep", HINT)
    return Fields(value, what)


def check_values(text: str | bytes) -> None:
    """Raise `ValueError` if a JSON text may contain more than `MAX_VALUES` values; each follows a comma or bracket."""
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise ValueError(f"it contains more than {MAX_VALUES:,} values")


@dataclass(frozen=True)
class Fields:
    """A JSON object whose getters raise `BundleError` unless the value has the requested type and range.

    Args:
        values: The object.
        where: Name of the file and path of the object in it, for error messages.
    """

    values: dict[str, Any]
    where: str

    def has(self, key: str) -> bool:
        """Return whether `key` is present and not null."""
        return self.values.get(key) is not None

    def text(self, key: str, longest: int = 1000, *, empty: bool = True) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or len(value) > longest or not (value or empty) or not _encodable(value):
            self.refuse(key, f"text of {0 if empty else 1} to {longest} characters")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.refuse(key, f"an integer from {low} to {high}")
        return value

    def number(self, key: str, low: float, high: float) -> float:
        value = self.values.get(key)
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            self.refuse(key, f"a number from {low:g} to {high:g}")
        return float(value)

    def number_or_none(self, key: str, low: float, high: float) -> float | None:
        return self.number(key, low, high) if self.has(key) else None

    def sha256(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            self.refuse(key, "a SHA-256 of 64 lower-case hexadecimal digits")
        return value

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.values.get(key)
        if not isinstance(value, str) or value not in allowed:
            self.refuse(key, f"one of {', '.join(allowed)}")
        return value

    def list(self, key: str, most: int) -> list[Any]:
        value = self.values.get(key)
        if not isinstance(value, list) or len(value) > most:
            self.refuse(key, f"a list of at most {most:,} items")
        return value

    def indexed(self, key: str, most: int) -> Fields:
        """Return a list as an object whose keys are the positions."""
        return Fields({str(i): item for i, item in enumerate(self.list(key, most))}, f"{self.where}: {key}")

    def object(self, key: str) -> Fields:
        value = self.values.get(key)
        if not isinstance(value, dict):
            self.refuse(key, "a JSON object")
        return Fields(value, f"{self.where}: {key}")

    def rows(self, key: str, most: int) -> tuple[Fields, ...]:
        """Return a list of objects."""
        rows = self.list(key, most)
        if not all(isinstance(row, dict) for row in rows):
            self.refuse(key, "a list of JSON objects")
        return tuple(Fields(row, f"{self.where}: {key}[{index}]") for index, row in enumerate(rows))

    def texts(self, key: str, longest: int = 200) -> dict[str, str]:
        """Return an object whose values are all strings."""
        fields = self.object(key)
        return {name: fields.text(name, longest) for name in fields.values}

    def numbers(self, key: str, low: float, high: float) -> dict[str, float]:
        """Return an object whose values are all numbers."""
        fields = self.object(key)
        return {name: fields.number(name, low, high) for name in fields.values}

    def refuse(self, key: str, allowed: str) -> NoReturn:
        """Raise a `BundleError` with the value of `key` and the allowed values."""
        got = "missing" if key not in self.values else shortened(self.values[key])
        raise BundleError(f"{self.where}: {printable(key)} is {got}; it must be {allowed}", HINT)


def is_plain_name(name: str) -> bool:
    """Return whether `name` is a portable file name: no folder, drive, control character or reserved name."""
    stem = name.split(".", maxsplit=1)[0].rstrip(" ").upper()
    return (
        0 < len(name.encode("utf-8", "replace")) <= 255
        and name == printable(name)
        and not _FORBIDDEN.intersection(name)
        and not name.endswith((" ", "."))
        and stem not in _RESERVED
    )


def shortened(value: object) -> str:
    """Return the `repr` of a value from a file, safe to print and at most 80 characters long."""
    text = printable(repr(value)[:1000])
    return text if len(text) <= 80 else text[:77] + "..."


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a key occurs twice")
    for key, value in pairs:
        if isinstance(value, float) and not math.isfinite(value):  # 1e999
            raise ValueError(f"{key} is not a finite number")
    return values


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _depth(value: object) -> int:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, children), default=0)
