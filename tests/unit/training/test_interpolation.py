from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from lungfish.training.interpolation import SHARES, Validated, averaged, interpolated, move_to_best


def test_floats_move_and_counts_do_not() -> None:
    start = {"weight": torch.tensor([0.0, 2.0]), "count": torch.tensor(3)}
    end = {"weight": torch.tensor([4.0, 2.0]), "count": torch.tensor(8)}
    found = interpolated(start, end, 0.25)
    assert found["weight"].tolist() == [1.0, 2.0]
    assert found["count"].item() == 8
    assert torch.equal(interpolated(start, end, 1.0)["weight"], end["weight"])


def test_the_average_of_runs() -> None:
    ends = [{"weight": torch.tensor([value, 1.0]), "count": torch.tensor(int(value))} for value in (0.0, 3.0, 6.0)]
    found = averaged(ends)
    assert found["weight"].tolist() == [3.0, 1.0]
    assert found["count"].item() == 6


def moved(logits_at: Callable[[float], np.ndarray], ends: list[float]) -> tuple[int, float, float]:
    """Of a network whose one weight runs from 0 to each of the ends: which end, the share, and the weight there."""
    network = nn.Linear(1, 1, bias=False)
    start, *states = ({"weight": torch.full((1, 1), value)} for value in (0.0, *ends))
    photos = Validated(lambda: logits_at(network.weight.item()), np.zeros(10, np.int64), np.arange(10))
    end, share, logits = move_to_best(network, start, states, photos)
    assert (logits == logits_at(network.weight.item())).all()
    return end, share, network.weight.item()


RIGHT, WRONG = np.float32([[3, 0]] * 10), np.float32([[0, 3]] * 10)


@pytest.mark.parametrize("best", SHARES)
def test_it_moves_to_the_share_with_the_most_right_answers(best: float) -> None:
    assert moved(lambda weight: RIGHT if weight == best else WRONG, [1.0]) == (0, best, best)


@pytest.mark.parametrize("best", [0, 1])
def test_it_moves_to_the_better_end(best: int) -> None:
    ends = [1.0, 8.0]
    assert moved(lambda weight: RIGHT if weight == ends[best] else WRONG, ends) == (best, 1.0, ends[best])


def test_where_nothing_tells_them_apart_it_goes_all_the_way_to_the_last_end() -> None:
    assert moved(lambda _: RIGHT, [1.0, 8.0]) == (1, 1.0, 8.0)


def test_a_loss_that_rises_with_certainty_does_not_decide() -> None:
    """Three photos are wrong everywhere; at the end, the network is much more certain of these."""

    def answers(weight: float) -> np.ndarray:
        return np.concatenate([RIGHT[:7], (0.1 if weight < 1 else 4) * WRONG[:3]])

    assert moved(answers, [1.0])[1] == 1.0


def test_within_one_standard_error_the_longest_trained_is_taken() -> None:
    """Half way 8 of 10 are right, at the end 7, mostly others: 0.1 lower, give or take 0.2. Then 9, and 6 of these."""

    def answers(right: range) -> np.ndarray:
        return np.stack([RIGHT[i] if i in right else WRONG[i] for i in range(10)])

    other, fewer = ({0.5: range(8), 1.0: range(3, 10)}, {0.5: range(9), 1.0: range(6)})
    assert moved(lambda weight: answers(other.get(weight, range(0))), [1.0])[1] == 1.0
    assert moved(lambda weight: answers(fewer.get(weight, range(0))), [1.0])[1] == 0.5
