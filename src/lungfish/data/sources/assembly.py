"""Assemble listed rows into a `PhotoSet`: check class names, index classes, sort photos."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lungfish.core.errors import PhotosError
from lungfish.core.names import plural, printable
from lungfish.data.photos import Photo, PhotoSet, SkippedFile
from lungfish.runtime.manifest import MAX_LABEL_CHARACTERS

# A row takes about 300 bytes, and its photo some more: 2 GB in all. ImageNet-1k has 1.3 million photos, Places365 1.8.
MAX_PHOTOS = 5_000_000
# Characters of the distinct labels, groups, splits and paths of a table: 50 for each of `MAX_PHOTOS`.
MAX_TEXT_CHARACTERS = 50 * MAX_PHOTOS
SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}


class OneClassError(PhotosError):
    """Photos of a single class.

    Args:
        photos: Listed photos, for callers that only measure a classifier, for which one class is enough.
        hint: What to do next.
    """

    def __init__(
        self, photos: PhotoSet, hint: str = "Add a second class, for instance photos of anything else."
    ) -> None:
        super().__init__(f"only one class, {printable(photos.labels[0])!r}; a classifier needs at least two", hint)
        self.photos = photos


@dataclass(slots=True)
class ListedPhoto:
    """A photo as a source lists it, with the name of its class."""

    name: str
    label: str
    split: str | None = None
    group: str | None = None
    number: int = -1


@dataclass
class Listing:
    """What a source has found so far."""

    rows: list[ListedPhoto] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def assemble(listing: Listing, reader: Callable[[Photo], bytes], order: Sequence[str] = ()) -> PhotoSet:
    """Return the photos of `listing`, sorted by name.

    Args:
        listing: Photos of at least two classes.
        reader: Function that returns a photo's bytes.
        order: Class names in the order of their indices; sorted names if empty. Classes without photos are dropped.

    Raises:
        PhotosError: There are no photos, a class name is empty, or names differ only in case, spaces or Unicode form.
        OneClassError: There is only one class.
    """
    names = {row.label for row in listing.rows}
    unused = [name for name in order if name not in names]
    warnings = list(listing.warnings)
    if unused and names:
        warnings.append(f"{plural(len(unused), 'class has', 'classes have')} no photos: {_shown(unused)}")
    labels = tuple(name for name in order if name in names) or tuple(sorted(names))
    _check_labels(labels)
    index = {name: i for i, name in enumerate(labels)}
    photos = (Photo(row.name, index[row.label], row.split, row.group, row.number) for row in listing.rows)
    listed = PhotoSet(
        labels, tuple(sorted(photos, key=lambda photo: photo.name)), reader, tuple(listing.skipped), tuple(warnings)
    )
    if len(labels) == 1:
        raise OneClassError(listed)
    return listed


def check_count(photos: int, where: str) -> None:
    """Raise `PhotosError` if there are more photos than `MAX_PHOTOS`."""
    if photos > MAX_PHOTOS:
        raise PhotosError(f"{where} lists more than the {MAX_PHOTOS:,} photos allowed", "Give fewer photos.")


class Texts:
    """The distinct texts of a table, each stored once.

    Args:
        where: Name of the table, for messages.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._known: dict[object, object] = {}
        self._left = MAX_TEXT_CHARACTERS

    def once(self, value: Any) -> Any:
        """Return the equal value that was passed before, or else this one.

        Raises:
            PhotosError: The distinct texts have more than `MAX_TEXT_CHARACTERS` in total.
        """
        if not isinstance(value, str | bytes):
            return value
        known = self._known.setdefault(value, value)
        if known is value:
            self._left -= len(value)
            if self._left < 0:
                raise PhotosError(
                    f"{self._where}: its texts have more than the {MAX_TEXT_CHARACTERS:,} characters allowed"
                )
        return known


def label_text(value: object) -> str:
    """Return a label of a table as text; empty for a missing value, NaN or spaces."""
    if value is None or value != value:  # noqa: PLR0124  NaN is no label
        return ""
    return (value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)).strip()


def split_named(value: str, where: str) -> str | None:
    """Return the split in a table's `split` column; None if it is empty.

    Args:
        value: Value of the column.
        where: Location of the row, for messages.

    Raises:
        PhotosError: The value is not a split.
    """
    name = value.strip().lower()
    if name and name not in SPLIT_NAMES:
        raise PhotosError(f"{where}: split is {printable(value)!r}", "It must be train, val or test.")
    return SPLIT_NAMES[name] if name else None


def _check_labels(labels: Sequence[str]) -> None:
    if not labels:
        raise PhotosError(
            "no photos found", "JPEG, PNG, WebP, BMP, GIF and TIFF are read; HEIC and AVIF with an extra."
        )
    for label in labels:
        if fault := _fault(label):
            raise PhotosError(f"the class name {printable(label[:80])!r} {fault}", "Rename the class.")
    alike: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        alike[_folded(label)].append(label)
    if "" in alike:
        raise PhotosError(f"a class has an empty name: {alike[''][0]!r}", "Give every class a name.")
    for same in alike.values():
        if len(same) > 1:
            raise PhotosError(
                f"class names differ only in case, spaces or Unicode form: {_shown(same)}",
                "Rename them so that each class has one name.",
            )


def _fault(label: str) -> str:
    """Return why `label` cannot be stored in labels.txt, JSON and the model's metadata; empty if it can."""
    if len(f"{label}.".splitlines()) > 1:
        return "has more than one line"
    if len(label) > MAX_LABEL_CHARACTERS:
        return f"has {len(label):,} characters; at most {MAX_LABEL_CHARACTERS:,} are allowed"
    if any(unicodedata.category(character) == "Cs" for character in label):
        return "is not valid Unicode"
    return ""


def _folded(label: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())


def _shown(names: Sequence[str]) -> str:
    # escaped, as names that differ only in Unicode form look alike
    return ", ".join(printable(name) if name.isascii() else f"{printable(name)} ({name!a})" for name in names)
