"""Pretrained weights predict by their name: exported once, with ImageNet's names."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lungfish as lf
from lungfish.core.errors import LicenseError, StorageError, UnknownNameError, WeightsError
from lungfish.core.progress import Progress
from lungfish.runtime.bundle_files import check_files, read_manifest
from lungfish.weights.catalogue import find_entry
from lungfish.weights.imagenet import imagenet_names, imagenet_wnids
from lungfish.workflows import published_bundle as module
from lungfish.workflows.published_bundle import published_bundle
from lungfish.workflows.weights.licenses import licenses

LITE0 = "efficientnet_lite0.in1k"
SAMPLES = Path(__file__).parents[4] / "shared" / "data" / "imagenet-samples"


class Told(Progress):
    """What was said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_it_is_exported_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    progress_log = Told()
    folder = published_bundle(LITE0, progress_log)
    assert folder.parent == cache / "bundles"
    assert progress_log.lines == [f"Exporting {LITE0} (at first use only)"]
    before = (folder / "bundle.json").read_bytes()
    monkeypatch.setattr(module, "_write", lambda *_: pytest.fail("exported again"))
    assert published_bundle(LITE0, progress_log) == folder
    assert (folder / "bundle.json").read_bytes() == before
    assert len(progress_log.lines) == 1


def test_it_is_a_sound_bundle_with_imagenets_names() -> None:
    folder = published_bundle(LITE0, Progress())
    bundle = lf.load(folder)
    assert bundle.labels == imagenet_names()
    check_files(folder, bundle.manifest)
    entry, manifest = find_entry(LITE0), read_manifest(folder)
    assert (manifest.weights.name, manifest.weights.sha256) == (LITE0, entry.sha256)
    assert manifest.weights.record["entry"]["license"] == "Apache-2.0"
    assert (manifest.preprocess.resolution_px, manifest.preprocess.crop_fraction) == (224, entry.crop_fraction)
    assert LITE0 in licenses(folder).notice
    assert str(Path.home()) not in (folder / "bundle.json").read_text(encoding="utf-8")


def test_predict_takes_the_name(lungfish: Callable[..., Any], color_photos: Path) -> None:
    photo = color_photos / "red" / "0.png"
    first = lungfish("predict", LITE0, photo, "--json")
    assert first.code == 0, first.err
    assert "Exporting efficientnet_lite0.in1k (at first use only)" in first.err
    (row,) = first.json
    assert row["label"] in imagenet_names()
    assert len(row["top"]) == 5
    again = lungfish("predict", LITE0, photo, "--json")
    assert (again.json, again.err) == (first.json, "")


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs ../shared/data/imagenet-samples")
def test_it_knows_most_photos_and_answers_as_torch_does() -> None:
    """Each photo is called by its class, as `0000_n01440764.jpg` is."""
    photos = sorted(SAMPLES.glob("*.jpg"))[::50]
    wnids = dict(zip(imagenet_names(), imagenet_wnids(), strict=True))
    rows = lf.predict(LITE0, photos)
    assert np.mean([wnids[row.label] in photo.name for photo, row in zip(photos, rows, strict=True)]) >= 0.7
    network = lf.build("efficientnet_lite0", LITE0)
    with torch.inference_mode():
        ours = network(torch.stack([lf.transforms(network)(photo) for photo in photos])).softmax(1)
    assert network.labels is not None
    assert [row.label for row in rows] == [network.labels[index] for index in ours.argmax(1)]
    np.testing.assert_allclose([row.probability for row in rows], ours.amax(1), atol=1e-4)


def test_weights_with_other_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    ten = replace(find_entry(LITE0), name="ten.v1", arch="efficientnet_lite0:classes=10")
    monkeypatch.setattr(module, "resolve", lambda _: ten)
    with pytest.raises(WeightsError, match="has 10 classes, whose names are not known"):
        published_bundle("ten.v1", Progress())


def test_names_that_nothing_has(lungfish: Callable[..., Any]) -> None:
    with pytest.raises(UnknownNameError):
        published_bundle("efficientnet_lite0.in1", Progress())
    ended = lungfish("predict", "efficientnet_lite0.in1", "photo.jpg")
    assert ended.code == 2
    assert "no bundle or weights called efficientnet_lite0.in1" in ended.err
    assert LITE0 in ended.err  # the close match


def test_the_license_comes_first(lungfish: Callable[..., Any], cache: Path) -> None:
    with pytest.raises(LicenseError):
        published_bundle("mobilenet_v2.tv_in1k", Progress())
    ended = lungfish("predict", "mobilenet_v2.tv_in1k", "photo.jpg")
    assert ended.code == 2
    assert "lungfish weights fetch mobilenet_v2.tv_in1k --accept-license NOASSERTION" in ended.err
    assert not (cache / "bundles").exists()


def test_another_process_was_first(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = published_bundle(LITE0, Progress())
    manifest = (folder / "bundle.json").read_bytes()
    (folder / "bundle.json").unlink()

    def beaten(*_: object) -> None:
        (folder / "bundle.json").write_bytes(manifest)
        raise StorageError("the folder is there")

    monkeypatch.setattr(module, "_write", beaten)
    assert published_bundle(LITE0, Progress()) == folder
    (folder / "bundle.json").unlink()
    monkeypatch.setattr(module, "_write", lambda *_: (_ for _ in ()).throw(StorageError("disk full")))
    with pytest.raises(StorageError, match="disk full"):
        published_bundle(LITE0, Progress())
