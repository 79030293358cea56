"""Open photos on a web server, or on any file system that fsspec supports, such as `s3://bucket/photos` or `gs://`."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import compress
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote

import numpy as np

from lungfish.core.address import check_address, shown
from lungfish.core.errors import DownloadError, LungfishError, MissingExtraError, PhotosError
from lungfish.core.extras import install_extra, missing_extra
from lungfish.core.hashing import sha256_json
from lungfish.core.names import choose, printable
from lungfish.data.photos import Photo, SkippedFile
from lungfish.data.sources.assembly import Listing, check_count
from lungfish.data.sources.copies import plan_copies
from lungfish.data.sources.groups import GroupReader
from lungfish.data.sources.remote_files import RemoteFiles, fetch, path_of, reason_of, runs, too_large
from lungfish.data.sources.tree import Tree, is_junk
from lungfish.data.sources.web import WebFiles
from lungfish.runtime.decode import MAX_PHOTO_BYTES

DEEPEST = 32  # nested folders
MAX_FOLDERS = 100_000  # ImageNet-21k has 21,842; each is a request, and a server could invent them endlessly
# Metadata of file systems that changes with the content of a file.
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
    """Return whether `text` begins like an address; a single letter is a drive."""
    scheme, separator, _ = text.partition("://")
    return bool(separator) and len(scheme) > 1


def open_directory(address: str) -> RemoteDirectory:
    """Open the folder at an address.

    Raises:
        PhotosError: There is no such file system, or the address chains several.
        DownloadError: The address must not be fetched, or there is no connection.
        MissingExtraError: fsspec, or the package of this file system, is not installed.
    """
    scheme = address.partition("://")[0]
    if scheme in ("http", "https"):
        check_address(address, chosen=True)
        return RemoteDirectory(WebFiles(), address.rstrip("/"), shown(address).rstrip("/"))
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"reading photos from {scheme}://", "remote") from None
    if "::" in address:
        raise PhotosError(f"{shown(address)} chains several file systems", "Give the address of a folder or file.")
    choose(scheme, fsspec.available_protocols(), "file system")
    with _explained(shown(address)):
        if scheme == "hf":
            disable_hub_telemetry()
        system, root = fsspec.core.url_to_fs(address)
    return RemoteDirectory(system, root.rstrip("/"), shown(address).rstrip("/"))


def disable_hub_telemetry() -> None:
    """Keep huggingface_hub from reporting installed packages and the user's environment with every request."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True


@dataclass(frozen=True)
class RemoteDirectory:
    """A folder on a web server or on a file system of fsspec.

    Args:
        system: `WebFiles`, or the file system; shared by threads, and picklable.
        root: Path of the folder on the system.
        address: Address of the folder as the user gave it, without credentials.
        listed: Size and version of the listed files; -1 and empty if unknown.
    """

    system: Any
    root: str
    address: str
    listed: dict[str, tuple[int, str]] = field(default_factory=dict, repr=False, compare=False)

    def tree(self) -> Tree:
        files: list[str] = []
        folders: list[str] = []
        skipped: list[SkippedFile] = []
        pending = [""]
        while pending:
            folder = pending.pop()
            with _explained(self.shown(folder)):
                found = self.system.ls(self.path(folder and folder + "/"), detail=True)
                self.system.invalidate_cache()  # otherwise it keeps every listing in memory
            check_count(len(files) + len(found), self.shown())
            for about in found:
                name = self._relative(about["name"])
                if name in ("", folder) or is_junk(PurePosixPath(name).name) or _points_up(name):
                    continue
                if about["type"] != "directory":
                    files.append(name)
                    self.listed[name] = _size(about), _version(about)
                elif name.count("/") < DEEPEST:
                    pending.append(name)
                    folders.append(name)
                else:
                    skipped.append(SkippedFile(name, f"deeper than {DEEPEST} folders"))
            if len(folders) > MAX_FOLDERS:
                raise PhotosError(f"{self.shown()} holds more than the {MAX_FOLDERS:,} folders allowed")
        return Tree(tuple(sorted(files)), tuple(sorted(folders)), tuple(sorted(skipped, key=lambda s: s.file)))

    def subdirectory(self, folder: str) -> RemoteDirectory:
        return RemoteDirectory(self.system, self.path(folder), self.shown(folder))

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
        [item] = fetch(self.system, [self.path(name)], start, stop)
        if isinstance(item, bytes):
            return item
        raise item

    def reader(self, listing: Listing) -> Callable[[Photo], bytes]:
        """Return a reader, and number the rows: photos that are stored together are fetched together and cached."""
        rows = sorted(listing.rows, key=lambda row: row.name)
        known = [self.listed.get(row.name, (-1, "")) for row in rows]
        for row, (size, _) in zip(rows, known, strict=True):
            if size > MAX_PHOTO_BYTES:
                listing.skipped.append(SkippedFile(row.name, too_large(size)))
        is_sound = [size <= MAX_PHOTO_BYTES for size, _ in known]
        listing.rows = list(compress(rows, is_sound))
        for number, row in enumerate(listing.rows):
            row.number = number
        names = tuple(row.name for row in listing.rows)
        sizes, versions = zip(*compress(known, is_sound), strict=True) if names else ((), ())
        # without versions, copies could be outdated, so they are used in this run only
        identity = [self.shown(), sha256_json([names, versions if all(versions) else secrets.token_hex()])]
        firsts = runs(sizes)
        total = sum(max(size, 0) for size in sizes)
        copies = plan_copies([identity, firsts], total, listing, "each is fetched again whenever it is read")
        groups = firsts if copies else range(len(names))
        files = RemoteFiles(self.system, self.root, names, np.array(groups, np.int64), np.array(sizes, np.int64))
        return GroupReader(files, copies)

    def path(self, name: str) -> str:
        """Return the path of a file on the system."""
        return path_of(self.system, self.root, name)

    def _relative(self, path: str) -> str:
        name = path.removeprefix(self.root).strip("/")
        return unquote(name) if isinstance(self.system, WebFiles) else name


def _points_up(name: str) -> bool:
    """Return whether a name, with escapes resolved, is not below the folder."""
    return any(part in ("", ".", "..") for part in name.split("/")) or "\0" in name


def _size(about: dict[str, Any]) -> int:
    size = about.get("size")
    return size if isinstance(size, int) else -1


def _version(about: dict[str, Any]) -> str:
    return " ".join(str(about[key]) for key in VERSIONS if about.get(key) is not None)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn whatever a file system raises into an error that names the address."""
    try:
        yield
    except LungfishError:
        raise
    except ImportError as error:
        hint = f"Run: {install_extra('remote')} {error.name or ''}".rstrip()
        raise MissingExtraError(f"cannot read {what}: {reason_of(error)}", hint) from error
    except FileNotFoundError as error:
        raise PhotosError(f"no such folder or file: {what}", "Check the spelling.") from error
    except Exception as error:  # each file system raises what it likes
        raise DownloadError(
            f"cannot read {what}: {reason_of(error)}", "Check the address, the connection and your credentials."
        ) from error
