"""Tables, a few bytes of which stand for gigabytes, and tables with more rows than there is memory for."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from lungfish.core.errors import LungfishError, PhotosError, UnreadablePhotoError, UsageError
from lungfish.data.sources import assembly, image_parquet, open_photos, parquet_file, tables
from lungfish.data.split import photos_csv as split_file

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def written(table: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, **options)
    return buffer.getvalue()


def repeated(values: list[Any], rows: int) -> Any:
    """A column that holds the values once, and their numbers in turn."""
    return pa.DictionaryArray.from_arrays(
        pa.array([i % len(values) for i in range(rows)], pa.int32()), pa.array(values)
    )


def parquet_with_rows_of_one_label(rows: int, characters: int = 1000) -> bytes:
    """10 bytes for each thousand rows: the label and the picture are in it once."""
    labels = ["a" * characters, "b" * characters]
    image = repeated([b"x"], rows)
    return written(pa.table({"image": image, "label": repeated(labels, rows)}), store_schema=False, compression="zstd")


def parquet_that_repeats_a_picture(rows: int, bytes_: int, group: int = 1 << 20) -> bytes:
    """As large as the picture."""
    image = repeated([bytes(bytes_)], rows)
    table = pa.table({"image": image, "label": repeated(["a", "b"], rows)})
    return written(table, store_schema=False, compression="zstd", row_group_size=group)


def parquet_with_labels(labels: Any) -> bytes:
    return written(pa.table({"image": [b"x"] * len(labels), "label": labels}))


def parquet_with_json(text: str) -> bytes:
    table = pa.table({"image": [b"x"] * 2, "label": [0, 1]})
    return written(table.replace_schema_metadata({"huggingface": text}))


def csv_with_commas(count: int) -> bytes:
    """One row of so many values, 8 bytes each in memory, for one."""
    return b"image,label\n" + b"," * count + b"\n"


def csv_with_a_row_of_many_lines(lines: int) -> bytes:
    return b"image,label\n" + b'"\n",' * lines + b"x\n"


def opened(tmp_path: Path, name: str, data: bytes) -> Any:
    (tmp_path / name).write_bytes(data)
    return open_photos(tmp_path / name)


def test_rows_are_counted_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MAX_PHOTOS", 1000)
    monkeypatch.setattr(parquet_file.ParquetTable, "_encoded", None)
    with pytest.raises(PhotosError, match="more than the 1,000 photos allowed"):
        opened(tmp_path, "x.parquet", parquet_with_rows_of_one_label(1001))


def test_rows_of_all_files_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MAX_PHOTOS", 1000)
    for number in range(3):
        (tmp_path / f"{number}.parquet").write_bytes(parquet_with_rows_of_one_label(400))
    with pytest.raises(PhotosError, match="more than the 1,000 photos allowed"):
        open_photos(tmp_path)


def test_a_label_is_held_once(tmp_path: Path) -> None:
    """Not a thousand characters for each of the rows."""
    photos = opened(tmp_path, "x.parquet", parquet_with_rows_of_one_label(10_000))
    assert len(photos.photos) == 10_000
    with (tmp_path / "x.parquet").open("rb") as source:
        file = parquet.ParquetFile(source)
        table = parquet_file.ParquetTable("x.parquet", source, file.metadata, file.schema_arrow)
        labels = table.columns(["label"])["label"]
    assert len(labels) == 10_000
    assert len(set(map(id, labels))) == 2


def test_the_different_texts_of_a_table_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MAX_TEXT_CHARACTERS", 10_000)
    labels = [f"{i:0100d}" for i in range(200)]
    with pytest.raises(PhotosError, match="more than the 10,000 characters allowed"):
        opened(tmp_path, "x.parquet", parquet_with_labels(labels))
    with pytest.raises(PhotosError, match="more than the 10,000 characters allowed"):
        opened(tmp_path, "x.csv", "\n".join(["image,label", *(f"{label}.jpg,{label}" for label in labels)]).encode())


def test_a_long_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="has 1,001 characters; at most 1,000"):
        opened(tmp_path, "x.parquet", parquet_with_rows_of_one_label(4, characters=1001))


@pytest.mark.parametrize("labels", [[["a"] * 3, ["b"]], [{"a": 1}, {"a": 2}], pa.array([b"abcd"] * 2, pa.binary(4))])
def test_labels_that_are_no_texts_are_refused(tmp_path: Path, labels: Any) -> None:
    """A fixed width and a list have no dictionary that could be kept."""
    with pytest.raises(PhotosError, match="column label holds"):
        opened(tmp_path, "x.parquet", parquet_with_labels(labels))


def test_a_repeated_picture_counts_as_often_as_it_occurs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "MAX_GROUP_BYTES", 100_000)
    photos = opened(tmp_path, "x.parquet", parquet_that_repeats_a_picture(1000, 1000))
    with pytest.raises(UnreadablePhotoError, match="take more than the 100,000 bytes allowed"):
        photos.read(photos.photos[0])
    photos = opened(tmp_path, "y.parquet", parquet_that_repeats_a_picture(1000, 1000, group=100))
    assert photos.read(photos.photos[999]) == bytes(1000)


def test_a_repeated_picture_is_held_once(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(parquet_that_repeats_a_picture(64, 1000))
    with (tmp_path / "x.parquet").open("rb") as source:
        file = parquet.ParquetFile(source)
        pictures = parquet_file.ParquetTable("x", source, file.metadata, file.schema_arrow).pictures(0, "image")
    assert pictures == [bytes(1000)] * 64
    assert len(set(map(id, pictures))) == 1


def test_a_row_group_that_says_it_is_too_large_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_parquet, "MAX_GROUP_BYTES", 1000)
    with pytest.raises(PhotosError, match=r"(?s)row group 0 take .* bytes; at most 1,000.*row_group_size=100"):
        opened(tmp_path, "x.parquet", parquet_that_repeats_a_picture(4, 10_000))


@pytest.mark.parametrize(
    ("text", "reason"),
    [('"' + "x" * image_parquet.MAX_FEATURES_BYTES, "bytes of JSON"), ("[" * 100_000, "")],
)
def test_json_in_the_footer(tmp_path: Path, text: str, reason: str) -> None:
    """What is too long is refused; what is nested too deeply says nothing: then numbers are the classes."""
    data = parquet_with_json(text)
    if reason:
        with pytest.raises(PhotosError, match=reason):
            opened(tmp_path, "x.parquet", data)
    else:
        assert opened(tmp_path, "x.parquet", data).labels == ("0", "1")


def test_names_of_columns_that_are_no_text(tmp_path: Path) -> None:
    data = written(pa.table({"label": ["a"], "weird": [1]})).replace(b"weird", b"\xff\xfeird")
    with pytest.raises(PhotosError, match="is not a Parquet file: 'utf-8' codec can't decode"):
        opened(tmp_path, "a.parquet", data)


def test_damaged_pages_are_named(tmp_path: Path) -> None:
    data = bytearray(parquet_with_labels(["a", "b"] * 100))
    data[4:200] = bytes(196)
    with pytest.raises(LungfishError, match=r"cannot read|is damaged"):
        opened(tmp_path, "x.parquet", bytes(data))


def test_a_large_csv_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_CSV_BYTES", 1000)
    with pytest.raises(PhotosError, match="more than the 1,000 bytes allowed"):
        opened(tmp_path, "x.csv", b"image,label\n" + b"a,b\n" * 1000)


def test_rows_of_a_csv_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "MAX_PHOTOS", 10)
    with pytest.raises(PhotosError, match="more than the 10 photos allowed"):
        opened(tmp_path, "x.csv", b"image,label\n" + b"a,b\n" * 11)


@pytest.mark.parametrize("make", [csv_with_commas, csv_with_a_row_of_many_lines])
def test_a_row_is_bounded(tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_ROW_CHARACTERS", 1000)
    with pytest.raises(PhotosError, match="a row has more than the 1,000 characters allowed"):
        opened(tmp_path, "x.csv", make(2000))
    with pytest.raises(PhotosError, match="a row has more than the 1,000 characters allowed"):
        opened(tmp_path, "x.csv", b"image,label" * 2000)


def test_a_name_longer_than_any_file(tmp_path: Path) -> None:
    with pytest.raises(PhotosError, match="none of the 1 photos"):
        opened(tmp_path, "x.csv", b"image,label\n" + b"a" * 5000 + b".jpg,b\n")


def test_a_large_saved_split_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_file, "MAX_SPLIT_BYTES", 100)
    (tmp_path / "photos.csv").write_text(json.dumps(["x"] * 100))
    with pytest.raises(UsageError, match="more than 100 bytes"):
        split_file.read_split(tmp_path / "photos.csv")
