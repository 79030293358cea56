"""`lungfish evaluate` on photos that are no folder: shards, and an address."""

import io
import tarfile
from pathlib import Path
from typing import Any

import pytest


def write_shards(photos: Path, folder: Path) -> None:
    """A shard for each class."""
    folder.mkdir()
    for number, label in enumerate(sorted(photos.iterdir())):
        with tarfile.open(folder / f"{number:03d}.tar", "w") as tar:
            for file in sorted(label.iterdir()):
                tar.add(file, f"{file.stem}.png")
                member = tarfile.TarInfo(f"{file.stem}.cls")
                member.size = len(label.name)
                tar.addfile(member, io.BytesIO(label.name.encode()))


@pytest.mark.parametrize("source", ["shards", "shards/{000..002}.tar", "file://{}/shards", "file://{}/photos"])
def test_other_sources_give_the_figures_of_the_folder(
    color_bundle: Path, color_photos: Path, source: str, lungfish: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source.startswith("file:"):
        pytest.importorskip("fsspec")
    monkeypatch.chdir(tmp_path)
    write_shards(color_photos, tmp_path / "shards")
    expected = lungfish("evaluate", color_bundle, color_photos, "--json")
    got = lungfish("evaluate", color_bundle, source.replace("{}", tmp_path.as_posix()), "--json")
    assert (got.code, got.json) == (0, expected.json)
    assert got.json["artifacts"][0]["n"] == 9


def test_a_source_that_is_not_there(color_bundle: Path, lungfish: Any) -> None:
    ended = lungfish("evaluate", color_bundle, "memory://nowhere", "--json")
    assert ended.code == 2
    assert "memory://nowhere" in ended.json["error"]["message"]
