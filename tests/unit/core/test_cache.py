import os
from pathlib import Path

import pytest

from lungfish.core.cache import budget_bytes, cache_folder, prune_cache
from lungfish.core.errors import UsageError


def entry(folder: Path, name: str, size: int, age: int) -> Path:
    path = folder / name
    path.write_bytes(b"x" * size)
    os.utime(path, (1_000_000 - age, 1_000_000 - age))
    return path


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LUNGFISH_CACHE", str(tmp_path / "c"))
    assert cache_folder() == tmp_path / "c"
    monkeypatch.delenv("LUNGFISH_CACHE")
    assert "lungfish" in str(cache_folder())


def test_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LUNGFISH_CACHE_GB", raising=False)
    assert budget_bytes() == 10**10
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "0.5")
    assert budget_bytes() == 5 * 10**8
    for wrong in ("", "-1", "0", "many", "nan"):
        monkeypatch.setenv("LUNGFISH_CACHE_GB", wrong)
        with pytest.raises(UsageError, match="positive number"):
            budget_bytes()


def test_the_oldest_go_first(tmp_path: Path) -> None:
    old, middle, new = (entry(tmp_path, name, 100, age) for name, age in (("b", 30), ("c", 20), ("a", 10)))
    assert prune_cache(tmp_path, 300) == []
    assert prune_cache(tmp_path, 299) == [old]
    assert prune_cache(tmp_path, 50, keep=[middle]) == [new]
    assert middle.exists()


def test_folders_count_with_all_they_hold(tmp_path: Path) -> None:
    (tmp_path / "f" / "g").mkdir(parents=True)
    (tmp_path / "f" / "g" / "h").write_bytes(b"x" * 100)
    os.utime(tmp_path / "f", (1, 1))
    assert prune_cache(tmp_path, 100) == []
    assert prune_cache(tmp_path, 99) == [tmp_path / "f"]
    assert not (tmp_path / "f").exists()


def test_no_cache_yet(tmp_path: Path) -> None:
    assert prune_cache(tmp_path / "none", 1) == []
