"""Which network and which weights a job's names stand for."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lungfish.architecture import parse_arch
from lungfish.core.errors import ArchitectureError, WeightsError
from lungfish.core.hashing import sha256_file
from lungfish.job.start import choose_start, initial_start
from lungfish.weights import fitting
from lungfish.weights.catalogue import find_entry


def test_neither_is_the_default_network_with_what_is_at_hand() -> None:
    for weights in (None, "auto"):
        start = choose_start(None, weights)
        assert (start.arch.name, start.entry.name) == ("efficientnet_lite0", "efficientnet_lite0.in1k")
        assert (start.preprocess.resolution_px, start.preprocess.crop_fraction) == (224, 0.875)


def test_the_weights_bring_their_network() -> None:
    start = choose_start(None, "efficientnet_lite2.in1k")
    assert (start.arch.name, start.arch.resolution_px) == ("efficientnet_lite2", 260)
    assert start.preprocess.crop_fraction == 0.89


def test_another_resolution() -> None:
    start = choose_start("efficientnet_lite2:resolution=192", "efficientnet_lite2.in1k")
    assert (start.preprocess.resolution_px, start.entry.name) == (192, "efficientnet_lite2.in1k")


def test_weights_of_another_network() -> None:
    with pytest.raises(
        WeightsError, match=r"lite0\.in1k belongs to efficientnet_lite0, not to efficientnet_lite1"
    ) as caught:
        choose_start("efficientnet_lite1", "efficientnet_lite0.in1k")
    assert "Omit --arch" in caught.value.hint


def test_weights_that_are_known_but_not_here() -> None:
    with pytest.raises(WeightsError, match="none is on this machine: ") as caught:
        choose_start("efficientnet_lite4", None)
    assert "lungfish weights fetch efficientnet_lite4." in caught.value.hint


def test_what_was_fetched_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two sets at hand, the one with the better published top-1."""
    file = tmp_path / "w.pth"
    file.write_bytes(b"weights")
    better = replace(
        find_entry("efficientnet_lite0.in1k"),
        name="efficientnet_lite0.better",
        location=f"file:{file}",
        sha256=sha256_file(file),
        bytes=7,
        top1=80.0,
    )
    both = {entry.name: entry for entry in (find_entry("efficientnet_lite0.in1k"), better)}
    monkeypatch.setattr(fitting, "catalogue", lambda: both)
    assert choose_start(None, None).entry == better
    file.write_bytes(b"altered")
    assert choose_start(None, None).entry.name == "efficientnet_lite0.in1k"


@pytest.mark.parametrize("option", ["resolution=160", "classes=7", "width=1.01"])
def test_weights_fit_an_architecture_file_with_the_same_layers(tmp_path: Path, option: str) -> None:
    """Of 1.01 the rounding leaves nothing."""
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(parse_arch(f"efficientnet_lite0:{option}").to_json() | {"name": "mine"}))
    start = choose_start(str(file), None)
    assert (start.arch.name, start.entry.name) == ("mine", "efficientnet_lite0.in1k")


@pytest.mark.parametrize("option", ["phi=1.5", "width=1.2", "depth=1.5"])
def test_weights_do_not_fit_a_scaled_architecture_whatever_its_name(tmp_path: Path, option: str) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(parse_arch(f"efficientnet_lite0:{option}").to_json() | {"name": "efficientnet_lite0"}))
    with pytest.raises(WeightsError, match="none is known for its widths and depths"):
        choose_start(str(file), None)


def test_a_resolution_that_makes_no_network() -> None:
    with pytest.raises(ArchitectureError, match="16"):
        choose_start("efficientnet_lite0:resolution=16", None)


def test_weights_fit_a_scaled_network_that_is_a_published_one() -> None:
    """Lite0 at phi 1 has Lite2's widths and depths."""
    start = choose_start("efficientnet_lite0:phi=1", None)
    assert (start.arch.name, start.entry.name) == ("efficientnet_lite0:phi=1", "efficientnet_lite2.in1k")


def test_a_network_that_takes_no_photos(tmp_path: Path) -> None:
    file = tmp_path / "gray.json"
    file.write_text(json.dumps(parse_arch("mobilenet_v2").to_json() | {"name": "gray", "in_channels": 1}))
    for choose in (initial_start, lambda arch: choose_start(arch, None)):
        with pytest.raises(ArchitectureError, match="gray takes 1 channel; photos have 3"):
            choose(str(file))


def test_the_hint_names_what_was_typed(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(parse_arch("mobilenet_v2:width=1.15").to_json() | {"name": "mine"}))
    with pytest.raises(WeightsError) as caught:
        choose_start(str(file), None)
    assert f"--recipe scratch --arch {file}" in caught.value.hint
