import shutil
import stat
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs
import pytest

from lungfish.core.cache import (
    FOLDER,
    MARKER,
    advice_on_cache,
    budget_bytes,
    cache_folder,
    cache_limit,
    cache_path,
    is_marked,
    standing_folder,
)
from lungfish.core.errors import UsageError
from lungfish.core.files import write_atomic
from lungfish.core.own_files import own_files


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LUNGFISH_CACHE", str(tmp_path / "c"))
    assert cache_path() == tmp_path / "c" / FOLDER
    monkeypatch.delenv("LUNGFISH_CACHE")
    assert "lungfish" in str(cache_path())


def test_a_home_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGFISH_CACHE", "~nobody-of-this-name/cache")
    with pytest.raises(UsageError, match="'~nobody-of-this-name/cache'; that user has no home folder"):
        cache_path()


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless(*_: object, **__: object) -> str:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LUNGFISH_CACHE")
    monkeypatch.setattr(platformdirs, "user_cache_dir", homeless)
    with pytest.raises(UsageError, match=r"no home folder to put the cache in\nSet LUNGFISH_CACHE"):
        cache_path()


def test_one_that_is_deleted_while_a_process_writes_is_made_again_with_its_marker(cache: Path) -> None:
    cache_folder()
    shutil.rmtree(cache)
    write_atomic(cache / "features" / "file", "content")
    assert is_marked()
    assert not advice_on_cache()
    if sys.platform != "win32":
        assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_a_folder_of_its_name_that_is_somebodys_is_told(cache: Path) -> None:
    (cache / "mine").mkdir(parents=True)
    cache_folder()
    assert advice_on_cache().startswith(f"{cache} was not created by Lungfish")
    assert [path.name for path in cache.parent.iterdir()] == [FOLDER]


def test_it_is_made_with_a_marker_and_for_this_user_alone(cache: Path) -> None:
    assert not cache.exists()
    assert not is_marked()
    assert cache_folder() == cache
    assert is_marked()
    assert [path.name for path in cache.iterdir()] == [MARKER]
    assert [path.name for path in cache.parent.iterdir()] == [FOLDER]
    if sys.platform != "win32":
        assert stat.S_IMODE(cache.stat().st_mode) == 0o700


@pytest.mark.parametrize("marker", [None, b"Signature: 8a477f597d28d172789f06886806bc55\n# of another program\n"])
def test_a_folder_of_that_name_that_holds_anything_is_not_ours(cache: Path, marker: bytes | None) -> None:
    cache.mkdir(parents=True)
    (cache / "thesis.txt").write_text("mine")
    if marker:
        (cache / MARKER).write_bytes(marker)
    before = sorted(path.name for path in cache.parent.rglob("*"))
    assert cache_folder() == cache
    assert not is_marked()
    assert sorted(path.name for path in cache.parent.rglob("*")) == before


def test_where_it_cannot_be_made_nothing_is_raised(cache: Path) -> None:
    cache.parent.write_text("a file")
    assert cache_folder() == cache
    assert cache.parent.read_text() == "a file"


def test_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LUNGFISH_CACHE_GB", raising=False)
    assert budget_bytes() == 10**10
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "0.5")
    assert budget_bytes() == 5 * 10**8
    for wrong in ("", "-1", "0", "many", "nan"):
        monkeypatch.setenv("LUNGFISH_CACHE_GB", wrong)
        with pytest.raises(UsageError, match="positive number"):
            budget_bytes()


def test_a_budget_without_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "inf")
    assert budget_bytes() > 10**18


def test_the_job_that_allows_least_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "3")
    with cache_limit(None):
        assert budget_bytes() == 3 * 10**9
    with cache_limit(4), ThreadPoolExecutor(1) as pool:
        assert pool.submit(budget_bytes).result() == 4 * 10**9  # more than the user's default
        with cache_limit(2), cache_limit(5):
            assert budget_bytes() == 2 * 10**9
        assert budget_bytes() == 4 * 10**9
    assert budget_bytes() == 3 * 10**9


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
    assert cache_folder() == cache_path()
    assert not is_marked()
    assert list(own_files(cache_path() / "shards", cache_path() / "shards")) == []
