"""torchvision and timm, in float64: the same logits to 1e-10 of their spread; as an ONNX graph, to 1e-4."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import lungfish as lf
from lungfish.architecture import INPUT, Arch, Flavour, parse_arch
from lungfish.exporters.exporter import GraphSpec
from lungfish.exporters.onnx_graph import classifier_graph

BOUND = 1e-10
GRAPH_BOUND = 1e-4  # the graph computes in float32
SPEC = GraphSpec(mean=(120.0, 127.0, 110.0), std=(50.0, 60.0, 55.0))  # pictures of order one become bytes
LARGE_PX = 400  # larger pictures come in smaller batches
# From 193 and 129 every strided layer sees an odd side, where both paddings are the same; 197 and 133 mix odd and even.
ODD_PX, ODD_PX_OF_LARGE = (193, 197), (129, 133)
PLANTED_PX = 96


@dataclass(frozen=True)
class Case:
    """A network of another library and ours. `fixed_ends` are timm's `d` models, that scale neither stem nor ends."""

    source: str
    theirs: str
    ours: str
    fixed_ends: bool = False

    @property
    def arch(self) -> Arch:
        arch = parse_arch(self.ours)
        if not self.fixed_ends:
            return arch
        return replace(arch, table=replace(arch.table, fixed_ends=True, stem_scales=False, head_scales="never"))

    def reference(self) -> nn.Module:
        if self.source == "torchvision":
            return getattr(pytest.importorskip("torchvision").models, self.theirs)()
        return pytest.importorskip("timm").create_model(self.theirs)


QUICK = [
    Case("torchvision", "mobilenet_v2", "mobilenet_v2"),
    Case("torchvision", "efficientnet_b0", "efficientnet_b0"),
    Case("timm", "mobilenetv1_100", "mobilenet_v1"),
    Case("timm", "mobilenetv2_050", "mobilenet_v2:width=0.5"),
    Case("timm_tf", "tf_efficientnet_lite0", "efficientnet_lite0"),
]
CASES = [
    Case("torchvision", "mobilenet_v2", "mobilenet_v2"),
    *(Case("torchvision", f"efficientnet_b{i}", f"efficientnet_b{i}") for i in range(8)),
    Case("timm", "mobilenetv1_100", "mobilenet_v1"),
    Case("timm", "mobilenetv1_125", "mobilenet_v1:width=1.25"),
    *(
        Case("timm", f"mobilenetv2_{percent:03}", f"mobilenet_v2:width={percent / 100}")
        for percent in (35, 50, 75, 100, 140)
    ),
    Case("timm", "mobilenetv2_110d", "mobilenet_v2:width=1.1,depth=1.2", fixed_ends=True),
    Case("timm", "mobilenetv2_120d", "mobilenet_v2:width=1.2,depth=1.4", fixed_ends=True),
    *(Case("timm", f"efficientnet_b{i}", f"efficientnet_b{i}") for i in range(8)),
    *(Case("timm_tf", f"tf_efficientnet_b{i}", f"efficientnet_b{i}") for i in range(8)),
    *(Case("timm_tf", f"tf_efficientnet_lite{i}", f"efficientnet_lite{i}") for i in range(5)),
]


def other(flavour: Flavour, what: str) -> Flavour:
    """A flavour with one thing wrong."""
    if what == "wrong epsilon":
        return replace(flavour, bn_eps=1e-3 if flavour.bn_eps == 1e-5 else 1e-5)
    return replace(flavour, padding="same" if flavour.padding == "symmetric" else "symmetric")


def graph_log_probabilities(network: Any, flavour: Flavour, pixels: Tensor) -> Tensor:
    """What the exported graph computes from bytes `[n, side, side, 3]`: `[n, classes]`."""
    arch = network.arch.scale(resolution=pixels.shape[1])
    state = {name: tensor.float().numpy() for name, tensor in network.state_dict().items()}
    model = classifier_graph(arch, flavour, state, SPEC).SerializeToString()
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {INPUT: pixels.numpy()})[0]).double().log()


@pytest.fixture
def check(pictures: Callable[..., Any], randomize: Any, difference: Any, report: Any, compared: Any) -> Any:
    """Compare a case at some resolutions, and its ONNX graph; see planted errors refused; load the weights back."""

    def run(case: Case, sides_px: tuple[int, ...]) -> None:
        def batch(side_px: int) -> Tensor:
            return pictures(side_px, 1 if side_px > LARGE_PX else 2)

        def judge(network: nn.Module, side_px: int, what: str) -> None:
            with torch.inference_mode():
                found = difference(network(batch(side_px)), reference(batch(side_px)))
            report.judge(compared(case.source, case.theirs, what, found, BOUND))

        def judge_graph(flavour: Flavour, what: str) -> None:
            mean, std = torch.tensor(SPEC.mean), torch.tensor(SPEC.std)
            levels = batch(PLANTED_PX).permute(0, 2, 3, 1) * std + mean
            pixels = levels.round().clip(0, 255).to(torch.uint8)
            with torch.inference_mode():
                logits = reference(((pixels.double() - mean) / std).permute(0, 3, 1, 2))
            found = difference(graph_log_probabilities(ours, flavour, pixels), logits.log_softmax(1))
            report.judge(compared(case.source, case.theirs, what, found, GRAPH_BOUND))

        reference = randomize(case.reference(), batch(max(sides_px)))
        ours = lf.import_weights(reference.state_dict(), case.arch, case.source).double()
        for side_px in sides_px:
            judge(ours, side_px, f"{side_px} px")
        for what in ("wrong epsilon", "wrong padding"):
            wrong = lf.build(case.arch, flavour=other(ours.flavour, what)).double().eval()
            wrong.load_state_dict(ours.state_dict())
            with pytest.raises(AssertionError, match=what):
                judge(wrong, PLANTED_PX, what)
            with pytest.raises(AssertionError, match=f"{what} in the graph"):
                judge_graph(wrong.flavour, f"{what} in the graph")
        judge_graph(ours.flavour, f"{PLANTED_PX} px, ONNX graph")
        back = case.reference()
        back.load_state_dict(lf.export_weights(ours, case.source), strict=True)
        for name, tensor in reference.state_dict().items():
            assert torch.equal(back.state_dict()[name].double(), tensor.double()), name

    return run


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.theirs)
def test_quick(case: Case, check: Any) -> None:
    check(case, (PLANTED_PX, 101))


@pytest.mark.parametrize("channels", [1, 2, 4, 5])
def test_quick_channels(channels: int) -> None:
    """The first kernel of pretrained weights takes other channels as timm's does."""
    timm = pytest.importorskip("timm")
    built = [lf.build("efficientnet_lite0", pretrained=True, in_channels=each) for each in (3, channels)]
    ours, theirs = (network.stem.conv.weight.detach() for network in reversed(built))
    torch.testing.assert_close(ours, timm.models.adapt_input_conv(channels, theirs))


@pytest.mark.parity
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.source}-{case.theirs}")
def test_at_native_and_odd_resolution(case: Case, check: Any) -> None:
    native_px = case.arch.resolution_px
    check(case, (native_px, *(ODD_PX_OF_LARGE if native_px > LARGE_PX else ODD_PX)))


def test_real_photos_are_among_the_pictures(pictures: Callable[..., Any]) -> None:
    if len(pictures(32, 1)) == 1:
        pytest.skip("the photos of shared/data/imagenet-samples are not here: random pictures only")
