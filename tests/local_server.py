"""A server on this machine that answers as it is told, well or badly: there is no internet in tests."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

SETTINGS = (
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"),
    *("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "LUNGFISH_MIRROR", "LUNGFISH_OFFLINE"),
    *("GITHUB_API_URL", "GITHUB_TOKEN"),
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # by lower-case name


@dataclass(frozen=True)
class Reply:
    """What to send. A body in pieces is sent as it comes, and ends with the connection.

    Content-Length is that of a whole body unless `headers` say otherwise: a larger one cuts the connection too early.
    """

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
        return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"} | (headers or {}))


Route = Callable[[Seen], Reply]


class Server:
    """Routes by path, and every request in the order of arrival."""

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.seen: list[Seen] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                address = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, address.path, dict(parse_qsl(address.query)), headers)
                server.seen.append(seen)
                reply = server.routes.get(address.path, lambda _: Reply(404))(seen)
                self.send_response(reply.status)
                headers = {"Connection": "close"} | reply.headers
                if isinstance(reply.body, bytes):
                    headers.setdefault("Content-Length", str(len(reply.body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    for piece in [reply.body] if isinstance(reply.body, bytes) else reply.body:
                        self.wfile.write(piece)
                        self.wfile.flush()

            do_HEAD = do_POST = do_CONNECT = do_GET  # noqa: N815  the names that http.server calls

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:  # a client that went away
                pass

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, *replies: Reply) -> str:
        """Answer with these in turn, then with the last one again and again. Returns the address."""
        left = list(replies)
        self.routes[path] = lambda _: left.pop(0) if len(left) > 1 else left[0]
        return self.url + path

    def serve(self, path: str, data: bytes, *, etag: str = '"1"', ranges: bool = True, cuts: Iterable[int] = ()) -> str:
        """Serve a file as a good server does. Returns the address.

        `cuts`: how many bytes each of the first requests gets before its connection is cut.
        """
        left = list(cuts)

        def reply(seen: Seen) -> Reply:
            found = Reply(200, data, {"ETag": etag})
            asked = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("range", ""))
            if ranges and asked and seen.headers.get("if-range", etag) == etag:
                first = int(asked[1])
                headers = {"ETag": etag, "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
                if first >= len(data):
                    return Reply(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                found = Reply(206, data[first:], headers)
            if left:
                assert isinstance(found.body, bytes)
                announced = {"Content-Length": str(len(found.body))}
                return Reply(found.status, found.body[: left.pop(0)], found.headers | announced)
            return found

        self.routes[path] = reply
        return self.url + path


@pytest.fixture
def reply() -> type[Reply]:
    return Reply


@pytest.fixture
def start_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Server]]:
    """Start a server; it stops when the test ends. Proxies, tokens and mirrors of the environment are forgotten."""
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    started: list[Server] = []

    def start() -> Server:
        started.append(Server())
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def server(start_server: Callable[[], Server]) -> Server:
    return start_server()


@pytest.fixture
def publish_model(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """Put the files of a folder on a hub of this machine, as a repository under a license; returns its name.

    A search of the hub finds it, and one of GitHub a repository that is called alike.
    """
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("GITHUB_API_URL", f"{server.url}/github")

    def publish(repository: str, folder: Path, license_id: str, library: str) -> str:
        siblings = []
        for file in sorted(folder.iterdir()):
            data = file.read_bytes()
            server.serve(f"/{repository}/resolve/{COMMIT}/{file.name}", data)
            pointer = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 133}
            is_text = file.suffix in (".json", ".md")
            siblings.append({"rfilename": file.name, "size": len(data)} | ({} if is_text else {"lfs": pointer}))
        tags = ["image-classification", f"license:{license_id}", "dataset:imagenet-1k"]
        found = {"id": repository, "sha": COMMIT, "tags": tags, "library_name": library, "downloads": 7, "likes": 3}
        found["lastModified"] = "2026-01-02T03:04:05.000Z"
        code = {"full_name": repository, "html_url": f"https://github.com/{repository}", "stargazers_count": 5}
        code |= {"license": {"spdx_id": "MIT"}, "pushed_at": "2026-02-03T04:05:06Z"}
        server.answer(f"/api/models/{repository}", Reply.json(found | {"siblings": siblings}))
        server.answer("/api/models", Reply.json([found]))
        server.answer("/github/search/repositories", Reply.json({"items": [code]}))
        return f"hf:{repository}"

    return publish
