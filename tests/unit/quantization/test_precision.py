import pytest

from lungfish.core.errors import UsageError
from lungfish.quantization.precision import DEFAULT_PRECISIONS, PrecisionMap


@pytest.mark.parametrize(
    ("layer", "precision"),
    [
        ("blocks.1.expand.conv", "fp32"),
        ("blocks.1", "fp32"),
        ("blocks.10.expand.conv", "int8"),  # begins with blocks.1, and is another block
        ("blocks.1.squeeze.conv", "int8"),  # the longest holds
        ("blocks.1.squeeze.conv.sigmoid", "int8"),
        ("blocks.1.squeezed", "fp32"),
        ("classifier", "int8"),
        ("", "int8"),
    ],
)
def test_the_longest_beginning_up_to_a_dot_holds(layer: str, precision: str) -> None:
    precisions = PrecisionMap({"blocks.1": "fp32", "blocks.1.squeeze": "int8"})
    assert precisions.precision_of(layer) == precision


def test_all_other_layers() -> None:
    assert PrecisionMap(otherwise="fp32").precision_of("classifier") == "fp32"
    assert DEFAULT_PRECISIONS.precision_of("stem.conv") == DEFAULT_PRECISIONS.precision_of("blocks.0.add") == "fp32"
    assert DEFAULT_PRECISIONS.precision_of("blocks.1.project.conv") == "int8"


def test_a_precision_that_there_is_not() -> None:
    with pytest.raises(UsageError, match=r"precision of stem is 'int7'; it must be one of fp32, int8"):
        PrecisionMap({"stem": "int7"})
    with pytest.raises(UsageError, match=r"the other layers is 'bf16'"):
        PrecisionMap(otherwise="bf16")
