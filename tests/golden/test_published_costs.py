"""What a network costs, against figures that were computed or published by others."""

import pytest

from lungfish.architecture import NAMED
from lungfish.costs import cost

EXACT_PARAMS = {  # each paper's or official builder's own network
    "efficientnet_lite0": 4_652_008,
    "efficientnet_lite1": 5_416_680,
    "efficientnet_lite2": 6_092_072,
    "efficientnet_lite3": 8_197_096,
    "efficientnet_lite4": 13_006_568,
}
MACS_M = {  # independently computed at native resolution: convolutions and classifier
    "efficientnet_lite0": 385,
    "efficientnet_lite1": 600,
    "efficientnet_lite2": 860,
    "efficientnet_lite3": 1383,
    "efficientnet_lite4": 2553,
}


@pytest.mark.parametrize("name", EXACT_PARAMS)
def test_parameters(name: str) -> None:
    assert cost(NAMED[name]).params == EXACT_PARAMS[name]


@pytest.mark.parametrize("name", MACS_M)
def test_multiply_adds(name: str) -> None:
    assert round(cost(NAMED[name]).macs / 1e6) == MACS_M[name]
