"""Access folders on a web server through fsspec's interface, but with our own checked requests.

Every address is checked, also after redirects; responses are limited in size and must not be too slow.
"""

from __future__ import annotations

import html
import io
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import urljoin

from lungfish.core.address import Route, shown
from lungfish.core.errors import DownloadError, UnreadablePhotoError
from lungfish.core.request import Connection, read_steadily
from lungfish.runtime.decode import MAX_PHOTO_BYTES

if TYPE_CHECKING:
    from httpx2 import Response

CONNECTIONS = 8  # at once
BLOCK_BYTES = 1 << 20  # buffer for reading a table or a tar
# Limit on a page that lists one folder. A link takes at least 50 bytes, so about 300,000 files fit.
MAX_LISTING_BYTES = 16 << 20
# Total size of the photos fetched in one go: 32 photos of 32 MiB, where the listing gives no sizes.
MAX_TOGETHER_BYTES = 1 << 30
# Limit on a file that must be held in memory as a whole, because its server does not send parts.
MAX_WHOLE_BYTES = MAX_PHOTO_BYTES
MAX_TAG_CHARACTERS = 4096
_LINK = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.IGNORECASE)
_TOTAL = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})")
_GONE = (404, 410)


@dataclass(frozen=True)
class WebFiles:
    """Files below the address that the user gave. Thread-safe and picklable; the methods are those of fsspec."""

    def ls(self, path: str, detail: bool = True) -> list[dict[str, Any]]:  # noqa: ARG002
        """Return the entries that a directory page links to; it gives no sizes."""
        with Connection() as connection, self._answer(connection, path) as response:
            page = read_steadily(response, MAX_LISTING_BYTES)
        if len(page) > MAX_LISTING_BYTES:
            raise DownloadError(f"{shown(path)} lists its files in more than the {MAX_LISTING_BYTES:,} bytes allowed")
        base = path.rstrip("/") + "/"
        names = sorted({url for url in _links(page.decode(errors="replace"), base) if url.startswith(base)} - {base})
        return [{"name": name, "size": None, "type": "directory" if name.endswith("/") else "file"} for name in names]

    def invalidate_cache(self) -> None:
        """Do nothing, as nothing is cached."""

    def info(self, path: str) -> dict[str, Any]:
        """Return size and version of a file."""
        with Connection() as connection, self._answer(connection, path, (0, 1)) as response:
            return {"name": path, "type": "file", "size": _total(response)} | {
                key: response.headers[name]
                for key, name in (("ETag", "etag"), ("LastModified", "last-modified"))
                if name in response.headers
            }

    def open(self, path: str, mode: str = "rb") -> BinaryIO:
        """Open a seekable file."""
        assert mode == "rb"
        with Connection() as connection, self._answer(connection, path, (0, BLOCK_BYTES)) as response:
            total = _total(response)
            if response.status_code == 206 and total is not None:
                return io.BufferedReader(_Ranges(self, path, total), BLOCK_BYTES)
            if response.status_code == 416:
                return io.BytesIO()
            whole = read_steadily(response, MAX_WHOLE_BYTES)
        if len(whole) > MAX_WHOLE_BYTES:
            raise DownloadError(
                f"{shown(path)} has more than {MAX_WHOLE_BYTES:,} bytes, and its server does not send parts of files",
                "Download it first.",
            )
        return io.BytesIO(whole)

    def read_photo(self, connection: Connection, path: str, take: Callable[[int], None]) -> bytes:
        """Return a whole file. Raises `UnreadablePhotoError` if it is too large for a photo, or what `take` raises."""
        with self._answer(connection, path) as response:
            data = read_steadily(response, MAX_PHOTO_BYTES, take)
        if len(data) > MAX_PHOTO_BYTES:
            raise UnreadablePhotoError(f"more than the {MAX_PHOTO_BYTES:,} bytes allowed")
        return data

    def read_part(self, connection: Connection, path: str, start: int, stop: int) -> bytes:
        """Return the bytes from `start` up to `stop`, fewer if the file ends earlier."""
        with self._answer(connection, path, (start, stop)) as response:
            if response.status_code == 416 or start == stop:
                return b""
            begins = _TOTAL.match(response.headers.get("content-range", ""))
            if response.status_code != 206 or not begins or int(begins[1]) != start:
                raise DownloadError(f"{shown(path)}: its server does not send parts of files", "Download it first.")
            return read_steadily(response, stop - start)[: stop - start]

    def cat_ranges(self, paths: Sequence[str], starts: Any, ends: Any, on_error: str = "return") -> list[Any]:
        """Fetch files, or the same part of each, several at a time; return errors in place of the files that failed."""
        assert on_error == "return"
        room = _Room(MAX_TOGETHER_BYTES)
        found: list[Any] = [None] * len(paths)

        def fetch(first: int) -> None:
            with Connection() as connection:
                for i in range(first, len(paths), CONNECTIONS):
                    try:
                        found[i] = (
                            self.read_photo(connection, paths[i], room.take)
                            if starts is None
                            else self.read_part(connection, paths[i], starts, ends)
                        )
                    except Exception as error:  # noqa: BLE001  returned to the caller, as fsspec does
                        found[i] = error

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(fetch, range(min(CONNECTIONS, len(paths)))))
        return found

    @contextmanager
    def _answer(self, connection: Connection, path: str, wanted: tuple[int, int] | None = None) -> Iterator[Response]:
        """Open a response with status 200; also 206 or 416 if `wanted`, a byte range `(start, stop)`, is requested."""
        headers = {"Accept-Encoding": "identity"}  # uncompressed, as limits apply to the bytes read
        if wanted:
            headers["Range"] = f"bytes={wanted[0]}-{max(wanted[1] - 1, wanted[0])}"
        with connection.get(Route(path, chosen=True), headers) as response:
            status = response.status_code
            if status in _GONE:
                raise FileNotFoundError(shown(path))
            if status != 200 and not (wanted and status in (206, 416)):
                raise DownloadError(f"{shown(path)}: the server answers {status}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise DownloadError(f"{shown(path)} is sent compressed, which was not asked for")
            yield response


class _Ranges(io.RawIOBase):
    """A file on a web server, read by ranges."""

    def __init__(self, files: WebFiles, path: str, size: int) -> None:
        super().__init__()
        self._files, self._path, self._size, self._at = files, path, size, 0
        self._connection = Connection()

    def close(self) -> None:
        self._connection.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"a negative position in a file: {base + offset}")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        stop = min(self._at + len(buffer), self._size)
        if stop <= self._at:
            return 0
        data = self._files.read_part(self._connection, self._path, self._at, stop)
        if not data:
            raise DownloadError(f"{shown(self._path)} ends before the {self._size:,} bytes that it should have")
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Room:
    """A limit on the bytes that several threads use together."""

    def __init__(self, bytes_: int) -> None:
        self._left, self._lock = bytes_, threading.Lock()

    def take(self, bytes_: int) -> None:
        with self._lock:
            self._left -= bytes_
            if self._left < 0:
                raise UnreadablePhotoError(
                    f"it and its neighbors take more than the {MAX_TOGETHER_BYTES:,} bytes allowed together;"
                    " download them first"
                )


def _links(page: str, base: str) -> Iterator[str]:
    """Yield the addresses that a page links to, except those with a query, which only sort the listing."""
    for piece in page.split("<")[1:]:  # one pass, as patterns over a whole hostile page may take hours
        if piece[:1] in "aA" and piece[1:2].isspace():
            found = _LINK.search(piece[:MAX_TAG_CHARACTERS].partition(">")[0])
            if found:
                link = html.unescape(found[1] or found[2] or found[3] or "").partition("#")[0]
                try:
                    url = urljoin(base, link)
                except ValueError:  # not an address
                    continue
                if "?" not in url:
                    yield url


def _total(response: Response) -> int | None:
    """Return the total size of the file, or None if the response does not state it."""
    if response.status_code == 206:
        found = _TOTAL.fullmatch(response.headers.get("content-range", ""))
        return int(found[2]) if found else None
    length = response.headers.get("content-length", "")
    return int(length) if response.status_code == 200 and length.isdecimal() else None
