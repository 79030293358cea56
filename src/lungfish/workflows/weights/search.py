"""Search the known weights by words."""

from __future__ import annotations

import re

from lungfish.core.errors import UsageError
from lungfish.weights.entry import WeightsEntry
from lungfish.workflows.weights.list import by_network
from lungfish.workflows.weights.rows import WeightsRow, entry_row, known_entries, sorted_rows


def search_catalogue(text: str) -> list[WeightsRow]:
    """Return the known weights that match every word of `text`.

    Case and punctuation do not matter: `mobilenetv2`, `MobileNet V2` and `mobilenet_v2` find the same.

    Raises:
        UsageError: The text contains no word.
    """
    words = [_plain(word) for word in text.split()]
    if not any(words):
        raise UsageError("nothing to search for", "For example: lungfish weights search mobilenet_v2 apache")
    found = [entry for entry in known_entries() if all(word in _searched(entry) for word in words)]
    return sorted_rows(map(entry_row, sorted(found, key=by_network)))


def _searched(entry: WeightsEntry) -> str:
    fields = (entry.name, entry.arch, entry.location, entry.source, entry.training_data, entry.license)
    return "\n".join(map(_plain, fields))


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).casefold()
