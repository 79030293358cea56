"""Print results on stdout, and errors on stderr or as JSON on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from typing import Any

from lungfish.core.errors import LungfishError


def print_json(value: Any) -> None:
    """Print the one JSON value of a command, in ASCII for every terminal and encoding."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_error(error: LungfishError, *, as_json: bool) -> None:
    if as_json:
        print_json(error.to_json())
    else:
        warn(f"error: {error.message}")
        if error.hint:
            warn(error.hint)


def warn(text: str) -> None:
    """Print a line for the user, not for the next program."""
    print(text, file=sys.stderr, flush=True)


def table(rows: list[list[str]], left: Collection[int] = (0,)) -> str:
    """Format columns of text, two spaces apart; those of `left` are left-aligned, the others right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
