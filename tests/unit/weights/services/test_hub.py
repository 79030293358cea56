"""The hub's API as huggingface_hub reads it: models, files, searches, and a hub that talks nonsense."""

from dataclasses import replace
from typing import Any

import pytest

from lungfish.core.errors import DownloadError, UnknownNameError, UsageError
from lungfish.weights.catalogue import find_entry
from lungfish.weights.scheme import HubName
from lungfish.weights.services.hub import access_token, file_url, find_file, pin, read_config, read_model, search_models

COMMIT = "5d41402abc4b2a76b9719d911017c592aaaaaaaa"
SHA256 = "2c" * 32
REPOSITORY = "timm/mobilenetv2_100.ra_in1k"


def row(**changes: Any) -> dict[str, Any]:
    """A model as `/api/models/OWNER/REPO?blobs=true` gives it."""
    lfs = {"sha256": SHA256, "size": 14_200_000, "pointerSize": 133}
    return {
        "_id": "6397b1b8e3ad1b1e2b1c2d3e",
        "id": REPOSITORY,
        "modelId": REPOSITORY,
        "author": "timm",
        "sha": COMMIT,
        "lastModified": "2025-01-21T18:21:15.000Z",
        "private": False,
        "disabled": False,
        "gated": False,
        "pipeline_tag": "image-classification",
        "tags": ["timm", "pytorch", "safetensors", "dataset:imagenet-1k", "arxiv:1801.04381", "license:apache-2.0"],
        "downloads": 120345,
        "likes": 2,
        "library_name": "timm",
        "cardData": {"license": "apache-2.0", "library_name": "timm", "datasets": ["imagenet-1k"]},
        "siblings": [
            {"rfilename": "README.md", "size": 3000, "blobId": "b" * 40},
            {"rfilename": "config.json", "size": 600, "blobId": "c" * 40},
            {"rfilename": "model.safetensors", "size": 14_200_000, "blobId": "d" * 40, "lfs": lfs},
        ],
        "createdAt": "2022-12-13T00:00:36.000Z",
        "usedStorage": 28_400_000,
    } | changes


@pytest.fixture
def hub(server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    monkeypatch.setenv("HF_ENDPOINT", server.url + "/")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    return server


def test_a_model(hub: Any, reply: Any) -> None:
    hub.answer(f"/api/models/{REPOSITORY}", reply.json(row()))
    model = read_model(HubName(REPOSITORY))
    assert (model.commit, model.license, model.library) == (COMMIT, "Apache-2.0", "timm")
    assert (model.datasets, model.modified) == (("imagenet-1k",), "2025-01-21")
    assert (model.downloads, model.likes) == (120345, 2)
    assert model.url == f"https://huggingface.co/{REPOSITORY}"
    file = find_file(model, "model.safetensors")
    assert (file.sha256, file.bytes) == (SHA256, 14_200_000)
    assert find_file(model, "config.json").sha256 == ""
    assert hub.seen[0].query == {"blobs": "true"}
    assert hub.seen[0].headers["authorization"] == "Bearer hf_secret"
    with pytest.raises(UnknownNameError) as caught:
        find_file(model, "model.safetensor")
    assert "model.safetensors" in caught.value.hint


def test_a_revision(hub: Any, reply: Any) -> None:
    hub.answer(f"/api/models/{REPOSITORY}/revision/v1.0", reply.json(row()))
    assert read_model(HubName(REPOSITORY, "v1.0")).commit == COMMIT
    hub.answer(f"/api/models/{REPOSITORY}/revision/v2", reply.json({}, 404, {"X-Error-Code": "RevisionNotFound"}))
    with pytest.raises(UnknownNameError, match=f"no model {REPOSITORY} at v2"):
        read_model(HubName(REPOSITORY, "v2"))


def test_the_configuration_is_read_at_the_commit(hub: Any, reply: Any) -> None:
    hub.answer(f"/api/models/{REPOSITORY}", reply.json(row()))
    hub.answer(f"/{REPOSITORY}/resolve/{COMMIT}/config.json", reply.json({"architecture": "mobilenetv2_100"}))
    assert read_config(read_model(HubName(REPOSITORY))) == {"architecture": "mobilenetv2_100"}


def test_without_a_token(hub: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_TOKEN")
    hub.answer(f"/api/models/{REPOSITORY}", reply.json({"error": "Repository not found"}, 401))
    with pytest.raises(DownloadError, match=f"denies access to model {REPOSITORY}: it is private or gated") as caught:
        read_model(HubName(REPOSITORY))
    assert "HF_TOKEN" in caught.value.hint
    assert "authorization" not in hub.seen[0].headers


@pytest.mark.parametrize(
    ("changes", "license_id"),
    [
        ({"tags": ["license:mit"]}, "MIT"),
        ({"tags": ["license:cc-by-nc-4.0"]}, "cc-by-nc-4.0"),
        ({"tags": ["license:other"]}, "NOASSERTION"),
        ({"tags": ["license:unknown"]}, "NOASSERTION"),
        ({"tags": ["license:mit", "license:gpl-3.0"]}, "NOASSERTION"),
        ({"tags": ["license:\x1b[2J"]}, "NOASSERTION"),
        ({"tags": [], "cardData": {"license": "bsd-3-clause"}}, "BSD-3-Clause"),
        ({"tags": None, "cardData": None}, "NOASSERTION"),
        ({"tags": None, "cardData": {"license": ["mit", "gpl-3.0"]}}, "NOASSERTION"),
    ],
)
def test_licenses(hub: Any, reply: Any, changes: dict[str, Any], license_id: str) -> None:
    hub.answer(f"/api/models/{REPOSITORY}", reply.json(row(**changes)))
    assert read_model(HubName(REPOSITORY)).license == license_id


def test_a_search(hub: Any, reply: Any) -> None:
    found = [{"id": name, "modelId": name, "tags": ["license:mit"], "downloads": 7} for name in ("a/b", "c/d")]
    hub.answer("/api/models", reply.json(found))
    models = search_models("mobilenetv2", limit=5)
    assert [(model.repository, model.license, model.downloads) for model in models] == [
        ("a/b", "MIT", 7),
        ("c/d", "MIT", 7),
    ]
    query = hub.seen[0].query
    assert (query["search"], query["filter"], query["limit"]) == ("mobilenetv2", "image-classification", "5")


@pytest.mark.parametrize(
    "answer",
    [
        [],
        "text",
        None,
        {},
        row(siblings=5),
        row(siblings=[{"name": "a"}]),
        row(siblings=[{"rfilename": "a", "lfs": {"size": 1}}]),
        row(sha=None),
        row(sha="main"),
        row(lastModified="yesterday"),
    ],
)
def test_nonsense(hub: Any, reply: Any, answer: Any) -> None:
    hub.answer(f"/api/models/{REPOSITORY}", reply.json(answer))
    with pytest.raises(DownloadError, match="invalid response"):
        read_model(HubName(REPOSITORY))


def test_names_of_files_that_lead_elsewhere_are_left_out(hub: Any, reply: Any) -> None:
    names = ["../../evil", "/etc/passwd", "a\\b", "C:\\x", "a/b.bin", "\x1b[2J"]
    hub.answer(f"/api/models/{REPOSITORY}", reply.json(row(siblings=[{"rfilename": name} for name in names])))
    assert [file.name for file in read_model(HubName(REPOSITORY)).files] == ["a/b.bin"]


def test_a_search_that_is_no_list(hub: Any, reply: Any) -> None:
    hub.answer("/api/models", reply.json({"error": "x"}))
    with pytest.raises(DownloadError, match="is not a list"):
        search_models("x")


def test_the_address_of_a_file(hub: Any) -> None:
    url = f"{hub.url}/{REPOSITORY}/resolve/{COMMIT}/a%20b/model.safetensors"
    assert file_url(f"hf:{REPOSITORY}@{COMMIT}/a b/model.safetensors") == url
    assert access_token() == "hf_secret"
    with pytest.raises(UsageError):
        file_url("hf:owner")


def test_the_hubs_own_address(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT")
    monkeypatch.delenv("HF_TOKEN")
    assert file_url("hf:a/b@main/c.bin") == "https://huggingface.co/a/b/resolve/main/c.bin"
    assert access_token() == ""


def test_an_entry_is_pinned(hub: Any, reply: Any) -> None:
    entry = find_entry("mobilenet_v2.ra_in1k")
    hub.answer(f"/api/models/{REPOSITORY}/revision/main", reply.json(row()))
    pinned = pin(entry)
    assert pinned.location == f"hf:{REPOSITORY}@{COMMIT}/model.safetensors"
    assert (pinned.sha256, pinned.bytes) == (SHA256, 14_200_000)
    assert replace(pinned, location=entry.location, sha256="", bytes=None) == entry
    with pytest.raises(DownloadError, match=f"sha256 {SHA256}, expected 00"):
        pin(replace(entry, sha256="00" * 32))


def test_offline(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DownloadError, match=r"cannot fetch http.*OFFLINE is set"):
        read_model(HubName(REPOSITORY))
    assert hub.seen == []
