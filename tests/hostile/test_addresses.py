"""Addresses that are not public, of every kind that a redirect or a name may lead to."""

from __future__ import annotations

import ipaddress

import pytest

from lungfish.core.address import NOT_GLOBAL, Route
from lungfish.core.errors import DownloadError

# What the IANA special-purpose address registries of 2025-10 list as not globally reachable, and multicast.
SPECIAL = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "::1/128", "::/128", "::ffff:0:0/96", "64:ff9b:1::/48"),
    *("100::/64", "100:0:0:1::/64", "2001::/32", "2001:2::/48", "2001:db8::/32", "2001:10::/28", "3fff::/20"),
    *("5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
)


@pytest.mark.parametrize("network", SPECIAL)
def test_special_networks_are_refused(network: str) -> None:
    """Their first and last address, whatever this version of Python knows of them."""
    parsed = ipaddress.ip_network(network)
    for ip in (parsed[0], parsed[-1]):
        host = f"[{ip}]" if ip.version == 6 else str(ip)
        with pytest.raises(DownloadError, match="not a public address"):
            Route("https://93.184.216.34/").check(f"https://{host}/x")
        with pytest.raises(DownloadError, match="not a public address"):  # as the peer of a name
            Route("https://93.184.216.34/").check_peer("https://rebound.example/x", str(ip))


@pytest.mark.parametrize("host", ["93.184.216.34", "192.31.196.1", "192.0.1.1", "[2606:2800:220:1::1]", "[2620:4f::1]"])
def test_neighbors_are_allowed(host: str) -> None:
    Route("https://93.184.216.34/").check(f"https://{host}/x")


def test_the_list_is_no_wider_than_the_registries() -> None:
    """Each entry but the older forms of local addresses lies inside a block of the registry, or is one."""
    registry = [ipaddress.ip_network(each) for each in (*SPECIAL, "2001::/23", "::/96", "::ffff:0:0:0/96")]
    for network in NOT_GLOBAL:
        assert any(network.version == each.version and network.subnet_of(each) for each in registry)  # type: ignore[arg-type]
