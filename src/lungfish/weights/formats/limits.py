"""Limit the size of files of weights."""

from __future__ import annotations

from pathlib import Path

from lungfish.core.errors import WeightsError
from lungfish.core.names import in_short, printable

MAX_BYTES = 4 * 1024**3  # the largest supported network takes 4 GB
MAX_TENSORS = 20_000


def check_size(path: Path, claimed: int | None = None) -> int:
    """Return the size of `path` in bytes, after checking that its contents are no larger.

    Numbers are stored uncompressed, so larger contents mean compression or impossible shapes.

    Args:
        path: The file.
        claimed: Bytes that it claims to contain, or None.

    Raises:
        WeightsError: The file is too large, or too small for its claim.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise WeightsError(f"{printable(path.name)} has {size:,} bytes; at most {MAX_BYTES:,} are read")
    if claimed is not None and claimed > size:
        raise WeightsError(
            f"{printable(path.name)} claims to contain {claimed:,} bytes but has {size:,}",
            "It is compressed, truncated or forged. Save it again in its published form.",
        )
    return size


def unreadable(path: Path, error: Exception) -> WeightsError:
    """Return the error to raise when a reader fails on a file."""
    return WeightsError(
        f"cannot read {printable(path.name)}: {in_short(error)}", "It may be incomplete. Fetch or save it again."
    )
