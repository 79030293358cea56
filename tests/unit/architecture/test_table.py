from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lungfish.architecture import BlockRow, NetworkTable
from lungfish.core.errors import ArchitectureError

ROW = BlockRow(6, 3, 2, 24, 2)
TABLE = NetworkTable(source="a test", rows=(ROW, ROW), block="inverted_residual", act="relu6", stem=16, head=64)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expand": 0}, "row 2: expand is 0; it must be a whole number from 1 to 16"),
        ({"expand": 1.5}, "row 2: expand is 1.5; it must be a whole number from 1 to 16"),
        ({"kernel": 4}, "row 2: kernel is 4; it must be one of 1, 3, 5, 7, 9, 11"),
        ({"stride": 3}, "row 2: stride is 3; it must be one of 1, 2"),
        ({"stride": True}, "row 2: stride is True; it must be one of 1, 2"),
        ({"width": -8}, "row 2: width is -8; it must be a whole number from 1 to 65536"),
        ({"width": "24"}, "row 2: width is '24'; it must be a whole number from 1 to 65536"),
        ({"depth": 10**6}, "row 2: depth is 1000000; it must be a whole number from 1 to 100"),
    ],
)
def test_a_wrong_row_is_named_with_its_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        replace(TABLE, rows=(ROW, replace(ROW, **change)))
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": ()}, "the table has 0 rows; it must have 1 to 100"),
        ({"rows": (ROW,) * 101}, "the table has 101 rows; it must have 1 to 100"),
        ({"rows": (ROW, (1, 3, 1, 16, 1))}, "row 2 is (1, 3, 1, 16, 1); it must be a BlockRow"),
        ({"block": "residual"}, "block is 'residual'; it must be one of inverted_residual, depthwise_separable, full"),
        ({"act": "gelu"}, "act is 'gelu'; it must be one of relu, relu6, silu"),
        ({"act": ["relu"]}, "act is ['relu']; it must be one of relu, relu6, silu"),
        ({"stem": 3.5}, "stem is 3.5; it must be a whole number from 1 to 65536"),
        ({"head": -1}, "head is -1; it must be a whole number from 0 to 65536"),
        ({"squeeze": 2}, "squeeze is 2; it must be a number from 0 to 1"),
        ({"rounding": "up"}, "rounding is 'up'; it must be one of nearest_8, down"),
        ({"stem_scales": 1}, "stem_scales is 1; it must be one of True, False"),
        ({"head_scales": True}, "head_scales is True; it must be one of always, up_only, never"),
        ({"fixed_ends": "yes"}, "fixed_ends is 'yes'; it must be one of True, False"),
        ({"initialization": ""}, "initialization is ''; it must be one of fan_out, truncated"),
        ({"source": None}, "source is None; it must be text of at most 1000 characters"),
        ({"block": "depthwise_separable"}, "row 1: expand is 6; it must be 1 for depthwise_separable blocks"),
    ],
)
def test_a_wrong_fact_is_named_with_its_value(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchitectureError) as caught:
        replace(TABLE, **change)
    assert caught.value.message.startswith(message)


def test_squeeze_and_excite_has_its_place_in_inverted_residuals_only() -> None:
    with pytest.raises(ArchitectureError, match=r"squeeze is 0\.25; it must be 0 for full_convolution blocks"):
        replace(TABLE, rows=(replace(ROW, expand=1),), block="full_convolution", squeeze=0.25)


def test_a_long_value_is_cut_and_escaped() -> None:
    change: dict[str, Any] = {"act": "\x1b[2J" + "x" * 10_000}
    with pytest.raises(ArchitectureError) as caught:
        replace(TABLE, **change)
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 200


def test_a_list_of_rows_will_do() -> None:
    listed: dict[str, Any] = {"rows": [ROW, ROW]}
    assert replace(TABLE, **listed) == TABLE
    assert hash(replace(TABLE, **listed)) == hash(TABLE)
