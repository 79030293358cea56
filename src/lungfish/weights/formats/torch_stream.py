"""Read the file format of PyTorch before 1.6: five pickles, then for each storage a count and that many values.

Source: `torch.serialization._legacy_load` of torch 2.14.
"""

from __future__ import annotations

from typing import IO, Any

from lungfish.core.names import printable
from lungfish.weights.formats.pickle_machine import DamagedError
from lungfish.weights.formats.stored_tensors import DType, Storage, Stretch, TorchContent
from lungfish.weights.formats.torch_objects import Objects

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
COUNT_BYTES = 8  # size of the count before a storage's values


def open_torch_stream(file: IO[bytes], size: int) -> TorchContent:
    """Return the contents of a file.

    Args:
        file: Seekable, positioned at its start.
        size: Size of the file, in bytes.

    Raises:
        NotPlainError: It contains more than plain tensors.
        ValueError, KeyError and what `Objects.load` raises: It is damaged, or not a PyTorch file.
    """
    storages: dict[str, Storage] = {}

    def find(saved_id: tuple[Any, ...]) -> Stretch:
        return _stretch(saved_id, storages, size)

    if Objects(find).load(file) != MAGIC_NUMBER or Objects(find).load(file) != PROTOCOL:
        raise DamagedError("it does not start like a PyTorch file")
    Objects(find).load(file)  # describes the machine that wrote it; values are always little-endian
    value = Objects(find).load(file)
    keys = Objects(find).load(file)
    return TorchContent(value, file, _starts(file, storages, keys, size))


def _starts(file: IO[bytes], storages: dict[str, Storage], keys: object, size: int) -> dict[str, int]:
    """Return where the values of each storage begin."""
    if type(keys) is not list or sorted(keys, key=str) != sorted(storages):
        raise DamagedError("the storages that follow are not those of its pickle")
    starts, position = {}, file.tell()
    for key in keys:
        storage = storages[key]
        file.seek(position)
        count = int.from_bytes(file.read(COUNT_BYTES), "little")
        if count * storage.dtype.bytes != storage.bytes:
            raise DamagedError(f"storage {printable(key)} is not as large as its pickle says")
        starts[key] = position + COUNT_BYTES
        position += COUNT_BYTES + storage.bytes
        if position > size:
            raise DamagedError("it is truncated")
    return starts


def _stretch(saved_id: tuple[Any, ...], storages: dict[str, Storage], size: int) -> Stretch:
    """Return the storage, or part of one, that a persistent id names; add the storage to `storages`."""
    kind, dtype, key, _location, count, part = saved_id
    if kind != "storage" or not isinstance(dtype, DType) or type(key) is not str or type(count) is not int:
        raise DamagedError("its pickle refers to a value that is not a storage")
    storage = Storage(key, dtype, count * dtype.bytes)
    if not 0 <= storage.bytes <= size:
        raise DamagedError(f"storage {printable(key)} is larger than the file")
    if storages.setdefault(key, storage) != storage:
        raise DamagedError(f"storage {printable(key)} is described twice")
    if part is None:
        return Stretch(storage, 0, storage.bytes)
    _key, first, part_count = part
    if type(first) is not int or type(part_count) is not int or min(first, part_count) < 0:
        raise DamagedError(f"a part of storage {printable(key)} has no position")
    stretch = Stretch(storage, first * dtype.bytes, part_count * dtype.bytes)
    if stretch.first + stretch.bytes > storage.bytes:
        raise DamagedError(f"a part of storage {printable(key)} reaches past it")
    return stretch
