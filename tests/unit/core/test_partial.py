from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from lungfish.core import partial as module
from lungfish.core.partial import Partial, Version

OLD, NEW = Version("http://server/file", '"1"', 9), Version("http://server/file", '"2"', 3)


def test_another_version_begins_with_an_empty_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with Partial(target) as partial:
        partial.restart(OLD)
        partial.write(b"old ")
    with Partial(target) as partial:
        assert (partial.version, partial.done) == (OLD, 4)
        partial.restart(NEW)
        partial.write(b"new")
        assert partial.is_whole
        assert partial.finish() == hashlib.sha256(b"new").hexdigest()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_download_is_resumed(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with Partial(target) as partial:
        partial.restart(OLD)
        partial.write(b"half ")
        assert not partial.is_whole
    assert not target.exists()
    with Partial(target) as partial:
        partial.write(b"half")
        assert partial.finish() == hashlib.sha256(b"half half").hexdigest()
    assert target.read_bytes() == b"half half"


def test_without_a_byte_no_file_is_left(tmp_path: Path) -> None:
    with Partial(tmp_path / "file") as partial:
        partial.restart(OLD)
    assert not list(tmp_path.iterdir())


def test_what_has_arrived_lasts_when_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[bytes] = []
    monkeypatch.setattr(module, "flush", lambda handle: flushed.append(os.pread(handle, 100, 0)))
    with Partial(tmp_path / "file") as partial:
        partial.restart(OLD)
        partial.write(b"half ")
    assert flushed == [b"half "]
