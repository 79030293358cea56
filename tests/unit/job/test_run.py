"""What the main job says before it begins, and what ends it; the job itself is tested by `tests/e2e`."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torchvision

from lungfish.core.errors import UnknownNameError, UnreadablePhotoError, UsageError
from lungfish.core.hashing import sha256_file
from lungfish.data.photos import Photo, PhotoSet
from lungfish.job import run as module
from lungfish.job.dataset import Dataset
from lungfish.job.prepare import resolve
from lungfish.job.run_dir import job_fingerprint
from lungfish.job.spec import Job
from lungfish.training.group import Group
from lungfish.training.recipe import RECIPES
from lungfish.weights.fetch.fetch import FetchOptions, fetch
from lungfish.workflows.train import train


def job(**fields: Any) -> Job:
    return Job(Path("photos"), **fields)


def test_the_defaults() -> None:
    start, recipe = resolve(job())
    assert (start.arch.name, start.entry.name) == ("efficientnet_lite0", "efficientnet_lite0.in1k")
    assert recipe == RECIPES["auto"]


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"arch": "eficientnet_lite0"}, "Did you mean efficientnet_lite0"),
        ({"arch": "efficientnet_lite0:resolutoin=64"}, "Did you mean resolution"),
        ({"weights": "efficientnet_lite0.in2k"}, "Did you mean efficientnet_lite0.in1k"),
        ({"recipe": "prob"}, "Did you mean probe"),
    ],
)
def test_misspelt_names(fields: dict[str, str], hint: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        resolve(job(**fields))
    assert hint in caught.value.hint


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range(seed: int) -> None:
    with pytest.raises(UsageError, match=rf"seed is {seed}; it must be a whole number from 0 to 4294967295"):
        job(seed=seed)


def test_a_photo_that_vanishes_is_named() -> None:
    def reader(photo: Photo) -> bytes:
        raise UnreadablePhotoError("the file is gone")

    photo = Photo("boots/\x1b[2J.jpg", 0)
    nothing: Any = None
    dataset = Dataset(PhotoSet(("boots", "shoes"), (photo,), reader), nothing, nothing, nothing, nothing, ())
    named = r"^boots/\\x1b\[2J\.jpg: the file is gone\nPut it back"
    with pytest.raises(UnreadablePhotoError, match=named):
        dataset.read(photo)
    with pytest.raises(UnreadablePhotoError, match=named):
        dataset.reader(photo)()


def test_processes_must_see_the_same_photos_under_names_of_the_same_order() -> None:
    seen: Any = SimpleNamespace(fingerprint=lambda: "photos", ordered_fingerprint=lambda: "photos in order")
    module._check_same(seen, Group())
    other: Any = SimpleNamespace(broadcast=lambda _hash: "photos in another order")
    with pytest.raises(UsageError, match="different photos, or different photo names, than the main process"):
        module._check_same(seen, other)


def test_a_job_is_known_by_what_its_weights_hold(
    write_digits: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files of one network, whose hashes nobody has published; told before anything is trained."""
    photos = write_digits(tmp_path / "digits", count=6)
    received = []

    class Told(BaseException):
        pass

    def tell(*arguments: Any) -> None:
        received.append(job_fingerprint(*arguments))
        raise Told

    monkeypatch.setattr(module, "job_fingerprint", tell)
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        file = tmp_path / f"{seed}.pth"
        torch.save(torchvision.models.mobilenet_v2(width_mult=0.35).state_dict(), file)
        names = {"arch": "mobilenet_v2:width=0.35,resolution=64", "weights": f"file:{file}"}
        fetch(resolve(job(**names))[0].entry, FetchOptions(accept_license="NOASSERTION"))
        with pytest.raises(Told):
            train(photos, tmp_path / "bundle", **names)
    assert received[0] == received[2]
    assert received[0]["weights"] == sha256_file(tmp_path / "0.pth")
    assert received[1] == received[0] | {"weights": sha256_file(tmp_path / "1.pth")}
