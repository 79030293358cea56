"""Sets by their publishers' names."""

import pytest

from lungfish.core.errors import UnknownNameError, UsageError
from lungfish.weights.catalogue import catalogue
from lungfish.weights.resolve.published import find_published, published_name


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("timm:mobilenetv2_100.ra_in1k", "mobilenet_v2.ra_in1k"),
        ("timm:mobilenetv2_100", "mobilenet_v2.ra_in1k"),
        ("torchvision:mobilenet_v2.IMAGENET1K_V1", "mobilenet_v2.tv_in1k"),
        ("torchvision:mobilenet_v2", "mobilenet_v2.tv2_in1k"),
        ("torchvision:efficientnet_b0.IMAGENET1K_V1", "efficientnet_b0.tv_in1k"),
        ("torchvision:efficientnet_b0", "efficientnet_b0.tv_in1k"),
        ("keras:MobileNet", "mobilenet_v1.keras_in1k"),
        ("keras:MobileNetV2", "mobilenet_v2.keras_in1k"),
        ("keras:EfficientNetB7", "efficientnet_b7.keras_in1k"),
    ],
)
def test_names(name: str, ours: str) -> None:
    assert find_published(name).name == ours


def test_every_publishers_name_leads_back() -> None:
    named = [entry for entry in catalogue().values() if published_name(entry)]
    assert len({published_name(entry) for entry in named}) == len(named) > 60
    assert all(find_published(published_name(entry)) == entry for entry in named)


def test_torchvisions_defaults_are_torchvisions() -> None:
    models = pytest.importorskip("torchvision.models")
    names = [
        name for name in models.list_models() if name in ("mobilenet_v2", *(f"efficientnet_b{i}" for i in range(8)))
    ]
    assert len(names) == 9
    for name in names:
        weights = models.get_model_weights(name)
        assert find_published(f"torchvision:{name}").location == weights.DEFAULT.url
        for each in weights:
            assert find_published(f"torchvision:{name}.{each.name}").location == each.url


def test_several_and_none() -> None:
    with pytest.raises(UsageError, match="has several sets") as caught:
        find_published("timm:efficientnet_b1")
    assert "timm:efficientnet_b1.ft_in1k" in caught.value.hint
    with pytest.raises(UnknownNameError) as unknown:
        find_published("torchvision:mobilenet_v3")
    assert "torchvision:mobilenet_v2" in unknown.value.hint
    with pytest.raises(UnknownNameError):
        find_published("keras:ResNet50")
    with pytest.raises(UnknownNameError):
        find_published("timm:")
