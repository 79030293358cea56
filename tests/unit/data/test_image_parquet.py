from __future__ import annotations

import json
import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from lungfish.core.errors import PhotosError, UnreadablePhotoError
from lungfish.data.photos import SkippedFile
from lungfish.data.sources import open_photos
from lungfish.data.sources.groups import GROUPS_HELD
from lungfish.data.sources.image_parquet import RowGroups

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

NAMES = ["zebra", "ant", "bee"]


def write(path, labels, data=None, names=NAMES, column="image"):
    """An image table of row groups of four; the bytes say which row they are."""
    data = data or [f"{path.name} {i}".encode() for i in range(len(labels))]
    images = [{"bytes": value, "path": f"{i}.jpg"} for i, value in enumerate(data)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({column: pa.array(images, kind), "label": pa.array(labels, pa.int64())})
    features = {column: {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(table, path, row_group_size=4)
    return path


def test_class_order_and_bytes(tmp_path):
    photos = open_photos(write(tmp_path / "all.parquet", [0, 1, 2] * 4, column="img"))
    assert photos.labels == ("zebra", "ant", "bee")
    assert [photo.name for photo in photos.photos][:2] == ["all/00", "all/01"]
    assert not photos.given_split
    assert [photos.read(photo) for photo in photos.photos] == [f"all.parquet {i}".encode() for i in range(12)]


def test_files_named_after_splits(tmp_path):
    for name in ("train-0.parquet", "train-1.parquet", "validation-0.parquet", "test.parquet"):
        write(tmp_path / name, [0, 1, 2])
    photos = open_photos(tmp_path)
    assert {photo.name.split("/")[0]: photo.split for photo in photos.photos} == {
        "train-0": "train",
        "train-1": "train",
        "validation-0": "val",
        "test": "test",
    }
    for photo in photos.photos:
        stem, row = photo.name.split("/")
        assert photos.read(photo) == f"{stem}.parquet {int(row)}".encode()


@pytest.mark.parametrize("place", ["logo.png", "assets/logo.png"])
def test_a_picture_may_lie_beside_the_shards(tmp_path, place):
    (tmp_path / "data").mkdir()
    (tmp_path / "assets").mkdir()
    (tmp_path / place).write_bytes(b"a logo")
    for split in ("train", "test"):
        write(tmp_path / "data" / f"{split}-00000-of-00001.parquet", [0, 1, 2])
    assert open_photos(tmp_path).labels == ("zebra", "ant", "bee")


def test_photos_beside_a_table_of_labels_are_still_told_of(tmp_path):
    (tmp_path / "one.png").write_bytes(b"a photo")
    parquet.write_table(pa.table({"image": ["one.png"], "label": ["cat"]}), tmp_path / "labels.parquet")
    with pytest.raises(PhotosError, match="are not in class folders"):
        open_photos(tmp_path)


def test_random_access_from_threads_holds_few_row_groups(tmp_path, monkeypatch):
    photos = open_photos(write(tmp_path / "all.parquet", [0, 1] * 40))
    order = list(range(80)) * 3
    random.Random(0).shuffle(order)
    with ThreadPoolExecutor(4) as pool:
        data = list(pool.map(lambda i: photos.read(photos.photos[i]), order))
    assert data == [f"all.parquet {i}".encode() for i in order]
    assert len(photos.reader._held) <= GROUPS_HELD


@pytest.fixture
def loaded(monkeypatch):
    """The row groups that were loaded, in order."""
    groups = []
    load = RowGroups.load

    def counting(self, group):
        groups.append(group)
        return load(self, group)

    monkeypatch.setattr(RowGroups, "load", counting)
    return groups


def test_reading_in_order_reads_each_row_group_once(tmp_path, monkeypatch, loaded):
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "1e-9")
    photos = open_photos(write(tmp_path / "all.parquet", [0, 1] * 40))
    assert any("reading them in random order is slow" in warning for warning in photos.warnings)
    for photo in photos.photos:
        photos.read(photo)
    assert loaded == list(range(20))


def test_any_order_reads_each_row_group_once(tmp_path, loaded):
    path = write(tmp_path / "all.parquet", [0, 1, 2] * 27)
    photos = open_photos(path)
    assert photos.warnings == ()
    order = list(range(81)) * 2
    random.Random(0).shuffle(order)
    assert [photos.read(photos.photos[i]) for i in order] == [f"all.parquet {i}".encode() for i in order]
    assert sorted(loaded) == list(range(21))
    again = open_photos(path)
    assert again.read(again.photos[80]) == b"all.parquet 80"
    assert len(loaded) == 21
    write(path, [0, 1, 2] * 27, [f"new {i}".encode() for i in range(81)])
    changed = open_photos(path)
    assert changed.read(changed.photos[80]) == b"new 80"


def read_all(reader, photos):
    return [reader(photo) for photo in photos]


def test_a_spawned_process_reads_too(tmp_path):
    photos = open_photos(write(tmp_path / "all.parquet", [0, 1, 2] * 5))
    photos.read(photos.photos[0])  # a lock and a group of pictures are held here
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        read = pool.submit(read_all, photos.reader, photos.photos).result(timeout=60)
    assert read == [f"all.parquet {i}".encode() for i in range(15)]


def test_rows_without_label_or_picture(tmp_path):
    photos = open_photos(write(tmp_path / "all.parquet", [0, 1, -1, None, 1], [b"a", None, b"c", b"d", b"e"]))
    assert photos.skipped == (SkippedFile("all/2", "no label"), SkippedFile("all/3", "no label"))
    assert photos.warnings == ("1 class has no photos: bee",)
    for _ in range(2):  # from the table, and from its copy
        with pytest.raises(UnreadablePhotoError, match="no picture"):
            photos.read(photos.photos[1])
        photos.reader._held.clear()


def test_files_that_do_not_fit_together(tmp_path):
    write(tmp_path / "train.parquet", [0, 1])
    write(tmp_path / "part.parquet", [0, 1])
    with pytest.raises(PhotosError, match=r"some are not: part\.parquet"):
        open_photos(tmp_path)
    (tmp_path / "part.parquet").unlink()
    write(tmp_path / "test.parquet", [0, 1], names=["ant", "bee"])
    with pytest.raises(PhotosError, match="different class names"):
        open_photos(tmp_path)


@pytest.mark.parametrize("place", ["data", "plain_text/inner"])
def test_a_hugging_face_checkout(tmp_path, place):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    write(tmp_path / place / "train-00000-of-00001.parquet", [0, 1, 2])
    photos = open_photos(tmp_path)
    assert [photo.name for photo in photos.photos] == [f"train-00000-of-00001/{i}" for i in range(3)]
    assert not photos.given_split
    assert photos.read(photos.photos[2]) == b"train-00000-of-00001.parquet 2"
    write(tmp_path / place / "test-00000-of-00001.parquet", [0, 1, 2])
    assert [photo.split for photo in open_photos(tmp_path).photos] == ["test"] * 3 + ["train"] * 3


def test_several_folders_of_parquet(tmp_path):
    for place in ("large", "small"):
        (tmp_path / place).mkdir()
        write(tmp_path / place / "train.parquet", [0, 1, 2])
    with pytest.raises(PhotosError, match=r"2 folders of \.parquet files: large, small"):
        open_photos(tmp_path)
    write(tmp_path / "all.parquet", [0, 1, 2])
    assert open_photos(tmp_path).photos[0].name == "all/0"


def test_folders_named_after_splits(tmp_path):
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        for i in range(2):
            write(tmp_path / split / f"{i:04d}.parquet", [0, 1, 2])
    photos = open_photos(tmp_path)
    assert [(photo.name, photo.split) for photo in photos.photos][5:8] == [
        ("train/0001/2", "train"),
        ("validation/0000/0", "val"),
        ("validation/0000/1", "val"),
    ]


def test_a_pattern(tmp_path):
    for i in range(12):
        write(tmp_path / f"train-{i:05d}-of-00012.parquet", [0, 1, 2])
    photos = open_photos(str(tmp_path / "train-{00001..00010}-of-00012.parquet"))
    assert len(photos.photos) == 30
    assert photos.read(photos.photos[-1]) == b"train-00010-of-00012.parquet 2"


def test_a_split_column(tmp_path):
    def with_splits(values):
        table = parquet.read_table(write(tmp_path / "all.parquet", [0, 1, 2]))
        parquet.write_table(table.append_column("split", pa.array(values)), tmp_path / "all.parquet")
        return open_photos(tmp_path)

    assert [photo.split for photo in with_splits(["Validation", None, "train"]).photos] == ["val", None, "train"]
    with pytest.raises(PhotosError, match=r"all\.parquet, row 2: split is 'holdout'") as error:
        with_splits(["train", "holdout", "test"])
    assert error.value.hint == "It must be train, val or test."


def test_no_parquet_inside(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"not parquet")
    with pytest.raises(PhotosError, match="not a Parquet file"):
        open_photos(tmp_path / "a.parquet")


def test_cifar10(shared_data):
    photos = open_photos(shared_data / "cifar10")
    assert len(photos.photos) == 60_000
    assert photos.labels[:2] == ("airplane", "automobile")
    assert sum(photo.split == "test" for photo in photos.photos) == 10_000
    assert photos.read(photos.photos[-1])[:2] == b"\xff\xd8"


def test_what_is_no_label(tmp_path):
    """Not a number, nothing but spaces: those rows are skipped; bytes are text."""
    kind = pa.struct([("bytes", pa.binary())])
    images = pa.array([{"bytes": b"x"}] * 4, kind)
    for labels, skipped, expected in (
        (pa.array([0.0, 1.0, float("nan"), 1.0]), ["all/2"], ("0.0", "1.0")),
        (pa.array(["a", " ", "", "b"]), ["all/1", "all/2"], ("a", "b")),
        (pa.array([b"a", b"b", None, b"b"]), ["all/2"], ("a", "b")),
    ):
        parquet.write_table(pa.table({"image": images, "label": labels}), tmp_path / "all.parquet")
        photos = open_photos(tmp_path / "all.parquet")
        assert photos.labels == expected
        assert [each.file for each in photos.skipped] == skipped


OF_NUMBERS = {"info": {"features": {"label": {"_type": "ClassLabel", "names": ["x"]}}}}


@pytest.mark.parametrize(
    "metadata", ["not json", "[]", '{"info": 1}', '{"info": {"features": []}}', json.dumps(OF_NUMBERS)]
)
def test_metadata_that_says_nothing_of_these_labels(tmp_path, metadata):
    kind = pa.struct([("bytes", pa.binary())])
    table = pa.table({"image": pa.array([{"bytes": b"x"}] * 2, kind), "label": ["a", "b"]})
    parquet.write_table(table.replace_schema_metadata({"huggingface": metadata}), tmp_path / "all.parquet")
    assert open_photos(tmp_path / "all.parquet").labels == ("a", "b")
