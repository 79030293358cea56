"""Read untrusted Parquet: columns in batches, dictionaries kept encoded, with limits on everything.

A few bytes of Parquet can expand to gigabytes: a dictionary stores a value once, however many rows repeat it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lungfish.core.errors import PhotosError, UnreadablePhotoError
from lungfish.core.extras import missing_extra
from lungfish.core.names import printable
from lungfish.data.sources.assembly import Texts, check_count
from lungfish.data.sources.directory import Directory

# Limit on the pictures of a row group, with repetitions: they are in memory and copied to disk together. Files of the
# Hugging Face hub have 100 to 1000 photos in a group; its viewer accepts groups of up to 300 MB.
MAX_GROUP_BYTES = 1 << 30
TEXT_ROWS = 4096  # rows in a batch of labels
PICTURE_ROWS = 64  # rows in a batch of pictures


@dataclass(frozen=True)
class ParquetTable:
    """An open Parquet file.

    Args:
        name: Name of the file, for error messages.
        source: Seekable file.
        metadata: Footer of the file.
        schema: Arrow schema of the columns.
    """

    name: str
    source: Any
    metadata: Any
    schema: Any

    def columns(self, wanted: Sequence[str]) -> dict[str, list[Any]]:
        """Return those of the wanted columns that exist, as lists; names are compared in lower case.

        Raises:
            PhotosError: There are too many rows or too much text, a value is not a single text or number, or the file
                is damaged.
        """
        check_count(self.metadata.num_rows, printable(self.name))
        present = [column for column in self.schema.names if column.lower() in wanted]
        for column in present:
            self._check_type(column)
        texts = Texts(printable(self.name))
        values: dict[str, list[Any]] = {column: [] for column in present}
        with self._damaged():
            for batch in self._encoded(present).iter_batches(TEXT_ROWS, columns=present):
                for column in present:
                    values[column] += map(texts.once, _values(batch.column(column)))
                check_count(max(map(len, values.values()), default=0), printable(self.name))
        return {column.lower(): each for column, each in values.items()}

    def pictures(self, group: int, image: str) -> list[bytes | None]:
        """Return the pictures of a row group.

        Args:
            group: Number of the row group.
            image: Column of bytes, in pyarrow's notation for the inside of a struct.

        Raises:
            UnreadablePhotoError: The pictures take more than `MAX_GROUP_BYTES`, or the file is damaged.
        """
        pictures: list[bytes | None] = []
        left_bytes = MAX_GROUP_BYTES
        rows = self.metadata.row_group(group).num_rows
        for batch in self._encoded([image]).iter_batches(PICTURE_ROWS, row_groups=[group], columns=[image]):
            column = batch.column(0)
            found = _values(column.flatten()[0] if image.endswith(".bytes") else column)
            left_bytes -= sum(len(each) for each in found if each is not None)
            if left_bytes < 0:
                raise UnreadablePhotoError(
                    f"the pictures of its row group take more than the {MAX_GROUP_BYTES:,} bytes allowed"
                )
            pictures += found
        if len(pictures) != rows:
            raise UnreadablePhotoError(f"its row group holds {len(pictures):,} pictures for {rows:,} rows")
        return pictures

    def _encoded(self, columns: Sequence[str]) -> Any:
        """Return the file, opened so that dictionaries of these columns are kept."""
        from pyarrow import parquet

        leaves = (self.metadata.schema.column(i) for i in range(self.metadata.num_columns))
        texts = [leaf.path for leaf in leaves if leaf.path in columns and leaf.physical_type == "BYTE_ARRAY"]
        return parquet.ParquetFile(self.source, metadata=self.metadata, read_dictionary=texts)

    def _check_type(self, column: str) -> None:
        import pyarrow as pa

        kind = self.schema.field(column).type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
        is_number = pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind)
        if not (is_text or is_bytes or is_number):
            raise PhotosError(
                f"{printable(self.name)}: column {printable(column)} holds {printable(str(kind)[:80])}",
                "Labels, splits, groups and paths must be text or numbers.",
            )

    @contextmanager
    def _damaged(self) -> Iterator[None]:
        import pyarrow as pa

        try:
            yield
        except (pa.ArrowException, UnicodeDecodeError) as error:  # names of columns need not be text
            raise PhotosError(f"{printable(self.name)} is damaged: {printable(_first_line(error))}") from error


@contextmanager
def opened(directory: Directory, name: str, metadata: Any = None) -> Iterator[ParquetTable]:
    """Open a Parquet file; `metadata` is its footer, if it was read before.

    Raises:
        PhotosError: The file is not Parquet.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise missing_extra(error, "reading Parquet") from None
    with directory.open(name) as source:
        try:
            file = parquet.ParquetFile(source, metadata=metadata)
            schema = file.schema_arrow
        except (pa.ArrowException, UnicodeDecodeError) as error:  # names of columns need not be text
            raise PhotosError(f"{printable(name)} is not a Parquet file: {printable(_first_line(error))}") from error
        yield ParquetTable(name, source, file.metadata, schema)


def _values(array: Any) -> list[Any]:
    """Return the values of an Arrow array; repeated values of a dictionary share one object."""
    import pyarrow as pa

    if not isinstance(array, pa.DictionaryArray):
        values: list[Any] = array.to_pylist()
        return values
    indices = array.indices
    used = indices.unique().drop_null()
    known = dict(zip(used.to_pylist(), array.dictionary.take(used).to_pylist(), strict=True))
    return [known.get(index) for index in indices.to_pylist()]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
