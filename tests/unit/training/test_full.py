"""How the resolution grows; that training by it works is shown by `tests/e2e`."""

import math

import pytest

from lungfish.training.full import SIDE_STEP_PX, sides_px
from lungfish.training.stage_settings import Full


@pytest.mark.parametrize(
    "sides",
    [
        [128],
        [96, 128],
        [64, 96, 128],
        [64, 96, 128, 128],
        [64, 96, 96, 128, 128],
        [64, 64, 96, 96, 128, 128],
        [64, 64, 96, 96, 128, 128, 128],
        [64, 64, 96, 96, 96, 128, 128, 128],
    ],
)
def test_resolution_grows_in_three_phases(sides: list[int]) -> None:
    assert sides_px(Full(epochs=len(sides), initial_resolution_scale=0.5), 128) == sides


@pytest.mark.parametrize("epochs", range(1, 9))
@pytest.mark.parametrize("initial_resolution_scale", [0.25, 0.75, 1.0])
@pytest.mark.parametrize("resolution_px", [16, 64, 224, 300, 600])
def test_the_last_third_has_the_networks_resolution(
    epochs: int, initial_resolution_scale: float, resolution_px: int
) -> None:
    sides = sides_px(Full(epochs=epochs, initial_resolution_scale=initial_resolution_scale), resolution_px)
    assert len(sides) == epochs
    assert sides == sorted(sides)
    assert set(sides[-math.ceil(epochs / 3) :]) == {resolution_px}
    assert all(side % SIDE_STEP_PX == 0 or side == resolution_px for side in sides)
    assert initial_resolution_scale < 1 or set(sides) == {resolution_px}
    assert sides[0] >= initial_resolution_scale * resolution_px - SIDE_STEP_PX / 2
