"""The table of platforms in docs/install.md is that of the last run of benchmarks/platforms.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def test_the_table_is_that_of_the_last_run(load_benchmark: Callable[[str], Any]) -> None:
    cells = json.loads((ROOT / "benchmarks" / "platforms.json").read_text(encoding="utf-8"))["cells"]
    assert load_benchmark("platforms").table(cells) in (ROOT / "docs" / "install.md").read_text(encoding="utf-8")


def test_what_is_missing_and_replaced_is_named(load_benchmark: Callable[[str], Any]) -> None:
    rows = [("3.11", {}, []), ("3.12", {}, []), ("3.13", {"numpy": "2.0"}, []), ("3.14", {}, ["b", "a"])]
    cells = [
        {"install": "base", "platform": "CP/M", "python": python, "replaced": replaced, "missing": missing}
        for python, replaced, missing in rows
    ]
    assert load_benchmark("platforms").table(cells).splitlines()[2] == (
        "| CP/M | 3.11 to 3.12; 3.13, with numpy 2.0; 3.14: **no** a, b |  |  |"
    )
