"""Data sets of the Hugging Face hub, from a hub on this machine that speaks as much as `datasets` asks for."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import PurePosixPath

import pytest

from lungfish.core.errors import MissingExtraError, PhotosError
from lungfish.data.sources import open_photos
from lungfish.data.sources.hub_library import parse_hub_name

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAMES = ["zebra", "ant"]
# Addresses of the hub are read when its library is imported: so a process of its own opens the photos.
SCRIPT = """
import json, pickle, sys
from lungfish.core.errors import LungfishError
from lungfish.data.sources import open_photos
rows = []
for name in sys.argv[1:]:
    try:
        photos = open_photos(name)
    except LungfishError as error:
        rows.append({"error": error.code, "message": str(error)})
        continue
    reader = pickle.loads(pickle.dumps(photos.reader))
    read = []
    for photo in photos.photos:
        try:
            read.append(reader(photo).decode())
        except LungfishError as error:
            read.append(error.message)
    rows.append({"labels": photos.labels, "names": [p.name for p in photos.photos], "read": read,
        "splits": [p.split for p in photos.photos], "truth": [p.label for p in photos.photos],
        "warnings": photos.warnings, "skipped": [each.file for each in photos.skipped]})
print(json.dumps(rows))
"""


@pytest.fixture(autouse=True)
def packages():
    pytest.importorskip("datasets")


@pytest.fixture
def hub(server, reply):
    """Put files into a data set, `hub(name, {path: bytes})`. Its log is `server.seen`."""

    def publish(name, files):
        api = f"/api/datasets/{name}"
        about = {"id": name, "sha": COMMIT, "siblings": [{"rfilename": file} for file in files], "tags": []}
        for path in (api, f"{api}/revision/{COMMIT}", f"{api}/revision/main", f"{api}/revision/v1"):
            server.answer(path, reply.json(about))
        for file, data in files.items():
            known = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
            server.routes[f"/datasets/{name}/resolve/{COMMIT}/{file}"] = lambda seen, data=data, known=known: part(
                reply, seen, data, known
            )
        for absent in ("README.md", f"{name.partition('/')[2]}.py", ".huggingface.yaml", "dataset_infos.json"):
            if absent not in files:
                headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}
                server.answer(f"/datasets/{name}/resolve/{COMMIT}/{absent}", reply(404, b"", headers))
        missing = reply(404, b"", {"X-Error-Code": "EntryNotFound"})
        server.answer(f"{api}/tree/{COMMIT}/data", missing)
        folders = {str(parent) for file in files for parent in PurePosixPath(file).parents}
        for folder in folders:
            route = f"{api}/tree/{COMMIT}" + ("" if folder == "." else f"/{folder}")
            server.routes[route] = lambda seen, folder=folder: reply.json(tree(files, folders, folder, seen.query))
        everything = [
            {"type": "file", "path": file, "oid": "b" * 40, "size": len(data)} for file, data in files.items()
        ]
        server.answer(f"{api}/paths-info/{COMMIT}", reply.json(everything))

    return publish


def tree(files, folders, folder, query):
    """What lies in a folder, or anywhere below it."""
    rows = [{"type": "file", "path": file, "oid": "b" * 40, "size": len(data)} for file, data in files.items()]
    rows += [{"type": "directory", "path": each, "oid": "a" * 40, "size": 0} for each in sorted(folders - {"."})]
    is_deep = query.get("recursive") == "true"
    parents = [[str(parent) for parent in PurePosixPath(row["path"]).parents] for row in rows]
    return [
        row for row, above in zip(rows, parents, strict=True) if folder == above[0] or (is_deep and folder in above)
    ]


def part(reply, seen, data, headers):
    """A file, or the range of it that is asked for."""
    asked = seen.headers.get("range", "").removeprefix("bytes=")
    if not asked:
        return reply(200, data, headers)
    first, last = asked.split("-")
    stop = min(int(last or len(data)) + 1, len(data))
    span = f"bytes {first}-{stop - 1}/{len(data)}"
    return reply(206, data[int(first) : stop], headers | {"Content-Range": span})


@pytest.fixture
def opened(server, tmp_path):
    """Open photos in a process whose hub is the server on this machine."""

    def run(*names, **environment):
        env = os.environ | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_secret"}
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT, *names],
            env=env | environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=tmp_path,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return run


def table(prefix, labels, image="image", classes=NAMES):
    """Parquet as the hub has it."""
    import pyarrow as pa
    from pyarrow import parquet

    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = [{"bytes": f"{prefix} {i}".encode(), "path": f"{i}.jpg"} for i in range(len(labels))]
    rows = pa.table({image: pa.array(images, kind), "label": pa.array(labels, pa.int64())})
    features = {image: {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": classes}}
    rows = rows.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    buffer = io.BytesIO()
    parquet.write_table(rows, buffer)
    return buffer.getvalue()


def test_parquet(hub, opened, server, reply, tmp_path):
    hub(
        "owner/shoes",
        {
            "data/train-00000-of-00002.parquet": table("a", [0, 1, 1], "img"),
            "data/train-00001-of-00002.parquet": table("b", [0, 1], "img"),
            "data/validation-00000-of-00001.parquet": table("c", [1, 0], "img"),
            "data/test-00000-of-00001.parquet": table("d", [-1, -1], "img"),
        },
    )
    hub("owner/text", {"data.csv": b"a,b\n1,2\n"})
    hub("owner/script", {"script.py": b"raise SystemExit('remote code was run')"})
    server.answer("/api/datasets/owner/unknown", reply(401, b"", {"X-Error-Code": "RepoNotFound"}))
    (tmp_path / "owner" / "shoes").mkdir(parents=True)  # a local folder of that name is not meant
    shoes, pinned, text, script, unknown = opened(
        "hf:owner/shoes", f"hf:owner/shoes@{COMMIT}", "hf:owner/text", "hf:owner/script", "hf:owner/unknown"
    )
    assert shoes["labels"] == ["zebra", "ant"]
    assert shoes["names"] == [*(f"train/{i}" for i in range(5)), "validation/0", "validation/1"]
    assert shoes["splits"] == ["train"] * 5 + ["val"] * 2
    assert shoes["truth"] == [0, 1, 1, 0, 1, 1, 0]
    assert shoes["read"] == ["a 0", "a 1", "a 2", "b 0", "b 1", "c 0", "c 1"]
    assert shoes["warnings"] == ["the split test is skipped: it has no labels"]
    assert pinned == shoes
    assert "holds csv files, not photos" in text["message"]
    assert script["error"] == "photos"
    assert "no dataset hf:owner/unknown, or it is private or gated" in unknown["message"]
    assert all(seen.headers["authorization"] == "Bearer hf_secret" for seen in server.seen)
    assert not any("torch" in seen.headers["user-agent"] for seen in server.seen)
    server.stop()
    [offline] = opened("hf:owner/shoes", HF_HUB_OFFLINE="1")
    assert offline == shoes


def test_configurations(hub, opened):
    readme = b"""---
configs:
- config_name: small
  data_files:
  - {split: train, path: small/*}
- config_name: large
  data_files:
  - {split: train, path: large/*}
---
"""
    hub(
        "owner/sizes",
        {"README.md": readme, "small/a.parquet": table("s", [0, 1]), "large/a.parquet": table("l", [0, 1, 1])},
    )
    large, unnamed = opened("hf:owner/sizes@v1:large", "hf:owner/sizes")
    assert large["read"] == ["l 0", "l 1", "l 2"]
    assert large["splits"] == [None] * 3
    assert "small" in unnamed["message"]
    assert "hf:OWNER/NAME:CONFIG" in unnamed["message"]


def test_tar_shards_are_read_where_they_are(hub, opened):
    files = {}
    for split, start in (("train", 0), ("validation", 4)):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for i in range(start, start + 4):
                for suffix, data in (("jpg", f"picture {i}"), ("cls", str(i % 2)), ("pth", "a pickle")):
                    info = tarfile.TarInfo(f"{i}.{suffix}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data.encode()))
        files[f"shoes-{split}-0000.tar"] = buffer.getvalue()
    hub("owner/shards", files)
    [photos] = opened("hf:owner/shards")
    assert photos["read"] == [f"picture {i}" for i in range(8)]
    assert photos["splits"] == ["train"] * 4 + ["val"] * 4
    assert photos["names"][4] == "shoes-validation-0000/4.jpg"


def test_pictures_as_files(hub, opened):
    import pyarrow as pa
    from pyarrow import parquet

    hub("owner/files", {f"train/{label}/{i}.jpg": f"{label} {i}".encode() for label in ("ant", "bee") for i in (1, 2)})
    images = [{"bytes": None, "path": "/etc/passwd"}, {"bytes": b"b", "path": None}]
    rows = pa.table({"image": images, "label": ["ant", "bee"]})
    features = {"image": {"_type": "Image"}, "label": {"_type": "Value", "dtype": "string"}}
    rows = rows.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(rows, buffer := io.BytesIO())
    hub("owner/spy", {"train.parquet": buffer.getvalue()})
    files, spy = opened("hf:owner/files", "hf:owner/spy")
    assert files["labels"] == ["ant", "bee"]
    assert files["read"] == ["ant 1", "ant 2", "bee 1", "bee 2"]
    assert spy["read"] == ["the row holds no picture", "b"]


def test_a_hub_that_cannot_be_asked(opened, server):
    server.stop()
    [row] = opened("hf:owner/shoes")
    assert row["error"] == "download"
    assert "HF_ENDPOINT" in row["message"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf:cifar10", ("cifar10", "", "")),
        ("hf:owner/name", ("owner/name", "", "")),
        ("hf:owner/name@v1.0", ("owner/name", "v1.0", "")),
        ("hf:owner/name@refs/pr/1:plain text", ("owner/name", "refs/pr/1", "plain text")),
    ],
)
def test_names(text, parts):
    name = parse_hub_name(text)
    assert (name.repository, name.revision, name.config) == parts


@pytest.mark.parametrize("text", ["hf:", "hf:../x", "hf:a/b/c", "hf:a/b@", "hf:a/b:", "hf:a b", "hf:\x1b[2J"])
def test_names_that_are_none(text):
    with pytest.raises(PhotosError, match="not the name of a dataset on the Hugging Face hub"):
        open_photos(text)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match="needs datasets") as error:
        open_photos("hf:owner/name")
    assert "[datasets]" in error.value.hint
