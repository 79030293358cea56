"""Fetching: license, caches, the network, and processes that are killed or race."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lungfish.core import download
from lungfish.core.errors import DownloadError, LicenseError, MissingExtraError, StorageError, WeightsError
from lungfish.core.hashing import sha256_bytes
from lungfish.core.progress import Progress
from lungfish.weights.catalogue import find_entry
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.fetch import FetchOptions, fetch, file_of, local_file, record_of
from lungfish.weights.store.store import Store

from ..git_server import git, serve_git

DATA = random.Random(0).randbytes(400_000)
HASH = sha256_bytes(DATA)
COMMIT = "0123456789" * 4
LITE0 = find_entry("efficientnet_lite0.in1k")
PLAIN = replace(LITE0, name="mine.v1", converter="timm", sha256="", bytes=None)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cache of this user, and no waiting."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(download, "BACKOFF_S", 0.01)


class Told(Progress):
    """What was said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    warn = say


@pytest.fixture
def entry(server: Any) -> WeightsEntry:
    """A set on the server, of which nothing is known."""
    return replace(PLAIN, location=server.serve("/w.pth", DATA))


def no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def stored_files() -> list[Path]:
    return [path for path in (Store().folder / "blobs").rglob("*") if path.is_file()]


def test_a_set_is_fetched_once(server: Any, entry: WeightsEntry) -> None:
    assert local_file(entry) is None
    record = fetch(entry)
    file = file_of(record)
    assert (file.read_bytes(), file.suffix) == (DATA, ".pth")
    assert (record.entry.sha256, record.entry.bytes) == (HASH, len(DATA))
    assert (record.origin, record.accepted_license, record.verified) == (entry.location, "", None)
    assert local_file(entry) == file
    assert Store().record(entry.name) == record
    assert fetch(entry) == record
    assert len(server.seen) == 1
    assert not Store().downloads(entry.name).exists()


@pytest.mark.parametrize(
    "known",
    [
        {"sha256": HASH},
        {"digest": f"sha256:{HASH[:8]}"},
        {"digest": f"md5:{hashlib.md5(DATA).hexdigest()}"},
        {"bytes": len(DATA)},
    ],
)
def test_what_was_published_is_checked(entry: WeightsEntry, known: dict[str, Any]) -> None:
    assert fetch(replace(entry, **known)).entry.sha256 == HASH


@pytest.mark.parametrize(
    ("known", "error"),
    [
        ({"sha256": "0" * 64}, WeightsError),
        ({"digest": "sha256:00000000"}, WeightsError),
        ({"digest": "md5:" + "0" * 32}, WeightsError),
        ({"bytes": len(DATA) + 1}, DownloadError),
    ],
)
def test_another_file_is_not_kept(entry: WeightsEntry, known: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="expected"):
        fetch(replace(entry, **known))
    assert stored_files() == []
    assert Store().records() == []
    assert fetch(entry).entry.sha256 == HASH


def test_the_license_comes_first(server: Any, entry: WeightsEntry) -> None:
    unknown = replace(entry, license="NOASSERTION")
    with pytest.raises(LicenseError, match="no license is stated"):
        fetch(unknown)
    with pytest.raises(LicenseError, match="a different license"):
        fetch(unknown, FetchOptions(accept_license="MIT"))
    assert server.seen == []
    record = fetch(unknown, FetchOptions(accept_license="NOASSERTION"))
    assert record.accepted_license == "NOASSERTION"
    assert fetch(unknown).accepted_license == "NOASSERTION"  # the ledger remembers
    mine = replace(unknown, name="my-bundle", trained_from=record.entry.sha256)
    assert fetch(mine).accepted_license == "NOASSERTION"  # and for what was trained from it
    with pytest.raises(LicenseError):
        fetch(replace(mine, name="a-strangers-bundle", trained_from="0" * 64))
    with pytest.raises(LicenseError):
        fetch(replace(entry, license="GPL-3.0-only"))


def test_what_was_accepted_is_not_so_for_another_file_of_that_name(entry: WeightsEntry, tmp_path: Path) -> None:
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.pth").write_bytes(bytes([number]))
    mine, other = (
        replace(entry, name="file:model.pth", license="NOASSERTION", location=f"file:{place}", sha256="", bytes=None)
        for place in (tmp_path / "a" / "model.pth", tmp_path / "b" / "model.pth")
    )
    fetch(mine, FetchOptions(accept_license="NOASSERTION"))
    with pytest.raises(LicenseError):
        fetch(other)
    assert record_of(mine)
    assert record_of(other) is None


@pytest.mark.parametrize("damage", ["blob", "card", "both"])
def test_what_was_altered_here_is_fetched_again(server: Any, entry: WeightsEntry, damage: str) -> None:
    record = fetch(entry)
    if damage != "card":
        file_of(record).write_bytes(b"altered")
        assert local_file(entry) is None
        with pytest.raises(WeightsError, match="gone or was altered"):
            file_of(record)
    if damage != "blob":
        Store().record_file(entry.name).write_text("{")
    assert file_of(fetch(entry)).read_bytes() == DATA
    assert len(server.seen) == 2


def test_the_hash_of_the_first_fetch_stays(server: Any, entry: WeightsEntry) -> None:
    file_of(fetch(entry)).unlink()
    server.serve("/w.pth", DATA[::-1], etag='"2"')
    with pytest.raises(WeightsError, match="has SHA-256") as caught:
        fetch(entry)
    assert "To accept the new file" in caught.value.hint
    Store().record_file(entry.name).unlink()
    assert file_of(fetch(entry)).read_bytes() == DATA[::-1]


def test_a_corrected_catalogue_corrects_the_card(server: Any, entry: WeightsEntry) -> None:
    store = Store()
    store.write_record(replace(fetch(entry), converted_sha256="0" * 64))
    assert fetch(entry).converted_sha256 == "0" * 64
    record = fetch(replace(entry, top1=12.0))
    assert (record.entry.top1, record.entry.sha256, record.converted_sha256) == (12.0, HASH, "")
    assert len(server.seen) == 1
    with pytest.raises(WeightsError, match="expected 00000"):
        fetch(replace(entry, digest="md5:" + "0" * 32))
    moved = server.serve("/new.pth", DATA[::-1])
    assert file_of(fetch(replace(entry, location=moved))).read_bytes() == DATA[::-1]


def test_a_file_under_another_name_is_not_fetched_again(server: Any, entry: WeightsEntry) -> None:
    fetch(entry)
    record = fetch(replace(entry, name="other.v1", sha256=HASH, location="https://weights.example/w.pth"))
    assert (record.origin, file_of(record).read_bytes()) == ("Lungfish's cache", DATA)
    assert len(server.seen) == 1


def test_packaged_sets_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    no_socket(monkeypatch)
    record = fetch(LITE0)
    assert record.entry == LITE0
    assert file_of(record) == local_file(LITE0)
    assert "site-packages" in str(file_of(record))
    assert stored_files() == []
    with pytest.raises(WeightsError, match="expected 000000000000"):
        fetch(replace(LITE0, sha256="0" * 64))
    absent = replace(LITE0, location="package:no_such_module/x.pth")
    assert local_file(absent) is None
    with pytest.raises(MissingExtraError, match="no-such-module"):
        fetch(absent)


def test_files_of_this_machine_stay_where_they_are(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    file.write_bytes(DATA)
    mine = replace(PLAIN, location=f"file:{file}")
    record = fetch(mine)
    assert (file_of(record), record.entry.sha256) == (file, HASH)
    file.write_bytes(DATA[::-1])
    with pytest.raises(WeightsError, match="gone or was altered"):
        file_of(record)
    assert fetch(mine).entry.sha256 == sha256_bytes(DATA[::-1])
    file.unlink()
    assert local_file(mine) is None
    with pytest.raises(WeightsError, match="cannot read the file"):
        fetch(mine)
    for ending in ("index", "data-00000-of-00001"):
        (tmp_path / f"model.ckpt.{ending}").write_bytes(ending.encode())
    record = fetch(replace(PLAIN, location=f"file:{tmp_path / 'model.ckpt'}", converter="slim"))
    assert record.entry.sha256 == sha256_bytes(b"indexdata-00000-of-00001")
    assert file_of(record) == tmp_path / "model.ckpt"


@pytest.mark.parametrize("library", ["torchvision", "keras"])
def test_caches_of_other_programs_come_first(
    server: Any, entry: WeightsEntry, tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = {"torchvision": tmp_path / "torch" / "hub" / "checkpoints", "keras": tmp_path / "keras" / "models"}[
        library
    ]
    folder.mkdir(parents=True)
    (folder / "w.pth").write_bytes(b"another file of that name")
    wanted, progress_log = replace(entry, converter=library, sha256=HASH), Told()
    assert fetch(wanted, FetchOptions(progress=progress_log)).origin == entry.location
    assert progress_log.lines[0].startswith("skipped ")
    assert "cache: the file of mine.v1 has SHA-256" in progress_log.lines[0]
    (folder / "w.pth").write_bytes(DATA)
    Store().record_file(entry.name).unlink()
    stored_files()[0].unlink()
    no_socket(monkeypatch)
    record = fetch(wanted, FetchOptions(progress=progress_log))
    assert record.origin == {"torchvision": "torch's cache", "keras": "Keras's cache"}[library]
    assert record.origin in progress_log.lines[-1]
    assert file_of(record).is_relative_to(Store().folder)
    assert (folder / "w.pth").exists()


@pytest.fixture
def hub_cache(tmp_path: Path) -> Path:
    """A file in the Hugging Face cache, as huggingface_hub lays it out."""
    folder = tmp_path / "hub" / "models--owner--repo"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    file = folder / "snapshots" / COMMIT / "deep" / "w.safetensors"
    file.parent.mkdir(parents=True)
    (folder / "blobs").mkdir()
    (folder / "blobs" / HASH).write_bytes(DATA)
    file.symlink_to(folder / "blobs" / HASH)
    return file


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_the_hugging_face_cache(hub_cache: Path, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    no_socket(monkeypatch)
    wanted = replace(PLAIN, location=f"hf:owner/repo@{revision}/deep/w.safetensors")
    record = fetch(wanted)
    assert (record.origin, record.entry.sha256) == ("the Hugging Face cache", HASH)
    assert record.entry.location == f"hf:owner/repo@{COMMIT}/deep/w.safetensors"
    assert file_of(record).suffix == ".safetensors"
    assert not file_of(record).is_symlink()
    assert fetch(wanted) == record
    assert local_file(replace(wanted, location=f"hf:owner/repo@{'f' * 40}/deep/w.safetensors")) is None


def test_the_hub_pins_a_branch_and_tells_the_hash(server: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    lfs = {"sha256": HASH, "size": len(DATA), "pointerSize": 133}
    file = {"rfilename": "w.safetensors", "size": len(DATA), "blobId": "b" * 40, "lfs": lfs}
    row = {"id": "owner/repo", "sha": COMMIT, "tags": [], "downloads": 1, "likes": 1, "siblings": [file]}
    server.answer("/api/models/owner/repo/revision/main", reply.json(row))
    server.serve(f"/owner/repo/resolve/{COMMIT}/w.safetensors", DATA)
    wanted = replace(PLAIN, location="hf:owner/repo@main/w.safetensors")
    record = fetch(wanted)
    assert record.entry.location == f"hf:owner/repo@{COMMIT}/w.safetensors"
    assert record.origin == f"{server.url}/owner/repo/resolve/{COMMIT}/w.safetensors"
    assert server.seen[-1].headers["authorization"] == "Bearer hf_secret"
    assert fetch(wanted) == record
    file_of(record).unlink()
    server.serve(f"/owner/repo/resolve/{COMMIT}/w.safetensors", DATA[::-1])
    with pytest.raises(WeightsError, match="has SHA-256"):
        fetch(wanted)


def test_a_mirror(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGFISH_MIRROR", f"{server.url}/mirror/")
    url = server.serve("/mirror/weights.example/models/w.pth", DATA)
    record = fetch(replace(PLAIN, location="https://weights.example/models/w.pth"))
    assert (record.origin, record.entry.location) == (url, "https://weights.example/models/w.pth")


def test_offline_it_names_the_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGFISH_MIRROR", "https://mirror.example/m")
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    for location, address in (
        ("https://weights.example/a.tgz!a/w.pth", "https://mirror.example/m/weights.example/a.tgz"),
        ("hf:owner/repo@main/w.pth", "https://hub.example/owner/repo/resolve/main/w.pth"),
    ):
        with pytest.raises(DownloadError) as caught:
            fetch(replace(PLAIN, location=location), FetchOptions(offline=True))
        assert caught.value.hint.startswith(f"Download {address} elsewhere")


@pytest.mark.parametrize("how", ["option", "LUNGFISH_OFFLINE", "HF_HUB_OFFLINE"])
@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("https://weights.example/w.pth", "https://weights.example/w.pth"),
        ("hf:owner/repo@main/w.pth", "https://huggingface.co/owner/repo/resolve/main/w.pth"),
        (f"git+https://weights.example/r@{COMMIT}#w.pth", f"git+https://weights.example/r@{COMMIT}#w.pth"),
    ],
)
def test_offline_nobody_is_asked(location: str, address: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    no_socket(monkeypatch)
    monkeypatch.setattr(subprocess, "Popen", None)
    if how != "option":
        monkeypatch.setenv(how, "1")
    wanted, options = replace(PLAIN, location=location), FetchOptions(offline=how == "option")
    with pytest.raises(DownloadError, match="offline") as caught:
        fetch(wanted, options)
    hint, _, saved = caught.value.hint.partition(" elsewhere and save it as ")
    assert hint == f"Download {address}"
    place = Path(saved)
    place.parent.mkdir(parents=True)
    place.write_bytes(DATA)
    record = fetch(wanted, options)
    assert (record.origin, file_of(record).read_bytes()) == ("the download folder", DATA)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_git_repository(tmp_path: Path) -> None:
    work = tmp_path / "repositories" / "r"
    (work / "models").mkdir(parents=True)
    (work / "models" / "w.pth").write_bytes(DATA)
    git(work, "init", "--quiet")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "one")
    git(work, "config", "uploadpack.allowFilter", "true")
    git(work, "config", "uploadpack.allowAnySHA1InWant", "true")
    with serve_git(work.parent) as address:
        wanted = replace(PLAIN, location=f"git+{address}/r@{git(work, 'rev-parse', 'HEAD')}#models/w.pth")
        record = fetch(wanted)
    assert (file_of(record).read_bytes(), file_of(record).suffix) == (DATA, ".pth")
    assert record.origin == f"git+{address}/r@{git(work, 'rev-parse', 'HEAD')}"
    assert fetch(wanted) == record


def pack(kind: str, members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as packed:
            for name, data in members.items():
                packed.writestr(name, data)
    else:
        with tarfile.open(fileobj=stream, mode="w:gz") as tar:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_a_member_of_an_archive(server: Any, kind: str) -> None:
    members = {"a/model.ckpt.index": b"index", "a/model.ckpt.data-00000-of-00001": DATA, "b.pth": b"b"}
    url = server.serve(f"/a.{kind}", pack(kind, members))
    record = fetch(replace(PLAIN, location=f"{url}!a/model.ckpt"))
    prefix = file_of(record)
    assert prefix.with_name("model.ckpt.index").read_bytes() == b"index"
    assert file_of(fetch(replace(PLAIN, name="b.v1", location=f"{url}!b.pth"))).read_bytes() == b"b"
    prefix.with_name("model.ckpt.index").write_bytes(b"altered")
    assert file_of(record).with_name("model.ckpt.index").read_bytes() == b"index"
    for member in ("none.pth", "../../records", "a"):
        with pytest.raises(WeightsError, match="the archive contains no"):
            fetch(replace(PLAIN, name="none.v1", location=f"{url}!{member}"))
        assert Store().record("none.v1") is None


@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_a_hostile_archive(server: Any, tmp_path: Path, kind: str) -> None:
    url = server.serve(f"/a.{kind}", pack(kind, {"b.pth": b"b", "../../../../evil": b"evil"}))
    with pytest.raises(WeightsError, match="refused to unpack"):
        fetch(replace(PLAIN, location=f"{url}!b.pth"))
    assert Store().records() == []
    assert not list(tmp_path.rglob("*evil*"))


def test_an_archive_that_cannot_be_read_is_not_kept(server: Any) -> None:
    good = pack("zip", {"b.pth": b"b"})
    url = server.serve("/a.zip", good[: len(good) // 2])
    entry = replace(PLAIN, location=f"{url}!b.pth")
    for _ in range(2):
        with pytest.raises(WeightsError):
            fetch(entry)
        assert not list((Store().folder / "blobs").iterdir())
    server.serve("/a.zip", good)
    assert file_of(fetch(entry)).read_bytes() == b"b"


def test_a_cache_that_cannot_be_written(server: Any, entry: WeightsEntry, cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="cannot write"):
        fetch(entry)
    assert server.seen == []


# What a process of its own runs: fetch the set at an address, print its card; die at a step of work on files.
FETCH = """
import json, os, sys
from dataclasses import replace
import filelock, httpx2
from lungfish.weights.catalogue import find_entry
from lungfish.weights.fetch.fetch import fetch

url, sha256, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])

def count(event, arguments):
    global steps
    if event in ("open", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.utime"):
        if os.environ["LUNGFISH_CACHE"] in str(arguments):
            steps -= 1
            if steps == 0:
                os.kill(os.getpid(), 9)

sys.addaudithook(count)
entry = replace(find_entry("efficientnet_lite0.in1k"), name="mine.v1", converter="timm", bytes=None)
print(json.dumps(fetch(replace(entry, location=url, sha256=sha256)).to_json()))
"""
STEPS = 41  # that a whole fetch takes, about
KILLED = -9
on_posix = pytest.mark.skipif(os.name != "posix", reason="kills as POSIX systems do")


def start_fetch(url: str, sha256: str = "", steps: int = 0) -> subprocess.Popen[bytes]:
    """A process that fetches; 0 steps never end."""
    command = [sys.executable, "-c", FETCH, url, sha256, str(steps)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str, str]:
    """How a process ended, and what it printed."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


def in_pieces(data: bytes, sent: Callable[[int], object]) -> Iterator[bytes]:
    for start in range(0, len(data), 4096):
        yield data[start : start + 4096]
        sent(start)


def check_store() -> None:
    """Whatever is in the store is right."""
    store = Store()
    assert {sha256_bytes(file.read_bytes()) for file in stored_files()} <= {HASH}
    assert [file_of(record).read_bytes() for record in store.records()] in ([], [DATA])


def test_two_processes_fetch_once(server: Any, reply: Any) -> None:
    headers = {"Content-Length": str(len(DATA))}
    server.routes["/w.pth"] = lambda _: reply(200, in_pieces(DATA, lambda _: time.sleep(0.01)), headers)
    processes = [start_fetch(f"{server.url}/w.pth") for _ in range(2)]
    (code, out, err), (other_code, other_out, other_err) = map(ended, processes)
    assert (code, other_code) == (0, 0), err + other_err
    first, second = json.loads(out), json.loads(other_out)
    assert first == second
    assert first["entry"]["sha256"] == HASH
    assert len(server.seen) == 1


@on_posix
def test_killed_in_mid_download_ten_times_it_goes_on(server: Any, reply: Any) -> None:
    chance, running, url = random.Random(0), [], f"{server.url}/w.pth"

    def answer(seen: Any) -> Any:
        first = int(seen.headers.get("range", "bytes=0-")[6:-1])
        last, process = chance.randrange(50_000), running[-1]

        def sent(start: int) -> None:
            if start >= last:
                time.sleep(chance.random() * 0.05)  # what was sent may have arrived, or not
                process.kill()

        pieces = in_pieces(DATA[first:], sent)
        headers = {"ETag": '"1"', "Content-Length": str(len(DATA) - first)}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(DATA) - 1}/{len(DATA)}"
        return reply(206 if first else 200, pieces, headers)

    server.routes["/w.pth"] = answer
    for turn in range(10):
        running.append(start_fetch(url, HASH if turn % 2 else ""))
        assert ended(running[-1])[0] == KILLED
        check_store()
    assert sum("range" in seen.headers for seen in server.seen) >= 7
    server.serve("/w.pth", DATA)
    assert ended(start_fetch(url, HASH))[0] == 0
    check_store()
    assert len(Store().records()) == 1


@on_posix
@pytest.mark.parametrize("step", random.Random(0).sample(range(1, STEPS), 10))
def test_killed_at_any_step_it_goes_on(server: Any, step: int) -> None:
    url = server.serve("/w.pth", DATA)
    assert ended(start_fetch(url, steps=step))[0] == KILLED
    check_store()
    fetch(replace(PLAIN, location=url))
    check_store()
    assert len(Store().records()) == 1
