"""From a search to a classifier, with a network of timm's on a hub of this machine, under a license that must be read.

`tests/parity/test_keras_cycle.py` does the same with files of Keras.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors import safe_open
from timm.models import save_for_hf

from lungfish.core.hashing import sha256_file
from lungfish.weights.imagenet import imagenet_names

Run = Callable[..., Any]
REPOSITORY = "someone/mobilenetv2_050.mine"
NAME = f"hf:{REPOSITORY}"
LICENSE = "cc-by-nc-4.0"
ARCH = "mobilenet_v2:width=0.5"
TEXTS = (".json", ".toml", ".html", ".md", ".txt", ".csv", "")


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What timm uploads of a random MobileNetV2 whose batch norms have seen noise, so that its answers differ."""
    torch.manual_seed(0)
    model = timm.create_model("mobilenetv2_050", pretrained=False)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    torch.nn.init.normal_(model.classifier.weight, 0.0, 0.05)
    with torch.no_grad():
        model.train()(torch.randn(8, 3, 96, 96))
    folder = tmp_path_factory.mktemp("timm")
    save_for_hf(model.eval(), folder, safe_serialization="both")
    return folder


@pytest.fixture
def hub(publish_model: Callable[..., str], model_folder: Path) -> None:
    assert publish_model(REPOSITORY, model_folder, LICENSE, "timm") == NAME


@pytest.fixture
def fetched(hub: None, lungfish: Run) -> Any:
    """The JSON of `weights fetch`, the license accepted."""
    ended = lungfish("weights", "fetch", NAME, "--accept-license", LICENSE, "--json")
    assert ended.code == 0, ended.err
    return ended.json


@pytest.fixture
def photos(write_digits: Callable[..., Path], tmp_path: Path) -> Path:
    return write_digits(tmp_path / "digits", count=12)


def test_a_search_tells_the_license(hub: None, lungfish: Run) -> None:
    ended = lungfish("weights", "search", "mobilenetv2_050", "mine", "--online")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert any(line.split()[:3] == [NAME, LICENSE, "!"] and "2026-01-02" in line for line in lines)
    assert any(line.split()[:2] == [f"github.com/{REPOSITORY}", "MIT"] and "2026-02-03" in line for line in lines)


def test_the_license_must_be_accepted(hub: None, lungfish: Run, photos: Path, cache: Path) -> None:
    text = f"lungfish weights fetch {NAME} --accept-license {LICENSE}"
    for arguments in (
        ("weights", "fetch", NAME),
        ("weights", "verify", NAME),
        ("predict", NAME, "photo.jpg"),
        ("train", photos, "--recipe", "probe", "--weights", NAME, "--out", cache.parent / "bundle"),
    ):
        ended = lungfish(*arguments)
        assert ended.code == 2, arguments
        assert f"the weights {NAME} are under {LICENSE}, which is not a permissive license" in ended.err
        assert ended.err.rstrip().endswith(text)
    assert lungfish("weights", "fetch", NAME, "--accept-license", "MIT").code == 2
    assert not list((cache / "weights").glob("blobs/*"))
    accepted = lungfish(*text.split()[1:])
    assert accepted.code == 0, accepted.err
    assert f"license {LICENSE}, accepted: model card of https://huggingface.co/{REPOSITORY}" in accepted.out


def test_what_is_fetched_is_what_was_published(fetched: Any, model_folder: Path, lungfish: Run) -> None:
    published = model_folder / "model.safetensors"
    assert fetched["sha256"] == sha256_file(published) == sha256_file(Path(fetched["file"]))
    assert fetched["bytes"] == published.stat().st_size
    shown = lungfish("weights", "show", NAME, "--json").json
    assert (shown["arch"], shown["license"], shown["accepted_license"]) == (ARCH, LICENSE, LICENSE)
    assert shown["converted_sha256"] == fetched["converted_sha256"]
    assert shown["cached"]
    assert shown["verified"] is None
    listed = lungfish("weights", "list", "--arch", ARCH, "--json").json
    assert [row["name"] for row in listed if row["cached"]] == [NAME]


def test_converted_by_hand_it_is_the_same(fetched: Any, lungfish: Run, tmp_path: Path, cache: Path) -> None:
    """All but the lines of the header that only the ledger knows: name and place."""
    out = tmp_path / "mine.safetensors"
    convert = ("weights", "convert", fetched["file"], "--arch", ARCH, "--license", LICENSE, "--out", out)
    assert "ambiguous: timm and timm_tf use them" in lungfish(*convert).err
    ended = lungfish(*convert, "--source", "timm", "--json")
    assert ended.code == 0, ended.err
    assert ended.json["sha256_before"] == fetched["sha256"]
    (kept,) = (cache / "weights" / "blobs").glob(f"{fetched['converted_sha256']}*")
    with safe_open(kept, "pt") as ours, safe_open(out, "pt") as byhand:
        assert set(ours.keys()) == set(byhand.keys())
        assert all(torch.equal(ours.get_tensor(name), byhand.get_tensor(name)) for name in ours.keys())  # noqa: SIM118
        origin = {key for key, text in ours.metadata().items() if byhand.metadata().get(key) != text}
    assert origin == {"name", "location"}


def test_it_computes_what_timm_computes(fetched: Any, lungfish: Run, photos: Path) -> None:
    ended = lungfish("weights", "verify", NAME, "--images", photos, "--json")
    assert ended.code == 0, ended.err
    row = ended.json
    assert row["reference"].startswith("timm ")
    assert row["reference"].endswith(" mobilenetv2_050")
    assert (row["images"], row["top1_agreement"]) == (36, 1.0)
    assert row["spread"] > 0.1
    assert row["max_abs_diff"] <= 1e-4
    assert "against timm" in lungfish("weights", "show", NAME).out


def texts_of(bundle: Path) -> dict[str, str]:
    files = [path for path in bundle.rglob("*") if path.is_file() and path.suffix in TEXTS]
    return {path.name: path.read_text(encoding="utf-8") for path in files}


@pytest.mark.usefixtures("copied_int8")
def test_a_classifier_tells_what_it_stands_on(fetched: Any, lungfish: Run, photos: Path, tmp_path: Path) -> None:
    assert lungfish("weights", "verify", NAME).code == 0
    arguments = ("train", photos, "--recipe", "probe", "--arch", f"{ARCH},resolution=64")
    ended = lungfish(*arguments, "--weights", NAME, "--out", tmp_path / "first")
    assert ended.code == 0, ended.err
    origin = json.loads((tmp_path / "first" / "bundle.json").read_text(encoding="utf-8"))["weights"]
    record = origin["record"]
    assert (origin["name"], origin["license"], origin["sha256"]) == (NAME, LICENSE, fetched["sha256"])
    assert (record["accepted_license"], record["converted_sha256"]) == (LICENSE, fetched["converted_sha256"])
    assert record["entry"]["license_source"] == f"model card of https://huggingface.co/{REPOSITORY}"
    assert record["verified"]["top1_agreement"] == 1.0

    again = lungfish(*arguments, "--weights", tmp_path / "first", "--out", tmp_path / "second")
    assert again.code == 0, again.err  # the license was accepted before
    second = json.loads((tmp_path / "second" / "bundle.json").read_text(encoding="utf-8"))["weights"]
    assert (second["license"], second["record"]["accepted_license"]) == (LICENSE, LICENSE)
    assert second["name"] == "bundle:first"
    assert second["record"]["entry"]["trained_from"] == fetched["sha256"]

    for bundle in (tmp_path / "first", tmp_path / "second"):
        notice = lungfish("weights", "licenses", bundle).out
        assert NAME in notice
        assert f"License:    {LICENSE}" in notice
        assert f"Accepted:   {LICENSE}, by whoever made this bundle" in notice
        texts = texts_of(bundle)
        assert {"NOTICE", "bundle.json", "report.html", "MODEL_CARD.md", "recipe.toml"} <= set(texts)
        for name, text in texts.items():
            for folder in (tmp_path, Path.home(), Path.cwd(), Path(timm.__file__).parent):
                assert str(folder) not in text, (name, folder)


def test_it_predicts_by_its_name(fetched: Any, lungfish: Run, photos: Path) -> None:
    ended = lungfish("predict", NAME, photos / "0", "--json")
    assert ended.code == 0, ended.err
    assert len(ended.json) == 12
    assert {row["label"] for row in ended.json} <= set(imagenet_names())


def test_offline_it_is_still_there(fetched: Any, server: Any, lungfish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    server.stop()
    monkeypatch.setenv("LUNGFISH_OFFLINE", "1")
    assert lungfish("weights", "fetch", NAME, "--json").json["sha256"] == fetched["sha256"]
    assert lungfish("weights", "verify", NAME).code == 0
    assert lungfish("weights", "prune", "--all").code == 0
    gone = lungfish("weights", "fetch", NAME)
    assert gone.code == 3
    assert "has not been fetched" in gone.err


def test_a_file_of_torch(publish_model: Callable[..., str], model_folder: Path, tmp_path: Path, lungfish: Run) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in ("config.json", "pytorch_model.bin"):
        (folder / name).write_bytes((model_folder / name).read_bytes())
    name = publish_model("someone/torch", folder, "apache-2.0", "timm")
    ended = lungfish("weights", "fetch", name, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["file"].endswith(".bin")
    assert ended.json["accepted_license"] == ""
    assert lungfish("weights", "verify", name, "--json").json["passed"]


@pytest.mark.usefixtures("copied_int8")
def test_a_first_run_reads_pixels_as_those_after_it(
    publish_model: Callable[..., str], lungfish: Run, photos: Path, tmp_path: Path
) -> None:
    """Only the file, which the first run fetches, tells that it is torchvision's, and so how pixels are normalized."""
    folder = tmp_path / "published"
    folder.mkdir()
    torch.manual_seed(0)
    torch.save(torchvision.models.mobilenet_v2(width_mult=0.5).state_dict(), folder / "pytorch_model.bin")
    name = publish_model("someone/from-torchvision", folder, "apache-2.0", "pytorch")
    created = []
    for out in (tmp_path / "first", tmp_path / "second"):
        arguments = ("--recipe", "probe", "--arch", f"{ARCH},resolution=64", "--weights", name, "--out", out)
        ended = lungfish("train", photos, *arguments)
        assert ended.code == 0, ended.err
        record = json.loads((out / "bundle.json").read_text(encoding="utf-8"))["weights"]["record"]
        created.append((record["entry"]["normalization"], sha256_file(out / "weights.safetensors")))
    assert created[0] == created[1]
    assert created[0][0]["mean"] == pytest.approx([123.675, 116.28, 103.53])
