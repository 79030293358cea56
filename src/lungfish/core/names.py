"""Names and paths that people type, and names that come from their files."""

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
        UnknownNameError: it is not; the hint holds the close matches, or all that is allowed.
    """
    names = list(allowed)
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    listed = ", ".join(map(printable, names[:LISTED])) + (f" and {len(names) - LISTED:,} more" * (len(names) > LISTED))
    hint = f"Did you mean {' or '.join(map(printable, close))}?" if close else f"Known: {listed}."
    raise UnknownNameError(f"no {what} is called {printable(name)!r}", hint)


def printable(text: str) -> str:
    """`text` with control characters shown as escapes, so that a file's name cannot drive a terminal."""
    return "".join(_escaped(c) for c in text)


def _escaped(character: str) -> str:
    # Cc: control, Cf: format (bidi overrides), Cs: lone surrogates of undecodable file names, Zl/Zp: line breaks
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape").decode("ascii")
    return character


def in_short(error: BaseException) -> str:
    """The beginning of what an error says, as one printable line; its type if it says nothing."""
    return printable(" ".join(str(error).split())[:IN_SHORT]) or type(error).__name__


def plural(count: int, noun: str, nouns: str | None = None) -> str:
    """`1 photo`, `3,781 photos`, `2 classes`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def expanded(path: str | os.PathLike[str], what: str) -> Path:
    """A path with `~` or `~user` at its beginning replaced by a home folder.

    Args:
        path: as a person has written it.
        what: it is, for the message.

    Raises:
        UsageError: that user is not known here, or has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{what} is {printable(os.fspath(path))!r}, which names a user without a home folder on this machine",
            "Write the whole path.",
        ) from None
