"""List all problems with a job's photos, starting with those that would stop the job."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lungfish.data.photos import PhotoSet
from lungfish.data.scan.examined import Examined
from lungfish.data.split.assignment import Assignment
from lungfish.data.split.integrity import unreadable
from lungfish.data.split.problems import Problem, typos, uneven


def list_problems(
    photos: PhotoSet, examined: Examined, assignment: Assignment, warnings: Sequence[str]
) -> tuple[Problem, ...]:
    """Return all problems.

    Args:
        photos: Photos as the source lists them.
        examined: Photos after the scan.
        assignment: Splits, with the problems of the assignment.
        warnings: Warnings of the job; each is listed unless a problem has the same message.
    """
    labels, of_photos = photos.labels, np.array([record.photo.label for record in examined.records], np.int64)
    problems = [
        *unreadable(photos, examined),
        *assignment.problems,
        *typos(labels, of_photos),
        *uneven(labels, of_photos),
    ]
    known = {problem.message for problem in problems}
    problems += [Problem("warning", warning) for warning in warnings if warning not in known]
    return tuple(sorted(problems, key=lambda problem: not problem.stops))
