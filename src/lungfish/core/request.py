"""One request over https: certificates and proxies of the environment, redirects followed by hand, each hop checked."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

    from httpx2 import BaseTransport, Response

OFFLINE = ("LUNGFISH_OFFLINE", "HF_HUB_OFFLINE")
MAX_REDIRECTS = 10
TIMEOUT_S = 30.0  # to connect, and for each next piece of the body


def is_offline() -> bool:
    """Whether the environment says that nobody may be asked."""
    return any(os.environ.get(name, "").lower() in ("1", "on", "yes", "true") for name in OFFLINE)


@contextmanager
def get(route: Route, headers: Mapping[str, str], token: str = "") -> Iterator[Response]:
    """The response at the end of the redirects, its body not read yet.

    Args:
        route: where it begins, and what it may ask for.
        headers: sent to every host.
        token: a bearer token, for the first host only.

    Raises:
        DownloadError: offline, an address that must not be fetched, too many redirects, settings that cannot be used.
        httpx2.TransportError: the network failed.
        MissingExtraError: httpx2 is not installed.
    """
    try:
        import httpx2
    except ModuleNotFoundError as error:
        raise missing_extra(error, "fetching a file") from None

    if is_offline():
        raise DownloadError(f"{shown(route.start)} is not asked: {' or '.join(OFFLINE)} is set", "Unset it to go on.")
    headers = {"User-Agent": f"lungfish/{version('lungfish')}"} | dict(headers)
    url = route.start
    for _ in range(MAX_REDIRECTS + 1):
        proxy = _proxy(url)
        route.check(url, proxied=proxy is not None)
        secret = _authorization(token) if token and parse_address(url) == parse_address(route.start) else {}
        trace = {} if proxy else {"trace": _PeerCheck(route, url)}
        with (
            httpx2.Client(transport=_transport(proxy), timeout=TIMEOUT_S) as client,
            client.stream("GET", url, headers=headers | secret, extensions=trace) as response,
        ):
            if not response.has_redirect_location:
                yield response
                return
            url = _redirected(url, response.headers["location"])
    raise DownloadError(f"{shown(route.start)} redirects more than {MAX_REDIRECTS} times")


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise DownloadError(f"{shown(url)} redirects to {printable(location)!r}, which is no address") from None


class _PeerCheck:
    """Looks at the address of each connection before anything is sent: a name may resolve anew, to another one."""

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
    """The proxy that the environment (or the system) has for `url`; this machine is never asked through one."""
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
    except OSError as error:  # of files that the environment names
        raise DownloadError(f"the certificates of SSL_CERT_FILE or SSL_CERT_DIR cannot be used: {error}") from None
    except (ImportError, ValueError, httpx2.InvalidURL) as error:
        raise DownloadError(f"the proxy of the environment cannot be used: {printable(str(error))}") from None


@lru_cache(maxsize=1)
def _certificates(_file: str | None, _folder: str | None) -> SSLContext:
    """What servers are trusted by; read once for each setting of the environment, since it takes a while."""
    import httpx2

    return httpx2.create_ssl_context()


def _authorization(token: str) -> dict[str, str]:
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise DownloadError("the token holds characters that no token has", "Copy it again; mind spaces and line ends.")
    return {"Authorization": f"Bearer {token}"}
