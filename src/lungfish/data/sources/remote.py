"""Photos that lie elsewhere, on any file system that fsspec knows: `s3://bucket/photos`, `gs://`, `https://`."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from lungfish.core.address import check_address, shown
from lungfish.core.errors import DownloadError, LungfishError, MissingExtraError, PhotosError, UnreadablePhotoError
from lungfish.core.extras import missing_extra
from lungfish.core.hashing import sha256_json
from lungfish.core.names import choose, printable
from lungfish.data.photos import Photo, Skipped
from lungfish.data.sources.assembly import Listing
from lungfish.data.sources.copies import plan_copies
from lungfish.data.sources.groups import GroupReader, Item
from lungfish.data.sources.tree import Tree, is_junk
from lungfish.runtime.decode import MAX_PHOTO_BYTES

TOGETHER = 32  # neighbors that are asked for at once
TOGETHER_BYTES = 32 << 20
DEEPEST = 32  # folders in folders
TRIES = 3
BACKOFF_S = 0.5
# What file systems tell of a file that changes with its content.
VERSIONS = (
    "ETag",
    "etag",
    "md5Hash",
    "content_md5",
    "xet_hash",
    "blob_id",
    "LastModified",
    "updated",
    "mtime",
    "created",
)


def is_address(text: str) -> bool:
    """Whether a name of photos begins as an address does; a single letter is a drive."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and len(scheme) > 1


def open_place(address: str) -> RemotePlace:
    """The folder at an address.

    Raises:
        PhotosError: no such file system, or a chain of several.
        DownloadError: an address that must not be fetched, or no connection.
        MissingExtraError: fsspec, or the package of this file system, is not installed.
    """
    scheme = address.partition("://")[0]
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"reading photos from {scheme}://", "remote") from None
    if "::" in address:
        raise PhotosError(f"{shown(address)} chains several file systems", "Give the address of a folder or file.")
    if scheme in ("http", "https"):
        check_address(address, chosen=True)
    choose(scheme, fsspec.available_protocols(), "file system")
    with _explained(shown(address)):
        if scheme == "hf":
            tell_hub_nothing()
        system, root = fsspec.core.url_to_fs(address)
    return RemotePlace(system, root.rstrip("/"), shown(address).rstrip("/"))


def tell_hub_nothing() -> None:
    """Keep huggingface_hub from telling with every request what is installed here, and who runs it."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True


@dataclass(frozen=True)
class RemotePlace:
    """A folder on a file system of fsspec.

    Args:
        system: the file system; several threads may share it, and it can be pickled.
        root: the folder, as the system calls it.
        address: the folder, as the user calls it, without credentials.
        listed: size and version of the files, once they are listed; -1 and empty if the system does not tell.
    """

    system: Any
    root: str
    address: str
    listed: dict[str, tuple[int, str]] = field(default_factory=dict, repr=False, compare=False)

    def tree(self) -> Tree:
        files: list[str] = []
        folders: list[str] = []
        skipped: list[Skipped] = []
        pending = [""]
        while pending:
            folder = pending.pop()
            with _explained(self.shown(folder)):
                found = self.system.ls(self.path(folder and folder + "/"), detail=True)
                self.system.invalidate_cache()  # else it holds all that it ever listed
            for about in found:
                name = self._relative(about["name"])
                if name in ("", folder) or is_junk(PurePosixPath(name).name):
                    continue
                if about["type"] != "directory":
                    files.append(name)
                    self.listed[name] = _size(about), _version(about)
                elif name.count("/") < DEEPEST:
                    pending.append(name)
                    folders.append(name)
                else:
                    skipped.append(Skipped(name, f"deeper than {DEEPEST} folders"))
        return Tree(tuple(sorted(files)), tuple(sorted(folders)), tuple(sorted(skipped, key=lambda s: s.file)))

    def below(self, folder: str) -> RemotePlace:
        return RemotePlace(self.system, self.path(folder), self.shown(folder))

    def shown(self, name: str = "") -> str:
        return printable(f"{self.address}/{name}" if name else self.address)

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        with _explained(self.shown(name)), self.system.open(self.path(name), "rb") as file:
            yield file

    def stamp(self, name: str) -> str:
        with _explained(self.shown(name)):
            about = self.system.info(self.path(name))
        return f"{self.shown(name)} {_size(about)} {_version(about) or secrets.token_hex()}"

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        [item] = _fetch(self.system, [self.path(name)], start, stop)
        if isinstance(item, bytes):
            return item
        raise item

    def reader(self, listing: Listing) -> Callable[[Photo], bytes]:
        """Numbers the rows: those that lie together are read together, and kept on this disk."""
        rows = sorted(listing.rows, key=lambda row: row.name)
        known = [self.listed.get(row.name, (-1, "")) for row in rows]
        for row, (size, _) in zip(rows, known, strict=True):
            if size > MAX_PHOTO_BYTES:
                listing.skipped.append(Skipped(row.name, _too_large(size)))
        is_sound = [size <= MAX_PHOTO_BYTES for size, _ in known]
        listing.rows = list(compress(rows, is_sound))
        for number, row in enumerate(listing.rows):
            row.number = number
        names = tuple(row.name for row in listing.rows)
        sizes, versions = zip(*compress(known, is_sound), strict=True) if names else ((), ())
        # without versions, copies would outlive what they were made of: they serve this run only
        identity = [self.shown(), sha256_json([names, versions if all(versions) else secrets.token_hex()])]
        firsts = _runs(sizes)
        total = sum(max(size, 0) for size in sizes)
        copies = plan_copies([identity, firsts], total, listing, "each is fetched whenever it is read")
        groups = firsts if copies else range(len(names))
        return GroupReader(RemoteFiles(replace(self, listed={}), names, np.array(groups, np.int64)), copies)

    def path(self, name: str) -> str:
        """A file, as the system calls it: on the web with escapes."""
        return f"{self.root}/{quote(name) if self._is_web else name}"

    def _relative(self, path: str) -> str:
        name = path.removeprefix(self.root).strip("/")
        return unquote(name) if self._is_web else name

    @property
    def _is_web(self) -> bool:
        return self.address.startswith(("http://", "https://"))


@dataclass(frozen=True)
class RemoteFiles:
    """Photos that are files of their own, some neighbors at a time.

    Args:
        place: of the files.
        names: in the order of their rows.
        firsts: int64, the first row of each run of neighbors.
    """

    place: RemotePlace
    names: Sequence[str]
    firsts: NDArray[np.int64]

    def find(self, row: int) -> tuple[int, int]:
        run = int(np.searchsorted(self.firsts, row, "right")) - 1
        return run, row - int(self.firsts[run])

    def load(self, group: int) -> Sequence[Item]:
        stop = int(self.firsts[group + 1]) if group + 1 < len(self.firsts) else len(self.names)
        names = self.names[int(self.firsts[group]) : stop]
        return _fetch(self.place.system, [self.place.path(name) for name in names])


def _runs(sizes: Sequence[int]) -> list[int]:
    """Where runs of neighbors begin: `TOGETHER` files, or fewer if they are large."""
    firsts: list[int] = []
    held = 0
    for row, size in enumerate(sizes):
        held += size
        if not firsts or row - firsts[-1] == TOGETHER or held > TOGETHER_BYTES:
            firsts.append(row)
            held = size
    return firsts


def _fetch(system: Any, paths: Sequence[str], start: int | None = None, stop: int | None = None) -> list[Item]:
    """Files, or the same range of each, all at once; those that fail are tried again."""
    items: dict[str, Item] = {}
    for left in reversed(range(TRIES)):
        wanted = [path for path in paths if not isinstance(items.get(path), bytes | UnreadablePhotoError)]
        try:
            found = system.cat_ranges(wanted, start, stop, on_error="return")
        except Exception as error:  # noqa: BLE001  each file system raises what it likes
            found = [error] * len(wanted)
        items |= {path: _item(each) for path, each in zip(wanted, found, strict=True)}
        if left and any(isinstance(items[path], DownloadError) for path in wanted):
            time.sleep(BACKOFF_S)
        else:
            break
    return [items[path] for path in paths]


def _item(found: object) -> Item:
    if isinstance(found, FileNotFoundError):
        return UnreadablePhotoError("no such file")
    if isinstance(found, Exception):
        return DownloadError(f"cannot be fetched: {_reason(found)}")
    data = bytes(cast("bytes", found))
    if len(data) > MAX_PHOTO_BYTES:
        return UnreadablePhotoError(_too_large(len(data)))
    return data


def _too_large(size: int) -> str:
    return f"{size:,} bytes; at most {MAX_PHOTO_BYTES:,} are allowed"


def _size(about: dict[str, Any]) -> int:
    size = about.get("size")
    return size if isinstance(size, int) else -1


def _version(about: dict[str, Any]) -> str:
    return " ".join(str(about[key]) for key in VERSIONS if about.get(key) is not None)


def _reason(error: BaseException) -> str:
    lines = printable(str(error).strip().partition("\n")[0])
    return f"{type(error).__name__}: {lines}" if lines else type(error).__name__


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn whatever a file system raises into an error that names the address."""
    try:
        yield
    except LungfishError:
        raise
    except ImportError as error:
        raise MissingExtraError(
            f"cannot read {what}: {_reason(error)}", f"Run: pip install 'lungfish[remote]' {error.name or ''}".rstrip()
        ) from error
    except FileNotFoundError as error:
        raise PhotosError(f"no such folder or file: {what}", "Check the spelling.") from error
    except Exception as error:  # each file system raises what it likes
        raise DownloadError(
            f"cannot read {what}: {_reason(error)}", "Check the address, the connection and your credentials."
        ) from error
