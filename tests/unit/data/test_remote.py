"""Photos at addresses: fsspec's file system in memory, files, and a server on this machine."""

from __future__ import annotations

import io
import multiprocessing
import pickle
import random
import tarfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from lungfish.core.errors import DownloadError, MissingExtraError, PhotosError, UnknownNameError, UnreadablePhotoError
from lungfish.data.sources import open_photos, remote, remote_files
from lungfish.data.sources.remote_files import RemoteFiles

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory():
    """The root of a file system in memory, empty."""
    system = fsspec.filesystem("memory")
    system.rm("/", recursive=True)
    yield system
    system.rm("/", recursive=True)


def fill(system, names):
    """Files that hold their own names."""
    for name in names:
        system.pipe(f"/bucket/{name}", name.encode())


def contents(photos):
    return {photo.name: photos.read(photo).decode() for photo in photos.photos}


@pytest.fixture
def loads(monkeypatch):
    """How many files each load asked for."""
    counts = []
    load = RemoteFiles.load

    def counting(self, group):
        items = load(self, group)
        counts.append(len(items))
        return items

    monkeypatch.setattr(RemoteFiles, "load", counting)
    return counts


def test_class_folders(memory, loads):
    names = [f"{label}/deeper/{i:03d}.jpg" for label in ("ant", "bee") for i in range(50)]
    fill(memory, [*names, ".hidden/x.jpg", "ant/._x.jpg", "ant/notes.txt", "ant/film.mov"])
    photos = open_photos("memory://bucket/")
    assert photos.labels == ("ant", "bee")
    assert [each.file for each in photos.skipped] == ["ant/film.mov"]
    assert contents(photos) == {name: name for name in names}
    assert loads == [32, 32, 32, 4]
    again = open_photos("memory://bucket/")
    assert contents(again) == contents(photos)
    assert len(loads) == 4


def test_split_folders_as_imagenet_has_them(memory):
    names = [f"{split}/{synset}/{i}.JPEG" for split in ("train", "val") for synset in ("n01", "n02") for i in range(3)]
    fill(memory, names)
    photos = open_photos("memory://bucket")
    assert photos.labels == ("n01", "n02")
    assert [photo.split for photo in photos.photos] == ["train"] * 6 + ["val"] * 6


def test_any_order_from_threads(memory, loads):
    names = [f"{label}/{i:03d}.jpg" for label in ("ant", "bee") for i in range(100)]
    fill(memory, names)
    photos = open_photos("memory://bucket")
    order = list(photos.photos) * 2
    random.Random(0).shuffle(order)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(photos.read, order)) == [photo.name.encode() for photo in order]
    # 7 groups; one that is evicted before its copy lies on the disk is loaded again
    assert len(loads) < 14


def test_a_file_that_changes_is_read_anew(memory):
    fill(memory, ["ant/1.jpg", "bee/1.jpg"])
    contents(open_photos("memory://bucket"))
    memory.pipe("/bucket/ant/1.jpg", b"another")
    assert contents(open_photos("memory://bucket"))["ant/1.jpg"] == "another"


def test_without_room_each_photo_is_fetched_alone(memory, loads, monkeypatch):
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "1e-9")
    fill(memory, [f"{label}/{i}.jpg" for label in ("ant", "bee") for i in range(9)])
    photos = open_photos("memory://bucket")
    assert "each is fetched again whenever it is read" in photos.warnings[-1]
    assert len(contents(photos)) == 18
    assert loads == [1] * 18


def test_what_fails_is_tried_again_and_a_file_that_is_gone_is_not(memory, monkeypatch):
    monkeypatch.setattr(remote_files, "BACKOFF_S", 0.0)
    fill(memory, ["ant/1.jpg", "ant/2.jpg", "bee/1.jpg"])
    photos = open_photos("memory://bucket")
    memory.rm("/bucket/ant/2.jpg")
    asked = []
    fetch = type(memory).cat_file

    def shaky(self, path, *arguments, **options):
        asked.append(path)
        if path.endswith("bee/1.jpg") and asked.count(path) < remote_files.TRIES:
            raise ConnectionResetError("reset")
        return fetch(self, path, *arguments, **options)

    monkeypatch.setattr(type(memory), "cat_file", shaky)
    assert photos.read(photos.photos[2]) == b"bee/1.jpg"
    assert photos.read(photos.photos[0]) == b"ant/1.jpg"
    assert asked.count("/bucket/ant/2.jpg") == 1
    with pytest.raises(UnreadablePhotoError, match="no such file"):
        photos.read(photos.photos[1])


def test_large_files_are_not_fetched_together(memory, loads, monkeypatch):
    monkeypatch.setattr(remote_files, "TOGETHER_BYTES", 100)
    monkeypatch.setattr(remote, "MAX_PHOTO_BYTES", 200)
    for label, size in (("ant", 60), ("bee", 30), ("cat", 150), ("dog", 201)):
        for i in range(3):
            memory.pipe(f"/bucket/{label}/{i}.jpg", bytes(size))
    photos = open_photos("memory://bucket")
    assert [each.file for each in photos.skipped] == ["dog/0.jpg", "dog/1.jpg", "dog/2.jpg"]
    assert photos.labels == ("ant", "bee", "cat")
    assert [len(photos.read(photo)) for photo in photos.photos] == [60] * 3 + [30] * 3 + [150] * 3
    assert loads == [1, 1, 2, 2, 1, 1, 1]


def test_a_table(memory):
    fill(memory, ["images/1.jpg", "images/2.jpg"])
    memory.pipe("/bucket/labels.csv", b"image,label\nimages/2.jpg,b\nimages/1.jpg,a\nimages/gone.jpg,a\n")
    photos = open_photos("memory://bucket/labels.csv")
    assert [photo.name for photo in photos.photos] == ["images/1.jpg", "images/2.jpg", "images/gone.jpg"]
    assert photos.read(photos.photos[1]) == b"images/2.jpg"
    with pytest.raises(UnreadablePhotoError, match="no such file"):
        photos.read(photos.photos[2])
    memory.pipe("/bucket/labels.csv", b"image,label\n../other/1.jpg,b\n")
    with pytest.raises(PhotosError, match=r"row 2: \.\./other/1\.jpg is outside memory://bucket"):
        open_photos("memory://bucket/labels.csv")


def tar_of(numbers):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for i in numbers:
            for name, data in ((f"{i:04d}.jpg", f"picture {i}".encode()), (f"{i:04d}.cls", str(i % 2).encode())):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["memory://bucket/shards", "memory://bucket/shards/train-{000..002}.tar"])
def test_tar_shards(memory, monkeypatch, name):
    monkeypatch.setattr("lungfish.data.sources.tar_shards.RUN_BYTES", 4096)
    for number in range(3):
        memory.pipe(f"/bucket/shards/train-{number:03d}.tar", tar_of(range(number * 10, number * 10 + 10)))
    photos = open_photos(name)
    order = list(photos.photos)
    random.Random(0).shuffle(order)
    assert len(order) == 30
    for photo in order:
        assert photos.read(photo) == f"picture {int(photo.name[-8:-4])}".encode()
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "1e-9")
    uncached = open_photos(name)
    assert uncached.read(uncached.photos[7]) == b"picture 7"
    memory.pipe("/bucket/shards/train-000.tar", tar_of(range(2)))
    with pytest.raises(UnreadablePhotoError, match="shorter"):
        uncached.read(uncached.photos[7])


def test_parquet(memory):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    for split in ("train", "test"):
        images = [{"bytes": f"{split} {i}".encode(), "path": None} for i in range(9)]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table({"image": pa.array(images, kind), "label": ["ant", "bee", "cat"] * 3})
        with memory.open(f"/bucket/data/{split}-00000-of-00001.parquet", "wb") as file:
            parquet.write_table(table, file, row_group_size=4)
    photos = open_photos("memory://bucket")
    assert [photo.split for photo in photos.photos] == ["test"] * 9 + ["train"] * 9
    assert photos.read(photos.photos[17]) == b"train 8"


def read_all(reader, photos):
    return [reader(photo) for photo in photos]


def test_spawned_processes(tmp_path, write_classes):
    write_classes(tmp_path / "set", {"ant": 20, "bee": 20})
    photos = open_photos(f"file://{(tmp_path / 'set').as_posix()}")
    assert len(pickle.dumps(photos.reader)) < 5000
    expected = [(tmp_path / "set" / photo.name).read_bytes() for photo in photos.photos]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(read_all, photos.reader, photos.photos).result(timeout=60) == expected


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Serve a folder, with lists of what is in it; its address."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(tmp_path / "site"))

        def log_message(self, *_):
            pass

    (tmp_path / "site").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_web_server(tmp_path, site, write_classes):
    write_classes(tmp_path / "site" / "set", {"ant": 3, "two words": 3})
    photos = open_photos(f"{site}/set/")
    assert photos.labels == ("ant", "two words")
    assert photos.read(photos.photos[5]) == (tmp_path / "site" / "set" / "two words" / "002.png").read_bytes()
    (tmp_path / "site" / "set" / "labels.csv").write_text("image,label\nant/000.png,a\ntwo words/001.png,b\n")
    table = open_photos(f"{site}/set/labels.csv")
    assert table.read(table.photos[1]) == (tmp_path / "site" / "set" / "two words" / "001.png").read_bytes()
    with pytest.raises(PhotosError, match="no such folder or file"):
        open_photos(f"{site}/nothing/")


def test_addresses_that_are_refused():
    with pytest.raises(DownloadError, match="plain http can be read"):
        open_photos("http://192.0.2.1/photos/")
    with pytest.raises(PhotosError, match="chains several file systems"):
        open_photos("zip://*::memory://a.zip")
    with pytest.raises(UnknownNameError, match="unknown file system: 's4'"):
        open_photos("s4://bucket/photos")


def test_nothing_there(memory):
    with pytest.raises(PhotosError, match="no such folder or file: memory://bucket/none"):
        open_photos("memory://bucket/none")
    with pytest.raises(PhotosError, match=r"no such folder or file: memory://bucket/none\.tar"):
        open_photos("memory://bucket/none.tar")


def test_credentials_are_not_shown():
    with pytest.raises(PhotosError) as error:
        open_photos("memory://me:secret@bucket/none")
    assert "secret" not in str(error.value)


def test_a_package_that_is_missing(monkeypatch):
    def missing(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    with pytest.raises(MissingExtraError, match="Install s3fs to access S3"):
        open_photos("s3://bucket/photos")
