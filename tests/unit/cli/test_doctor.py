import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lungfish.core.cache import cache_folder
from lungfish.runtime.decode import FORMATS

Run = Callable[..., Any]


def test_json(lungfish: Run) -> None:
    index = cache_folder() / "shards" / f"{0:032}.json"
    index.parent.mkdir()
    index.write_bytes(b"x" * 1000)
    (index.parent / "notes.txt").write_bytes(b"somebody's")
    value = lungfish("doctor", "--json").json
    assert {"python", "packages", "runtimes", "machine", "ok"} <= set(value)
    assert value["packages"]["numpy"] == np.__version__
    assert value["runtimes"]["onnxruntime"]["why"] == ""
    assert "CPUExecutionProvider" in value["runtimes"]["onnxruntime"]["devices"]
    assert all(value["formats"][name] for name in FORMATS)
    assert value["cache"]["bytes"] == 1000
    assert value["warnings"] == []
    assert value["speed"]["decode_resize_ms"] > 0
    assert value["speed"]["matmul_gflops"] > 0
    assert value["ok"] is (value["problems"] == [])


def test_text(lungfish: Run) -> None:
    outcome = lungfish("doctor")
    assert "JPEG, PNG" in outcome.out
    assert outcome.out.splitlines()[-1] == ("ok" if outcome.code == 0 else "not ok")


def test_a_missing_runtime_is_a_problem(lungfish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    outcome = lungfish("doctor", "--json")
    assert outcome.code == 3
    assert outcome.json["ok"] is False
    assert any("onnxruntime" in problem for problem in outcome.json["problems"])


def test_a_cache_of_an_earlier_version_is_named(lungfish: Run, cache: Path) -> None:
    """It lies where the user's own folders may lie, and stays."""
    old = cache.parent / "photos" / f"{0:032}" / "0.photos"
    old.parent.mkdir(parents=True)
    old.write_bytes(bytes(2_000_000))
    (cache.parent / "photos" / "cat.jpg").write_bytes(bytes(5_000_000))
    outcome = lungfish("doctor")
    assert f"2.0 MB in {cache.parent} were left by an earlier version of Lungfish in the folders" in outcome.err
    assert old.exists()


def test_a_cache_that_is_not_ours_is_named(lungfish: Run, cache: Path) -> None:
    (cache / "photos").mkdir(parents=True)
    assert f"warning: {cache} has no CACHEDIR.TAG written by Lungfish" in lungfish("doctor").err
    assert [path.name for path in cache.iterdir()] == ["photos"]


def test_a_cache_that_cannot_be(lungfish: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("LUNGFISH_CACHE", str(tmp_path / "file" / "cache"))
    outcome = lungfish("doctor")
    assert outcome.code == 0  # predicting needs none
    assert "warning: the cache cannot be used" in outcome.err
    value = lungfish("doctor", "--json").json
    assert (value["ok"], value["problems"]) == (True, [])
    assert "the cache cannot be used" in value["warnings"][0]
