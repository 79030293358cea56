from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from lungfish.architecture import Flavour, Op
from lungfish.architecture.flavour import Padding
from lungfish.nn.layers import Conv2d, ConvNormAct, DropPath


def conv_op(kernel: int, stride: int, side: int, channels: int = 2, groups: int = 1) -> Op:
    after = -(-side // stride)
    return Op("c", "conv", (), (channels, side, side), (channels, after, after), kernel, stride, groups)


@pytest.mark.parametrize("size", [7, 8, 9, 15, 32, 33])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_padding_is_as_a_direct_sum_has_it(size: int, kernel: int, stride: int, padding: Padding) -> None:
    """One channel, one image, against loops over the definition."""
    conv = Conv2d(conv_op(kernel, stride, size, channels=1), Flavour(padding)).double()
    x = torch.randn(1, 1, size, size, dtype=torch.float64)
    out = -(-size // stride)
    before = kernel // 2 if padding == "symmetric" else max((out - 1) * stride + kernel - size, 0) // 2
    weight, pixels = conv.weight[0, 0].detach().numpy(), x[0, 0].numpy()
    expected = np.zeros((out, out))
    for row in range(out):
        for column in range(out):
            for i in range(kernel):
                for j in range(kernel):
                    y, x_ = row * stride + i - before, column * stride + j - before
                    if 0 <= y < size and 0 <= x_ < size:
                        expected[row, column] += weight[i, j] * pixels[y, x_]
    np.testing.assert_allclose(conv(x)[0, 0].detach().numpy(), expected, atol=1e-12)


def test_same_padding_of_an_uneven_picture_pads_each_side_by_its_own_length() -> None:
    conv = Conv2d(conv_op(3, 2, 8), Flavour("same"))
    x = torch.randn(1, 2, 8, 9)
    padded = F.pad(x, (1, 1, 0, 1))  # left, right, top, bottom: 9 columns need 2 more, 8 rows need 1, at the bottom
    torch.testing.assert_close(conv(x), F.conv2d(padded, conv.weight, stride=2))
    assert conv(x).shape == (1, 2, 4, 5)


def test_symmetric_padding_is_torchs_own() -> None:
    conv = Conv2d(conv_op(5, 2, 9), Flavour("symmetric"))
    x = torch.randn(2, 2, 9, 12)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, stride=2, padding=2), rtol=0, atol=0)


def test_the_two_paddings_differ_at_even_sizes() -> None:
    x, op = torch.randn(1, 2, 8, 8), conv_op(3, 2, 8)
    same, symmetric = Conv2d(op, Flavour("same")), Conv2d(op, Flavour("symmetric"))
    symmetric.load_state_dict(same.state_dict())
    assert not torch.allclose(same(x), symmetric(x), atol=1e-3)


def test_drop_path_drops_whole_images_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    x = torch.ones(20_000, 2, 1, 1)
    y = DropPath(0.2).train()(x)
    assert torch.equal(y[:, 0], y[:, 1])  # an image is kept or dropped as a whole
    torch.testing.assert_close(y.unique(), torch.tensor([0, 1.25]))
    dropped = (y[:, 0] == 0).float().mean().item()
    assert dropped == pytest.approx(0.2, abs=5 * (0.2 * 0.8 / 20_000) ** 0.5)
    assert y.mean().item() == pytest.approx(1, abs=0.02)


def test_drop_path_does_nothing_at_inference_or_at_rate_0() -> None:
    x = torch.randn(8, 2, 1, 1)
    assert DropPath(0.5).eval()(x) is x
    assert DropPath(0.0).train()(x) is x


@pytest.mark.parametrize(("kernel", "stride", "groups"), [(1, 1, 1), (3, 2, 4), (3, 1, 1)])
@pytest.mark.parametrize("function", ["relu6", "silu", None])
def test_a_frozen_norm_in_the_kernel_has_the_outputs_and_gradients_of_one_apart(
    kernel: int, stride: int, groups: int, function: str | None
) -> None:
    conv = conv_op(kernel, stride, 9, channels=4, groups=groups)
    ops = {"conv": conv, "norm": replace(conv, kind="norm", in_shape=conv.out_shape)}
    if function:
        ops["act"] = replace(ops["norm"], kind="act", function=function)
    layer = ConvNormAct(ops, Flavour()).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
        layer.norm.running_mean.normal_()
        layer.norm.running_var.uniform_(0.5, 2)
    layer.eval()
    x_nchw = torch.randn(3, 4, 9, 9, dtype=torch.double, requires_grad=True)
    inputs = [x_nchw, *layer.parameters()]

    apart = layer.act(layer.norm(layer.conv(x_nchw)))
    expected = torch.autograd.grad(apart.square().sum(), inputs)
    joined = layer(x_nchw)
    torch.testing.assert_close(joined, apart)
    for got, want in zip(torch.autograd.grad(joined.square().sum(), inputs), expected, strict=True):
        torch.testing.assert_close(got, want)


def test_norms_join_the_kernel_only_where_gradients_are_followed_and_statistics_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    layer = ConvNormAct({"conv": conv_op(1, 1, 4), "norm": conv_op(1, 1, 4)}, Flavour())
    calls = []
    monkeypatch.setattr(layer.norm, "forward", lambda x: calls.append(1) or x)
    x_nchw = torch.randn(2, 2, 4, 4)
    layer.train()(x_nchw)
    layer.eval()
    with torch.inference_mode():
        layer(x_nchw)
    assert len(calls) == 2
    layer(x_nchw)
    assert len(calls) == 2
