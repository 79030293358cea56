"""Print results on stdout, and errors on stderr or as JSON on stdout."""

from __future__ import annotations

import json
import sys
from typing import Any

from lungfish.core.errors import LungfishError


def print_json(value: Any) -> None:
    """Print the result of a command as one JSON value, in ASCII so that every terminal can show it."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_error(error: LungfishError, *, as_json: bool) -> None:
    if as_json:
        print_json(error.to_json())
    else:
        warn(f"error: {error.message}")
        if error.hint:
            warn(error.hint)


def warn(text: str) -> None:
    """Print a line on stderr, for the user; stdout holds only the result."""
    print(text, file=sys.stderr, flush=True)
