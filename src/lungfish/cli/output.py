"""Results on stdout; errors on stderr, or as JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from typing import Any

from lungfish.core.errors import LungfishError


def print_json(value: Any) -> None:
    """The one JSON value of a command, in ASCII: it is safe on every terminal and in every encoding."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_error(error: LungfishError, *, as_json: bool) -> None:
    if as_json:
        print_json(error.to_json())
    else:
        warn(f"error: {error.message}")
        if error.hint:
            warn(error.hint)


def warn(text: str) -> None:
    """A line for the person, not for the next program."""
    print(text, file=sys.stderr, flush=True)


def table(rows: list[list[str]], left: Collection[int] = (0,)) -> str:
    """Columns of text, two spaces apart: those of `left` to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
