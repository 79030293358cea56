"""Every form of a name, and what it stands for."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lungfish.architecture import Flavour, parse_arch
from lungfish.core.errors import BundleError, DownloadError, UnknownNameError, UsageError, WeightsError
from lungfish.core.hashing import sha256_file
from lungfish.weights.build import build
from lungfish.weights.catalogue import catalogue, find_entry
from lungfish.weights.layouts import find_layout, tensor_slots
from lungfish.weights.resolve.names import resolve
from lungfish.weights.store.record import WeightsRecord
from lungfish.weights.store.store import Store

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA256 = "ab" * 32
CONFIG = {
    "architecture": "mobilenetv2_140",
    "num_classes": 1000,
    "pretrained_cfg": {
        "input_size": [3, 224, 224],
        "interpolation": "bicubic",
        "crop_pct": 0.95,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "num_classes": 1000,
    },
}


@pytest.fixture
def hub(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return server


@pytest.fixture
def publish(hub: Any, reply: Any) -> Callable[..., None]:
    """Put a repository on the hub, under its name and at its commit."""

    def publish(repository: str, files: dict[str, Any] | None = None, revision: str = "", **changes: Any) -> None:
        files = files if files is not None else {"model.safetensors": None, "config.json": CONFIG}
        lfs = {"sha256": SHA256, "size": 1234, "pointerSize": 133}
        row = {
            "id": repository,
            "sha": COMMIT,
            "tags": ["timm", "license:apache-2.0", "dataset:imagenet-1k"],
            "library_name": "timm",
            "siblings": [
                {"rfilename": name, "size": 1234} | ({"lfs": lfs} if value is None else {})
                for name, value in files.items()
            ],
        } | changes
        hub.answer(f"/api/models/{repository}" + (f"/revision/{revision}" if revision else ""), reply.json(row))
        for name, value in files.items():
            hub.answer(f"/{repository}/resolve/{COMMIT}/{name}", reply.json(value))

    return publish


def test_every_name_of_the_catalogue() -> None:
    assert all(resolve(name) is entry for name, entry in catalogue().items())
    with pytest.raises(UnknownNameError) as caught:
        resolve("efficientnet_lite0.in1")
    assert "efficientnet_lite0.in1k" in caught.value.hint


def test_publishers_names() -> None:
    assert resolve("torchvision:mobilenet_v2.IMAGENET1K_V1").name == "mobilenet_v2.tv_in1k"
    assert resolve("keras:MobileNetV2").name == "mobilenet_v2.keras_in1k"
    assert resolve("timm:mobilenetv2_100.ra_in1k").name == "mobilenet_v2.ra_in1k"


@pytest.mark.parametrize(
    "name", ["s3://bucket/net", "gs:net", "https://example.org/net.pth", "package:torch/net", "ftp:x"]
)
def test_unknown_schemes(name: str) -> None:
    with pytest.raises(UsageError, match="does not begin with a known scheme") as caught:
        resolve(name)
    assert "hf:OWNER/REPO" in caught.value.hint
    assert "git+https:" in caught.value.hint


def test_a_model_that_is_in_the_catalogue_asks_nobody(hub: Any) -> None:
    assert resolve("hf:timm/mobilenetv2_100.ra_in1k") == find_entry("mobilenet_v2.ra_in1k")
    assert resolve("hf:timm/mobilenetv2_100.ra_in1k/model.safetensors") == find_entry("mobilenet_v2.ra_in1k")
    assert hub.seen == []


def test_timms_repositories_describe_themselves(hub: Any, publish: Callable[..., None]) -> None:
    publish("me/net")
    entry = resolve("hf:me/net")
    assert (entry.name, entry.arch, entry.converter) == ("hf:me/net", "mobilenet_v2:width=1.4", "timm")
    assert entry.location == f"hf:me/net@{COMMIT}/model.safetensors"
    assert (entry.sha256, entry.bytes) == (SHA256, 1234)
    assert (entry.license, entry.training_data) == ("Apache-2.0", "imagenet-1k")
    assert entry.license_source == "model card of https://huggingface.co/me/net"
    assert entry.flavour == Flavour("symmetric", 1e-5)
    assert entry.mean == (127.5, 127.5, 127.5)
    assert (entry.crop_fraction, entry.interpolation, entry.unverified) == (0.95, "bicubic", ())


def test_a_port_of_tensorflows(publish: Callable[..., None]) -> None:
    publish("me/net", {"pytorch_model.bin": None, "config.json": CONFIG | {"architecture": "tf_efficientnet_lite1"}})
    entry = resolve("hf:me/net")
    assert (entry.converter, entry.flavour) == ("timm_tf", Flavour("same", 1e-3))
    assert entry.arch == "efficientnet_lite1:resolution=224"
    assert entry.location.endswith("/pytorch_model.bin")


def test_a_revision_and_a_file(publish: Callable[..., None]) -> None:
    publish("me/net", {"a.pth": None, "b.pth": None}, "v1", library_name="")
    entry = resolve("hf:me/net@v1/b.pth", "efficientnet_b0")
    assert entry.location == f"hf:me/net@{COMMIT}/b.pth"
    assert (entry.arch, entry.converter) == ("efficientnet_b0", "")
    assert "flavour" in entry.unverified
    with pytest.raises(UnknownNameError, match="unknown file of me/net:"):
        resolve("hf:me/net@v1/c.pth", "efficientnet_b0")
    with pytest.raises(UsageError, match=r"several: a\.pth, b\.pth"):
        resolve("hf:me/net@v1", "efficientnet_b0")
    with pytest.raises(UsageError, match="does not state its network"):
        resolve("hf:me/net@v1/b.pth")


def test_a_model_without_a_license(publish: Callable[..., None]) -> None:
    publish("me/net", tags=[])
    entry = resolve("hf:me/net")
    assert (entry.license, entry.training_data) == ("NOASSERTION", "not stated in the model card")
    assert entry.license_source == "not stated in the model card of https://huggingface.co/me/net"


def test_a_model_that_is_no_network_of_ours(publish: Callable[..., None]) -> None:
    publish("me/net", {"model.safetensors": None, "config.json": CONFIG | {"architecture": "resnet50"}})
    with pytest.raises(UsageError, match="hf:me/net is timm's resnet50"):
        resolve("hf:me/net")
    publish("me/texts", {"README.md": {}}, library_name="")
    with pytest.raises(UsageError, match="has no single weights file: it has none"):
        resolve("hf:me/texts", "efficientnet_b0")


def test_the_ledger_answers_for_what_was_fetched(hub: Any, publish: Callable[..., None]) -> None:
    publish("me/net")
    entry = resolve("hf:me/net")
    asked = len(hub.seen)
    Store().write_record(WeightsRecord(entry, "2026-01-01T00:00:00Z", "", "", None))
    assert resolve("hf:me/net") == resolve("hf:me/net", offline=True) == entry
    assert len(hub.seen) == asked


def test_a_network_that_a_set_is_not_of(publish: Callable[..., None], hub: Any) -> None:
    """Whoever asks, and whether it was fetched before."""
    publish("me/net")
    asked = parse_arch("mobilenet_v2:width=0.5")
    with pytest.raises(WeightsError, match=r"hf:me/net belongs to mobilenet_v2:width=1\.4, not to mobilenet_v2"):
        resolve("hf:me/net", asked.name)
    Store().write_record(
        WeightsRecord(resolve("hf:me/net", "mobilenet_v2:width=1.4,resolution=96"), "2026-01-01T00:00:00Z")
    )
    hub.stop()
    for name in ("hf:me/net", "efficientnet_lite0.in1k", "timm:mobilenetv2_100.ra_in1k"):
        with pytest.raises(WeightsError, match=r" belongs to .*, not to mobilenet_v2:width=0\.5"):
            resolve(name, asked.name)
        with pytest.raises(WeightsError, match=r"not to (mobilenet_v2:width=0\.5|mine)|do not fit mine"):
            build(replace(asked, name="mine"), name)
    assert resolve("hf:me/net", "mobilenet_v2:width=1.4,resolution=96,classes=3").arch == "mobilenet_v2:width=1.4"


def test_offline(hub: Any) -> None:
    for name in ("hf:me/net", f"git+https://example.org/me/net@{COMMIT}#net.pth"):
        with pytest.raises(WeightsError, match="has not been fetched"):
            resolve(name, "efficientnet_b0", offline=True)
    assert resolve("timm:mobilenetv2_100.ra_in1k", offline=True)
    assert hub.seen == []


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "LUNGFISH_OFFLINE"])
def test_offline_by_the_environment(hub: Any, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(WeightsError, match="has not been fetched"):
        resolve("hf:me/net")


def test_a_hub_that_is_away(hub: Any) -> None:
    with pytest.raises(UnknownNameError, match="has no model me/net"):
        resolve("hf:me/net")
    hub.stop()
    with pytest.raises(DownloadError, match="cannot be reached"):
        resolve("hf:me/net")


@pytest.mark.parametrize(
    "name", ["hf:", "hf:owner", "hf:owner/repo/../x", "hf:../repo", "hf:a/b@r/", "hf:a/b@", "hf:a b/c"]
)
def test_names_that_the_hub_does_not_allow(name: str) -> None:
    with pytest.raises(UsageError, match="is not a name on the Hugging Face hub"):
        resolve(name)


def test_a_file_of_a_git_repository() -> None:
    name = f"git+https://example.org/me/net@{COMMIT}#models/net.pth"
    entry = resolve(name, "efficientnet_b0")
    assert (entry.name, entry.location, entry.arch) == (name, name, "efficientnet_b0")
    assert (entry.license, entry.converter, entry.url) == ("NOASSERTION", "", "https://example.org/me/net")
    with pytest.raises(UsageError, match="does not state its network"):
        resolve(name)
    with pytest.raises(UsageError, match="40 hex digits"):
        resolve(name.replace(COMMIT, "main"), "efficientnet_b0")


def test_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arch = parse_arch("mobilenet_v2:width=0.35")
    state = {
        place.name: torch.zeros(place.shape) for place in tensor_slots(arch, find_layout("torchvision", arch)).values()
    }
    torch.save(state, tmp_path / "net.pth")
    entry = resolve(f"file:{tmp_path / 'net.pth'}")
    assert (entry.name, entry.arch, entry.converter) == ("file:net.pth", arch.name, "torchvision")
    assert entry.location == f"file:{tmp_path / 'net.pth'}"
    assert (entry.license, entry.bytes) == ("NOASSERTION", (tmp_path / "net.pth").stat().st_size)
    monkeypatch.chdir(tmp_path)
    assert resolve("file:net.pth") == entry
    with pytest.raises(UsageError, match="there is no file"):
        resolve("file:other.pth")
    with pytest.raises(UsageError, match="is a file") as caught:
        resolve("net.pth")
    assert caught.value.hint == "Write file:net.pth."


def test_a_checkpoint_of_tensorflow_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*model\.ckpt\.index"):
        resolve(f"tf:{tmp_path / 'model.ckpt'}")
    with pytest.raises(UsageError, match=r"there is no file .*model\.ckpt\.index"):
        resolve(f"tf:{tmp_path / 'model.ckpt.index'}")


WRITE_CHECKPOINT = """
import json, sys
import numpy as np
import tensorflow.compat.v1 as tf
tf.disable_v2_behavior()
for name, shape in json.load(open(sys.argv[1])).items():
    tf.get_variable(name, initializer=np.zeros(shape, np.float32))
with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    tf.train.Saver().save(session, sys.argv[2])
"""


@pytest.mark.parity
@pytest.mark.parametrize(("name", "source"), [("mobilenet_v2:width=0.35", "slim"), ("efficientnet_lite0", "tpu")])
def test_a_checkpoint_of_tensorflow_is_recognized(tmp_path: Path, name: str, source: str) -> None:
    pytest.importorskip("tensorflow")
    arch = parse_arch(name).with_classes(1001 if source == "slim" else 1000)
    shapes = {place.name: place.shape for place in tensor_slots(arch, find_layout(source, arch)).values()}
    (tmp_path / "shapes.json").write_text(json.dumps(shapes), encoding="utf-8")
    prefix = tmp_path / "model.ckpt"
    command = [sys.executable, "-c", WRITE_CHECKPOINT, str(tmp_path / "shapes.json"), str(prefix)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    entry = resolve(f"tf:{prefix}")
    assert resolve(f"tf:{prefix}.index") == entry
    assert (entry.name, entry.arch, entry.converter) == ("tf:model.ckpt", name, source)
    assert (entry.location, entry.flavour) == (f"file:{prefix}", Flavour("same", 1e-3))
    assert entry.bytes == sum(file.stat().st_size for file in tmp_path.glob("model.ckpt.[id]*"))
    assert resolve(f"tf:{prefix}", f"{name}{',' if ':' in name else ':'}resolution=96").arch.endswith("resolution=96")


@pytest.fixture
def bundle(write_color_bundle: Callable[..., Path], rewrite: Callable[..., None], tmp_path: Path) -> Path:
    """A bundle that was trained from packaged weights, whose own are a file that nobody reads here."""
    folder = write_color_bundle(tmp_path / "my bundle")
    file = folder / "weights.safetensors"
    file.write_bytes(b"weights")
    row = {"sha256": sha256_file(file), "bytes": file.stat().st_size}

    def change(manifest: dict[str, Any]) -> None:
        manifest["files"]["weights.safetensors"] = row
        manifest["weights"] = {"name": "efficientnet_lite0.in1k", "source": "x", "license": "Apache-2.0", "sha256": ""}
        manifest["architecture"] = parse_arch("efficientnet_lite0").with_classes(3).to_json()

    rewrite(folder, change)
    return folder


def test_a_bundle(bundle: Path) -> None:
    entry, origin = resolve(str(bundle)), find_entry("efficientnet_lite0.in1k")
    assert (entry.name, entry.arch, entry.converter) == ("bundle:my bundle", "efficientnet_lite0:classes=3", "lungfish")
    assert entry.location == f"file:{bundle / 'weights.safetensors'}"
    assert entry.sha256 == sha256_file(bundle / "weights.safetensors")
    assert (entry.license, entry.copyright, entry.mean, entry.std) == (
        "Apache-2.0",
        origin.copyright,
        origin.mean,
        origin.std,
    )
    assert entry.source == f"bundle my bundle, trained from efficientnet_lite0.in1k ({origin.source})"
    assert (entry.crop_fraction, entry.top1, entry.flavour) == (1.0, None, Flavour("same", 1e-3))
    assert (entry.trained_from, origin.trained_from) == (origin.sha256, "")
    assert resolve(f"{bundle}/") == entry


def test_a_bundle_with_a_card(bundle: Path, rewrite: Callable[..., None]) -> None:
    origin = replace(find_entry("mobilenet_v2.tv_in1k"), name="hf:me/net", sha256=SHA256)
    record = WeightsRecord(origin, "2026-01-01T00:00:00Z", "NOASSERTION", "", None)
    value = json.loads(json.dumps(record.to_json()))
    rewrite(bundle, lambda manifest: manifest["weights"].update(name="hf:me/net", license="NOASSERTION", record=value))
    entry = resolve(str(bundle))
    assert (entry.license, entry.mean, entry.std) == ("NOASSERTION", origin.mean, origin.std)
    assert "trained from hf:me/net" in entry.source


def test_bundles_that_cannot_be_a_start(bundle: Path, rewrite: Callable[..., None], tmp_path: Path) -> None:
    slim = tmp_path / "slim"
    shutil.copytree(bundle, slim)
    (slim / "weights.safetensors").unlink()
    with pytest.raises(WeightsError, match="slimmed"):
        resolve(str(slim))
    rewrite(bundle, lambda manifest: manifest["architecture"].update(width="wide"))
    with pytest.raises(BundleError, match="unknown architecture"):
        resolve(str(bundle))
    rewrite(bundle, lambda manifest: manifest["weights"].update(name="unheard.of"))
    with pytest.raises(WeightsError, match="does not state its preprocessing"):
        resolve(str(bundle))
    with pytest.raises(BundleError, match="not a bundle"):
        resolve(str(tmp_path))
    with pytest.raises(UsageError, match="there is no folder"):
        resolve(str(tmp_path / "nothing"))


def test_a_name_that_no_file_can_have() -> None:
    for name in ("x" * 5000, "a\0b", "", "\x1b[2J"):
        with pytest.raises(UnknownNameError) as caught:
            resolve(name)
        assert "\x1b" not in str(caught.value)
