"""Downloads from a server on this machine, well-behaved and not."""

from __future__ import annotations

import errno
import os
import random
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from lungfish.core import download as module
from lungfish.core import request
from lungfish.core.address import Route
from lungfish.core.download import Remote, download
from lungfish.core.errors import DownloadError, StorageError
from lungfish.core.hashing import sha256_bytes
from lungfish.core.progress import Progress

DATA = random.Random(0).randbytes(300_000)
HASH = sha256_bytes(DATA)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_S", 0.01)


def fetch(url: str, target: Path, **known: Any) -> str:
    return download(Remote(Route(url), **known), target, Progress())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "downloads" / "w.bin"


def test_a_file_arrives(server: Any, target: Path) -> None:
    url = server.serve("/w.bin", DATA)
    assert fetch(url, target, bytes=len(DATA)) == HASH
    assert target.read_bytes() == DATA
    assert names(target.parent) == ["w.bin"]
    headers = server.seen[0].headers
    assert headers["accept-encoding"] == "identity"
    assert not {"range", "authorization", "cookie"} & set(headers)


@pytest.mark.parametrize(
    ("status", "says"), [(404, "misspelled"), (401, "HF_TOKEN"), (403, "gated"), (410, "has been removed"), (400, "")]
)
def test_no_such_file_is_said_at_once(server: Any, reply: Any, target: Path, status: int, says: str) -> None:
    with pytest.raises(DownloadError, match=f"cannot fetch .*/w.bin: the server answered {status}") as caught:
        fetch(server.answer("/w.bin", reply(status)), target)
    assert says in caught.value.hint
    assert len(server.seen) == 1
    assert names(target.parent) == []


def test_a_busy_server_is_asked_again_when_it_says(
    server: Any, reply: Any, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    later = formatdate(time.time() + 30, usegmt=True)
    busy = [reply(429, b"", {"Retry-After": text}) for text in ("7", "100000", later, "soon")]
    assert fetch(server.answer("/w.bin", *busy, reply(200, DATA)), target) == HASH
    assert [waits[0], waits[1], waits[3]] == [7, module.LONGEST_WAIT_S, pytest.approx(0.08)]
    assert 25 < waits[2] <= 30
    assert target.read_bytes() == DATA


def test_a_failing_server_is_asked_again(server: Any, reply: Any, target: Path) -> None:
    assert fetch(server.answer("/w.bin", reply(500), reply(503), reply(200, DATA)), target) == HASH
    assert len(server.seen) == 3


def test_a_server_that_only_fails_is_given_up(server: Any, reply: Any, target: Path) -> None:
    with pytest.raises(DownloadError, match="the server answered 502 Bad Gateway; tried 5 times") as caught:
        fetch(server.answer("/w.bin", reply(502)), target)
    assert str(target) in caught.value.hint
    assert len(server.seen) == 5


def test_a_cut_connection_is_resumed(server: Any, target: Path) -> None:
    assert fetch(server.serve("/w.bin", DATA, cuts=[100_000, 50_000]), target) == HASH
    assert target.read_bytes() == DATA
    asked = [(seen.headers.get("range"), seen.headers.get("if-range")) for seen in server.seen]
    assert asked == [(None, None), ("bytes=100000-", '"1"'), ("bytes=150000-", '"1"')]


def leave_part(server: Any, target: Path, data: bytes = DATA) -> str:
    """A part of 100,000 bytes on the disk, left by a download that was given up."""
    url: str = server.serve("/w.bin", data, cuts=[100_000, 0, 0, 0, 0])
    with pytest.raises(DownloadError):
        fetch(url, target)
    assert (target.parent / "w.bin.part").stat().st_size == 100_000
    server.seen.clear()
    return url


def test_a_later_call_goes_on(server: Any, target: Path) -> None:
    url = leave_part(server, target)
    server.serve("/w.bin", DATA)
    assert fetch(url, target) == HASH
    assert [seen.headers["range"] for seen in server.seen] == ["bytes=100000-"]
    assert names(target.parent) == ["w.bin"]


def test_a_changed_file_begins_anew(server: Any, target: Path) -> None:
    url = leave_part(server, target, bytes(len(DATA)))
    server.serve("/w.bin", DATA, etag='"2"')
    assert fetch(url, target) == HASH
    assert server.seen[0].headers["if-range"] == '"1"'


def test_a_server_that_ignores_if_range(server: Any, reply: Any, target: Path) -> None:
    url = leave_part(server, target, bytes(len(DATA)))
    headers = {"ETag": '"2"', "Content-Range": f"bytes 100000-{len(DATA) - 1}/{len(DATA)}"}
    server.answer("/w.bin", reply(206, DATA[100_000:], headers), reply(200, DATA, {"ETag": '"2"'}))
    assert fetch(url, target) == HASH
    assert ["range" in seen.headers for seen in server.seen] == [True, False]


def test_a_server_without_ranges(server: Any, target: Path) -> None:
    url = leave_part(server, target)
    server.serve("/w.bin", DATA, ranges=False)
    assert fetch(url, target) == HASH


def test_a_part_that_is_too_long(server: Any, target: Path) -> None:
    url = leave_part(server, target)
    server.serve("/w.bin", DATA)
    with (target.parent / "w.bin.part").open("ab") as file:
        file.write(bytes(len(DATA)))
    assert fetch(url, target) == HASH


def test_a_part_of_another_address(server: Any, target: Path) -> None:
    leave_part(server, target, bytes(len(DATA)))
    assert fetch(server.serve("/other", DATA), target) == HASH
    assert "range" not in server.seen[0].headers


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"url": 1, "tag": 2, "bytes": "3"}', "\x00"])
def test_a_part_with_a_torn_record(server: Any, target: Path, record: str) -> None:
    url = leave_part(server, target)
    (target.parent / "w.bin.part.json").write_text(record)
    server.serve("/w.bin", DATA)
    assert fetch(url, target) == HASH


def test_a_file_without_a_version_is_not_resumed(server: Any, reply: Any, target: Path) -> None:
    announced = {"Content-Length": str(len(DATA)), "ETag": 'W/"weak"'}
    url = server.answer("/w.bin", reply(200, DATA[:1000], announced), reply(200, DATA))
    assert fetch(url, target) == HASH
    assert "range" not in server.seen[1].headers


def test_a_body_of_unknown_length(server: Any, reply: Any, target: Path) -> None:
    url = server.answer("/w.bin", reply(200, [DATA[:1000], DATA[1000:]]))
    assert fetch(url, target) == HASH
    server.answer("/w.bin", reply(200, [DATA[:1000]], {"ETag": '"1"'}), reply(200, [DATA]))
    assert fetch(url, target, bytes=len(DATA)) == HASH  # known to be too short: asked again
    assert server.seen[2].headers["range"] == "bytes=1000-"


def test_a_stalled_body_is_resumed(server: Any, reply: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "TIMEOUT_S", 0.3)
    woken = threading.Event()

    def stall() -> Iterator[bytes]:
        yield DATA[:1000]
        woken.wait(10)

    url = server.serve("/w.bin", DATA)
    good, headers = server.routes["/w.bin"], {"ETag": '"1"', "Content-Length": str(len(DATA))}
    server.routes["/w.bin"] = lambda seen: good(seen) if len(server.seen) > 1 else reply(200, stall(), headers)
    try:
        assert fetch(url, target) == HASH
    finally:
        woken.set()
    assert server.seen[1].headers["range"] == "bytes=1000-"


@pytest.mark.parametrize("known", [{"bytes": len(DATA) - 1}, {"limit": len(DATA) - 1}])
def test_a_wrong_size_is_refused_before_the_body(server: Any, target: Path, known: dict[str, int]) -> None:
    with pytest.raises(DownloadError, match=r"300,000 bytes(, expected 299,999|; the limit is 299,999)"):
        fetch(server.serve("/w.bin", DATA), target, **known)
    assert names(target.parent) == []


@pytest.mark.parametrize("known", [{"bytes": 200_000}, {"limit": 200_000}])
def test_a_body_that_does_not_end_is_stopped(server: Any, reply: Any, target: Path, known: dict[str, int]) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 1 << 30:
            sent += 10_000
            yield bytes(10_000)

    with pytest.raises(DownloadError, match="sent more than the 200,000 bytes"):
        fetch(server.answer("/w.bin", reply(200, endless())), target, **known)
    assert sent < 1 << 28
    assert names(target.parent) == []


def test_a_body_longer_than_announced_is_cut(server: Any, reply: Any, target: Path) -> None:
    url = server.answer("/w.bin", reply(200, DATA, {"Content-Length": "1000"}))
    assert fetch(url, target) == sha256_bytes(DATA[:1000])


def test_a_compressed_body_is_refused(server: Any, reply: Any, target: Path) -> None:
    with pytest.raises(DownloadError, match="compressed"):
        fetch(server.answer("/w.bin", reply(200, DATA, {"Content-Encoding": "gzip"})), target)


@pytest.mark.parametrize("name", ["LUNGFISH_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline(server: Any, target: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(DownloadError, match=r"cannot fetch http.*OFFLINE is set"):
        fetch(server.serve("/w.bin", DATA), target)
    assert server.seen == []


def test_a_page_in_place_of_the_file_costs_nothing(server: Any, reply: Any, target: Path) -> None:
    url = leave_part(server, target)
    server.answer("/w.bin", reply(200, b"<html>log in to this network</html>"))
    with pytest.raises(DownloadError, match="has 35 bytes, expected 300,000"):
        fetch(url, target, bytes=len(DATA))
    server.serve("/w.bin", DATA)
    server.seen.clear()
    assert fetch(url, target, bytes=len(DATA)) == HASH
    assert server.seen[0].headers["range"] == "bytes=100000-"


def test_redirects_are_followed(server: Any, reply: Any, target: Path) -> None:
    server.serve("/there/w.bin", DATA)
    server.answer("/b", reply(307, b"", {"Location": "there/w.bin"}))
    assert fetch(server.answer("/a", reply(302, b"", {"Location": "/b"})), target) == HASH


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("http://93.184.216.34/w.bin", "plain http"),
        ("http://weights.example/w.bin", "plain http"),
        ("https://192.168.1.1/w.bin", "not a public address"),
        ("https://[fd00::1]/w.bin", "not a public address"),
        ("//169.254.169.254/w.bin", "plain http"),
        ("ftp://weights.example/w.bin", "not a valid download address"),
        ("file:///etc/passwd", "not a valid download address"),
        ("https://me:secret@weights.example/", "a user name or password"),
        ("http://[", "redirects to an invalid address"),
    ],
)
def test_a_redirect_elsewhere_is_refused_before_any_connection(
    server: Any, reply: Any, target: Path, monkeypatch: pytest.MonkeyPatch, place: str, why: str
) -> None:
    connect, connected = socket.create_connection, []

    def watched(address: tuple[str, int], *rest: Any, **more: Any) -> socket.socket:
        connected.append(address)
        return connect(address, *rest, **more)

    monkeypatch.setattr(socket, "create_connection", watched)
    with pytest.raises(DownloadError, match=why) as caught:
        fetch(server.answer("/w.bin", reply(302, b"", {"Location": place})), target)
    assert connected == [("127.0.0.1", server.port)]
    assert "secret" not in str(caught.value)


def test_endless_redirects(server: Any, reply: Any, target: Path) -> None:
    with pytest.raises(DownloadError, match="redirects more than 10 times"):
        fetch(server.answer("/w.bin", reply(302, b"", {"Location": "/w.bin"})), target)
    assert len(server.seen) == 11


def test_a_token_is_for_the_first_host(start_server: Callable[[], Any], reply: Any, target: Path) -> None:
    first, second = start_server(), start_server()
    second.serve("/w.bin", DATA)
    there = {"Location": f"http://localhost:{second.port}/w.bin"}
    first.answer("/b", reply(302, b"", there))
    assert fetch(first.answer("/a", reply(302, b"", {"Location": "/b"})), target, token="hf_secret") == HASH
    assert [seen.headers.get("authorization") for seen in first.seen] == ["Bearer hf_secret"] * 2
    assert [seen.headers.get("authorization") for seen in second.seen] == [None]


def test_a_token_that_cannot_be_sent_is_not_shown(server: Any, target: Path) -> None:
    with pytest.raises(DownloadError, match="the token contains invalid characters") as caught:
        fetch(server.serve("/w.bin", DATA), target, token="secret\r\nX: y")
    assert "secret" not in str(caught.value)


def test_a_name_that_resolves_anew_to_this_machine(server: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["93.184.216.34"])

    def resolve(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        place = (next(answers, "127.0.0.1"), server.port)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(DownloadError, match=r"weights.example resolves to 127.0.0.1"):
        fetch("https://weights.example/w.bin", target)
    assert server.seen == []


def test_no_network(server: Any, target: Path) -> None:
    server.stop()
    with pytest.raises(DownloadError, match="tried 5 times") as caught:
        fetch(f"{server.url}/w.bin", target)
    assert f"save it as {target}" in caught.value.hint


def test_the_proxy_of_the_environment(
    start_server: Callable[[], Any], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, server = start_server(), start_server()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    with pytest.raises(DownloadError, match="404"):
        fetch("https://weights.example/w.bin", target)
    assert {seen.method for seen in proxy.seen} == {"CONNECT"}
    proxy.seen.clear()
    assert fetch(server.serve("/w.bin", DATA), target) == HASH  # this machine is asked directly
    assert proxy.seen == []
    monkeypatch.setenv("HTTPS_PROXY", "gopher://127.0.0.1")
    with pytest.raises(DownloadError, match="cannot use the proxy set in the environment"):
        fetch("https://weights.example/w.bin", target)


@contextmanager
def https_server(folder: Path, server: Any) -> Iterator[str]:
    """The routes of `server` behind a certificate of our own; yields the certificate's file."""
    certificate, key = folder / "ca.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
    yield str(certificate)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_certificates_of_the_environment(
    server: Any, tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.serve("/w.bin", DATA)
    url = f"https://127.0.0.1:{server.port}/w.bin"
    with https_server(tmp_path, server) as certificate:
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        monkeypatch.delenv("SSL_CERT_DIR", raising=False)
        with pytest.raises(DownloadError, match="self-signed certificate") as caught:
            fetch(url, target)
        assert "SSL_CERT_FILE" in caught.value.hint
        monkeypatch.setenv("SSL_CERT_FILE", certificate)
        assert fetch(url, target) == HASH
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
        with pytest.raises(DownloadError, match="certificates of SSL_CERT_FILE"):
            fetch(url, target)


def test_progress_counts_bytes_and_restarts(server: Any, target: Path) -> None:
    class Counting(Progress):
        def __init__(self) -> None:
            self.totals: list[int] = []
            self.done = 0

        @contextmanager
        def task(self, description: str, total: int) -> Iterator[Callable[[int], None]]:
            self.totals.append(total)
            yield self.advance

        def advance(self, count: int) -> None:
            self.done += count

    progress = Counting()
    url = leave_part(server, target, bytes(len(DATA)))
    server.serve("/w.bin", DATA, etag='"2"', ranges=False, cuts=[7])
    download(Remote(Route(url)), target, progress)
    assert (progress.totals, progress.done) == ([len(DATA)], len(DATA))


def test_a_folder_that_is_a_file(server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot write"):
        fetch(server.serve("/w.bin", DATA), tmp_path / "file" / "w.bin")
    assert server.seen == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_must_not_be_written(server: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageError, match="cannot write"):
        fetch(server.serve("/w.bin", DATA), tmp_path / "w.bin")
    assert server.seen == []


def test_a_full_disk(server: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    url, fsync = server.serve("/w.bin", DATA), os.fsync
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        fetch(url, target)
    assert not target.exists()
    monkeypatch.setattr(os, "fsync", fsync)
    assert fetch(url, target) == HASH
