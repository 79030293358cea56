"""`lungfish weights list`, `search`, `show` and `licenses`, as a person sees them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lungfish.core.hashing import sha256_bytes
from lungfish.weights.catalogue import catalogue, find_entry
from lungfish.weights.store.record import Verification, WeightsRecord
from lungfish.weights.store.store import Store

Lungfish = Callable[..., Any]
LEGEND = 3
ROW_KEYS = {"name", "source", "license", "sha256", "bytes", "params", "top1", "url", "cached"}


def table(text: str) -> list[list[str]]:
    """Cells of the lines between the heading and the legend."""
    return [line.split() for line in text.splitlines()[1:-LEGEND]]


@pytest.fixture
def fetched(tmp_path: Path) -> WeightsRecord:
    """A set whose file was fetched, accepted, converted and verified."""
    file = tmp_path / "fetched.pth"
    file.write_bytes(b"weights")
    store = Store()
    sha256 = store.add(file)
    entry = replace(find_entry("mobilenet_v2.tv_in1k"), sha256=sha256, bytes=7)
    verified = Verification("torchvision 0.29.1 mobilenet_v2", 1000, 2e-6, 1.0, "2026-10-02T00:00:00Z", {})
    record = WeightsRecord(entry, "2026-10-01T00:00:00Z", "NOASSERTION", "c" * 64, verified, "a mirror")
    store.write_record(record)
    return record


def test_list_shows_permissive_licenses_first_and_fits_the_terminal(lungfish: Lungfish) -> None:
    ended = lungfish("weights", "list")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0].split() == ["name", "license", "M", "params", "top-1", "source"]
    assert max(map(len, lines)) <= 100
    rows = table(ended.out)
    assert len(rows) == len(catalogue())
    unknown = ["unknown" in row for row in rows]
    assert unknown == sorted(unknown)
    assert ["unknown", "!", "5.29", "77.1", "Keras"] in [row[1:6] for row in rows]


def test_list_marks_what_is_at_hand(lungfish: Lungfish, fetched: WeightsRecord) -> None:
    rows = {row["name"]: row for row in lungfish("weights", "list", "--json").json}
    assert rows.keys() == catalogue().keys()
    assert rows["mobilenet_v2.tv_in1k"].keys() >= ROW_KEYS
    cached = {name for name, row in rows.items() if row["cached"]}
    assert {"mobilenet_v2.tv_in1k", "efficientnet_lite0.in1k"} <= cached
    assert "mobilenet_v2.tv2_in1k" not in cached
    assert rows["mobilenet_v2.tv_in1k"]["sha256"] == fetched.entry.sha256
    assert rows["mobilenet_v2.tv_in1k"]["bytes"] == 7
    assert rows["mobilenet_v2.tv2_in1k"]["sha256"] == ""
    marked = {row[1] for row in table(lungfish("weights", "list").out) if row[0] == "*"}
    assert marked == cached


def test_list_of_one_network(lungfish: Lungfish) -> None:
    rows = lungfish("weights", "list", "--arch", "mobilenet_v2:width=1.4,resolution=160", "--json").json
    assert {row["name"] for row in rows} == {
        "mobilenet_v2_140.ra_in1k",
        "mobilenet_v2_140.keras_in1k",
        "mobilenet_v2_140.slim_in1k",
    }
    assert {row["params"] for row in rows} == {6_108_776}
    assert lungfish("weights", "list", "--arch", "mobilenet_v3").code == 2


def test_list_shows_what_was_fetched_from_elsewhere(lungfish: Lungfish, fetched: WeightsRecord) -> None:
    Store().write_record(replace(fetched, entry=replace(fetched.entry, name="hf:someone/\x1b[31mnet", license="mit")))
    Store().write_record(replace(fetched, entry=replace(fetched.entry, name="file:a.pth", arch="gone.json")))
    out = lungfish("weights", "list").out
    assert "\x1b" not in out
    (row,) = [row for row in table(out) if row[1].startswith("hf:someone/")]
    assert row[:5] == ["*", "hf:someone/\\x1b[31mnet", "mit", "3.50", "71.9"]
    assert any(row[1] == "file:a.pth" for row in table(out))
    assert lungfish("weights", "list", "--arch", "efficientnet_b0").code == 0


def test_list_is_quick(command: Lungfish, cache: Path) -> None:
    command("weights", "list", cache=cache)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        command("weights", "list", cache=cache)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 2  # measured: 0.6 on an idle machine


@pytest.mark.parametrize(
    "words",
    [("mobilenet_v2",), ("mobilenetv2",), ("MobileNet V2",), ("mobilenet-v2",), ("mobilenet", "v2")],
    ids=" ".join,
)
def test_search_finds_a_network_however_it_is_spelled(lungfish: Lungfish, words: tuple[str, ...]) -> None:
    names = {row["name"] for row in lungfish("weights", "search", *words, "--json").json}
    assert names == {name for name in catalogue() if name.startswith("mobilenet_v2")}


def test_search_wants_every_word(lungfish: Lungfish) -> None:
    names = [row["name"] for row in lungfish("weights", "search", "efficientnet-b0", "noisy student", "--json").json]
    assert names == ["efficientnet_b0.tf_ns_jft_in1k", "efficientnet_b0.tpu_ns_jft_in1k"]
    names = [row["name"] for row in lungfish("weights", "search", "Torchvision b7", "--json").json]
    assert names == ["efficientnet_b7.tv_in1k"]
    out = lungfish("weights", "search", "lite4 apache").out
    assert [row[0] for row in table(out)] == ["efficientnet_lite4.tf_in1k"]


def test_search_that_finds_nothing(lungfish: Lungfish) -> None:
    ended = lungfish("weights", "search", "resnet")
    assert (ended.code, ended.out) == (0, "")
    assert "nothing found" in ended.err
    assert lungfish("weights", "search", "resnet", "--json").json == []
    assert lungfish("weights", "search", "...", "--json").json["error"]["code"] == "usage"


def test_show_what_is_published(lungfish: Lungfish) -> None:
    out = lungfish("weights", "show", "mobilenet_v2.tv2_in1k").out
    for line in (
        r"name +mobilenet_v2\.tv2_in1k",
        "network +mobilenet_v2: 3,504,872 parameters, 300,774,272 multiply-adds",
        r"top-1 +72\.154 % \(torchvision, metrics of its Weights\)",
        "license +NOASSERTION; to fetch it: --accept-license NOASSERTION",
        "SHA-256 +not published; recorded at the first fetch",
        "published digest +sha256:7ebf99e0",
        r"pixels +\(R - 123\.675\) / 58\.395, ",
        "cached +no: lungfish weights fetch mobilenet_v2",
    ):
        assert re.search(f"^{line}", out, re.MULTILINE), line
    assert "verified" not in out
    assert "not pinned" in lungfish("weights", "show", "mobilenet_v2.ra_in1k").out


def test_show_what_the_ledger_knows(lungfish: Lungfish, fetched: WeightsRecord) -> None:
    out = lungfish("weights", "show", "mobilenet_v2.tv_in1k").out
    assert fetched.entry.sha256 in out
    assert "fetched              2026-10-01T00:00:00Z from a mirror" in out
    assert "accepted license     NOASSERTION" in out
    assert f"SHA-256, converted   {'c' * 64}" in out
    assert "2026-10-02T00:00:00Z: max |difference of logits| 2.0e-06, top-1 agreement 100.0% on 1,000 pictures" in out
    shown = lungfish("weights", "show", "mobilenet_v2.tv_in1k", "--json").json
    assert shown["cached"] is True
    assert shown["fetched"] == fetched.fetched
    assert shown["verified"]["max_abs_diff"] == 2e-6
    assert shown["license_source"].startswith("not stated")


def test_show_a_name_that_is_not_known(lungfish: Lungfish) -> None:
    ended = lungfish("weights", "show", "mobilenet_v2.ra_in2k")
    assert ended.code == 2
    assert "mobilenet_v2.ra_in1k" in ended.err


@pytest.fixture
def noticed(color_bundle: Path, rewrite: Callable[..., None]) -> Path:
    """A bundle with attributions."""
    text = b"This classifier contains weights derived from:\n\n  net.in1k\x1b[31m\n"
    (color_bundle / "NOTICE").write_bytes(text)

    def change(manifest: dict[str, Any]) -> None:
        manifest["files"]["NOTICE"] = {"sha256": sha256_bytes(text), "bytes": len(text)}
        manifest["weights"] = {"name": "net.in1k", "source": "a server", "license": "NOASSERTION", "sha256": "ab"}
        manifest["weights"]["record"] = {"accepted_license": "NOASSERTION"}

    rewrite(color_bundle, change)
    return color_bundle


def test_licenses(lungfish: Lungfish, noticed: Path) -> None:
    ended = lungfish("weights", "licenses", noticed)
    assert ended.code == 0
    assert "  net.in1k\\x1b[31m\n" in ended.out
    row = lungfish("weights", "licenses", noticed, "--json").json
    assert row["notice"] == (noticed / "NOTICE").read_text(encoding="utf-8")
    assert (row["name"], row["license"], row["accepted_license"]) == ("net.in1k", "NOASSERTION", "NOASSERTION")


def test_licenses_of_a_bundle_without_notice(lungfish: Lungfish, noticed: Path, rewrite: Callable[..., None]) -> None:
    (noticed / "NOTICE").unlink()
    ended = lungfish("weights", "licenses", noticed)
    assert ended.code == 1
    assert "contains no NOTICE" in ended.err
    rewrite(noticed, lambda manifest: manifest["files"].pop("NOTICE"))
    (noticed / "NOTICE").write_text("not listed")
    assert "contains no NOTICE" in lungfish("weights", "licenses", noticed).err


def test_licenses_of_an_altered_notice(lungfish: Lungfish, noticed: Path) -> None:
    (noticed / "NOTICE").write_text("all rights are yours")
    ended = lungfish("weights", "licenses", noticed)
    assert ended.code == 1
    assert "all rights" not in ended.out
