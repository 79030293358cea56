"""Servers of photos that send elsewhere, send without end, send a byte at a time, or list what is not there."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lungfish.core import request
from lungfish.core.address import Route
from lungfish.core.errors import DownloadError, LungfishError, PhotosError, UnreadablePhotoError
from lungfish.data.photos import Photo
from lungfish.data.sources import open_photos, remote, remote_files, web

pytest.importorskip("httpx2")


@pytest.fixture(autouse=True)
def _once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.0)
    monkeypatch.setattr(remote_files, "TRIES", 1)
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "1e-9")


def links(*names: str) -> bytes:
    return b"".join(b'<a href="%s">x</a>' % name.encode() for name in names)


def pieces(count: int, bytes_: int, sent: list[int], pause_s: float = 0.0) -> Iterator[bytes]:
    """A body; `sent` gets the size of each piece that was asked for."""
    for _ in range(count):
        time.sleep(pause_s)
        sent.append(bytes_)
        yield bytes(bytes_)


@pytest.fixture
def place(server: Any, reply: Any) -> Any:
    """Two classes of two photos each, and a table."""
    server.answer("/set/", reply(200, links("a/", "b/")))
    for label in "ab":
        server.answer(f"/set/{label}/", reply(200, links("0.jpg", "1.jpg")))
        for number in range(2):
            server.answer(f"/set/{label}/{number}.jpg", reply(200, b"photo"))
    server.serve("/set/labels.csv", b"image,label\na/0.jpg,a\nb/0.jpg,b\n")
    return server


def first(place: Any) -> bytes:
    photos = open_photos(f"{place.url}/set/")
    photo: Photo = photos.photos[0]
    return photos.read(photo)


def test_a_sound_server(place: Any) -> None:
    assert first(place) == b"photo"
    assert [photo.name for photo in open_photos(f"{place.url}/set/labels.csv").photos] == ["a/0.jpg", "b/0.jpg"]


@pytest.mark.parametrize("path", ["/set/", "/set/a/", "/set/a/0.jpg", "/set/labels.csv"])
@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/meta-data/", "https://10.0.0.1/", "https://[fd00::1]/"]
)
def test_redirects_are_checked(place: Any, reply: Any, path: str, target: str) -> None:
    """Whatever is asked for: a list, a photo, a table."""
    place.answer(path, reply(302, b"", {"Location": target}))
    with pytest.raises(LungfishError, match="refused to fetch"):
        open_photos(place.url + path) if path.endswith("csv") else first(place)


def test_a_name_that_leads_elsewhere_once_it_was_checked(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is the address of the connection."""
    resolve = socket.getaddrinfo
    answers = iter([[(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))]])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: next(answers, None) or resolve("127.0.0.1", *a[1:], **k))
    with (
        pytest.raises(DownloadError, match=r"rebound\.example resolves to 127\.0\.0\.1"),
        request.get(Route(f"https://rebound.example:{place.port}/"), {}),
    ):
        pass


def test_a_photo_without_end_is_not_read_to_it(place: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MAX_PHOTO_BYTES", 100_000)
    sent: list[int] = []
    place.answer("/set/a/0.jpg", reply(200, pieces(10_000, 10_000, sent)))
    with pytest.raises(UnreadablePhotoError, match="more than the 100,000 bytes allowed"):
        first(place)
    assert sum(sent) < 50_000_000  # what lay in the buffers of the connection


def test_neighbors_are_bounded_together(place: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "1")
    monkeypatch.setattr(web, "MAX_TOGETHER_BYTES", 150_000)
    for label in "ab":
        for number in range(2):
            place.answer(f"/set/{label}/{number}.jpg", reply(200, bytes(100_000)))
    photos = open_photos(f"{place.url}/set/")
    outcomes = []
    for photo in photos.photos:
        try:
            outcomes.append(len(photos.read(photo)))
        except UnreadablePhotoError as error:
            outcomes.append(error.message.partition(" take")[0])
    assert outcomes.count("it and its neighbors") >= 3  # two that are fetched at once may both be one too many


def test_a_list_without_end_is_not_read_to_it(place: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "MAX_LISTING_BYTES", 10_000)
    place.answer("/set/", reply(200, pieces(100_000, 10_000, [])))
    with pytest.raises(DownloadError, match="more than the 10,000 bytes allowed"):
        open_photos(f"{place.url}/set/")


@pytest.mark.parametrize("path", ["/set/", "/set/a/0.jpg"])
def test_a_body_that_trickles(place: Any, reply: Any, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "GRACE_S", 0.1)
    place.answer(path, reply(200, pieces(1000, 1, [], pause_s=0.02)))
    began = time.monotonic()
    with pytest.raises(LungfishError, match="slower than 10,000 bytes per second"):
        first(place)
    assert time.monotonic() - began < 10


@pytest.fixture
def trickling_head() -> Iterator[str]:
    """A server whose answer's head never ends, a byte at a time."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not ended.wait(0.02):
                try:
                    peer.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/set/"
    ended.set()
    thread.join()
    listener.close()


def test_a_head_that_trickles(server: Any, trickling_head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "ANSWER_S", 0.2)
    with pytest.raises(DownloadError, match=r"no answer within 0\.2 s"):
        open_photos(trickling_head)


def test_folders_without_end(place: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "MAX_FOLDERS", 5)
    place.answer("/set/", reply(200, links(*(f"{i}/" for i in range(7)))))
    with pytest.raises(PhotosError, match="more than the 5 folders allowed"):
        open_photos(f"{place.url}/set/")


@pytest.mark.parametrize(
    "link",
    ["%2e%2e/x.jpg", "a/%2e%2e/%2e%2e/x.jpg", "x%00.jpg", "../x.jpg", "//evil.example/x.jpg", "?C=N;O=D"],
)
def test_links_that_lead_elsewhere_are_none(place: Any, reply: Any, link: str) -> None:
    place.answer("/set/", reply(200, links("a/", "b/", link)))
    assert [photo.name for photo in open_photos(f"{place.url}/set/").photos] == [
        *("a/0.jpg", "a/1.jpg", "b/0.jpg", "b/1.jpg")
    ]


@pytest.mark.parametrize("page", [b"<a " * 200_000, b"<a href=" + b"'" * 200_000, b"<!" * 300_000, b"<a\n" * 200_000])
def test_pages_that_patterns_take_long_for(place: Any, reply: Any, page: bytes) -> None:
    place.answer("/set/", reply(200, page + links("a/", "b/")))
    began = time.monotonic()
    assert len(open_photos(f"{place.url}/set/").photos) == 4
    assert time.monotonic() - began < 10


def test_a_compressed_answer_is_refused(place: Any, reply: Any) -> None:
    place.answer("/set/a/0.jpg", reply(200, b"photo", {"Content-Encoding": "gzip"}))
    with pytest.raises(UnreadablePhotoError, match="is sent compressed"):
        first(place)


def test_a_table_of_a_server_without_parts(place: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place.serve("/set/labels.csv", b"image,label\na/0.jpg,a\nb/0.jpg,b\n", ranges=False)
    assert len(open_photos(f"{place.url}/set/labels.csv").photos) == 2
    monkeypatch.setattr(web, "MAX_WHOLE_BYTES", 10)
    with pytest.raises(DownloadError, match="does not send parts of files"):
        open_photos(f"{place.url}/set/labels.csv")


@pytest.mark.parametrize("claim", ["bytes 0-9/99", "bytes 5-9/20", "bytes 0-9/*", "nonsense", ""])
def test_parts_that_are_not_those_asked_for(place: Any, reply: Any, claim: str) -> None:
    place.answer("/set/labels.csv", reply(206, b"image,label", {"Content-Range": claim} if claim else {}))
    with pytest.raises(LungfishError):
        open_photos(f"{place.url}/set/labels.csv")


def test_a_part_is_no_longer_than_asked_for(place: Any, reply: Any) -> None:
    place.answer("/set/x.tar", reply(206, bytes(5000), {"Content-Range": "bytes 10-19/5000"}))
    assert remote.open_directory(f"{place.url}/set").read_range("x.tar", 10, 20) == bytes(10)


def test_other_systems_are_asked_for_a_byte_more_than_they_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.pipe({f"/hostile/{label}/0.jpg": b"photo" for label in "ab"} | {"/hostile/b/1.jpg": b""})
    try:
        photos = open_photos("memory://hostile")
        asked = []
        read = type(system).cat_file

        def counting(self: Any, path: str, start: Any = None, end: Any = None, **options: Any) -> bytes:
            asked.append((path, start, end))
            data: bytes = read(self, path, start, end, **options)
            return data

        monkeypatch.setattr(type(system), "cat_file", counting)
        system.pipe("/hostile/a/0.jpg", bytes(1000))
        with pytest.raises(UnreadablePhotoError, match="larger than its listed size"):
            photos.read(photos.photos[0])
        assert photos.read(photos.photos[1]) == b"photo"
        assert photos.read(photos.photos[2]) == b""
        assert asked == [("/hostile/a/0.jpg", 0, 6), ("/hostile/b/0.jpg", 0, 6)]
    finally:
        system.rm("/hostile", recursive=True)
