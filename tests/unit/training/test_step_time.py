import pytest
import torch

from lungfish.architecture import parse_arch
from lungfish.nn import build
from lungfish.training.step_time import seconds_per_photo


@pytest.mark.parametrize("learns_statistics", [True, False])
def test_the_network_stays_as_it_is(learns_statistics: bool) -> None:
    network = build(parse_arch("efficientnet_lite0:width=0.2,depth=0.3,resolution=32,classes=3"), seed=0).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ran = []
    network.stem.norm.register_forward_hook(lambda norm, *_: ran.append(norm.training))
    seconds = seconds_per_photo(network, torch.randn(4, 3, 32, 32), learns_statistics=learns_statistics)
    assert 0 < seconds < 5
    assert set(ran) == ({True} if learns_statistics else set())  # a frozen one is part of the kernel
    assert not network.training
    assert all(parameter.grad is None for parameter in network.parameters())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name
