from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lungfish.architecture import NAMED, Arch
from lungfish.core.errors import ArchitectureError

B0 = NAMED["efficientnet_b0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width is 0; it must be a number above 0 and at most 64"),
        ({"width": -0.5}, "width is -0.5; it must be a number above 0 and at most"),
        ({"width": float("nan")}, "width is nan; it must be a number above 0 and at most"),
        ({"depth": float("inf")}, "depth is inf; it must be a number above 0 and at most"),
        ({"width": "1"}, "width is '1'; it must be a number above 0 and at most"),
        ({"depth": True}, "depth is True; it must be a number above 0 and at most"),
        ({"native_px": 31}, "resolution_px is 31; it must be a whole number from 32 to 4096"),
        ({"native_px": 224.0}, "native_px is 224.0; it must be a whole number from 1 to 4096"),
        ({"resolution": 20.0}, "resolution_px is 4480; it must be a whole number from 32 to 4096"),
        ({"classes": 0}, "classes is 0; it must be a whole number from 1 to 1000000"),
        ({"in_channels": -3}, "in_channels is -3; it must be a whole number from 1 to 1024"),
        ({"dropout": 1}, "dropout is 1; it must be a number from 0 to 1"),
        ({"drop_path_rate": -0.1}, "drop_path_rate is -0.1; it must be a number from"),
        ({"dropout": None}, "dropout is None; it must be a number from"),
        ({"name": 5}, "name is 5; it must be text of at most 200 characters"),
        ({"name": ""}, "name is ''; it must not be empty"),
        ({"name": ":width=1"}, "name is ':width=1'; it must not be empty or begin with a colon"),
        ({"table": None}, "table is None; it must be a NetworkTable"),
        ({"depth": 63.0}, "the number of blocks is 1008; it must be a whole number from 1 to 1000"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        replace(B0, **change)
    assert caught.value.message.startswith(message)


def test_a_width_beyond_the_limit_names_its_row() -> None:
    wide = replace(B0.table, rows=(*B0.table.rows[:2], replace(B0.table.rows[2], width=60_000)))
    with pytest.raises(ArchitectureError, match="row 3: the scaled width is 120000; it must be a whole number from"):
        replace(B0, table=wide, width=2.0)


@pytest.mark.parametrize("arch", NAMED.values(), ids=lambda arch: arch.name)
def test_json_round_trip(arch: Arch) -> None:
    text = json.dumps(arch.to_json())
    again = Arch.from_json(text)
    assert again == arch
    assert again.name == arch.name
    assert hash(again) == hash(arch)
    assert Arch.from_json(arch.to_json()) == arch


def test_json_of_a_scaled_network() -> None:
    arch = B0.scale(phi=0.37, width=1.3).with_classes(7)
    assert Arch.from_json(json.dumps(arch.to_json())) == arch


def test_missing_keys_with_defaults_are_filled_in() -> None:
    fields = B0.to_json()
    del fields["in_channels"]
    assert Arch.from_json(fields) == B0


def broken(path: str, value: Any) -> dict[str, Any]:
    """B0 as JSON with the value at `path` replaced."""
    fields: dict[str, Any] = json.loads(json.dumps(B0.to_json()))
    *steps, last = path.split(".")
    place: Any = fields
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value
    return fields


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("width", "1", "width is '1'"),
        ("name", 5, "name is 5"),
        ("name", "x" * 10_000, "name is 'xxx"),
        ("table", None, "table is None; it must be a JSON object"),
        ("table", [], "table is []; it must be a JSON object"),
        ("table.stem", "32", "stem is '32'"),
        ("table.stem_scales", "yes", "stem_scales is 'yes'"),
        ("table.rows", 5, "rows is 5; it must be a list"),
        ("table.rows", "abc", "rows is 'abc'; it must be a list"),
        ("table.rows", [], "the table has 0 rows"),
        ("table.rows.2", 7, "row 3 is 7; it must be a JSON object"),
        ("table.rows.2", {}, "row 3 has no 'expand'"),
        ("table.rows.2.kernel", 10**30, "row 3: kernel is 1000000000000000000000000000000"),
        ("table.rows.2.width", 1e9, "row 3: width is 1000000000.0"),
        ("table.rows.2.depths", 1, "unknown key of row 3: 'depths'"),
        ("classs", 10, "unknown key of the architecture: 'classs'"),
        ("dropout", [], "dropout is []"),
    ],
)
def test_json_with_a_wrong_value(path: str, value: Any, message: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        Arch.from_json(json.dumps(broken(path, value)))
    assert caught.value.message.startswith(message)


def test_an_unknown_key_gets_the_close_ones() -> None:
    with pytest.raises(ArchitectureError) as caught:
        Arch.from_json(broken("classs", 10))
    assert caught.value.hint == "Did you mean classes?"


def test_a_missing_key() -> None:
    fields = B0.to_json()
    del fields["table"]
    with pytest.raises(ArchitectureError, match="the architecture has no 'table'"):
        Arch.from_json(fields)


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1]", "5", '"x"', "null", "[" * 100_000, "1" * 5000, '{"a": 1}'])
def test_text_that_is_no_architecture(text: str) -> None:
    with pytest.raises(ArchitectureError, match="architecture"):
        Arch.from_json(text)


def test_rows_without_end_are_refused() -> None:
    with pytest.raises(ArchitectureError, match="the table has 100000 rows"):
        Arch.from_json(broken("table.rows", [B0.to_json()["table"]["rows"][0]] * 100_000))


def test_equality_is_of_the_network_and_not_of_its_name() -> None:
    assert replace(B0, name="mine") == B0
    assert len({B0, replace(B0, name="mine"), B0.with_classes(5)}) == 2


def test_derived_widths_and_depths_of_b2() -> None:
    arch = NAMED["efficientnet_b2"]
    assert arch.stem_width == 32
    assert arch.stage_widths == (16, 24, 48, 88, 120, 208, 352)
    assert arch.stage_depths == (2, 3, 3, 4, 4, 5, 2)
    assert arch.head_width == 1408


def test_mobilenet_v2_keeps_its_head_when_it_shrinks() -> None:
    v2 = NAMED["mobilenet_v2"]
    assert v2.scale(width=0.35).head_width == 1280
    assert v2.scale(width=1.4).head_width == 1792


def test_lite_spares_stem_head_and_the_ends() -> None:
    arch = NAMED["efficientnet_lite4"]
    assert (arch.stem_width, arch.head_width) == (32, 1280)
    assert arch.stage_depths == (1, 4, 4, 6, 6, 8, 1)


def test_ends_can_be_fixed_in_any_family() -> None:
    v2 = NAMED["mobilenet_v2"]
    fixed = replace(v2, table=replace(v2.table, fixed_ends=True, stem_scales=False), width=1.1, depth=1.2)
    assert fixed.stage_depths == (1, 3, 4, 5, 4, 4, 1)
    assert fixed.stem_width == 32


def test_a_network_without_head_ends_in_its_last_row() -> None:
    assert NAMED["mobilenet_v1"].scale(width=0.25).head_width == 256


def test_it_prints_as_a_table() -> None:
    assert str(NAMED["mobilenet_v1"].scale(width=0.5, resolution=160)).splitlines() == [
        f"mobilenet_v1:width=0.5,resolution=160: 160 x 160 x 3, 1000 classes ({NAMED['mobilenet_v1'].table.source})",
        "  input          operator                 expand  channels  blocks  stride",
        "  160 x 160 x 3  convolution 3x3                        16       1       2",
        "  80 x 80 x 16   depthwise_separable 3x3       1        32       1       1",
        "  80 x 80 x 32   depthwise_separable 3x3       1        64       2       2",
        "  40 x 40 x 64   depthwise_separable 3x3       1       128       2       2",
        "  20 x 20 x 128  depthwise_separable 3x3       1       256       6       2",
        "  10 x 10 x 256  depthwise_separable 3x3       1       512       2       2",
        "  5 x 5 x 512    average pool, linear                 1000       1",
    ]
    assert "inverted_residual 5x5, squeeze-and-excite 0.25" in str(B0)
