from collections.abc import Callable
from pathlib import Path

import pytest

from lungfish.core.cache import budget_bytes, bytes_of, cache_folder, standing_folder
from lungfish.core.errors import UsageError


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


def test_folders_weigh_what_all_their_files_do(tmp_path: Path) -> None:
    (tmp_path / "f" / "g").mkdir(parents=True)
    (tmp_path / "f" / "g" / "h").write_bytes(b"x" * 100)
    (tmp_path / "f" / ".i").write_bytes(b"x")
    assert bytes_of(tmp_path) == 101
    assert bytes_of(tmp_path / "f" / "g" / "h") == 100
    assert bytes_of(tmp_path / "none") == 0


def test_a_budget_without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "inf")
    assert budget_bytes() > 10**18


def test_below_a_folder_that_may_not_be_entered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A foreign HOME, say: the nearest place that can be seen stands for it, and nothing is weighed."""

    def refuse_below(look: Callable[[Path], bool]) -> Callable[[Path], bool]:
        def looked(path: Path) -> bool:
            if tmp_path in path.parents:
                raise PermissionError(13, "Permission denied", str(path))
            return look(path)

        return looked

    monkeypatch.setenv("LUNGFISH_CACHE", str(tmp_path / "theirs" / "cache"))
    for name in ("exists", "is_dir"):
        monkeypatch.setattr(Path, name, refuse_below(getattr(Path, name)))
    assert standing_folder() == tmp_path
    assert bytes_of(cache_folder()) == 0
