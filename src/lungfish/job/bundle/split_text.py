"""Describe in words how photos were split."""

from __future__ import annotations

from collections.abc import Mapping

from lungfish.data.split.assignment import HALVES

HOW_IN_WORDS = {
    "given": "as given with the photos",
    "saved": "as in the saved split",
    "content hash": "by a hash of the content, about 80/10/10",
    HALVES: "in halves, by a hash of the content",
    "with a copy, group or scene": "together with a copy, their group or their scene",
}


def split_sentence(how: Mapping[str, int]) -> str:
    """Return how photos were split, as words to follow "split", with counts if there was more than one way.

    Args:
        how: Counts from `Assignment.how`.
    """
    if len(how) == 1:
        return HOW_IN_WORDS[next(iter(how))]
    return ", ".join(f"{HOW_IN_WORDS[why]} ({count:,})" for why, count in how.items())
