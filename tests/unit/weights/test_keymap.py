import pytest

from lungfish.core.errors import WeightsError
from lungfish.weights.convert import rename

KEY_MAP = {"_stem": "stem.conv", "_blocks.{i}._project": "blocks.{i}.project.conv", "_fc": "classifier"}


def test_modules_are_renamed_and_the_last_part_stays() -> None:
    theirs = {"_stem.weight": 1, "_blocks.0._project.weight": 2, "_blocks.12._project.bias": 3, "_fc.bias": 4}
    assert rename(theirs, KEY_MAP) == {
        "stem.conv.weight": 1,
        "blocks.0.project.conv.weight": 2,
        "blocks.12.project.conv.bias": 3,
        "classifier.bias": 4,
    }


def test_a_tensor_that_no_row_claims_is_an_error() -> None:
    with pytest.raises(
        WeightsError, match=r"2 tensors are of no known layer: _blocks\.0\._expand\.weight, extra\.bias"
    ):
        rename({"_stem.weight": 1, "_blocks.0._expand.weight": 2, "extra.bias": 3}, KEY_MAP)
