"""WebDataset tar shards: samples, labels, sides, and tars that mean harm."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import pickle
import random
import tarfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from lungfish.core.errors import PhotosError, UnreadablePhotoError
from lungfish.data.photos import SkippedFile
from lungfish.data.sources import open_photos, tar_headers, tar_index


def write(path, members):
    """A tar of (name, bytes), or of TarInfo as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def samples(start, count):
    """Two classes; the bytes of a picture say which it is."""
    for i in range(start, start + count):
        yield f"{i:04d}.cls", str(i % 2).encode()
        yield f"{i:04d}.jpg", f"picture {i}".encode()


def test_one_shard(tmp_path):
    photos = open_photos(write(tmp_path / "all.tar", samples(0, 6)))
    assert photos.labels == ("0", "1")
    assert [(p.name, p.label, p.split) for p in photos.photos][:2] == [
        ("all/0000.jpg", 0, None),
        ("all/0001.jpg", 1, None),
    ]
    assert [photos.read(photo) for photo in photos.photos] == [f"picture {i}".encode() for i in range(6)]


def test_a_folder_of_shards(tmp_path):
    for number in range(3):
        write(tmp_path / f"train-{number:06d}.tar", samples(number * 4, 4))
    write(tmp_path / "val-000000.tar", samples(12, 4))
    photos = open_photos(tmp_path)
    assert [photo.split for photo in photos.photos] == ["train"] * 12 + ["val"] * 4
    assert [photos.read(photo) for photo in photos.photos] == [f"picture {i}".encode() for i in range(16)]


@pytest.mark.parametrize("pattern", ["shards/train-{000000..000002}.tar", "shards/tr{a..b}in-{000000..000002}.tar"])
def test_a_pattern(tmp_path, monkeypatch, pattern):
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        write(tmp_path / "shards" / f"train-{number:06d}.tar", samples(number * 4, 4))
    if "a..b" in pattern:  # only numbers are counted up
        with pytest.raises(PhotosError, match="no such file"):
            open_photos(pattern)
        return
    photos = open_photos(pattern)
    assert [photo.name for photo in photos.photos] == [f"train-{i // 4:06d}/{i:04d}.jpg" for i in range(12)]
    (tmp_path / "shards" / "train-000001.tar").unlink()
    with pytest.raises(PhotosError, match=r"no such file: shards/train-000001\.tar"):
        open_photos(pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a-{5..3}.tar", "matches 0 files"),
        ("a-{0..999999999}.tar", "1,000,000,000 files"),
        ("a-{0..99999}{0..9}.tar", "1,000,000 files"),
        ("a-{0..9}.jpg", "neither"),
        ("pipe:curl https://example.com/a.tar", "a command; Lungfish does not run commands"),
    ],
)
def test_names_that_are_refused(pattern, message):
    with pytest.raises(PhotosError, match=message):
        open_photos(pattern)


def test_labels(tmp_path):
    members = [
        ("a/1.jpg", b"1"),
        ("a/1.json", json.dumps({"label": "cat", "width": 3}).encode()),
        ("a/2.JPG", b"2"),
        ("a/2.txt", b" dog\n"),
        ("3.png", b"3"),
        ("3.cls", b"cat"),
        ("3.txt", b"a caption"),
        ("3.json", b"{"),
        ("4.webp", b"4"),
        ("4.json", b'"dog"'),
    ]
    photos = open_photos(write(tmp_path / "x.tar", members))
    assert [(photo.name, photos.labels[photo.label]) for photo in photos.photos] == [
        ("x/3.png", "cat"),
        ("x/4.webp", "dog"),
        ("x/a/1.jpg", "cat"),
        ("x/a/2.JPG", "dog"),
    ]


def test_class_indices_keep_their_order(tmp_path):
    members = [each for i in range(12) for each in ((f"{i}.jpg", b"x"), (f"{i}.cls", str(11 - i).encode()))]
    assert open_photos(write(tmp_path / "x.tar", members)).labels == tuple(map(str, range(12)))


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('a pickle was run')",))


def test_what_is_no_sample_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tar_index, "MAX_PHOTO_BYTES", 100)
    link = tarfile.TarInfo("8.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("9.jpg")
    device.type = tarfile.CHRTYPE
    members = [
        *samples(0, 4),
        ("5.jpg", b"x"),
        *((f"5.{suffix}", pickle.dumps(Bomb())) for suffix in ("pyd", "pickle", "pkl", "pth")),
        ("6.jpg", b"x"),
        ("6.seg.png", b"x"),
        ("6.cls", b"0"),
        ("7.jpg", b"x" * 101),
        ("7.cls", b"0"),
        link,
        ("8.cls", b"0"),
        device,
        ("9.cls", b"0"),
        ("10.jpg", b"x"),
        ("10.cls", b"0" * (tar_index.MAX_LABEL_BYTES + 1)),
        ("._11.jpg", b"x"),
        ("README.md", b"x"),
        ("LICENSE", b"x"),
        ("0000.jpg", b"again"),
        ("0000.cls", b"0"),
    ]
    photos = open_photos(write(tmp_path / "x.tar", members))
    assert len(photos.photos) == 4
    assert photos.skipped == (
        SkippedFile("x/5.jpg", "no label in a .cls, .json or .txt of the same name; pickles are never read"),
        SkippedFile("x/6.jpg", "2 pictures in one sample"),
        SkippedFile("x/7.jpg", "101 bytes; at most 100 are allowed"),
        SkippedFile("x/10.jpg", "a .cls of 65,537 bytes"),
        SkippedFile("x/0000.jpg", "listed more than once"),
    )
    assert photos.read(photos.photos[0]) == b"picture 0"


def reason(photos, shard):
    [why] = [each.reason for each in photos.skipped if each.file == shard]
    return why


@pytest.mark.parametrize("keep", [0.2, 0.55, 0.95])
def test_a_truncated_shard_keeps_what_came_before(tmp_path, keep):
    write(tmp_path / "train-0.tar", samples(0, 4))
    broken = write(tmp_path / "train-1.tar", samples(4, 20))
    payload = 40 * 1024  # headers and blocks, without the end of the tar
    broken.write_bytes(broken.read_bytes()[: int(payload * keep) - 100])
    photos = open_photos(tmp_path)
    assert reason(photos, "train-1.tar").startswith("damaged after ")
    assert 4 <= len(photos.photos) < 24
    for photo in photos.photos:
        assert photos.read(photo) == f"picture {int(photo.name[-8:-4])}".encode()


def header(name, size, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (header("9.jpg", 1 << 40), "ends past the end of the file"),
        (header("9.jpg", 1 << 40, tarfile.GNUTYPE_LONGNAME), "a header that is too large"),
        (header("9.jpg", 1 << 40, tarfile.XHDTYPE), "a header that is too large"),
        (header("9.jpg", 8, tarfile.XHDTYPE) + b"zz path=".ljust(512, b"\0"), "empty header"),
        (header("9.jpg", 0, tarfile.GNUTYPE_LONGNAME) * 3000, ""),
        (b"garbage".ljust(512, b"?"), "damaged"),
    ],
)
def test_hostile_headers(tmp_path, block, why):
    path = write(tmp_path / "x.tar", samples(0, 4))
    path.write_bytes(path.read_bytes()[: 8 * 1024] + block)
    photos = open_photos(path)
    assert len(photos.photos) == 4
    assert why in reason(photos, "x.tar")


def test_absurd_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(tar_headers, "MAX_MEMBERS", 10)
    photos = open_photos(write(tmp_path / "x.tar", samples(0, 20)))
    assert "more than 10 members" in reason(photos, "x.tar")


def test_compressed_shards(tmp_path):
    write(tmp_path / "plain.tar", samples(0, 4))
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as tar:
        tar.add(tmp_path / "plain.tar", "0001.jpg")
    photos = open_photos(tmp_path)
    assert reason(photos, "packed.tar") == "compressed, so individual photos cannot be read; decompress it first"
    with pytest.raises(PhotosError, match="not a folder, a CSV, a Parquet or a tar file"):
        open_photos((tmp_path / "plain.tar").rename(tmp_path / "plain.tgz"))


def test_no_tar_at_all(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"no tar" * 1000)
    with pytest.raises(PhotosError, match="no photos found"):
        open_photos(tmp_path / "x.tar")


def test_the_index_is_made_once(tmp_path, monkeypatch, cache):
    path = write(tmp_path / "x.tar", samples(0, 8))
    first = open_photos(path)
    [index] = (cache / "shards").iterdir()
    os.utime(index, (1, 1))

    def forbidden(_):
        raise AssertionError("the tar is read again")

    monkeypatch.setattr(tar_index, "_index", forbidden)
    again = open_photos(path)
    assert (again.photos, again.labels, again.skipped) == (first.photos, first.labels, first.skipped)
    assert again.read(again.photos[5]) == b"picture 5"
    assert index.stat().st_mtime > 1  # what is used is not the next to go
    monkeypatch.undo()
    write(path, samples(10, 4))
    assert open_photos(path).photos[0].name == "x/0010.jpg"


def test_a_shard_that_vanishes_or_shrinks(tmp_path):
    path = write(tmp_path / "x.tar", samples(0, 4))
    photos = open_photos(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(UnreadablePhotoError, match="has become shorter"):
        photos.read(photos.photos[3])
    path.unlink()
    with pytest.raises(UnreadablePhotoError, match="no such file"):
        photos.read(photos.photos[3])


def read_all(reader, photos):
    return [reader(photo) for photo in photos]


def test_threads_and_spawned_processes(tmp_path):
    for number in range(3):
        write(tmp_path / f"train-{number}.tar", samples(number * 20, 20))
    photos = open_photos(tmp_path)
    order = list(photos.photos) * 2
    random.Random(0).shuffle(order)
    expected = [f"picture {int(photo.name[-8:-4])}".encode() for photo in order]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(photos.read, order)) == expected
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(read_all, photos.reader, order).result(timeout=60) == expected
