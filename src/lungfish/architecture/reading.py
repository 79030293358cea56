"""Read the fields of a dataclass from a JSON object, refusing unknown and missing keys."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

from lungfish.architecture.checks import shown
from lungfish.core.errors import ArchitectureError, UnknownNameError
from lungfish.core.names import choose

Kind = TypeVar("Kind")


def read_object(kind: type[Kind], what: str, value: object) -> dict[str, Any]:
    """Return the fields of a dataclass from a JSON object; `kind` itself checks their values.

    Args:
        kind: The dataclass.
        what: Name of the object in messages.
        value: The object.

    Raises:
        ArchitectureError: The value is not an object, a key is unknown (with close matches), or one is missing.
    """
    if not isinstance(value, dict):
        raise ArchitectureError(f"{what} is {shown(value)}; it must be a JSON object")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    try:
        for key in value:
            choose(str(key), known, f"key of {what}")
    except UnknownNameError as error:
        raise ArchitectureError(error.message, error.hint) from None
    for name, field in known.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise ArchitectureError(f"{what} has no {name!r}")
    return dict(value)
