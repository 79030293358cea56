"""`lungfish weights fetch` and `lungfish weights prune`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lungfish.weights.catalogue import find_entry
from lungfish.weights.store.store import Store

Command = Callable[..., Any]
LITE0 = find_entry("efficientnet_lite0.in1k")


def test_fetch(lungfish: Command) -> None:
    ended = lungfish("weights", "fetch", LITE0.name)
    assert ended.code == 0
    assert ended.out.splitlines()[0].endswith(".pth")
    assert LITE0.sha256 in ended.out
    assert "license Apache-2.0" in ended.out
    row = lungfish("weights", "fetch", LITE0.name, "--json").json
    assert {"name", "source", "license", "sha256", "bytes", "params", "top1", "url"} <= row.keys()
    assert (row["sha256"], row["accepted_license"]) == (LITE0.sha256, "")
    assert Path(row["file"]).is_file()


def test_the_license_gate(lungfish: Command) -> None:
    ended = lungfish("weights", "fetch", "mobilenet_v2.tv_in1k", "--offline", "--json")
    assert (ended.code, ended.json["error"]["code"]) == (2, "license")
    assert "--accept-license NOASSERTION" in ended.json["error"]["hint"]
    accepted = ("--accept-license", "NOASSERTION")
    ended = lungfish("weights", "fetch", "mobilenet_v2.tv_in1k", "--offline", *accepted, "--json")
    assert (ended.code, ended.json["error"]["code"]) == (3, "download")
    assert "save it as" in ended.json["error"]["hint"]


def test_prune(lungfish: Command) -> None:
    assert lungfish("weights", "prune", "--json").json == {"bytes": 0, "files": []}
    lungfish("weights", "fetch", LITE0.name)
    assert lungfish("weights", "prune").out == "deleted: 0 files, 0.0 MB\n"
    assert lungfish("weights", "prune", "--older-than", "1", "--json").json["files"] == []
    assert Store().record(LITE0.name)
    assert lungfish("weights", "prune", "--all").out.startswith("records/efficientnet-lite0-in1k")
    assert Store().record(LITE0.name) is None


@pytest.mark.parametrize("options", [("--all", "--older-than", "3"), ("--older-than", "-1"), ("--older-than", "nan")])
def test_prune_options_that_make_no_sense(lungfish: Command, options: tuple[str, ...]) -> None:
    ended = lungfish("weights", "prune", *options)
    assert ended.code == 2
    assert "--older-than" in ended.err
