"""`lungfish.transforms` gives a network the very pixels that the exported file computes with."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import lungfish as lf
from lungfish.core.errors import UnreadablePhotoError, UsageError
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.training.trunk import normalized
from lungfish.weights.load import to_network


def picture(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """A smooth picture with colors that differ everywhere."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC).convert(mode)


def jpeg(image: Image.Image, orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("size", [(91, 120), (640, 480), (64, 64)])
def test_the_logits_are_those_of_the_exported_file(classifier: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    network, entry = to_network(classifier.network), classifier.entry
    network.preprocessing = entry.preprocessing(64)
    engine = classifier.write(tmp_path).open()
    photo = picture(size)
    x_nchw = lf.transforms(network)(photo)[None]
    pixels = network.preprocessing.pixels(photo)[None]
    assert torch.equal(x_nchw, normalized(torch.from_numpy(pixels.copy()), entry))
    with torch.inference_mode():
        ours = (network(x_nchw) / classifier.temperature).softmax(1).numpy()
    np.testing.assert_allclose(ours, engine.run(pixels), atol=1e-5)
    assert ours.std() > 0.01


@pytest.fixture
def network() -> Any:
    network = lf.build("mobilenet_v1:width=0.25", seed=0)
    network.preprocessing = Preprocessing(64, 0.9, "bilinear", (1.5, 2.0, 3.0), (4.0, 5.0, 6.7))
    return network


def test_a_photo_comes_in_however_it_is_held(network: Any, tmp_path: Path) -> None:
    data = jpeg(picture((120, 80)), orientation=6)
    (tmp_path / "a.jpg").write_bytes(data)
    transform = lf.transforms(network)
    expected = transform(data)
    assert expected.dtype == torch.float32
    assert expected.shape == (3, 64, 64)
    assert expected.is_contiguous()
    for held in (tmp_path / "a.jpg", str(tmp_path / "a.jpg"), Image.open(io.BytesIO(data))):
        assert torch.equal(transform(held), expected)
    upright = np.asarray(Image.open(io.BytesIO(data)).transpose(Image.Transpose.ROTATE_270))
    assert torch.equal(transform(upright), expected)
    gray, palette = transform(picture((80, 80), "L")), transform(picture((80, 80), "P"))
    assert gray.shape == palette.shape == (3, 64, 64)


def test_a_constant_photo_is_normalized_channel_by_channel(network: Any) -> None:
    x_chw = lf.transforms(network)(Image.new("RGB", (70, 70), (10, 20, 30)))
    expected = torch.tensor([(10 - 1.5) / 4, (20 - 2) / 5, (30 - 3) / 6.7])
    torch.testing.assert_close(x_chw, expected[:, None, None].expand(3, 64, 64))


def test_it_shows_its_numbers_and_travels_to_workers(network: Any) -> None:
    transform = lf.transforms(network)
    assert "mean=(1.5, 2.0, 3.0)" in repr(transform)
    assert pickle.loads(pickle.dumps(transform)) == transform


def test_what_is_no_photo(network: Any) -> None:
    transform = lf.transforms(network)
    with pytest.raises(UnreadablePhotoError, match=r"^absent\.jpg: no such file"):
        transform("absent.jpg")
    with pytest.raises(UsageError, match="cannot read a photo from a value of type int"):
        transform(3)  # type: ignore[arg-type]


def test_networks_that_take_no_photos(network: Any) -> None:
    with pytest.raises(UsageError, match="its weights are random") as caught:
        lf.transforms(lf.build("mobilenet_v1:width=0.25"))
    assert "pretrained=True" in caught.value.hint
    with pytest.raises(UsageError, match="a value of type str is not a network"):
        lf.transforms("efficientnet_lite0")  # type: ignore[arg-type]
    gray = lf.build("efficientnet_lite0", pretrained=True, in_channels=1)
    with pytest.raises(UsageError, match=r"takes 1 channel; photos have 3"):
        lf.transforms(gray)
