"""All problems of a job's photos in one list, those first that would stop it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lungfish.data.photos import PhotoSet
from lungfish.data.scan.examination import Examined
from lungfish.data.split.assignment import Assignment
from lungfish.data.split.integrity import unreadable
from lungfish.data.split.problems import Problem, typos, uneven


def list_problems(
    photos: PhotoSet, examined: Examined, assignment: Assignment, warnings: Sequence[str]
) -> tuple[Problem, ...]:
    """Collect what is wrong.

    Args:
        photos: what a source lists.
        examined: the photos after one look at each.
        assignment: with the problems of dividing them.
        warnings: of the job; each is listed, unless a problem says the same.
    """
    labels, of_photos = photos.labels, np.array([record.photo.label for record in examined.records], np.int64)
    found = [*unreadable(photos, examined), *assignment.problems, *typos(labels, of_photos), *uneven(labels, of_photos)]
    told = {problem.message for problem in found}
    found += [Problem("warning", warning) for warning in warnings if warning not in told]
    return tuple(sorted(found, key=lambda problem: not problem.stops))
