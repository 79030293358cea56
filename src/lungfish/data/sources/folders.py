"""Open a folder of class folders, or of split folders of class folders."""

from __future__ import annotations

import re
from calendar import day_abbr, day_name, month_abbr, month_name
from collections import defaultdict
from collections.abc import Sequence

from lungfish.core.errors import PhotosError
from lungfish.core.names import plural, printable
from lungfish.data.photos import SPLITS, PhotoSet, SkippedFile
from lungfish.data.sources.assembly import SPLIT_NAMES, ListedPhoto, Listing, OneClassError, assemble
from lungfish.data.sources.directory import Directory
from lungfish.data.sources.tree import PHOTO_SUFFIXES, Tree, suffix_of, why_not_photo

# Names of folders that do not describe their photos.
PLAIN = frozenset(
    {"images", "image", "imgs", "img", "photos", "photo", "pictures", "pics"}
    | {"jpg", "jpeg", "png", "raw", "originals", "camera", "dcim", "all"}
)
DATES = frozenset(name.casefold() for names in (month_name, month_abbr, day_name, day_abbr) for name in names)
SHOWN = 5  # names in a warning


def open_folder(directory: Directory, tree: Tree) -> PhotoSet:
    """Return the photos of a folder whose files are listed in `tree`.

    Raises:
        PhotosError: There are no photos or no class folders, or split folders are ambiguous, or class names unusable.
    """
    photos = tree.photos
    possible = [name for name in tree.files if "/" in name and why_not_photo(name) is None]
    if not possible:
        if photos:
            raise _flat(directory, tree, photos)
        raise PhotosError(
            f"no photos in {directory.shown()}",
            "JPEG, PNG, WebP, BMP, GIF and TIFF are read; HEIC and AVIF with an extra.",
        )
    splits = _split_folders(directory, possible, photos)
    listing = Listing(skipped=list(tree.skipped))
    if links := tree.about_links():
        listing.warnings.append(links)
    for name in tree.files:
        _list_file(listing, name, splits)
    if not listing.rows:
        raise _flat(directory, tree, photos)
    _name_empty_folders(listing, tree, splits)
    if deeper := _deeper_classes(listing.rows, 2 if splits else 1):
        listing.warnings.append(deeper)
    try:
        return assemble(listing, directory.reader(listing))
    except OneClassError as error:
        raise OneClassError(
            error.photos, _inner_classes(directory, tree, error.photos.labels[0]) or error.hint
        ) from None


def _list_file(listing: Listing, name: str, splits: dict[str, str]) -> None:
    parts = name.split("/")
    split = splits.get(parts[0])
    if splits and split is None and len(parts) > 1:
        if why_not_photo(name) is None:
            listing.skipped.append(SkippedFile(name, "not in a split folder"))
        return
    depth = 2 if splits else 1
    if len(parts) <= depth:
        if suffix_of(name) in PHOTO_SUFFIXES:
            listing.skipped.append(SkippedFile(name, "not in a class folder"))
        return
    reason = why_not_photo(name)
    if reason is None:
        listing.rows.append(ListedPhoto(name, parts[depth - 1], split))
    elif reason:
        listing.skipped.append(SkippedFile(name, reason))


def _split_folders(directory: Directory, possible: list[str], photos: list[str]) -> dict[str, str]:
    """Return the split of each split folder; empty if the folders are classes.

    They are split folders if there is a `train` and a `val` or `test`, or if there are no other folders.

    Args:
        directory: Directory, for messages.
        possible: Files in folders that may be photos, with a picture's suffix or none.
        photos: Files with a picture's suffix. Other folders count only if they contain one, not just a README.
    """
    tops = sorted({name.split("/")[0] for name in possible})
    found = {top: SPLIT_NAMES[top.lower()] for top in tops if top.lower() in SPLIT_NAMES}
    others = sorted({name.split("/")[0] for name in photos if "/" in name} - set(found))
    if not found or (others and not ("train" in found.values() and len(set(found.values())) > 1)):
        return {}
    if not any(name.count("/") >= 2 for name in possible if name.split("/")[0] in found):
        return {}  # photos are directly in train/ and test/, so these are class names
    if others:
        raise PhotosError(
            f"{directory.shown()} mixes split folders ({', '.join(found)}) with other folders of photos:"
            f" {', '.join(map(printable, others[:5]))}",
            "Move the other folders into the split folders, or somewhere else.",
        )
    for split in SPLITS:
        same = [name for name in found if found[name] == split]
        if len(same) > 1:
            raise PhotosError(f"two folders for one split: {', '.join(same)}", "Put their photos into one of them.")
    if "train" not in found.values():
        raise PhotosError(f"there is no train folder, only {', '.join(found)}", "Add train/.")
    return found


def _inner_classes(directory: Directory, tree: Tree, only: str) -> str:
    """Return a hint if the only class folder contains several folders, which are probably the classes; else empty."""
    inner = [folder for folder in tree.folders if folder.startswith(f"{only}/") and folder.count("/") == 1]
    return f"Its subfolders look like classes. Did you mean {directory.shown(only)}?" if len(inner) > 1 else ""


def _deeper_classes(rows: Sequence[ListedPhoto], depth: int) -> str:
    """Return a warning if the folders in the class folders look like classes themselves; else an empty text.

    They do if every photo is one folder deeper than its class, and at least two of these folders have descriptive
    names: all (`summer/shoes`, `winter/pants`), or some, if one occurs in several classes. Dates, numbers
    (`shoes/2023`) and words like `images` are not descriptive.

    Args:
        rows: Photos with their classes.
        depth: Depth of the class folders, from 1.
    """
    owners: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        parts = row.name.split("/")
        if len(parts) != depth + 2:
            return ""
        owners[parts[depth]].add(row.label)
    labels = {row.label for row in rows}
    named = sorted(name for name in owners if _is_name(name))
    shared = any(len(owners[name]) > 1 for name in named)
    if len(labels) < 2 or len(named) < 2 or not (shared or len(named) == len(owners)):
        return ""
    return (
        f"the classes are the top-level folders: {_some(sorted(labels))}. If you mean the folders in them"
        f" ({_some(named)}), move those up, or give a CSV with the columns image and label"
    )


def _is_name(folder: str) -> bool:
    """Return whether the name of a folder may describe its photos."""
    if any(character.isdigit() for character in folder):
        return False
    words = re.findall(r"[^\W_]+", folder.casefold())
    return any(word not in PLAIN | DATES and (len(word) > 1 or not word.isascii()) for word in words)


def _some(names: Sequence[str]) -> str:
    more = ", ..." if len(names) > SHOWN else ""
    return f"{', '.join(map(printable, names[:SHOWN]))}{more}"


def _name_empty_folders(listing: Listing, tree: Tree, splits: dict[str, str]) -> None:
    depth = 1 if splits else 0
    used = {"/".join(row.name.split("/")[: depth + 1]) for row in listing.rows}
    candidates = [
        name for name in tree.folders if name.count("/") == depth and (not splits or name.split("/")[0] in splits)
    ]
    empty = [printable(name) for name in candidates if name not in used]
    if empty:
        listing.warnings.append(
            f"{plural(len(empty), 'folder holds', 'folders hold')} no photos: {', '.join(empty[:10])}"
        )


def _flat(directory: Directory, tree: Tree, photos: list[str]) -> PhotosError:
    tables = [name for name in tree.files if name.lower().endswith(".csv") and "/" not in name]
    message = f"the photos in {directory.shown()} are not in class folders, so their labels are unknown"
    if tables:
        return PhotosError(message, f"Did you mean {directory.shown(tables[0])}?")
    template = "\n".join(["image,label", *(f"{printable(name)},CLASS" for name in photos[:3])])
    return PhotosError(
        message,
        "Put the photos of each class into a folder of their own, or list them in labels.csv and give that"
        f" instead:\n{template}",
    )
