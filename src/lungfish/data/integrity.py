"""Judge the photos taken together: how many were lost, and whether a class lost all."""

from __future__ import annotations

from collections import Counter

from lungfish.core.errors import PhotosError
from lungfish.core.names import plural, printable
from lungfish.data.examination import Examined
from lungfish.data.photos import PhotoSet

SKIPPED_SHARE = 0.05


def check_photos(photos: PhotoSet, examined: Examined) -> tuple[str, ...]:
    """Warnings about skipped files.

    Raises:
        PhotosError: no photo of a class is readable.
    """
    listed = Counter(photo.label for photo in photos.photos)
    readable = Counter(record.photo.label for record in examined.records)
    reasons = {skipped.file: skipped.reason for skipped in examined.skipped}
    for label, count in sorted(listed.items()):
        if not readable[label]:
            example = next(photo.name for photo in photos.photos if photo.label == label)
            raise PhotosError(
                f"none of the {plural(count, 'photo')} of class {printable(photos.labels[label])!r} can be read,"
                f" for instance {printable(example)}: {reasons[example]}",
                "Replace them, or move the class away.",
            )
    skipped, total = len(examined.skipped), len(examined.skipped) + len(examined.records)
    if skipped <= SKIPPED_SHARE * total:
        return ()
    most, count = Counter(reasons.values()).most_common(1)[0]
    return (f"{skipped:,} of {total:,} files were skipped ({skipped / total:.0%}); most often ({count:,}): {most}",)
