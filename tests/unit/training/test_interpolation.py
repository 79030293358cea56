import numpy as np
import pytest
import torch
from torch import nn

from lungfish.training.interpolation import SHARES, interpolated, move_to_best


def test_floats_move_and_counts_do_not() -> None:
    start = {"weight": torch.tensor([0.0, 2.0]), "count": torch.tensor(3)}
    end = {"weight": torch.tensor([4.0, 2.0]), "count": torch.tensor(8)}
    found = interpolated(start, end, 0.25)
    assert found["weight"].tolist() == [1.0, 2.0]
    assert found["count"].item() == 8
    assert torch.equal(interpolated(start, end, 1.0)["weight"], end["weight"])


@pytest.mark.parametrize("best", SHARES)
def test_it_moves_to_the_share_with_the_lowest_loss(best: float) -> None:
    """The network's one weight runs from 0 to 1; answers are best where it is `best`."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.ones_(network.weight)
    start = {"weight": torch.zeros(1, 1)}

    def logits() -> np.ndarray:
        here = network.weight.item()
        return np.float32([[1, 0]] * 9 + [[0, 1]]) if here == best else np.float32([[0, 1], [1, 0]] * 5)

    share, reached = move_to_best(network, start, logits, np.zeros(10, np.int64))
    assert share == network.weight.item() == best
    assert (reached.argmax(axis=1) == 0).sum() == 9


def test_all_the_way_where_nothing_tells_them_apart() -> None:
    network = nn.Linear(1, 1)
    same = np.float32([[1, 0], [0, 1]])
    start = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    assert move_to_best(network, start, lambda: same, np.array([0, 1]))[0] == 1.0
