"""Read Keras's HDF5 files in a child process: HDF5 is C code that crashes on some damaged files.

Requests are lines of JSON on stdin. Answers go to stdout: the length of a JSON header, the header, then the bytes of
the arrays one after another. Nothing is pickled, so a process that a hostile file has taken over cannot send code.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
import zipfile
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from lungfish.core.errors import LungfishError, WeightsError
from lungfish.core.names import printable
from lungfish.core.zip_directory import open_zip
from lungfish.weights.formats.limits import check_size, unreadable

LENGTH_BYTES = 8  # size of the length field before a header
INSIDE_KERAS = "model.weights.h5"
MAX_DEPTH = 16  # of nested groups
MAX_NAME_BYTES = 1024  # of a layer's name, and of the attribute that holds it


def main() -> None:
    """Answer requests from stdin until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent receives it, and ends this process
    with contextlib.suppress(ImportError):  # Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no core dump after a crash
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the library's output must not mix with the answers
    import h5py

    _send(answers, {"ready": h5py.version.version})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _answer(answers, Path(request["path"]), request["max_tensors"])


def _answer(answers: IO[bytes], path: Path, max_tensors: int) -> None:
    """Send the arrays of a file, or the error that reading it raised."""
    import h5py

    try:
        with path.open("rb") as raw, h5py.File(_hdf5_file(path, raw)) as file:
            kind, root = _layers(path, file)
            datasets = _plain_datasets(path, root, max_tensors)
            names = _layer_names(root) if kind == "numbered" else {}
            arrays = {key: np.asarray(item, item.dtype.newbyteorder("=")) for key, item in datasets.items()}
    except LungfishError as error:
        _send(answers, error.to_json())
    except Exception as error:  # noqa: BLE001  a broken or hostile file can make the reader raise anything
        _send(answers, unreadable(path, error).to_json())
    else:
        rows = [[key, array.dtype.str, array.shape] for key, array in arrays.items()]
        _send(answers, {"kind": kind, "layers": names, "arrays": rows})
        for array in arrays.values():
            answers.write(array.tobytes())
        answers.flush()


def _send(answers: IO[bytes], header: Mapping[str, object]) -> None:
    data = json.dumps(header).encode()
    answers.write(len(data).to_bytes(LENGTH_BYTES, "little") + data)
    answers.flush()


def _hdf5_file(path: Path, raw: IO[bytes]) -> Path | io.BytesIO:
    """Return the HDF5 file, from the archive if the file is a `.keras` one. Nothing is unpacked to disk."""
    check_size(path)
    if not zipfile.is_zipfile(raw):
        return path
    with open_zip(raw) as archive:
        member = archive.getinfo(INSIDE_KERAS)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("compressed in a way that Keras never uses")  # others may unpack more than requested
        check_size(path, member.file_size)
        with archive.open(member) as file:
            return io.BytesIO(file.read(member.file_size))


def _layers(path: Path, file: Any) -> tuple[str, Any]:
    """Return the kind of the file's layout, and the group that contains its layers."""
    root = _member(file, "model_weights") or file
    if any(name.startswith("layer_names") for name in root.attrs):
        return "published", root
    if layers := _member(root, "layers"):
        return "numbered", layers
    raise WeightsError(f"{printable(path.name)} contains no Keras layers", "Save it with model.save_weights.")


def _member(group: Any, name: str) -> Any:
    """Return what `group` itself contains under that name, or None.

    Raises:
        ValueError: It is a link to somewhere else.
    """
    import h5py

    link = group.get(name, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise ValueError(f"{group.name.rstrip('/')}/{name} is a link to somewhere else")
    return None if link is None else group[name]


def _datasets(group: Any, seen: set[Any], max_tensors: int, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield every array below a group, by path.

    Raises:
        ValueError: There are links, cycles or depths that Keras never writes.
    """
    import h5py

    for name in group:
        item = _member(group, name)
        if item in seen or depth == MAX_DEPTH or len(seen) == max_tensors:
            raise ValueError(f"{item.name} is part of a cycle, too deep, or one of too many")
        seen.add(item)
        if isinstance(item, h5py.Group):
            below = _datasets(item, seen, max_tensors, depth + 1)
            yield from ((f"{name}/{key}", dataset) for key, dataset in below)
        else:
            yield name, item


def _plain_datasets(path: Path, group: Any, max_tensors: int) -> dict[str, Any]:
    """Return every array below a group, by path. Reads no data outside the file, and no more than the file contains."""
    datasets = dict(_datasets(group, {group}, max_tensors))
    for key, item in datasets.items():
        plain = getattr(item, "shape", None) is not None and item.dtype.kind in "fiu"
        if not plain or item.external or item.is_virtual:
            raise ValueError(f"{key} is not a plain array in this file")
    check_size(path, sum(prod(dataset.shape) * dataset.dtype.itemsize for dataset in datasets.values()))
    for key, item in datasets.items():
        if item.id.get_create_plist().get_nfilters():  # may unpack to more than the shape implies
            raise ValueError(f"{key} is compressed, which Keras never does")
    return datasets


def _layer_names(layers: Any) -> dict[str, str]:
    """Return the names that the file gives its numbered layers; early Keras 3 files give none."""
    names = {}
    for layer, group in layers.items():
        if "vars" not in group or "name" not in group["vars"].attrs:
            continue
        attribute = group["vars"].attrs.get_id("name")
        if attribute.shape != () or attribute.get_storage_size() > MAX_NAME_BYTES:
            raise ValueError(f"the name of {layer} is not text")
        names[layer] = str(group["vars"].attrs["name"])[:MAX_NAME_BYTES]
    return names


if __name__ == "__main__":
    main()
