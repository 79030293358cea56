"""Which addresses may be fetched: https to public hosts, and what the user chose: a mirror, or this machine."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass

from lungfish.core.errors import DownloadError
from lungfish.core.names import printable

# Strict, so that every parser of addresses that comes later reads the same host out of it.
# Networks that are not globally reachable, but count as global in some version of `ipaddress` that is supported: they
# were assigned, or corrected there, after it.
# Source: IANA IPv4 and IPv6 Special-Purpose Address Registries, of 2025-10; the last three are older local forms.
NOT_GLOBAL = tuple(
    map(
        ipaddress.ip_network,
        (
            *("192.0.0.0/24", "192.88.99.0/24"),  # IETF protocols; the deprecated relays of 6to4
            *("64:ff9b:1::/48", "100:0:0:1::/64", "2001::/23", "3fff::/20", "5f00::/16"),
            *("fec0::/10", "::/96", "::ffff:0:0:0/96"),
        ),
    )
)
_FORM = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?(?:[/?#][!-~]*)?", re.IGNORECASE)
_NUMERIC = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)\.?", re.IGNORECASE)  # 127.1, 2130706433, 0x7f000001: IPv4 as well
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

IP = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Address:
    """The part of an address that says who is asked."""

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
        """Whether the host is named as this machine."""
        literal = self.literal
        return self.host == "localhost" or (literal is not None and literal.is_loopback)


@dataclass(frozen=True)
class Route:
    """What a download may ask for, by the address that it begins with; redirects are held to it.

    Plain http goes to this machine only, and only if the route begins there. Private, link-local, reserved and
    multicast addresses are refused, unless the user chose the host: then that host, and no other, may have one.

    Args:
        start: the address that was typed, configured or catalogued.
        chosen: the user named its host, by typing it or as a mirror.
    """

    start: str
    chosen: bool = False

    def check(self, url: str, *, proxied: bool = False) -> None:
        """Check an address and, before anything is sent, what its host resolves to.

        Args:
            url: the start itself, or where a redirect leads.
            proxied: a proxy resolves the name, perhaps to something else than this machine would: then only an address
                written as a number can be checked.

        Raises:
            DownloadError: it must not be fetched.
        """
        address = parse_address(url)
        if address.scheme == "http" and not (address.is_loopback and parse_address(self.start).is_loopback):
            raise _refused(url, "plain http can be read and altered on the way", "Give an address with https://.")
        if address.literal is not None:
            self.check_peer(url, address.host)
        elif not proxied:
            for ip in _resolve(address):
                self.check_peer(url, ip)

    def check_peer(self, url: str, ip: str) -> None:
        """Check the IP address that `url` leads to. Raises `DownloadError`."""
        address, start = parse_address(url), parse_address(self.start)
        peer = _embedded(ipaddress.ip_address(ip))
        if address.scheme == "http":
            allowed = peer.is_loopback
        elif self.chosen and address.host == start.host:
            allowed = True
        else:
            allowed = start.is_loopback if peer.is_loopback else _is_public(peer)
        if not allowed:
            raise _refused(url, f"{address.host} is at {ip}, which is not a public address")


def _is_public(peer: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return peer.is_global and not peer.is_multicast and not any(peer in network for network in NOT_GLOBAL)


def check_address(url: str, *, chosen: bool = False) -> None:
    """Check an address that something else will fetch. Raises `DownloadError`; see `Route`."""
    Route(url, chosen).check(url)


def parse_address(url: str) -> Address:
    """Scheme, host and port of an http(s) address in plain ASCII, without credentials. Raises `DownloadError`."""
    if "@" in re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]:
        raise DownloadError("an address holds a user name or password", "Give it without; tokens go in HF_TOKEN.")
    match = _FORM.fullmatch(url)
    if match is None:
        hint = "Write https://HOST/PATH; percent-encode what is not plain ASCII."
        raise DownloadError(f"{printable(shown(url))!r} is no address that can be fetched", hint)
    scheme, host = match[1].lower(), match[2].lower()
    address = Address(scheme, host.strip("[]"), int(match[3] or (443 if scheme == "https" else 80)))
    if address.port > 65535:
        raise DownloadError(f"{address.port} is no port: the largest is 65535")
    misplaced_brackets = host.startswith("[") != isinstance(address.literal, ipaddress.IPv6Address)
    if misplaced_brackets or (address.literal is None and _NUMERIC.fullmatch(host)):
        raise DownloadError(f"{host} is no IP address", "Write it as 192.0.2.1 or [2001:db8::1].")
    return address


def shown(url: str) -> str:
    """An address as it may be shown or kept: no credentials, and no query, which may hold a signature."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    return printable(scheme + separator + authority.rpartition("@")[2] + slash + path)


def _resolve(address: Address) -> list[str]:
    """What the host's name stands for; nothing if it cannot be known: then there is no connection either."""
    try:
        rows = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(row[4][0]) for row in rows]


def _embedded(ip: IP) -> IP:
    """The IPv4 address that an IPv6 one stands for, or `ip` itself."""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.ipv4_mapped or ip.sixtofour or ip
    return ip


def _refused(url: str, why: str, hint: str = "") -> DownloadError:
    return DownloadError(f"refused to fetch {shown(url)}: {why}", hint)
