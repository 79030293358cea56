"""Use torchvision's classifiers as yardsticks: count their cost in PyTorch, and time them in our runtime."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lungfish.architecture.published import YARDSTICK
from lungfish.core.extras import missing_extra
from lungfish.core.names import choose

if TYPE_CHECKING:
    from torch import Tensor, nn

    from lungfish.runtime.engines.engine import Engine

AUXILIARY_HEADS = ("googlenet", "inception_v3")  # these have heads for training only


@dataclass(frozen=True)
class Yardstick:
    """One of torchvision's classifiers, with random weights and without auxiliary heads.

    Args:
        name: `torchvision:NAME`.
        resolution_px: Resolution at which its newest weights are evaluated.
        params: Number of parameters.
        macs: Multiply-adds, as torch counts them on the module.
    """

    name: str
    resolution_px: int
    params: int
    macs: int


def open_yardstick(name: str) -> Yardstick:
    """Count the parameters and multiply-adds of `torchvision:NAME` on the meta device, without computing anything.

    Raises:
        MissingExtraError: torch or torchvision is not installed.
        UnknownNameError: torchvision has no such classifier; the hint lists close matches.
    """
    with _compare_extra():
        import torch
        import torchvision
        from torch.utils.flop_counter import FlopCounterMode

    weights = torchvision.models.get_model_weights(_model_name(name)).DEFAULT
    side = weights.transforms().crop_size[0]
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        module = _module(name).eval()
        module(torch.empty((1, 3, side, side)))
    params = sum(tensor.numel() for tensor in module.parameters())
    return Yardstick(name, side, params, counter.get_total_flops() // 2)  # torch counts a multiply-add as two


def yardstick_engine(yardstick: Yardstick, threads: int | None) -> Engine:
    """Open a yardstick in the engine that runs our networks.

    torch exports it to ONNX, with operators that a bundle may not contain.

    Args:
        yardstick: Classifier to open.
        threads: Threads that compute one run; as many as physical cores if None.

    Raises:
        MissingExtraError: torch, torchvision or onnxscript is not installed.
    """
    from lungfish.runtime.engines.onnx.engine import OnnxEngine

    with _compare_extra():
        import onnxscript  # noqa: F401  if missing, torch.onnx says so less clearly
        import torch

    image = torch.zeros((2, yardstick.resolution_px, yardstick.resolution_px, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            _from_pixels(_module(yardstick.name)).eval(),
            (image,),
            input_names=["image"],
            output_names=["probabilities"],
            dynamo=True,
            dynamic_shapes=({0: "batch"},),
            verbose=False,
        )
    assert program is not None
    return OnnxEngine(program.model_proto.SerializeToString(), threads, trusted=True)


def _model_name(name: str) -> str:
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    return choose(name.removeprefix(YARDSTICK), known, "classifier of torchvision")


def _module(name: str) -> nn.Module:
    import torchvision

    model = _model_name(name)
    spared: dict[str, Any] = {"aux_logits": False, "init_weights": False} if model in AUXILIARY_HEADS else {}
    module: nn.Module = torchvision.models.get_model(model, weights=None, **spared)
    return module


def _from_pixels(classifier: nn.Module) -> nn.Module:
    """Wrap `classifier` between the first and last layers of our own graphs."""
    from torch import nn

    class FromPixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classifier = classifier

        def forward(self, image: Tensor) -> Tensor:
            x_nchw = (image.permute(0, 3, 1, 2).float() - 127.5) / 127.5
            probabilities: Tensor = self.classifier(x_nchw).softmax(dim=-1)
            return probabilities

    return FromPixels()


@contextmanager
def _compare_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(error, "comparing with torchvision", "torch,compare") from None
