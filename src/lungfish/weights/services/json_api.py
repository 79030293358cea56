"""JSON from a service on the network: the Hugging Face hub, GitHub."""

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
LONGEST_WAIT_S = 10.0  # a person waits for the answer


@dataclass(frozen=True)
class Service:
    """Who is asked.

    Args:
        name: for messages.
        url: where its paths begin.
        chosen: the user set the address, so that it may be private.
        token: empty if there is none.
        variable: the environment variable that holds the token.
        headers: sent with every question.
    """

    name: str
    url: str
    chosen: bool
    token: str
    variable: str
    headers: Mapping[str, str] = field(default_factory=dict)


def read_json(service: Service, path: str, what: str, parameters: Sequence[tuple[str, str]] = ()) -> Any:
    """The JSON value at a path of a service, tried again if the service is busy for a moment.

    Args:
        service: who is asked.
        path: below its address, slash included; percent-encoded here.
        what: is asked for, for messages.
        parameters: of the query.

    Raises:
        UnknownNameError: the service has no such thing.
        DownloadError: no connection, a limit is reached, a token is wanted, or the answer is not JSON.
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
    """Status and headers of one answer, and its body if it is what was asked for."""
    try:
        import httpx2
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"asking {service.name}") from None
    accept = {"Accept": "application/json", "Accept-Encoding": "identity"}  # what is read is what is counted
    try:
        with get(route, accept | dict(service.headers), service.token) as response:
            body = _read(service, response) if response.status_code == 200 else b""
            return response.status_code, response.headers, body
    except httpx2.HTTPError as error:
        raise DownloadError(
            f"{service.name} cannot be reached at {shown(service.url)}: "
            f"{printable(str(error)) or type(error).__name__}",
            "Check your connection; what is fetched already works with --offline.",
        ) from error


def _read(service: Service, response: Response) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise DownloadError(
            f"{service.name} sends its answer compressed, which was not asked for",
            f"Is {shown(service.url)} the address of its API, or a proxy between?",
        )
    body = read_steadily(response, MAX_BYTES)
    if len(body) > MAX_BYTES:
        raise DownloadError(f"{service.name} answers with more than {MAX_BYTES:,} bytes")
    return body


def _parsed(service: Service, body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise DownloadError(
            f"{service.name} does not answer with JSON at {shown(service.url)}", "Is that the address of its API?"
        ) from None


def _wait_s(status: int, headers: Mapping[str, str]) -> float | None:
    """For how long a limit holds; None if the answer tells of no limit.

    GitHub refuses with 403 or 429 and tells when it counts anew; the hub with 429 and for how many seconds.
    """
    if status not in (403, 429):
        return None
    waits = [re.search(r"\bt=(\d{1,9})", headers.get("ratelimit", ""))]
    waits.append(re.fullmatch(r"(\d{1,9})", headers.get("retry-after", "")))
    told = [float(each[1]) for each in waits if each]
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isdecimal():
        told.append(float(reset) - time.time())
    if told:
        return max(0.0, *told)
    return BACKOFF_S if status == 429 else None


def _busy(service: Service, status: int, wait_s: float | None) -> DownloadError:
    if wait_s is None:
        return DownloadError(f"{service.name} answers {status}", "Try again later.")
    token = "" if service.token else f", or set {service.variable}: with a token the limit is higher"
    return DownloadError(
        f"{service.name} answers no more questions for {wait_s:.0f} s: its rate limit is reached",
        f"Wait{token}.",
    )


def _refused(service: Service, status: int, what: str) -> DownloadError | UnknownNameError:
    if status in (404, 410):
        return UnknownNameError(f"{service.name} has no {printable(what)}", "Check the spelling.")
    if status in (401, 403):
        return DownloadError(
            f"{service.name} does not give out {printable(what)}: it is private or gated, or does not exist",
            f"Check the spelling; if it is yours to read, accept its terms on its page and set {service.variable}.",
        )
    return DownloadError(f"{service.name} answers {status} when asked for {printable(what)}")
