"""The formats that Lungfish reads: what is damaged, how, and the code that reads it."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

import fuzz_networks as networks
import fuzz_seeds as seeds
import fuzz_structures as structures
from fuzz_mutations import Mutation, csv_cell, json_value
from fuzz_networks import ARCH
from fuzz_seeds import Seeds
from lungfish.architecture import parse_arch
from lungfish.core.archive import unpack
from lungfish.core.cache import cache_folder
from lungfish.core.errors import LungfishError
from lungfish.data.scan.capture_time import capture_time
from lungfish.data.sources.opening import open_photos
from lungfish.data.split.photos_csv import read_split
from lungfish.deploy.open_bundle import open_bundle
from lungfish.runtime.engines.onnx.engine import OnnxEngine
from lungfish.runtime.photo_limits import DECODER_BYTES, MAX_PIXELS
from lungfish.runtime.preprocessing import Preprocessing
from lungfish.weights.formats.checkpoint import read_checkpoint
from lungfish.weights.layouts import detect_source
from lungfish.weights.resolve.local import bundle_entry

RULES = Preprocessing(224), Preprocessing(32)
PIXELS = np.zeros((1, 32, 32, 3), np.uint8)


@dataclass(frozen=True)
class Format:
    """One format.

    Args:
        file: The name that each case has on the disk.
        seeds: Makes the sound files from the folder of data.
        read: Reads a case from its file, as a command would; raises a `LungfishError` if it refuses it.
        structured: Mutations that know the format.
        is_picture: Whether a case declares pixels, which it may take time and memory for.
        bytes_a_pixel: Memory for each; 4 but where Pillow's decoder alone takes more (`photo_limits.DECODER_BYTES`).
    """

    file: str
    seeds: Callable[[Path], Seeds]
    read: Callable[[Path], object]
    structured: tuple[Mutation, ...] = ()
    is_picture: bool = False
    bytes_a_pixel: int = 4


def declared_pixels(data: bytes) -> int:
    """Pixels that a picture's header declares, at most as many as are decoded; 0 if it is no picture."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return min(image.width * image.height, MAX_PIXELS)
    except Exception:  # noqa: BLE001  whatever Pillow raises on damaged files
        return 0


def _read_picture(path: Path) -> None:
    """As a job reads it, for a usual network or for a small one."""
    data = path.read_bytes()
    rule = RULES[len(data) % 2]
    rule.pixels(rule.decode(data))
    capture_time(data)


def _read_bundle(path: Path) -> None:
    """As `predict` and as `train --weights` read it."""
    open_bundle(path.parent).probabilities(PIXELS, threads=1)
    bundle_entry(str(path.parent))


def _read_graph(path: Path) -> None:
    OnnxEngine(path.read_bytes(), threads=1).run(PIXELS)


def _read_weights(path: Path, arch: str = ARCH) -> None:
    names = [str(name) for name in read_checkpoint(path, parse_arch(arch))]
    with contextlib.suppress(LungfishError):  # of a part of a network nobody knows whose it is
        detect_source(names)


def _read_photos(path: Path) -> None:
    """List photos and read each, with an empty cache."""
    try:
        photos = open_photos(path)
        for photo in photos.photos[:1000]:
            with contextlib.suppress(LungfishError):  # a single photo
                photos.read(photo)
    finally:
        for name in ("shards", "photos"):
            shutil.rmtree(cache_folder() / name, ignore_errors=True)


def _unpack(path: Path) -> None:
    target = path.parent / "unpacked"
    try:
        unpack(path, target)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _picture(kind: str, *structured: Mutation) -> Format:
    bytes_a_pixel = DECODER_BYTES.get(kind, 4)
    make = partial(seeds.image_seeds, kind=kind)
    return Format(f"case.{kind.lower()}", make, _read_picture, structured, is_picture=True, bytes_a_pixel=bytes_a_pixel)


FORMATS = {
    "jpeg": _picture("JPEG", structures.jpeg_segment),
    "png": _picture("PNG", structures.png_chunk),
    "webp": _picture("WEBP"),
    "bmp": _picture("BMP"),
    "gif": _picture("GIF"),
    "tiff": _picture("TIFF", structures.tiff_entry),
    "avif": _picture("AVIF"),
    "bundle": Format("bundle.json", networks.bundle_seeds, _read_bundle, (json_value,)),
    "onnx": Format("model.onnx", lambda data: Seeds(networks.graphs(data)), _read_graph, (structures.protobuf_field,)),
    "safetensors": Format(
        "case.safetensors", networks.safetensors_seeds, _read_weights, (structures.safetensors_header,)
    ),
    "pth": Format("case.pth", partial(networks.torch_seeds, in_zip=True), _read_weights, (structures.zip_member,)),
    "pth_stream": Format(
        "case.pth", partial(networks.torch_seeds, in_zip=False), _read_weights, (structures.pickle_opcode,)
    ),
    "hdf5": Format("case.h5", partial(networks.hdf5_seeds, archived=False), _read_weights),
    "keras": Format("case.keras", partial(networks.hdf5_seeds, archived=True), _read_weights, (structures.zip_member,)),
    "tar": Format("case.tar", seeds.tar_seeds, _read_photos, (structures.tar_header,)),
    "parquet": Format("case.parquet", seeds.parquet_seeds, _read_photos, (structures.parquet_footer,)),
    "csv": Format("case.csv", seeds.csv_seeds, _read_photos, (csv_cell,)),
    "split": Format("photos.csv", seeds.split_seeds, read_split, (csv_cell,)),
    "arch": Format("case.json", networks.arch_seeds, lambda path: parse_arch(str(path)), (json_value,)),
    "archive": Format("case.archive", seeds.archive_seeds, _unpack, (structures.tar_header, structures.zip_member)),
}
