"""timm's descriptions of its networks: held against timm itself."""

from typing import Any

import pytest

from lungfish.architecture import parse_arch
from lungfish.core.errors import UsageError, WeightsError
from lungfish.weights.layouts import find_layout, tensor_slots
from lungfish.weights.resolve.timm_config import read_timm_config

OURS = [
    *("mobilenetv1_100", "mobilenetv1_125", "mobilenetv2_035", "mobilenetv2_050", "mobilenetv2_075"),
    *("mobilenetv2_100", "mobilenetv2_140", "efficientnet_b0", "efficientnet_b7", "tf_efficientnet_b1"),
    *("efficientnet_lite0", "tf_efficientnet_lite4"),
]
OTHERS = ["mobilenetv1_100h", "mobilenetv2_110d", "mobilenetv2_120d", "efficientnet_b1_pruned", "efficientnet_b8"]


def config(architecture: str = "mobilenetv2_100", **changes: Any) -> dict[str, Any]:
    """As save_config_for_hf writes it; changes are of `pretrained_cfg`."""
    pretrained = {
        "tag": "ra_in1k",
        "custom_load": False,
        "input_size": [3, 224, 224],
        "fixed_input_size": False,
        "interpolation": "bicubic",
        "crop_pct": 0.875,
        "crop_mode": "center",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "num_classes": 1000,
        "pool_size": [7, 7],
        "first_conv": "conv_stem",
        "classifier": "classifier",
        "license": "apache-2.0",
    }
    return {
        "architecture": architecture,
        "num_classes": 1000,
        "num_features": 1280,
        "pretrained_cfg": pretrained | changes,
    }


@pytest.mark.parametrize("name", OURS)
def test_the_network_has_the_tensors_of_timms(name: str) -> None:
    timm = pytest.importorskip("timm")
    torch = pytest.importorskip("torch")
    model = read_timm_config(config(name), "hf:a/b")
    with torch.device("meta"):
        theirs = {key: tuple(tensor.shape) for key, tensor in timm.create_model(name).state_dict().items()}
    arch = parse_arch(model.arch)
    ours = {place.name: place.shape for place in tensor_slots(arch, find_layout(model.converter, arch)).values()}
    assert ours == theirs
    assert (model.converter == "timm_tf") == name.startswith("tf_")


@pytest.mark.parametrize("name", [*OTHERS, "resnet50", "", None, "mobilenetv2_1000", 5])
def test_networks_that_are_not_built(name: Any) -> None:
    with pytest.raises(UsageError, match="not supported"):
        read_timm_config(config(name), "hf:a/b")


def test_preprocessing_is_in_pixels() -> None:
    found = read_timm_config(config(), "hf:a/b").preprocessing
    assert found.mean == (123.675, 116.28, 103.53)
    assert found.std == (58.395, 57.12, 57.375)
    assert (found.crop_fraction, found.interpolation) == (0.875, "bicubic")


def test_resolution_and_classes() -> None:
    changed = config("mobilenetv2_140", input_size=[3, 192, 192]) | {"num_classes": 12}
    assert read_timm_config(changed, "hf:a/b").arch == "mobilenet_v2:width=1.4,resolution=192,classes=12"
    assert read_timm_config(config("efficientnet_b0"), "hf:a/b").arch == "efficientnet_b0"


def test_the_older_form() -> None:
    current = config("tf_efficientnet_b0")
    older = current["pretrained_cfg"] | {"architecture": "tf_efficientnet_b0", "num_features": 1280}
    assert read_timm_config(older, "hf:a/b") == read_timm_config(current, "hf:a/b")


def test_arguments_that_make_another_network() -> None:
    harmless = config() | {"model_args": {"drop_rate": 0.1, "num_classes": 1000}}
    assert read_timm_config(harmless, "hf:a/b").arch == "mobilenet_v2"
    as_timm_writes_it = {"in_chans": 3, "num_classes": 1000, "global_pool": "avg"}
    assert read_timm_config(config() | {"model_args": as_timm_writes_it}, "hf:a/b").arch == "mobilenet_v2"
    for name, value in (("in_chans", 1), ("global_pool", "catavgmax")):
        with pytest.raises(UsageError, match=f"builds its mobilenetv2_100 with {name}:"):
            read_timm_config(config() | {"model_args": as_timm_writes_it | {name: value}}, "hf:a/b")
    for senseless in (5, "text", [1]):
        with pytest.raises(WeightsError, match=r"config\.json of hf:a/b cannot be used"):
            read_timm_config(config() | {"model_args": senseless}, "hf:a/b")
    with pytest.raises(UsageError, match="builds its mobilenetv2_100 with act_layer, pad_type"):
        read_timm_config(config() | {"model_args": {"pad_type": "same", "act_layer": "silu"}}, "hf:a/b")


@pytest.mark.parametrize(
    "changes",
    [
        {"input_size": [1, 224, 224]},
        {"input_size": [3, 224, 256]},
        {"input_size": None},
        {"input_size": [3, 10**6, 10**6]},
        {"mean": [0.5]},
        {"std": [0, 0, 0]},
        {"mean": [float("nan")] * 3},
        {"mean": "abc"},
        {"crop_pct": 0},
        {"crop_pct": float("inf")},
        {"interpolation": "nearest"},
        {"interpolation": None},
    ],
)
def test_nonsense(changes: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match=r"config\.json of hf:a/b cannot be used"):
        read_timm_config(config(**changes), "hf:a/b")


@pytest.mark.parametrize("value", [None, [], "text", {}, {"pretrained_cfg": 5}, {"model_args": 5}])
def test_what_is_no_configuration(value: Any) -> None:
    with pytest.raises((UsageError, WeightsError)):
        read_timm_config(value, "hf:a/b")
