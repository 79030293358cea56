"""How large a file of weights may be."""

from __future__ import annotations

from pathlib import Path

from lungfish.core.errors import WeightsError
from lungfish.core.names import in_short, printable

MAX_BYTES = 4 * 1024**3  # what the largest network that is built takes
MAX_TENSORS = 20_000


def check_size(path: Path, held: int | None = None) -> int:
    """Bytes of `path`, once what it unpacks to is known to be no more than that.

    Numbers are stored as they are, so more than the file's own bytes is compression or shapes that cannot be.

    Args:
        path: the file.
        held: bytes that it claims to hold.

    Raises:
        WeightsError: too large, or too small for what it claims.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise WeightsError(f"{printable(path.name)} has {size:,} bytes; at most {MAX_BYTES:,} are read")
    if held is not None and held > size:
        raise WeightsError(
            f"{printable(path.name)} claims to hold {held:,} bytes, and has {size:,}",
            "It is compressed, cut short or made up: save it again as it was published.",
        )
    return size


def unreadable(path: Path, error: Exception) -> WeightsError:
    """What to raise when a reader stumbled over the file."""
    return WeightsError(
        f"cannot read {printable(path.name)}: {in_short(error)}", "Is it whole? Fetch or save it again."
    )
