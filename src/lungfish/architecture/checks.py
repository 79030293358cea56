"""Check single values, with errors that show the value and what is allowed."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection

from lungfish.core.errors import ArchitectureError


def check_whole(name: str, value: object, low: int, high: int) -> None:
    """Raise `ArchitectureError` unless `value` is an integer from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ArchitectureError(f"{name} is {shown(value)}; it must be a whole number from {low} to {high}")


def check_number(name: str, value: object, low: float, high: float) -> None:
    """Raise `ArchitectureError` unless `value` is a finite number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ArchitectureError(f"{name} is {shown(value)}; it must be a number from {low:g} to {high:g}")


def check_multiplier(name: str, value: object, high: float) -> None:
    """Raise `ArchitectureError` unless `value` is a number above 0 and at most `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= high:
        raise ArchitectureError(f"{name} is {shown(value)}; it must be a number above 0 and at most {high:g}")


def check_rate(name: str, value: object) -> None:
    """Raise `ArchitectureError` unless `value` is a number from 0 to below 1."""
    check_number(name, value, 0, math.nextafter(1, 0))


def check_one_of(name: str, value: object, allowed: Collection[object]) -> None:
    """Raise `ArchitectureError` unless `value` equals one of `allowed` and has the same type."""
    if not any(type(value) is type(each) and value == each for each in allowed):
        raise ArchitectureError(f"{name} is {shown(value)}; it must be one of {', '.join(map(str, allowed))}")


def check_text(name: str, value: object, longest: int = 1000) -> None:
    """Raise `ArchitectureError` unless `value` is a string of at most `longest` characters."""
    if not isinstance(value, str) or len(value) > longest:
        raise ArchitectureError(f"{name} is {shown(value)}; it must be text of at most {longest} characters")


def shown(value: object) -> str:
    """Return a short `repr` of `value` for a message, with control characters escaped."""
    return reprlib.repr(value)
