"""A process that reads Keras's HDF5 files for another: HDF5 is C that crashes on some damaged files.

Requests come as lines of JSON on stdin, answers go to stdout: the length of a JSON header, the header, then the bytes
of the arrays one after another. Nothing is pickled: a process that a file has taken over can send no code.
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

LENGTH_BYTES = 8  # of a header, before it
INSIDE_KERAS = "model.weights.h5"
MAX_DEPTH = 16  # of groups in groups
MAX_NAME_BYTES = 1024  # of a layer, and of an attribute that holds it


def main() -> None:
    """Answer the requests of stdin until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and ends us
    with contextlib.suppress(ImportError):  # Windows
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file behind
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the library prints must not fall between the answers
    import h5py

    _send(answers, {"ready": h5py.version.version})
    for line in sys.stdin.buffer:
        request = json.loads(line)
        _answer(answers, Path(request["path"]), request["max_tensors"])


def _answer(answers: IO[bytes], path: Path, max_tensors: int) -> None:
    """Send the arrays of a file, or what is wrong with it."""
    import h5py

    try:
        with path.open("rb") as raw, h5py.File(_opened(path, raw)) as file:
            kind, root = _layers(path, file)
            datasets = _plain_datasets(path, root, max_tensors)
            names = _own_names(root) if kind == "numbered" else {}
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


def _opened(path: Path, raw: IO[bytes]) -> Path | io.BytesIO:
    """The HDF5 file, out of the archive that a `.keras` file is. Nothing is unpacked to the disk."""
    check_size(path)
    if not zipfile.is_zipfile(raw):
        return path
    with open_zip(raw) as archive:
        member = archive.getinfo(INSIDE_KERAS)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("compressed in a way that Keras never does")  # others unpack more than they are asked for
        check_size(path, member.file_size)
        with archive.open(member) as file:
            return io.BytesIO(file.read(member.file_size))


def _layers(path: Path, file: Any) -> tuple[str, Any]:
    """Which of Keras's layouts it has, and the group of the layers."""
    root = _member(file, "model_weights") or file
    if any(name.startswith("layer_names") for name in root.attrs):
        return "published", root
    if layers := _member(root, "layers"):
        return "numbered", layers
    raise WeightsError(f"{printable(path.name)} holds no layers of Keras", "Save it with model.save_weights.")


def _member(group: Any, name: str) -> Any:
    """What `group` itself holds by that name, or None.

    Raises:
        ValueError: it is a link to somewhere else.
    """
    import h5py

    link = group.get(name, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        raise ValueError(f"{group.name.rstrip('/')}/{name} is a link to somewhere else")
    return None if link is None else group[name]


def _datasets(group: Any, seen: set[Any], max_tensors: int, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every array below a group, by path; links, cycles and depths that Keras never writes are refused."""
    import h5py

    for name in group:
        item = _member(group, name)
        if item in seen or depth == MAX_DEPTH or len(seen) == max_tensors:
            raise ValueError(f"{item.name} is in a cycle, too deep, or one of too many")
        seen.add(item)
        if isinstance(item, h5py.Group):
            below = _datasets(item, seen, max_tensors, depth + 1)
            yield from ((f"{name}/{key}", dataset) for key, dataset in below)
        else:
            yield name, item


def _plain_datasets(path: Path, group: Any, max_tensors: int) -> dict[str, Any]:
    """Every array below a group, by path. No data outside the file is read, and no more than the file holds."""
    datasets = dict(_datasets(group, {group}, max_tensors))
    for key, item in datasets.items():
        plain = getattr(item, "shape", None) is not None and item.dtype.kind in "fiu"
        if not plain or item.external or item.is_virtual:
            raise ValueError(f"{key} is not plain numbers in this file")
    check_size(path, sum(prod(dataset.shape) * dataset.dtype.itemsize for dataset in datasets.values()))
    for key, item in datasets.items():
        if item.id.get_create_plist().get_nfilters():  # may unpack to more than the shape says
            raise ValueError(f"{key} is compressed, which Keras never does")
    return datasets


def _own_names(layers: Any) -> dict[str, str]:
    """The names that the file gives its numbered layers; early Keras 3 files give none."""
    names = {}
    for layer, group in layers.items():
        if "vars" not in group or "name" not in group["vars"].attrs:
            continue
        attribute = group["vars"].attrs.get_id("name")
        if attribute.shape != () or attribute.get_storage_size() > MAX_NAME_BYTES:
            raise ValueError(f"the name of {layer} is no text")
        names[layer] = str(group["vars"].attrs["name"])[:MAX_NAME_BYTES]
    return names


if __name__ == "__main__":
    main()
