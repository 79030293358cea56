"""Questions to a service: what it answers, and what a person is told when it does not."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lungfish.core import request
from lungfish.core.errors import DownloadError, UnknownNameError
from lungfish.weights.services import json_api as module
from lungfish.weights.services.json_api import Service, read_json


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits are noted, not waited for."""
    waits: list[float] = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    return waits


def ask(url: str, token: str = "") -> Any:
    return read_json(Service("the service", url, chosen=True, token=token, variable="A_TOKEN"), "/api", "thing")


def test_the_value_the_query_and_the_token(server: Any, reply: Any) -> None:
    server.answer("/api", reply.json({"a": [1]}))
    service = Service("the service", server.url, True, "secret", "A_TOKEN", {"X-Version": "1"})
    assert read_json(service, "/api", "thing", [("q", "a b&c")]) == {"a": [1]}
    seen = server.seen[0]
    assert (seen.query, seen.headers["x-version"]) == ({"q": "a b&c"}, "1")
    assert seen.headers["authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (404, UnknownNameError, "the service has no thing"),
        (401, DownloadError, "private or gated"),
        (403, DownloadError, "private or gated"),
        (400, DownloadError, "responded with 400"),
    ],
)
def test_refusals_are_not_tried_again(server: Any, reply: Any, status: int, kind: type[Exception], words: str) -> None:
    server.answer("/api", reply(status))
    with pytest.raises(kind, match=words):
        ask(server.url)
    assert len(server.seen) == 1


def test_a_busy_service_is_asked_again(server: Any, reply: Any, naps: list[float]) -> None:
    server.answer("/api", reply(503), reply(429, headers={"Retry-After": "3"}), reply.json(5))
    assert ask(server.url) == 5
    assert naps == [1, 3]


def test_a_service_that_stays_busy(server: Any, reply: Any) -> None:
    server.answer("/api", reply(502))
    with pytest.raises(DownloadError, match="responded with 502"):
        ask(server.url)
    assert len(server.seen) == module.TRIES


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"RateLimit": '"api";r=0;t=55'}, 55),
        (429, {"Retry-After": "240"}, 240),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "in a minute"}, 60),
    ],
)
def test_a_rate_limit_says_how_long(
    server: Any, reply: Any, naps: list[float], status: int, headers: dict[str, str], seconds: int
) -> None:
    message = {key: str(int(time.time()) + 60) if value == "in a minute" else value for key, value in headers.items()}
    server.answer("/api", reply(status, headers=message))
    with pytest.raises(DownloadError, match=r"accepts no requests for \d+ s: its rate limit") as caught:
        ask(server.url)
    assert abs(int(caught.value.message.partition("for ")[2].partition(" s")[0]) - seconds) <= 1
    assert "A_TOKEN" in caught.value.hint
    assert (len(server.seen), naps) == (1, [])


def test_with_a_token_no_token_is_proposed(server: Any, reply: Any) -> None:
    server.answer("/api", reply(429, headers={"Retry-After": "240"}))
    with pytest.raises(DownloadError) as caught:
        ask(server.url, token="secret")
    assert "A_TOKEN" not in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>", b"", b"[" * 100_000])
def test_what_is_no_json(server: Any, reply: Any, body: bytes) -> None:
    server.answer("/api", reply(200, body))
    with pytest.raises(DownloadError, match="did not respond with JSON"):
        ask(server.url)


def test_an_answer_without_end(server: Any, reply: Any) -> None:
    server.answer("/api", reply(200, [b" " * (1 << 20)] * 20))
    with pytest.raises(DownloadError, match="more than 16,777,216 bytes"):
        ask(server.url)


@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip", "br"])
def test_a_compressed_answer_is_refused(server: Any, reply: Any, coding: str) -> None:
    """What is counted is what was sent, whatever some decoder holds while it unpacks."""
    server.answer("/api", reply(200, gzip.compress(b"1"), {"Content-Encoding": coding}))
    with pytest.raises(DownloadError, match="compressed response, which was not requested"):
        ask(server.url)
    assert server.seen[0].headers["accept-encoding"] == "identity"


def test_an_answer_that_trickles(server: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "GRACE_S", 0.05)
    server.answer("/api", reply(200, trickle()))
    with pytest.raises(DownloadError, match="slower than 10,000 bytes per second"):
        ask(server.url)


def trickle() -> Iterator[bytes]:
    pause = threading.Event()
    for _ in range(200):
        pause.wait(0.01)
        yield b" "


def test_no_connection(server: Any) -> None:
    server.stop()
    with pytest.raises(DownloadError, match="cannot be reached") as caught:
        ask(server.url)
    assert "--offline" in caught.value.hint


def test_a_redirect_drops_the_token_and_stays_safe(server: Any, start_server: Callable[[], Any], reply: Any) -> None:
    other = start_server()
    other.answer("/api", reply.json(1))
    server.answer("/api", reply(302, headers={"Location": other.url + "/api"}))
    assert ask(server.url, token="secret") == 1
    assert "authorization" not in other.seen[0].headers
    server.answer("/api", reply(302, headers={"Location": "http://example.org/api"}))
    with pytest.raises(DownloadError, match="plain http"):
        ask(server.url)
