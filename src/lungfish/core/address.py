"""Check which addresses may be fetched: public hosts over https, and hosts that the user chose."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from lungfish.core.errors import DownloadError
from lungfish.core.names import printable

# Networks that are not globally reachable, but that `ipaddress` reports as global in some supported versions of Python,
# which are older than their assignment or than a fix in `ipaddress`.
# Source: IANA IPv4 and IPv6 Special-Purpose Address Registries, 2025-10; the last three are obsolete: site-local,
# IPv4-compatible and IPv4-translated addresses.
NOT_GLOBAL = tuple(
    map(
        ipaddress.ip_network,
        (
            *("192.0.0.0/24", "192.88.99.0/24"),  # IETF protocols; deprecated 6to4 relays
            *("64:ff9b:1::/48", "100:0:0:1::/64", "2001::/23", "3fff::/20", "5f00::/16"),
            *("fec0::/10", "::/96", "::ffff:0:0:0/96"),
        ),
    )
)
# Strict, so that every library that parses the URL later finds the same host in it.
_FORM = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?(?:[/?#][!-~]*)?", re.IGNORECASE)
_NUMERIC = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)\.?", re.IGNORECASE)  # IPv4 as 127.1, 2130706433 or 0x7f000001
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

IP = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Address:
    """The scheme, host and port of a URL."""

    scheme: str
    host: str
    port: int

    @property
    def literal(self) -> IP | None:
        """The host, if it is written as an IP address."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def is_loopback(self) -> bool:
        """Whether the host is written as this machine: `localhost` or a loopback IP address."""
        literal = self.literal
        return self.host == "localhost" or (literal is not None and literal.is_loopback)


@dataclass(frozen=True)
class Route:
    """The rules for one download and its redirects, which depend on the address it starts with.

    Plain http is allowed only to this machine, and only if the route starts there. Private, link-local, reserved and
    multicast addresses are refused, except for the host that the user chose.

    Args:
        start: The address from the user, the configuration or the catalogue.
        chosen: Whether the user chose the host, by typing the address or configuring a mirror.
    """

    start: str
    chosen: bool = False

    def check(self, url: str, *, proxied: bool = False) -> None:
        """Check an address and what its host resolves to, before anything is sent.

        Args:
            url: The start address or the target of a redirect.
            proxied: Whether a proxy resolves the name, possibly to a different address than this machine would. Then
                only literal IP addresses can be checked.

        Raises:
            DownloadError: The address must not be fetched.
        """
        address = parse_address(url)
        if address.scheme == "http" and not (address.is_loopback and parse_address(self.start).is_loopback):
            raise _refused(url, "plain http can be read and altered in transit", "Use an address with https://.")
        if address.literal is not None:
            self.check_peer(url, address.host)
        elif not proxied:
            for ip in _resolve(address):
                self.check_peer(url, ip)

    def check_peer(self, url: str, ip: str) -> None:
        """Check the IP address that `url` resolved to. Raises `DownloadError`."""
        address, start = parse_address(url), parse_address(self.start)
        peer = _embedded(ipaddress.ip_address(ip))
        if address.scheme == "http":
            allowed = peer.is_loopback
        elif self.chosen and address.host == start.host:
            allowed = True
        else:
            allowed = start.is_loopback if peer.is_loopback else _is_public(peer)
        if not allowed:
            raise _refused(url, f"{address.host} resolves to {ip}, which is not a public address")


def _is_public(peer: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return peer.is_global and not peer.is_multicast and not any(peer in network for network in NOT_GLOBAL)


def check_address(url: str, *, chosen: bool = False) -> None:
    """Check an address that another library will fetch. Raises `DownloadError`; see `Route`."""
    Route(url, chosen).check(url)


def parse_address(url: str) -> Address:
    """Parse an http(s) address in plain ASCII without credentials. Raises `DownloadError`."""
    if "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]:
        raise DownloadError("the address contains a user name or password", "Remove it; set HF_TOKEN to pass a token.")
    match = _FORM.fullmatch(url)
    if match is None:
        hint = "Write https://HOST/PATH; percent-encode non-ASCII characters."
        raise DownloadError(f"{printable(shown(url))!r} is not a valid download address", hint)
    scheme, host = match[1].lower(), match[2].lower()
    address = Address(scheme, host.strip("[]"), int(match[3] or (443 if scheme == "https" else 80)))
    if address.port > 65535:
        raise DownloadError(f"port {address.port} is out of range; the largest is 65535")
    misplaced_brackets = host.startswith("[") != isinstance(address.literal, ipaddress.IPv6Address)
    if misplaced_brackets or (address.literal is None and _NUMERIC.fullmatch(host)):
        raise DownloadError(f"{host} is not a valid IP address", "Write it as 192.0.2.1 or [2001:db8::1].")
    return address


def shown(url: str) -> str:
    """Return an address that is safe to show or store: without credentials and query, which may hold a signature."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return printable(scheme + separator + authority.rpartition("@")[2] + slash + path)


def _resolve(address: Address) -> list[str]:
    """Return the IP addresses of the host; none if it does not resolve, since the connection will fail as well."""
    try:
        rows = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(row[4][0]) for row in rows]


def _embedded(ip: IP) -> IP:
    """Return the IPv4 address embedded in an IPv6 address, or `ip` itself."""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.ipv4_mapped or ip.sixtofour or ip
    return ip


def _refused(url: str, why: str, hint: str = "") -> DownloadError:
    return DownloadError(f"refused to fetch {shown(url)}: {why}", hint)
