"""Send GET requests with the certificates and proxies of the environment, checking the address of every redirect."""

from __future__ import annotations

import os
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from lungfish.core.address import Route, parse_address, shown
from lungfish.core.errors import DownloadError
from lungfish.core.extras import missing_extra
from lungfish.core.names import printable

if TYPE_CHECKING:
    from ssl import SSLContext

    from httpx2 import BaseTransport, Client, Response

OFFLINE = ("LUNGFISH_OFFLINE", "HF_HUB_OFFLINE")
MAX_REDIRECTS = 10
TIMEOUT_S = 30.0  # to connect, and for each piece of the body
ANSWER_S = 60.0  # to connect and receive the headers
# Lowest average rate at which a body may arrive, not counting the first GRACE_S: a photo of 5 MB may take 530 s.
LEAST_BYTES_PER_S = 10_000
GRACE_S = 30.0


def is_offline() -> bool:
    """Return whether the environment forbids network access."""
    return any(os.environ.get(name, "").lower() in ("1", "on", "yes", "true") for name in OFFLINE)


@contextmanager
def get(route: Route, headers: Mapping[str, str], token: str = "") -> Iterator[Response]:
    """Send a request, follow redirects, and yield the final response with its body unread.

    Args:
        route: The address, with the rules for redirects.
        headers: Headers sent to every host.
        token: A bearer token, sent to the first host only.

    Raises:
        DownloadError: The network is disabled, an address is not allowed, there are too many redirects, or the proxy or
            certificate settings are invalid.
        httpx2.TransportError: The network failed, or the headers did not arrive within `ANSWER_S`.
        MissingExtraError: httpx2 is not installed.
    """
    with Connection() as connection, connection.get(route, headers, token) as response:
        yield response


class Connection:
    """Send requests one after another over connections that stay open.

    Use it in one thread only, and only for routes with the same `start`: the server's IP address is checked only when
    a connection is opened.
    """

    def __init__(self) -> None:
        self._clients: dict[str | None, Client] = {}
        self._stream: Any = None
        self._is_late = False

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    @contextmanager
    def get(self, route: Route, headers: Mapping[str, str], token: str = "") -> Iterator[Response]:
        """Send a request; see the function `get`."""
        try:
            import httpx2  # noqa: F401
        except ModuleNotFoundError as error:
            raise missing_extra(error, "fetching a file") from None

        if is_offline():
            raise DownloadError(
                f"cannot fetch {shown(route.start)}: {' or '.join(OFFLINE)} is set", "Unset it to allow downloads."
            )
        headers = {"User-Agent": f"lungfish/{version('lungfish')}"} | dict(headers)
        url = route.start
        for _ in range(MAX_REDIRECTS + 1):
            proxy = _proxy(url)
            route.check(url, proxied=proxy is not None)
            secret = _authorization(token) if token and parse_address(url) == parse_address(route.start) else {}
            check = None if proxy else _PeerCheck(route, url)
            with self._answer(proxy, url, headers | secret, check) as response:
                if not response.has_redirect_location:
                    yield response
                    return
                url = _redirected(url, response.headers["location"])
        raise DownloadError(f"{shown(route.start)} redirects more than {MAX_REDIRECTS} times")

    @contextmanager
    def _answer(
        self, proxy: str | None, url: str, headers: Mapping[str, str], check: _PeerCheck | None
    ) -> Iterator[Response]:
        """Yield one response whose headers arrived within `ANSWER_S`; httpx2 limits only the wait for each byte."""
        import httpx2

        def trace(event: str, info: Mapping[str, Any]) -> None:
            if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
                self._stream = info["return_value"]
            if check:
                check(event, info)

        if proxy not in self._clients:
            self._clients[proxy] = httpx2.Client(transport=_transport(proxy), timeout=TIMEOUT_S)
        self._is_late = False
        timer = threading.Timer(ANSWER_S, self._give_up)
        timer.daemon = True
        timer.start()
        with ExitStack() as stack:
            try:
                answer = self._clients[proxy].stream("GET", url, headers=headers, extensions={"trace": trace})
                response = stack.enter_context(answer)
            except httpx2.TransportError as error:
                if self._is_late:
                    raise httpx2.ReadTimeout(f"no answer within {ANSWER_S:g} s") from error
                raise
            finally:
                timer.cancel()
            yield response

    def _give_up(self) -> None:
        self._is_late = True
        if self._stream is not None:
            with suppress(OSError):  # already closed. SSLSocket.shutdown is unsafe from another thread
                socket.socket.shutdown(self._stream.get_extra_info("socket"), socket.SHUT_RDWR)


def read_steadily(response: Response, most: int, take: Callable[[int], None] | None = None) -> bytes:
    """Return the raw body; reading stops soon after `most` bytes, so a longer result means that the body is too long.

    Args:
        response: A response with its body unread.
        most: Largest expected size, in bytes.
        take: Called with the size of each piece before the next one is read.

    Raises:
        httpx2.TransportError: The network failed, or the average rate fell below `LEAST_BYTES_PER_S`.
    """
    import httpx2

    body = bytearray()
    began = time.monotonic()
    for piece in response.iter_raw():
        body += piece
        if take:
            take(len(piece))
        if len(body) > most:
            break
        if time.monotonic() - began > GRACE_S + len(body) / LEAST_BYTES_PER_S:
            raise httpx2.ReadTimeout(f"slower than {LEAST_BYTES_PER_S:,} bytes per second")
    return bytes(body)


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise DownloadError(f"{shown(url)} redirects to an invalid address: {printable(location)!r}") from None


class _PeerCheck:
    """Check the IP address of each connection before anything is sent: the name may resolve differently by now."""

    def __init__(self, route: Route, url: str) -> None:
        self._route, self._url = route, url

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            stream = info["return_value"]
            try:
                self._route.check_peer(self._url, stream.get_extra_info("server_addr")[0])
            except DownloadError:
                stream.close()
                raise


def _proxy(url: str) -> str | None:
    """Return the proxy of the environment (or the system) for `url`; this machine is always accessed directly."""
    address = parse_address(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    if not proxy or address.is_loopback or urllib.request.proxy_bypass(f"{address.host}:{address.port}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _transport(proxy: str | None) -> BaseTransport:
    import httpx2

    try:
        certificates = _certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        return httpx2.HTTPTransport(proxy=proxy, verify=certificates)
    except OSError as error:
        raise DownloadError(f"cannot load the certificates of SSL_CERT_FILE or SSL_CERT_DIR: {error}") from None
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        raise DownloadError(f"cannot use the proxy set in the environment: {printable(str(error))}") from None


@lru_cache(maxsize=1)
def _certificates(_file: str | None, _folder: str | None) -> SSLContext:
    """Return the trusted certificates. They are slow to read, so they are cached until an argument changes."""
    import httpx2

    return httpx2.create_ssl_context()


def _authorization(token: str) -> dict[str, str]:
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise DownloadError("the token contains invalid characters", "Copy it again, without spaces and line breaks.")
    return {"Authorization": f"Bearer {token}"}
