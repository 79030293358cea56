import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lungfish.core.errors import BundleError, UnknownNameError
from lungfish.core.untrusted import is_plain_name
from lungfish.runtime.manifest import Manifest

HASH = "0" * 64


@pytest.fixture
def values(color_bundle: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((color_bundle / "bundle.json").read_text(encoding="utf-8"))
    return values


def read(values: dict[str, Any]) -> Manifest:
    return Manifest.from_json(json.dumps(values))


def test_it_survives_the_way_there_and_back(color_bundle: Path) -> None:
    text = (color_bundle / "bundle.json").read_text(encoding="utf-8")
    manifest = Manifest.from_json(text)
    assert manifest.to_json() == text
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_keys_are_those_of_the_interface(values: dict[str, Any]) -> None:
    assert " ".join(values) == (
        "schema input output temperature_inside lungfish created seed packages architecture flavour weights labels"
        " thresholds temperature preprocess data artifacts default test val machine files"
    )
    row = "file format precision bytes sha256 top1 ci95 agreement_with_fp32 latency_ms status why files"
    assert " ".join(values["artifacts"][0]) == row


def test_figures_are_read(values: dict[str, Any]) -> None:
    values["artifacts"][0] |= {
        "top1": 0.5,
        "ci95": [0.4, 0.6],
        "agreement_with_fp32": 1,
        "latency_ms": {"p50": 1, "p95": 2.5, "threads": 2, "runtime": "onnxruntime"},
        "status": "pass",
    }
    row = read(values).artifacts[0]
    assert row.ci95 == (0.4, 0.6)
    assert row.latency_ms is not None
    assert row.latency_ms.p95 == 2.5
    assert json.loads(read(values).to_json())["artifacts"][0] == values["artifacts"][0]


def test_unknown_keys_are_ignored(values: dict[str, Any]) -> None:
    assert read(values | {"later": {"more": 1}}) == read(values)


def test_files_may_be_absent(values: dict[str, Any]) -> None:
    del values["files"]
    assert read(values).files == {}


def test_a_newer_schema_asks_for_an_upgrade(values: dict[str, Any]) -> None:
    with pytest.raises(BundleError, match=r"schema 2.*\n.*Upgrade lungfish"):
        read(values | {"schema": 2, "labels": "of another kind"})


def test_artifacts_by_name(values: dict[str, Any]) -> None:
    manifest = read(values)
    assert manifest.artifact().file == manifest.artifact("model.onnx").file == "model.onnx"
    with pytest.raises(UnknownNameError, match=r"(?s)model.onxx.*Did you mean model.onnx"):
        manifest.artifact("model.onxx")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 0}, "schema is 0; it must be an integer from 1"),
        ({"schema": "1"}, "schema is '1'"),
        ({"seed": True}, "seed is True"),
        ({"seed": -1}, "seed is -1"),
        ({"temperature": 0}, "temperature is 0"),
        ({"thresholds": {"known": 2}}, "known is 2; it must be a number from 0 to 1"),
        ({"labels": ["one"]}, "labels is .'one'.; it must be a list of 2 to 100,000 different names"),
        ({"labels": ["a", "a"]}, "different names"),
        ({"labels": ["a", ""]}, "labels: 1 is ''; it must be text of 1 to 1000"),
        ({"labels": ["a", "b" * 1001]}, "text of 1 to 1000"),
        ({"labels": ["a", 7]}, "labels: 1 is 7"),
        ({"labels": ["a", "\ud800"]}, "labels: 1 is"),
        ({"labels": [str(i) for i in range(100_001)]}, "at most 100,000"),
        ({"labels": {"0": "a"}}, "a list"),
        ({"architecture": {}}, "architecture: name is missing"),
        ({"architecture": {"name": 3}}, "architecture: name is 3"),
        ({"architecture": "b0"}, "architecture is 'b0'; it must be a JSON object"),
        ({"flavour": {"padding": "reflect", "bn_eps": 0.1}}, "padding is 'reflect'; it must be one of same, symmetric"),
        ({"flavour": {"padding": "same", "bn_eps": 1.5}}, "bn_eps is 1.5; it must be a number from 0 to 1"),
        ({"preprocess": {"resolution_px": 10**9}}, "resolution_px is 1000000000; it must be an integer from 8 to 4096"),
        ({"artifacts": []}, "default is 'model.onnx'; it must be the file of one of the artifacts"),
        ({"artifacts": [1]}, "a list of JSON objects"),
        ({"default": "other.onnx"}, "default is 'other.onnx'"),
        ({"data": {"fingerprint": "x", "counts": {"train": "many"}, "splits": {}}}, "train is 'many'"),
        ({"created": "\x1b[31m" * 50}, "created is '.x1b"),
        ({"test": None}, "test is None"),
        ({"packages": {"numpy": 2}}, "packages: numpy is 2"),
        ({"files": {"a.txt": {"sha256": "short", "bytes": 1}}}, "sha256 is 'short'"),
        ({"files": {"MODEL.onnx": {"sha256": HASH, "bytes": 1}}}, "same file twice"),
        ({"files": {"bundle.json": {"sha256": HASH, "bytes": 1}}}, "same file twice"),
    ],
)
def test_values_out_of_range(values: dict[str, Any], change: dict[str, Any], words: str) -> None:
    with pytest.raises(BundleError, match=words) as caught:
        read(values | change)
    assert "\x1b" not in str(caught.value)
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bytes": 0}, "bytes is 0"),
        ({"bytes": 1 << 40}, "bytes is"),
        ({"sha256": "G" * 64}, "SHA-256"),
        ({"top1": 1.5}, "top1 is 1.5"),
        ({"ci95": [0.1]}, "ci95: 1 is missing"),
        ({"ci95": [0.1, 0.2, 0.3]}, "at most 2"),
        ({"status": "great"}, "one of pass, fail, not_measured"),
        ({"latency_ms": {"p50": -1, "p95": 1, "threads": 1, "runtime": ""}}, "p50 is -1"),
        ({"format": ""}, "format is ''"),
    ],
)
def test_artifact_rows_out_of_range(values: dict[str, Any], change: dict[str, Any], words: str) -> None:
    values["artifacts"][0] |= change
    with pytest.raises(BundleError, match=words):
        read(values)


def test_every_key_is_needed(values: dict[str, Any]) -> None:
    """But those that are derived from others: see test_description.py."""
    for key in set(values) - {"files", "input", "output", "temperature_inside"}:
        with pytest.raises(BundleError, match=f"{key} is missing"):
            read({name: value for name, value in values.items() if name != key})


NAMES_OUTSIDE = [
    "../model.onnx",
    "..",
    ".",
    "",
    "/etc/passwd",
    "a/../../b",
    "a//b",
    "golden/",
    "..\\model.onnx",
    "C:\\model.onnx",
    "C:model.onnx",
    "model.onnx:stream",
    "CON",
    "nul.onnx",
    "com1.txt",
    "Lpt9 .txt",
    "model.onnx.",
    "model.onnx ",
    "mo\ndel.onnx",
    "mo\0del.onnx",
    "mo\x1bdel.onnx",
    "mo\u202edel.onnx",
    "what?.onnx",
    "a" * 256,
]


@pytest.mark.parametrize("name", NAMES_OUTSIDE)
def test_names_outside_the_bundle(values: dict[str, Any], name: str) -> None:
    with pytest.raises(BundleError, match=r"plain name|plain file name|text of"):
        read(values | {"files": {name: {"sha256": HASH, "bytes": 1}}})
    values["artifacts"][0]["file"] = values["default"] = name
    with pytest.raises(BundleError, match=r"plain file name|text of"):
        read(values)


def test_an_artifact_lies_in_no_folder(values: dict[str, Any]) -> None:
    values["artifacts"][0]["file"] = values["default"] = "golden/model.onnx"
    with pytest.raises(BundleError, match=r"plain file name"):
        read(values)


def test_plain_names() -> None:
    assert all(map(is_plain_name, ["model.onnx", "MODEL_CARD.md", "model-int8.onnx", "console.txt", "ünï.txt", "a b"]))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"a": NaN}', '{"a": 1e999}', '{"schema": 1, "schema": 1}', "[" * 100_000, b"\xff\xfe\x00"],
)
def test_not_json(text: str | bytes) -> None:
    with pytest.raises(BundleError, match=r"not valid JSON|must be a JSON object"):
        Manifest.from_json(text)


@pytest.mark.parametrize("levels", [50, 900])
def test_deep_nesting(values: dict[str, Any], levels: int) -> None:
    """Of 900, Python's own limit comes first, in the parser or where depth is counted."""
    text = json.dumps(values | {"machine": {"deep": 1}}).replace('"deep": 1', f'"deep": {"[" * levels}{"]" * levels}')
    with pytest.raises(BundleError, match=r"nested (more than 32 deep|too deeply)"):
        Manifest.from_json(text)


def test_random_damage_raises_only_our_error(color_bundle: Path, rewrite: Callable[..., None]) -> None:
    import random

    random.seed(0)
    text = (color_bundle / "bundle.json").read_text(encoding="utf-8")
    for _ in range(500):
        at = random.randrange(len(text))
        damaged = text[:at] + random.choice('{}[]",:0-9.eE\\x') + text[at + random.randrange(3) :]
        try:
            Manifest.from_json(damaged)
        except BundleError as error:
            assert error.hint  # noqa: PT017  either outcome is right
