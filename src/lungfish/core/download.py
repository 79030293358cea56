"""Download a file, resuming interrupted transfers. The file appears whole or not at all."""

from __future__ import annotations

import contextlib
import re
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.core.address import Route, shown
from lungfish.core.errors import DownloadError
from lungfish.core.names import printable
from lungfish.core.partial import Partial, Version
from lungfish.core.progress import Advance, Progress
from lungfish.core.request import get

if TYPE_CHECKING:
    from httpx2 import Response

MAX_BYTES = 4 << 30
TRIES = 5  # consecutive attempts that each receive less than STEP_BYTES
STEP_BYTES = 1 << 20
BACKOFF_S = 0.5
LONGEST_WAIT_S = 60.0
BUSY = (408, 425, 429, 500, 502, 503, 504)
HINTS = {
    401: "The server requires a token: set HF_TOKEN, or download the file by hand.",
    403: "It is private or gated: accept the terms on its page, and set HF_TOKEN.",
    404: "It may have moved, or the name is misspelled.",
    410: "It has been removed.",
}


@dataclass(frozen=True)
class Remote:
    """A file to download.

    Args:
        route: The address, with the rules for redirects.
        token: A bearer token, sent to the first host only.
        bytes: The size, if known.
        limit: Largest size to accept, in bytes.
    """

    route: Route
    token: str = ""
    bytes: int | None = None
    limit: int = MAX_BYTES


def download(remote: Remote, target: Path, progress: Progress) -> str:
    """Download a file to `target`, replacing an existing one.

    The caller must hold a lock, so that only one process downloads the file. An interrupted download stays in
    `target` + `.part`, and the next call resumes it.

    Args:
        remote: The file to download.
        target: Path to write; its folder is created.
        progress: Receives the number of bytes.

    Returns:
        SHA-256 of the file.

    Raises:
        DownloadError: The file is unavailable, its address is not allowed, or its size is not the announced one.
        StorageError: The disk is full or read-only, or permission is denied.
        MissingExtraError: httpx2 is not installed.
    """
    with Partial(target) as part, contextlib.ExitStack() as stack:
        if part.version.url != remote.route.start or remote.bytes not in (None, part.version.bytes):
            part.restart(Version(remote.route.start, "", None))
        meter = _Meter(progress, f"Fetching {printable(target.name)} (bytes)", stack)
        failures = 0
        while not part.is_whole:
            before = part.done
            try:
                _receive(remote, part, meter)
            except _TryAgainError as problem:
                failures = 1 if part.done - before >= STEP_BYTES else failures + 1
                if failures == TRIES:
                    raise _gave_up(remote, target, str(problem)) from problem.__cause__
                backoff_s = BACKOFF_S * 2 ** (failures - 1)
                time.sleep(min(LONGEST_WAIT_S, backoff_s if problem.wait_s is None else problem.wait_s))
        return part.finish()


class _TryAgainError(Exception):
    """A failure that may be temporary; `wait_s` is the delay that the server asked for, if any."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class _Meter:
    """Report the progress of a download, which goes back if the download restarts."""

    def __init__(self, progress: Progress, description: str, stack: contextlib.ExitStack) -> None:
        self._progress, self._description, self._stack = progress, description, stack
        self._advance: Advance | None = None
        self._shown = 0

    def show(self, part: Partial) -> None:
        if self._advance is None:
            self._advance = self._stack.enter_context(self._progress.task(self._description, part.version.bytes or 0))
        self._advance(part.done - self._shown)
        self._shown = part.done


def _receive(remote: Remote, part: Partial, meter: _Meter) -> None:
    """Send one request and store as much of the body as arrives. Raises `_TryAgainError` and `DownloadError`."""
    import httpx2

    headers = {"Accept-Encoding": "identity"}  # Range counts the bytes of the file, not compressed ones
    if part.done and part.version.tag:
        headers |= {"Range": f"bytes={part.done}-", "If-Range": part.version.tag}
    try:
        with get(remote.route, headers, remote.token) as response:
            _accept(response, remote, part)
            meter.show(part)
            for data in response.iter_raw():
                _check_room(part.done + len(data), remote, part)
                part.write(data)
                meter.show(part)
    except (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ProxyError) as error:
        _raise_if_untrusted(error, remote)
        raise _TryAgainError(printable(str(error)) or type(error).__name__) from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise DownloadError(f"cannot fetch {shown(remote.route.start)}: {printable(str(error))}") from error
    if part.version.bytes is None:  # the size was never announced: the end of the connection is the end of the file
        part.version = Version(part.version.url, part.version.tag, part.done)
    elif not part.is_whole:
        raise _TryAgainError(f"the body ended after {part.done:,} of {part.version.bytes:,} bytes")


def _accept(response: Response, remote: Remote, part: Partial) -> None:
    """Check the response and prepare `part` for its body. Raises `_TryAgainError` and `DownloadError`."""
    status, place = response.status_code, shown(str(response.url))
    answer = f"{status} {printable(response.reason_phrase)}".strip()
    if status in BUSY:
        raise _TryAgainError(f"the server answered {answer}", _asked_wait_s(response))
    if response.headers.get("content-encoding", "identity") != "identity":
        raise DownloadError(f"the server compressed {place} although it was asked not to", "Download it by hand.")
    if status == 200:
        announced = response.headers.get("content-length")
        size = remote.bytes if announced is None else int(announced)
        _check_size(place, size, remote)  # before the restart, which discards what was received
        part.restart(Version(remote.route.start, _tag(response), size))
    elif status == 206 and _continues(response, part):
        pass
    elif status in (206, 416):
        part.restart(Version(remote.route.start, "", None))
        raise _TryAgainError("the server sent a different range than requested", 0.0)
    else:
        raise DownloadError(f"cannot fetch {place}: the server answered {answer}", HINTS.get(status, ""))


def _continues(response: Response, part: Partial) -> bool:
    """Return whether a 206 response continues where `part` ends, with the same version of the file."""
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("content-range", ""))
    if not found or not part.done or int(found[1]) != part.done:
        return False
    same_size = part.version.bytes is None or found[2] in ("*", str(part.version.bytes))
    return same_size and _tag(response) in ("", part.version.tag)


def _tag(response: Response) -> str:
    """Return a strong ETag, else the modification date, else an empty string."""
    etag = response.headers.get("etag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("last-modified", "")


def _check_size(place: str, size: int | None, remote: Remote) -> None:
    if size is not None and remote.bytes not in (None, size):
        raise DownloadError(
            f"{place} has {size:,} bytes, expected {remote.bytes:,}", "It is not the file listed in the catalogue."
        )
    if size is not None and size > remote.limit:
        raise DownloadError(f"{place} has {size:,} bytes; the limit is {remote.limit:,}", "Download it by hand.")


def _check_room(size: int, remote: Remote, part: Partial) -> None:
    """Check the size of a body while it arrives: it may exceed the announced one. Raises `DownloadError`."""
    most = remote.limit if part.version.bytes is None else part.version.bytes
    if size > most:
        part.restart(Version(remote.route.start, "", None))
        raise DownloadError(f"{shown(remote.route.start)} sent more than the {most:,} bytes allowed")


def _asked_wait_s(response: Response) -> float | None:
    """Return the delay of `Retry-After`, which holds seconds or a date; None if absent or invalid."""
    text = response.headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _raise_if_untrusted(error: Exception, remote: Remote) -> None:
    """Raise `DownloadError` if a certificate was refused, since a retry cannot help."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        raise DownloadError(
            f"cannot fetch {shown(remote.route.start)}: {printable(cause.verify_message)}",
            "If a proxy or mirror uses its own certificate authority, set SSL_CERT_FILE to its file.",
        ) from error


def _gave_up(remote: Remote, target: Path, reason: str) -> DownloadError:
    return DownloadError(
        f"cannot fetch {shown(remote.route.start)}: {reason}; tried {TRIES} times",
        "Run it again to resume. Without a network connection, download the file elsewhere and save it as "
        f"{printable(str(target))}",
    )
