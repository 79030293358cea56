"""Read JSON from web services such as the Hugging Face hub and GitHub."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from lungfish.core.address import Route, shown
from lungfish.core.errors import DownloadError, UnknownNameError
from lungfish.core.extras import missing_extra
from lungfish.core.names import printable
from lungfish.core.request import get, read_steadily

if TYPE_CHECKING:
    from httpx2 import Response

MAX_BYTES = 16 << 20
TRIES = 3
BACKOFF_S = 1.0
LONGEST_WAIT_S = 10.0  # the user is waiting


@dataclass(frozen=True)
class Service:
    """A web service.

    Args:
        name: Name for messages.
        url: Base address of its paths.
        chosen: Whether the user set the address, which may then be private.
        token: Access token; empty if there is none.
        variable: Environment variable that holds the token.
        headers: Headers of every request.
    """

    name: str
    url: str
    chosen: bool
    token: str
    variable: str
    headers: Mapping[str, str] = field(default_factory=dict)


def read_json(service: Service, path: str, what: str, parameters: Sequence[tuple[str, str]] = ()) -> Any:
    """Return the JSON value at a path of a service. Retries while the service is briefly unavailable.

    Args:
        service: The service.
        path: Path below its address, with a leading slash; percent-encoded here.
        what: Description of the requested resource, for messages.
        parameters: Query parameters.

    Raises:
        UnknownNameError: The resource does not exist.
        DownloadError: There is no connection, a limit is exceeded, a token is required, or the answer is not JSON.
        MissingExtraError: httpx2 is not installed.
    """
    query = f"?{urlencode(parameters)}" if parameters else ""
    route = Route(f"{service.url}{quote(path)}{query}", service.chosen)
    for left in reversed(range(TRIES)):
        status, headers, body = _ask(service, route)
        if status == 200:
            return _parsed(service, body)
        wait_s = _wait_s(status, headers)
        if wait_s is None and status < 500:
            raise _refused(service, status, what)
        if not left or (wait_s or 0) > LONGEST_WAIT_S:
            raise _busy(service, status, wait_s)
        time.sleep(BACKOFF_S if wait_s is None else wait_s)
    raise AssertionError("unreachable")


def _ask(service: Service, route: Route) -> tuple[int, Mapping[str, str], bytes]:
    """Return status, headers and, if successful, the body of one response."""
    try:
        import httpx2
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"access to {service.name}") from None
    accept = {"Accept": "application/json", "Accept-Encoding": "identity"}  # so that the size limit counts all bytes
    try:
        with get(route, accept | dict(service.headers), service.token) as response:
            body = _read(service, response) if response.status_code == 200 else b""
            return response.status_code, response.headers, body
    except httpx2.HTTPError as error:
        raise DownloadError(
            f"{service.name} cannot be reached at {shown(service.url)}: "
            f"{printable(str(error)) or type(error).__name__}",
            "Check your connection. Weights that are already fetched work with --offline.",
        ) from error


def _read(service: Service, response: Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise DownloadError(
            f"{service.name} sent a compressed response, which was not requested",
            f"Is {shown(service.url)} the address of its API? A proxy may interfere.",
        )
    body = read_steadily(response, MAX_BYTES)
    if len(body) > MAX_BYTES:
        raise DownloadError(f"{service.name} sent more than {MAX_BYTES:,} bytes")
    return body


def _parsed(service: Service, body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise DownloadError(
            f"{service.name} did not respond with JSON at {shown(service.url)}", "Is this the address of its API?"
        ) from None


def _wait_s(status: int, headers: Mapping[str, str]) -> float | None:
    """Return how many seconds a rate limit lasts, or None if the response reports none.

    GitHub responds with 403 or 429 and the time at which the limit resets; the hub, with 429 and a number of seconds.
    """
    if status not in (403, 429):
        return None
    waits = [re.search(r"\bt=(\d{1,9})", headers.get("ratelimit", ""))]
    waits.append(re.fullmatch(r"(\d{1,9})", headers.get("retry-after", "")))
    seconds = [float(each[1]) for each in waits if each]
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        seconds.append(float(reset) - time.time())
    if seconds:
        return max(0.0, *seconds)
    return BACKOFF_S if status == 429 else None


def _busy(service: Service, status: int, wait_s: float | None) -> DownloadError:
    if wait_s is None:
        return DownloadError(f"{service.name} responded with {status}", "Try again later.")
    token = "" if service.token else f", or set {service.variable}: a token raises the limit"
    return DownloadError(
        f"{service.name} accepts no requests for {wait_s:.0f} s: its rate limit is exceeded",
        f"Wait{token}.",
    )


def _refused(service: Service, status: int, what: str) -> DownloadError | UnknownNameError:
    if status in (404, 410):
        return UnknownNameError(f"{service.name} has no {printable(what)}", "Check the spelling.")
    if status in (401, 403):
        return DownloadError(
            f"{service.name} denies access to {printable(what)}: it is private or gated, or does not exist",
            f"Check the spelling. If you have access, accept its terms on its page and set {service.variable}.",
        )
    return DownloadError(f"{service.name} responded with {status} for {printable(what)}")
