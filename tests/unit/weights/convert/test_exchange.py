"""Weights from another library and back, with checkpoints made here: no other library is needed."""

from pathlib import Path

import numpy as np
import pytest
import torch

import lungfish as lf
from lungfish.architecture import Arch, Flavour
from lungfish.core.errors import UnknownNameError, UsageError, WeightsError
from lungfish.nn import Network
from lungfish.weights.convert.exchange import TARGETS
from lungfish.weights.layouts import find_layout, tensor_slots

SMALL = lf.arch("efficientnet_b0:width=0.25,resolution=32,classes=5")


def network(flavour: Flavour, arch: Arch = SMALL) -> Network:
    """A network whose every tensor is random, running statistics included."""
    built = lf.build(arch, flavour=flavour, seed=0)
    generator = torch.Generator().manual_seed(1)
    for tensor in built.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return built.eval()


def keras_state(built: Network) -> dict[str, np.ndarray]:
    """Its tensors as Keras names them and lays them out."""
    state = built.state_dict()
    where = tensor_slots(built.arch, find_layout("keras", built.arch))
    turned = {}
    for ours, place in where.items():
        array = state[ours].numpy().reshape(tuple(place.shape[axis] for axis in place.axes) or place.shape)
        turned[place.name] = array.transpose(np.argsort(place.axes)) if place.axes else array
    return turned


@pytest.mark.parametrize("target", TARGETS)
def test_there_and_back(target: str) -> None:
    flavour = Flavour("same", 1e-3) if target == "timm_tf" else Flavour("symmetric", 1e-5)
    built = network(flavour)
    exported = lf.export_weights(built, target)
    again = lf.import_weights(exported, SMALL, source=target)
    assert again.flavour == flavour
    assert not again.training
    for name, tensor in built.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name


def test_exported_tensors_are_copies() -> None:
    built = network(Flavour("symmetric", 1e-5))
    lf.export_weights(built, "timm")["classifier.weight"].zero_()
    assert built.classifier.weight.abs().min() > 0


def test_keras_kernels_are_turned() -> None:
    built = network(Flavour())
    again = lf.import_weights(keras_state(built), SMALL, source="keras")
    for name, tensor in built.state_dict().items():
        if not name.endswith("num_batches_tracked"):  # Keras does not count them
            assert torch.equal(again.state_dict()[name], tensor), name


def test_what_keras_does_to_pixels_is_no_part_of_a_network() -> None:
    state = keras_state(network(Flavour())) | {"normalization/mean": np.zeros(3), "normalization/count": np.zeros(())}
    lf.import_weights(state, SMALL, source="keras")


def test_a_target_that_computes_something_else_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        lf.export_weights(network(Flavour("same", 1e-3)), "timm")
    assert "timm computes efficientnet_b0:width=0.25" in caught.value.message
    assert "symmetric padding and batch-norm epsilon 1e-05" in caught.value.message
    assert "this network with same padding and batch-norm epsilon 0.001" in caught.value.message
    assert caught.value.hint == "Targets that match it: timm_tf."
    with pytest.raises(UsageError, match="torchvision computes") as caught:
        lf.export_weights(network(Flavour("symmetric", 1e-3)), "torchvision")
    assert caught.value.hint == "No target matches it."


def test_torchvision_computes_its_large_networks_with_another_epsilon() -> None:
    large = lf.arch("efficientnet_b5:resolution=32,classes=2")
    with torch.device("meta"):
        built = Network(large, Flavour("symmetric", 1e-3))
    assert len(lf.export_weights(built, "torchvision")) == len(built.state_dict())
    with pytest.raises(UsageError, match="timm computes"):
        lf.export_weights(built, "timm")


def test_a_network_that_the_target_does_not_have() -> None:
    lite = lf.arch("efficientnet_lite0:width=0.25,resolution=32,classes=2")
    with pytest.raises(UsageError, match="torchvision has no networks like efficientnet_lite0"):
        lf.export_weights(network(Flavour("symmetric", 1e-5), lite), "torchvision")


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="unknown source of weights: 'torchvison'"):
        lf.import_weights({}, SMALL, source="torchvison")
    with pytest.raises(UnknownNameError, match="unknown target library: 'keras'"):
        lf.export_weights(network(Flavour()), "keras")


def test_a_checkpoint_of_another_network_lists_what_is_wrong() -> None:
    state: dict[str, object] = dict(lf.export_weights(network(Flavour("symmetric", 1e-5)), "timm"))
    del state["conv_stem.weight"]
    state["blocks.9.0.conv_pw.weight\x1b"] = torch.zeros(1)
    state["classifier.bias"] = torch.zeros(1000)
    state["bn1.weight"] = "text"
    with pytest.raises(WeightsError) as caught:
        lf.import_weights(state, SMALL, source="timm")
    assert "missing conv_stem.weight; unexpected blocks.9.0.conv_pw.weight\\x1b; misshapen " in caught.value.message
    assert "classifier.bias is [1000], expected [5]" in caught.value.message
    assert "bn1.weight is a str, expected [8]" in caught.value.message


def test_old_checkpoints_do_not_count_batches() -> None:
    state = lf.export_weights(network(Flavour("symmetric", 1e-5)), "timm")
    older = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    assert len(older) < len(state)
    lf.import_weights(older, SMALL, source="timm")


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_torch_file(tmp_path: Path, wrapped: bool) -> None:
    built = network(Flavour("symmetric", 1e-5))
    state = lf.export_weights(built, "timm")
    torch.save({"state_dict": state, "epoch": 3} if wrapped else state, tmp_path / "net.pth")
    again = lf.import_weights(tmp_path / "net.pth", SMALL, source="timm")
    assert torch.equal(again.classifier.weight, built.classifier.weight)


def test_a_safetensors_file(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    built = network(Flavour("symmetric", 1e-5))
    save_file(lf.export_weights(built, "timm"), tmp_path / "net.safetensors")
    again = lf.import_weights(str(tmp_path / "net.safetensors"), SMALL, source="timm")
    assert torch.equal(again.classifier.weight, built.classifier.weight)


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_a_file_that_is_no_checkpoint(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"no tensors here")
    with pytest.raises(WeightsError, match=f"cannot read {name}"):
        lf.import_weights(tmp_path / name, SMALL, source="timm")


def test_a_torch_file_of_something_else(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(WeightsError, match=r"list\.pth contains a list, not tensors by name"):
        lf.import_weights(tmp_path / "list.pth", SMALL, source="timm")


def test_files_that_are_absent_or_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file"):
        lf.import_weights(tmp_path / "absent.pth", SMALL, source="timm")
    with pytest.raises(UsageError, match=r"is not a checkpoint of keras; allowed: \.h5"):
        lf.import_weights(tmp_path / "net.pth", SMALL, source="keras")
