"""The catalogue: what a row must hold, what all rows have in common, and the rows against the installed libraries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from lungfish.architecture import NAMED, parse_arch
from lungfish.costs import cost
from lungfish.weights import catalogue as room
from lungfish.weights.catalogue import catalogue
from lungfish.weights.catalogue.schema import CONVERTERS, read_entries
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.layouts.sources import SOURCES
from lungfish.weights.license import NOASSERTION, is_permissive

ROW = {
    "name": '"mobilenet_v2.x_in1k"',
    "arch": '"mobilenet_v2"',
    "converter": '"timm"',
    "location": '"hf:timm/x@main/model.safetensors"',
    "source": '"timm"',
    "license": '"MIT"',
    "license_source": '"its page"',
    "url": '"https://example.org"',
    "training_data": '"ImageNet-1k"',
    "flavour": '{ padding = "same", bn_eps = 1e-3 }',
    "normalization": "{ mean = [127.5, 127.5, 127.5], std = [1, 1, 1] }",
    "crop_fraction": "0.875",
    "interpolation": '"bicubic"',
    "paper": '"arXiv:1801.04381"',
}


def entries_of(converter: str) -> list[WeightsEntry]:
    return [entry for entry in catalogue().values() if entry.converter == converter]


def read(**changes: str | None) -> WeightsEntry:
    row = {key: value for key, value in (ROW | changes).items() if value is not None}
    (entry,) = read_entries("x.toml", "[[weights]]\n" + "\n".join(f"{key} = {value}" for key, value in row.items()))
    return entry


def test_a_row_and_its_defaults() -> None:
    assert read().crop_fraction == 0.875
    assert read(sha256=f'"{"0" * 64}"', bytes="5", top1="70", top1_source='"a table"').top1 == 70
    rows = "[defaults]\n" + "\n".join(f"{key} = {value}" for key, value in ROW.items())
    first, second = read_entries("x.toml", f'{rows}\n[[weights]]\n[[weights]]\nname = "mobilenet_v2.y"\n')
    assert (first.name, second.name) == ("mobilenet_v2.x_in1k", "mobilenet_v2.y")
    assert second.mean == (127.5, 127.5, 127.5)


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("licence", '"MIT"', "only the keys name, arch"),
        ("paper", None, "required"),
        ("source", '""', "a string"),
        ("source", "3", "a string"),
        ("crop_fraction", '"0.875"', "a number"),
        ("crop_fraction", "0.4", "0.5 to 1"),
        ("crop_fraction", "nan", "0.5 to 1"),
        ("bytes", "1.5", "a whole number"),
        ("bytes", "0", "a positive number"),
        ("arch", '"mobilenet_v9"', "unknown architecture: 'mobilenet_v9'"),
        ("arch", '"mobilenet_v2:width=0"', "an architecture: .*width"),
        ("name", '"mobilenet_v2"', "ARCH.TAG"),
        ("name", '"efficientnet_b0.in1k"', "ARCH.TAG"),
        ("converter", '"pytorch"', "keras, packaged, slim"),
        ("location", '"http://example.org/x.pth"', "package:, https://"),
        ("location", '"hf:timm/x/model.safetensors"', "hf:OWNER/REPO@REVISION/"),
        ("license", '"see the page"', "an SPDX identifier or NOASSERTION"),
        ("sha256", '"abc"', "64 hex digits"),
        ("digest", '"0123456789abcdef"', "md5: or sha256:"),
        ("interpolation", '"nearest"', "bilinear, bicubic"),
        ("top1", "0.7e3", "percent"),
        ("top1", "70.1", "given with top1"),
        ("unverified", '["lisense"]', "names of keys that are given"),
        ("unverified", '["bytes"]', "names of keys that are given"),
        ("unverified", '"top1"', "a list of strings"),
        ("flavour", "{ padding = 'same' }", "{ padding, bn_eps }"),
        ("normalization", "{ mean = [1, 1, 1] }", "mean and std of 3"),
        ("normalization", "{ mean = [1, 1], std = [1, 1, 1] }", "mean and std of 3"),
    ],
)
def test_a_wrong_row_is_refused(key: str, value: str | None, allowed: str) -> None:
    with pytest.raises(ValueError, match=rf"^x.toml, .*{re.escape(allowed) if '*' not in allowed else allowed}"):
        read(**{key: value})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[weights]", "x.toml: "),
        ("[defaults]\n", "x.toml contains defaults"),
        ("[[weight]]\n", "x.toml contains weight"),
    ],
)
def test_a_wrong_file_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(read_entries("x.toml", text))


def test_a_name_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def each_twice(file: str, text: str) -> Iterator[WeightsEntry]:
        yield from [*read_entries(file, text)] * 2

    monkeypatch.setattr(room, "read_entries", each_twice)
    with pytest.raises(ValueError, match=r"keras\.toml, mobilenet_v1\.keras_in1k: another row has that name"):
        catalogue.__wrapped__()


def test_every_publisher_is_there() -> None:
    assert {entry.converter for entry in catalogue().values()} == set(CONVERTERS)
    assert set(NAMED) - {parse_arch(entry.arch.partition(":")[0]).name for entry in catalogue().values()} == {
        "mobilenet_v1_full"  # a yardstick of the paper: no weights were published
    }


@pytest.mark.parametrize("entry", catalogue().values(), ids=lambda entry: entry.name)
def test_entry(entry: WeightsEntry) -> None:
    base, _, settings = entry.arch.partition(":")
    values = dict(option.split("=") for option in settings.split(",") if option)
    width = f"_{round(100 * float(values['width'])):03}" if "width" in values else ""
    assert entry.name.partition(".")[0] == base + width
    assert set(values) <= {"width", "resolution"}
    assert parse_arch(entry.arch).classes == 1000
    assert entry.converter not in SOURCES or entry.flavour == SOURCES[entry.converter].flavour_of(
        parse_arch(entry.arch)
    )
    assert is_permissive(entry.license) or entry.license == NOASSERTION
    assert entry.license != NOASSERTION or (entry.license_source.startswith("not stated: ") and entry.code_license)
    assert entry.url.startswith("https://")
    assert entry.sha256 or not entry.location.startswith("package:")


@pytest.mark.parametrize("entry", [*entries_of("timm"), *entries_of("timm_tf")], ids=lambda entry: entry.name)
def test_timm(entry: WeightsEntry) -> None:
    models = pytest.importorskip("timm.models")
    name = entry.location.removeprefix("hf:timm/").removesuffix("@main/model.safetensors")
    settings = models.get_pretrained_cfg(name)
    arch = parse_arch(entry.arch)
    assert settings.hf_hub_id == f"timm/{name}"
    assert entry.url == f"https://huggingface.co/timm/{name}"
    assert settings.tag == entry.name.partition(".")[2].removeprefix("tf_")
    assert name.startswith("tf_") == (entry.converter == "timm_tf") == (".tf_" in entry.name)
    assert settings.input_size == (3, arch.resolution_px, arch.resolution_px)
    assert settings.num_classes == arch.classes
    assert (settings.crop_pct, settings.interpolation) == (entry.crop_fraction, entry.interpolation)
    assert settings.crop_mode == ("squash" if "sw_in12k" in name else "center")
    assert settings.license == entry.license.lower()
    check_pixels(entry, settings.mean, settings.std)


def test_torchvision() -> None:
    models = pytest.importorskip("torchvision.models")
    names = ["mobilenet_v2", *(f"efficientnet_b{number}" for number in range(8))]
    weights = {each.url: (name, each) for name in names for each in models.get_model_weights(name)}
    entries = entries_of("torchvision")
    assert {entry.location for entry in entries} == weights.keys()
    for entry in entries:
        name, published = weights[entry.location]
        arch, eval_transform = parse_arch(entry.arch), published.transforms()
        assert entry.name == f"{name}.tv{'2' if published.name.endswith('V2') else ''}_in1k"
        assert f"-{entry.digest.removeprefix('sha256:')}.pth" in entry.location
        assert [arch.resolution_px] == eval_transform.crop_size
        assert entry.crop_fraction == pytest.approx(arch.resolution_px / eval_transform.resize_size[0], abs=1e-6)
        assert entry.interpolation == eval_transform.interpolation.value
        check_pixels(entry, eval_transform.mean, eval_transform.std)
        assert entry.top1 == published.meta["_metrics"]["ImageNet-1K"]["acc@1"]
        assert entry.url == published.meta["recipe"]
        assert cost(arch).params == published.meta["num_params"]


@pytest.mark.parity
@pytest.mark.parametrize("entry", entries_of("keras"), ids=lambda entry: entry.name)
def test_keras(entry: WeightsEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras itself asks for the file, at the address and with the hash that the row has."""
    pytest.importorskip("keras")
    from keras.src.applications import efficientnet, mobilenet, mobilenet_v2

    class Asked(Exception):  # noqa: N818  it carries what is asked for
        pass

    def ask(_name: str, origin: str, *, file_hash: str = "", **_: Any) -> str:
        raise Asked(origin, file_hash and f"md5:{file_hash}")

    module = {"mobilenet_v1": mobilenet, "mobilenet_v2": mobilenet_v2}.get(entry.arch.partition(":")[0], efficientnet)
    monkeypatch.setattr(module.file_utils, "get_file", ask)
    arch = parse_arch(entry.arch)
    if module is efficientnet:
        build = getattr(module, f"EfficientNetB{entry.arch[-1]}")
    else:
        model = module.MobileNet if module is mobilenet else module.MobileNetV2
        build = partial(model, input_shape=(arch.resolution_px, arch.resolution_px, 3), alpha=arch.width)
    with pytest.raises(Asked) as asked:
        build()
    assert asked.value.args == (entry.location, entry.digest)


@pytest.mark.parity
def test_pixels_of_keras() -> None:
    pytest.importorskip("keras")
    from keras.src.applications import efficientnet, mobilenet, mobilenet_v2

    for entry in entries_of("keras"):
        mean, std = np.array(entry.mean), np.array(entry.std)
        if entry.arch.startswith("efficientnet"):
            np.testing.assert_allclose(std, 255 * np.array(efficientnet.IMAGENET_STDDEV_RGB))
        else:
            module = mobilenet if entry.arch.startswith("mobilenet_v1") else mobilenet_v2
            ours = (np.array([[0, 127, 255]]).T - mean) / std
            np.testing.assert_allclose(module.preprocess_input(np.array([[0.0, 127, 255]] * 3).T), ours, atol=1e-6)


def check_pixels(entry: WeightsEntry, mean: Any, std: Any) -> None:
    """A library's statistics are of pixels from 0 to 1."""
    assert entry.mean == pytest.approx([255 * value for value in mean])
    assert entry.std == pytest.approx([255 * value for value in std])
