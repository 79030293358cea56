"""The modules are plain to torch's own tools: one graph, no copies between memory layouts."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from lungfish.architecture import parse_arch
from lungfish.nn import Backbone, Network, build

NAMES = [f"{name}:width=0.25,depth=0.1" for name in ("mobilenet_v1", "mobilenet_v2", "efficientnet_b0")]
SIDE = 64


@pytest.fixture(params=NAMES)
def network(request: pytest.FixtureRequest) -> Network:
    return build(parse_arch(request.param).with_classes(5), seed=0)


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch's own tools
        warnings.simplefilter("ignore", FutureWarning)
        yield
    torch.compiler.reset()


def images(count: int = 2, side: int = SIDE) -> Tensor:
    return torch.randn(count, 3, side, side)


def test_compiles_to_one_graph_in_eval_mode(network: Network) -> None:
    x_nchw = images()
    compiled = torch.compile(network.eval(), fullgraph=True, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x_nchw), network(x_nchw))


def test_compiles_to_one_graph_in_training_mode(network: Network) -> None:
    compiled = torch.compile(network.train(), fullgraph=True, backend="eager")
    compiled(images()).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_the_backbone_compiles_to_one_graph() -> None:
    backbone = Backbone(build(parse_arch(NAMES[1]), seed=0)).eval()
    x_nchw = images()
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(backbone, fullgraph=True, backend="eager")(x_nchw), backbone(x_nchw))


def test_exports_with_any_batch(network: Network) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network.eval(), (images(),), dynamic_shapes=({0: batch},))
    x_nchw = images(3)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(x_nchw), network(x_nchw))


@pytest.mark.parametrize("training", [False, True])
def test_channels_last_stays_channels_last(network: Network, training: bool) -> None:
    network.train(training).to(memory_format=torch.channels_last)
    strayed = []

    def watch(name: str) -> None:
        def check(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if output.dim() == 4 and not output.is_contiguous(memory_format=torch.channels_last):
                strayed.append(name)

        modules[name].register_forward_hook(check)

    modules = dict(network.named_modules())
    for name in modules:
        watch(name)
    network(images().to(memory_format=torch.channels_last))
    assert not strayed


def test_channels_last_computes_the_same(network: Network) -> None:
    x_nchw = images()
    network.eval().double()
    with torch.no_grad():
        expected = network(x_nchw.double())
        network.to(memory_format=torch.channels_last)
        found = network(x_nchw.double().to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected)


def test_a_copy_and_a_pickle_are_whole(network: Network) -> None:
    x_nchw = images()
    network.eval()
    with torch.no_grad():
        expected = network(x_nchw)
        for twin in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
            assert torch.equal(twin(x_nchw), expected)
