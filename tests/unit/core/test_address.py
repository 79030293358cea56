"""Addresses that may be fetched and that must not."""

import socket
from typing import Any

import pytest

from lungfish.core.address import Route, check_address, parse_address, shown
from lungfish.core.errors import DownloadError

PUBLIC = "https://93.184.216.34/x"
NOT_PUBLIC = (
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "127.0.0.1", "224.0.0.1"),
    *(
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[ff02::1]",
        "[::ffff:10.0.0.1]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::]",
    ),
)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What names resolve to; any other resolves to nothing."""
    known: dict[str, str] = {}

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (known[host], port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


@pytest.mark.parametrize("url", [PUBLIC, "https://[2606:2800:220:1::1]:8443/x?a=b#c", "http://127.0.0.1:8000/x"])
def test_allowed(url: str) -> None:
    check_address(url)


@pytest.mark.parametrize("host", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_not_redirected_to(host: str) -> None:
    with pytest.raises(DownloadError, match="not a public address"):
        Route(PUBLIC).check(f"https://{host}/x")
    with pytest.raises(DownloadError, match="not a public address"):
        Route("https://192.168.9.9/", chosen=True).check(f"https://{host}/x")
    with pytest.raises(DownloadError, match="not a public address"):
        Route(PUBLIC).check(f"https://{host}/x", proxied=True)


def test_a_name_that_resolves_to_a_private_address(names: dict[str, str]) -> None:
    names |= {"mirror.example": "192.168.1.1", "weights.example": "93.184.216.34"}
    check_address("https://weights.example/x")
    with pytest.raises(DownloadError, match=r"mirror.example resolves to 192.168.1.1"):
        check_address("https://mirror.example/x")
    with pytest.raises(DownloadError, match=r"mirror.example resolves to 192.168.1.1"):
        Route("https://weights.example/x", chosen=True).check("https://mirror.example/x")


def test_a_chosen_host_may_be_private_and_send_on_to_itself(names: dict[str, str]) -> None:
    names["mirror.example"] = "192.168.1.1"
    route = Route("https://mirror.example/x", chosen=True)
    route.check("https://mirror.example/x")
    route.check("https://mirror.example:8443/y")
    with pytest.raises(DownloadError, match="plain http"):
        route.check("http://mirror.example/x")


def test_through_a_proxy_names_are_not_resolved_here(names: dict[str, str]) -> None:
    names["mirror.example"] = "192.168.1.1"
    Route(PUBLIC).check("https://mirror.example/x", proxied=True)


@pytest.mark.parametrize("url", ["http://93.184.216.34/x", "http://weights.example/x", "http://192.168.1.1/x"])
def test_plain_http_is_for_this_machine(url: str) -> None:
    with pytest.raises(DownloadError, match="plain http") as caught:
        check_address(url, chosen=True)
    assert caught.value.hint == "Use an address with https://."


def test_plain_http_on_this_machine_begins_there() -> None:
    Route("http://127.0.0.1/").check("http://localhost:1/x")
    with pytest.raises(DownloadError, match="plain http"):
        Route(PUBLIC).check("http://127.0.0.1/x")
    with pytest.raises(DownloadError, match="plain http"):
        Route("http://127.0.0.1/").check("http://93.184.216.34/")


def test_a_localhost_that_is_elsewhere(names: dict[str, str]) -> None:
    names["localhost"] = "93.184.216.34"
    with pytest.raises(DownloadError, match="resolves to 93"):
        check_address("http://localhost/x")


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://a.example/", "file:///etc/passwd", "https:///x", "https://", "//a.example/", "a.example", ""),
        *("https://a.example /", "https://a.example\n/", "https://bücher.example/"),
        *("https://127.1/", "https://0x7f000001/", "https://2130706433/", "https://[1.2.3.4]/", "https://1.2.3.4.5/"),
        "https://a.example:99999/",
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(DownloadError, match=r"not a valid (download|IP) address|port 99999 is out of range"):
        check_address(url)


@pytest.mark.parametrize("url", ["https://me:secret@a.example/x", "https://secret\\@a.example", "http://secret@[::1]/"])
def test_credentials_are_refused_and_not_shown(url: str) -> None:
    with pytest.raises(DownloadError) as caught:
        check_address(url)
    assert "secret" not in str(caught.value)
    assert "secret" not in shown(url)


def test_what_is_shown_has_no_query() -> None:
    assert shown("https://a.example/x?signature=secret#y") == "https://a.example/x"
    assert shown("https://a.example/\x1b[2J") == r"https://a.example/\x1b[2J"


def test_parts() -> None:
    address = parse_address("HTTPS://A.Example/x")
    assert (address.scheme, address.host, address.port) == ("https", "a.example", 443)
    assert parse_address("http://[::1]:8000").host == "::1"
