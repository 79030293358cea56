"""Delete unused weights from the store."""

from __future__ import annotations

from typing import Any

from lungfish.core.errors import UsageError
from lungfish.weights.store.pruning import Pruned
from lungfish.weights.store.pruning import prune as prune_store
from lungfish.weights.store.store import Store


def prune(*, everything: bool = False, older_than_days: float | None = None) -> list[Pruned]:
    """Delete weights from the cache; without arguments, only files that no weights refer to.

    Args:
        everything: Whether to delete all weights.
        older_than_days: Days without use after which weights are deleted.

    Raises:
        UsageError: Both are given, or the days are negative.
        StorageError: The cache cannot be written.
    """
    if everything and older_than_days is not None:
        raise UsageError("--all and --older-than cannot be combined", "Give one of them.")
    if older_than_days is not None and not older_than_days >= 0:
        raise UsageError(f"--older-than is {older_than_days:g} days; it must be 0 or more")
    return prune_store(Store(), 0.0 if everything else older_than_days)


def to_json(pruned: list[Pruned]) -> dict[str, Any]:
    """Return `{bytes, files[]}`."""
    return {"bytes": sum(each.bytes for each in pruned), "files": [each.file for each in pruned]}
