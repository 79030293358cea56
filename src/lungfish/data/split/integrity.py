"""Check how many photos are unreadable, and whether a class has no readable photos."""

from __future__ import annotations

from collections import Counter, defaultdict

from lungfish.core.names import plural, printable
from lungfish.data.photos import Photo, PhotoSet
from lungfish.data.scan.examined import Examined
from lungfish.data.split.problems import Problem, stop_for

SKIPPED_SHARE = 0.05


def check_photos(photos: PhotoSet, examined: Examined, *, stop: bool = True) -> tuple[str, ...]:
    """Return warnings about skipped files.

    Args:
        photos: Photos as the source lists them.
        examined: Photos after the scan.
        stop: Whether to raise if a class has no readable photo.

    Raises:
        PhotosError: No photo of a class is readable, and `stop` is set.
    """
    if stop:
        stop_for(unreadable(photos, examined))
    reasons = [skipped.reason for skipped in examined.skipped]
    skipped, total = len(reasons), len(reasons) + len(examined.records)
    if skipped <= SKIPPED_SHARE * total:
        return ()
    most, count = Counter(reasons).most_common(1)[0]
    share = f"{skipped:,} of {total:,} files were skipped ({skipped / total:.0%})"
    return (f"{share}; most common reason ({count:,}): {most}",)


def unreadable(photos: PhotoSet, examined: Examined) -> list[Problem]:
    """Return a problem for each class with unreadable photos; it stops the job if no photo is readable."""
    reasons = {skipped.file: skipped.reason for skipped in examined.skipped}
    listed = Counter(photo.label for photo in photos.photos)
    lost: dict[int, list[Photo]] = defaultdict(list)
    for photo in photos.photos:
        if photo.name in reasons:
            lost[photo.label].append(photo)
    problems = []
    for label, bad in sorted(lost.items()):
        name, count = printable(photos.labels[label]), listed[label]
        example = f"for instance {printable(bad[0].name)}: {reasons[bad[0].name]}"
        if len(bad) == count:
            message = f"none of the {plural(count, 'photo')} of class {name!r} can be read, {example}"
            fix = "Replace them, or remove the class."
        else:
            message = f"{len(bad):,} of the {plural(count, 'photo')} of class {name!r} cannot be read, {example}"
            fix = "They are skipped; replace them if they matter."
        problems.append(Problem("unreadable", message, (photos.labels[label],), len(bad) == count, fix=fix))
    return problems
