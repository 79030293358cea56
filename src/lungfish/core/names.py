"""Check and format names and paths that come from users and their files."""

from __future__ import annotations

import difflib
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from lungfish.core.errors import UnknownNameError, UsageError

IN_SHORT = 200  # characters
LISTED = 30  # names


def choose(name: str, allowed: Iterable[str], what: str) -> str:
    """Return `name` if it is one of `allowed`.

    Raises:
        UnknownNameError: `name` is not allowed; the hint lists close matches, or the allowed names.
    """
    names = list(allowed)
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    listed = ", ".join(map(printable, names[:LISTED])) + (f" and {len(names) - LISTED:,} more" * (len(names) > LISTED))
    hint = f"Did you mean {' or '.join(map(printable, close))}?" if close else f"Known: {listed}."
    raise UnknownNameError(f"unknown {what}: {printable(name)!r}", hint)


def printable(text: str) -> str:
    """Return `text` with control characters escaped, so that a file's name cannot control the terminal."""
    return "".join(_escaped(c) for c in text)


def _escaped(character: str) -> str:
    # Cc: control, Cf: format (bidi overrides), Cs: lone surrogates of undecodable file names, Zl/Zp: line breaks
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape").decode("ascii")
    return character


def in_short(error: BaseException) -> str:
    """Return the beginning of an error's message as one printable line, or its type if the message is empty."""
    return printable(" ".join(str(error).split())[:IN_SHORT]) or type(error).__name__


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """Return a count with its noun: `1 photo`, `3,781 photos`, `2 classes`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def expanded(path: str | os.PathLike[str], what: str) -> Path:
    """Return a path with a leading `~` or `~user` replaced by the home folder.

    Args:
        path: The path as the user wrote it.
        what: Name of the path in the error message.

    Raises:
        UsageError: The user is unknown on this machine, or has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{what} is {printable(os.fspath(path))!r}; that user has no home folder on this machine",
            "Write the full path.",
        ) from None
