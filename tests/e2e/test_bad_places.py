"""Places that must not, or cannot, be written to: found out early, and nothing there is lost."""

import re
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from lungfish.core.cache import MARKER

Run = Callable[..., Any]
Refusal = Callable[..., str]
Untouched = Callable[[Path], AbstractContextManager[None]]


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("digits/bundle", "is inside the photos"),
        ("digits/0/x/bundle", "is inside the photos"),
        ("digits", "is the folder of the photos"),
        (".", "contains the photos"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--force",), ("--dry-run",)])
def test_out_in_or_around_the_photos(
    train_refused: Refusal, digits: Path, tmp_path: Path, out: str, words: str, options: tuple[str, ...]
) -> None:
    message = train_refused(digits, "--out", tmp_path / out, *options)
    expected = rf"the output folder .* {words} \(.*digits\)\nChoose a folder beside them, for example \.\./my-bundle"
    assert re.match(expected, message)


def test_an_existing_bundle_stays_without_force(train_refused: Refusal, digits: Path, color_bundle: Path) -> None:
    words = train_refused(digits, "--out", color_bundle)
    assert re.match(r".*color-bundle exists\nChoose another output folder, or .* --force", words)


@pytest.mark.parametrize("content", [None, "", "{}", '{"schema": 1, "labels": ["a", "b"]}'])
def test_force_on_a_folder_that_is_no_bundle(
    train_refused: Refusal, digits: Path, tmp_path: Path, content: str | None
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    if content is not None:
        (tmp_path / "thesis" / "bundle.json").write_text(content)
    assert re.match(
        r".*thesis is not a bundle: only .* holds a valid bundle\.json can be replaced\nChoose another output folder",
        train_refused(digits, "--out", tmp_path / "thesis", "--force"),
    )


def test_a_file_in_the_way(train_refused: Refusal, digits: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    words = train_refused(digits, "--out", tmp_path / "file" / "bundle", code=3)
    assert re.match(r"cannot write .*file.bundle: Not a directory\nChoose a writable folder", words)


def test_a_read_only_place(
    command: Run, obey_permissions: str, digits: Path, tmp_path: Path, untouched: Untouched, cache: Path
) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    with untouched(tmp_path):
        ended = command("train", digits, "--out", tmp_path / "locked" / "bundle", cache=cache, prelude=obey_permissions)
    assert ended.code == 3
    assert re.fullmatch(
        r"Reading photos .*\nerror: cannot write .*locked/bundle: Permission denied\nChoose a writable.*\n", ended.err
    )
    assert [path.name for path in cache.iterdir()] == [MARKER]  # found out before any work was done


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file size")
def test_a_disk_that_fills(trained: Any, command: Run, tmp_path: Path, untouched: Untouched, cache: Path) -> None:
    """It holds the models, and then not the larger weights.safetensors."""
    limit = (trained.bundle / "weights.safetensors").stat().st_size - 1
    prelude = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    shutil.copytree(trained.cache, cache)
    with untouched(tmp_path):
        ended = command(
            *("train", trained.photos, "--out", tmp_path / "bundle", "--weights", trained.weights),
            *("--recipe", "probe", "--json"),
            cache=cache,
            prelude=prelude,
        )
    assert ended.code == 3
    assert ended.json["error"]["code"] == "storage"
    assert re.match(r"cannot write .*bundle.*: File too large", ended.json["error"]["message"])
    assert "Traceback" not in ended.err


def test_a_cache_that_cannot_be_written_is_a_warning(
    lungfish: Run, digits: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("LUNGFISH_CACHE", str(tmp_path / "file" / "cache"))
    ended = lungfish("train", digits, "--out", tmp_path / "bundle", "--weights", tiny, "--dry-run", "--json")
    assert ended.code == 0
    (warning,) = ended.json["warnings"]
    assert warning.startswith("inspections are not cached: ")
    assert str(tmp_path) not in warning
