import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lungfish.core.errors import MissingExtraError, StorageError
from lungfish.core.lock import hold, lock, try_lock

HOLD = """
import sys, time
from pathlib import Path
from lungfish.core.lock import lock

with lock(Path(sys.argv[1]), lambda: None):
    print("held", flush=True)
    time.sleep(60)
"""


def nothing() -> None:
    pytest.fail("it need not wait")


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "a"
    with lock(path, nothing):
        with try_lock(path) as held:
            assert not held
        with try_lock(tmp_path / "locks" / "b") as held:
            assert held
    with try_lock(path) as held, try_lock(path) as twice:
        assert held
        assert not twice
    assert path.exists()


def test_it_is_held_as_long_as_it_is_kept(tmp_path: Path) -> None:
    kept = [hold(tmp_path / "a")]
    assert kept[0] is not None
    assert hold(tmp_path / "a") is None
    thread = threading.Thread(target=kept.clear)  # whichever thread drops it
    thread.start()
    thread.join()
    assert hold(tmp_path / "a") is not None


def test_it_waits_and_says_so(tmp_path: Path) -> None:
    order = []
    held, waiting = threading.Event(), threading.Event()

    def hold() -> None:
        with lock(tmp_path / "a", nothing):
            held.set()
            waiting.wait(10)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    with lock(tmp_path / "a", waiting.set):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "a"], stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline().strip() == b"held"
    with try_lock(tmp_path / "a") as held:
        assert not held
    process.kill()
    process.communicate()
    with try_lock(tmp_path / "a") as held:
        assert held


def test_where_no_file_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"), lock(tmp_path / "file" / "a", nothing):
        pass


def test_without_filelock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(MissingExtraError, match="filelock"), lock(tmp_path / "a", nothing):
        pass
