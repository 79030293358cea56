"""Downloads stay within their limits: `make test` and `make demo-wheel` install the package and keep pip's report.

The sizes are asked for, and nothing is downloaded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

ROOT = Path(__file__).parents[2]
LIMITS_MB = {".venv-base": 60, ".venv-wheel": 160}  # the base install, and `train`
Sizes = Callable[[dict[str, Any]], dict[str, int]]
INSTALLED_BY = {".venv-base": "make test", ".venv-wheel": "make demo-wheel"}


@pytest.fixture
def download_sizes(load_benchmark: Callable[[str], Any]) -> Sizes:
    sizes: Sizes = load_benchmark("downloads").download_sizes
    return sizes


def check_size(sizes: dict[str, int], limit_mb: float) -> str:
    """Fail, and name the largest packages, if a download exceeds its limit; return its size in words."""
    total_mb = sum(sizes.values()) / 1e6
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:5]
    listed = ", ".join(f"{name} {sizes[name] / 1e6:.1f}" for name in largest)
    assert total_mb <= limit_mb, f"{total_mb:.1f} MB exceed {limit_mb} MB; the largest: {listed}"
    return f"{total_mb:.1f} MB of {limit_mb} MB, {len(sizes)} packages"


@pytest.mark.parametrize("environment", LIMITS_MB)
def test_download(environment: str, download_sizes: Sizes, record_property: Callable[[str, object], None]) -> None:
    path = ROOT / environment / "report.json"
    if not path.exists():
        pytest.skip(f"no {environment}/report.json: run {INSTALLED_BY[environment]}")
    report = json.loads(path.read_text(encoding="utf-8"))
    assert "lungfish" in {item["metadata"]["name"] for item in report["install"]}
    try:
        sizes = download_sizes(report)
    except HTTPError:
        raise
    except OSError as error:
        pytest.skip(f"the package index cannot be reached: {error}")
    record_property(f"download of {environment}", check_size(sizes, LIMITS_MB[environment]))


def write_report(folder: Path, sizes_mb: dict[str, float]) -> dict[str, Any]:
    """Return a report of packages in a folder, as pip writes it."""
    items = []
    for name, size_mb in sizes_mb.items():
        path = folder / f"{name}-1.0-py3-none-any.whl"
        path.touch()
        os.truncate(path, int(size_mb * 1e6))
        items.append({"metadata": {"name": name}, "download_info": {"url": path.as_uri()}})
    return {"version": "1", "install": items}


def test_a_larger_download_fails(download_sizes: Sizes, tmp_path: Path) -> None:
    report = write_report(tmp_path, {"lungfish": 1, "large one": 58, "other": 0.5})
    assert check_size(download_sizes(report), 60) == "59.5 MB of 60 MB, 3 packages"
    grown = write_report(tmp_path, {"lungfish": 1, "large one": 58, "other": 1.2})
    with pytest.raises(AssertionError, match=r"60.2 MB exceed 60 MB; the largest: large one 58.0, other 1.2, "):
        check_size(download_sizes(grown), 60)


def test_sizes_are_asked_for_and_nothing_is_downloaded(download_sizes: Sizes, server: Any, reply: Any) -> None:
    server.answer("/a.whl", reply(headers={"Content-Length": "12345"}))
    item = {"metadata": {"name": "a"}, "download_info": {"url": f"{server.url}/a.whl"}}
    assert download_sizes({"install": [item]}) == {"a": 12345}
    assert [seen.method for seen in server.seen] == ["HEAD"]
