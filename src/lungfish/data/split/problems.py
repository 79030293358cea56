"""Problems with the photos of a job: those that stop it, and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import PhotosError
from lungfish.core.names import plural, printable
from lungfish.data.split.class_names import likely_typos

IMBALANCE = 5.0  # ratio of the sizes of the largest and the smallest class
SHOWN = 10  # classes in one message


@dataclass(frozen=True)
class Problem:
    """A problem with the photos.

    Args:
        kind: `unreadable`, `untrained`, `too_few`, `tied`, `saved_split`, `typo`, `uneven`, `no_threshold`, or
            `warning` for warnings of the job itself.
        message: The problem, in one line.
        classes: Names of the classes concerned; empty if it concerns all or none.
        stops: Whether it stops the job.
        rule: What must hold instead, if the message does not say; the same for all problems of the kind.
        fix: What to do.
    """

    kind: str
    message: str
    classes: tuple[str, ...] = ()
    stops: bool = False
    rule: str = ""
    fix: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def stop_for(problems: Iterable[Problem]) -> None:
    """Raise the first problem that stops a job, together with the others of its kind.

    Raises:
        PhotosError: There is such a problem.
    """
    stopping = [problem for problem in problems if problem.stops]
    if stopping:
        first = stopping[0]
        same = [problem.message for problem in stopping if problem.kind == first.kind]
        rule = f"{_capitalized(first.rule)}. " if first.rule else ""
        raise PhotosError(_in_sentences(same[:SHOWN]), f"{rule}{first.fix}")


def _in_sentences(messages: Sequence[str]) -> str:
    text = messages[0]
    for message in messages[1:]:
        text += f"{'' if text.endswith('?') else '.'} {_capitalized(message)}"
    return text


def _capitalized(text: str) -> str:
    return text[0].upper() + text[1:]


def typos(labels: Sequence[str], photos: NDArray[np.int64]) -> list[Problem]:
    """Return class names that look like a typo of another.

    Args:
        labels: Class names.
        photos: int `[n]`, class of each photo.
    """
    counts = np.bincount(photos, minlength=len(labels)).tolist()
    return [
        Problem(
            "typo",
            found.warning(labels),
            (labels[found.label], labels[found.meant]),
            fix="If it is, move its photos into the other class.",
        )
        for found in likely_typos(labels, counts)
        if found.count
    ]


def uneven(labels: Sequence[str], photos: NDArray[np.int64]) -> list[Problem]:
    """Return at most one problem: how much the largest and the smallest class differ. Arguments as for `typos`."""
    counts = np.bincount(photos, minlength=len(labels))
    present = np.flatnonzero(counts)
    if not len(present):
        return []
    least, most = present[counts[present].argmin()], present[counts[present].argmax()]
    if counts[most] < IMBALANCE * counts[least]:
        return []
    message = (
        f"the classes are uneven: {plural(int(counts[most]), 'photo')} of {printable(labels[most])!r}, "
        f"{counts[least]:,} of {printable(labels[least])!r}"
    )
    return [Problem("uneven", message, (labels[most], labels[least]), fix="Add photos to the small classes.")]
