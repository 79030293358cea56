"""JSON and TOML files made by an enemy: `bundle.json`, a model's metadata, recipes and architectures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lungfish.architecture import parse_arch
from lungfish.core.errors import BundleError, LungfishError
from lungfish.core.untrusted import MAX_VALUES
from lungfish.runtime.bundle import load
from lungfish.runtime.manifest import MAX_MANIFEST_BYTES
from lungfish.runtime.metadata import check_metadata, graph_metadata
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.recipe import read_recipe


def more_bytes_than_allowed() -> bytes:
    return b"{" + b" " * MAX_MANIFEST_BYTES


def more_values_than_allowed() -> bytes:
    return b'{"x":[' + b"{}," * (MAX_VALUES // 2) + b"{}]}"


def numbers() -> bytes:
    return b'{"x":[' + b"1," * MAX_VALUES + b"1]}"


def more_values_in_utf_16() -> bytes:
    return numbers().decode().encode("utf-16")


def deep_lists() -> bytes:
    return b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


ATTACKS = {
    more_bytes_than_allowed: "more than the 8,388,608 bytes allowed",
    more_values_than_allowed: "more than 500,000 values",
    numbers: "more than 500,000 values",
    more_values_in_utf_16: "more than 500,000 values",
    deep_lists: "nested too deeply",
}


@pytest.mark.parametrize(("attack", "words"), ATTACKS.items(), ids=[attack.__name__ for attack in ATTACKS])
def test_bundle_json(attack: Callable[[], bytes], words: str, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_bytes(attack())
    with pytest.raises(BundleError, match=words):
        load(tmp_path)


@pytest.mark.parametrize("attack", [numbers, deep_lists], ids=["numbers", "deep_lists"])
def test_metadata_of_a_model(attack: Callable[[], bytes]) -> None:
    preprocess = Preprocessing(8)
    metadata = graph_metadata(["a", "b"], preprocess) | {"labels": attack().decode()}
    with pytest.raises(BundleError, match="the labels metadata of model does not match the bundle"):
        check_metadata(metadata, ["a", "b"], preprocess, "model")


RECIPES = {
    "many bytes": (b"#" * 100_001, "more than the 100,000 bytes allowed"),
    "deep lists": (b"folds = " + b"[" * 50_000, "cannot read the recipe"),
}


@pytest.mark.parametrize(("data", "words"), RECIPES.values(), ids=RECIPES)
def test_recipes(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_bytes(data)
    with pytest.raises(LungfishError, match=words):
        read_recipe(str(tmp_path / "own.toml"))


@pytest.mark.parametrize("read", [read_recipe, parse_arch])
def test_a_device_that_never_ends(read: Callable[[str], object], tmp_path: Path) -> None:
    link = tmp_path / ("own.toml" if read is read_recipe else "own.json")
    link.symlink_to("/dev/zero")
    with pytest.raises(LungfishError, match=r"cannot read the .*: not a regular file"):
        read(str(link))
