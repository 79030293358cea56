"""Small sound pictures and tables, to be damaged: real photos made small."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LABELS = ("coat", "hat", "shoe")
SOUND = Image.new("RGB", (16, 16), "teal")


@dataclass(frozen=True)
class Seeds:
    """Sound files.

    Args:
        files: What is damaged, by name.
        around: What lies beside it and stays as it is, by name.
    """

    files: Mapping[str, bytes]
    around: Mapping[str, bytes] = field(default_factory=dict)


@lru_cache
def photos(data: Path) -> tuple[Image.Image, ...]:
    """Two photos of 64 px and one of 24 px: small files have more of what a decoder branches on."""
    names = sorted((data / "clothing-small/train/hat").glob("*.jpg"))[:3]
    if len(names) < 3:
        raise SystemExit(f"{data} holds no clothing-small/train/hat with three photos")
    opened = [Image.open(name).convert("RGB") for name in names]
    return tuple(photo.resize((side, side * 3 // 4)) for photo, side in zip(opened, (64, 48, 24), strict=True))


def image_seeds(data: Path, kind: str) -> Seeds:
    """Pictures of one format in every mode and variant that Pillow writes."""
    first, second, small = photos(data)
    alpha = second.copy()
    alpha.putalpha(second.convert("L"))
    palette = second.quantize(16)
    grey16 = Image.fromarray(np.asarray(first.convert("L")).astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    moving = (small, {"save_all": True, "append_images": [small.rotate(90)]})
    exif, bilevel, cmyk = {"exif": turned}, small.convert("1"), small.convert("CMYK")
    tiffs = (None, "tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits")
    options: dict[str, list[tuple[Image.Image, dict[str, Any]]]] = {
        "JPEG": [
            *((first, exif), (second, {"quality": 60, "progressive": True}), (small.convert("L"), {}), (cmyk, {})),
            (first, {"subsampling": 0, "restart_marker_rows": 1}),
        ],
        "PNG": [(first, exif), (alpha, {}), (palette, {"transparency": 3}), (grey16, {}), (bilevel, {}), moving],
        "WEBP": [(first, exif), (alpha, {"lossless": True}), (alpha, {"quality": 50}), moving],
        "BMP": [(small, {}), (palette, {}), (bilevel, {}), (alpha, {})],
        "GIF": [(first, {}), (palette, {"transparency": 2, "interlace": 0}), moving],
        "TIFF": [
            *((small, {"compression": each}) for each in tiffs),
            *((bilevel, {"compression": "group4"}), (grey16, {}), (cmyk, {}), (alpha, {}), (palette, exif)),
            (small.convert("YCbCr"), {"compression": "jpeg"}),
        ],
        "AVIF": [(first, exif), (alpha, {}), moving],
    }
    files = {}
    for number, (image, settings) in enumerate(options[kind]):
        packed = io.BytesIO()
        image.save(packed, kind, **settings)
        files[f"{number}"] = packed.getvalue()
    return Seeds(files | ({"tiled": _tiled_tiff(small)} if kind == "TIFF" else {}))


def _tiled_tiff(photo: Image.Image) -> bytes:
    """Tiles of 16 x 16 pixels, which Pillow reads and does not write."""
    wide, high = -(-photo.width // 16), -(-photo.height // 16)
    tiles = [photo.crop((16 * x, 16 * y, 16 * x + 16, 16 * y + 16)).tobytes() for y in range(high) for x in range(wide)]
    n = len(tiles)
    entries = [(256, 3, 1, photo.width), (257, 3, 1, photo.height), (258, 3, 3, 200), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(277, 3, 1, 3), (284, 3, 1, 1), (322, 3, 1, 16), (323, 3, 1, 16), (324, 4, n, 208)]
    entries += [(325, 4, n, 208 + 4 * n)]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    head += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    places = [208 + 8 * n + 768 * i for i in range(n)]
    return (
        b"".join(
            (head.ljust(200, b"\0"), struct.pack("<HHHH", 8, 8, 8, 0), struct.pack(f"<{n}I", *places)),
        )
        + struct.pack(f"<{n}I", *([768] * n))
        + b"".join(tiles)
    )


def zipped(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def _tar(members: Mapping[str, bytes], form: int, mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    data = packed.getvalue()
    return data[:4] + bytes(4) + data[8:] if mode.endswith("gz") else data  # without the time


def tar_seeds(data: Path) -> Seeds:
    """WebDataset shards: labels in .cls, .json and .txt, long names, extended headers."""
    pictures = [image_seeds(data, "JPEG").files[name] for name in "024"]
    members: dict[str, bytes] = {}
    for number, picture in enumerate(pictures):
        label = {"cls": f"{number % 2}".encode(), "json": json.dumps({"label": number % 2}).encode(), "txt": b"hat"}
        kind = ("cls", "json", "cls")[number]
        members |= {f"{number:04}.jpg": picture, f"{number:04}.{kind}": label[kind]}
    long = {f"{'folder/' * 30}{name}": content for name, content in members.items()}
    return Seeds(
        {
            "ustar": _tar(members, tarfile.USTAR_FORMAT),
            "gnu": _tar(long, tarfile.GNU_FORMAT),
            "pax": _tar({name.replace("f", "é"): content for name, content in long.items()}, tarfile.PAX_FORMAT),
        }
    )


def archive_seeds(_: Path) -> Seeds:
    """What checkpoints of TensorFlow come in."""
    members = {"model/checkpoint": b"text", "model/net.index": bytes(200), "model/net.data-00000-of-00001": bytes(4000)}
    return Seeds(
        {
            "zip": zipped(members),
            "tar": _tar(members, tarfile.GNU_FORMAT),
            "tgz": _tar(members, tarfile.USTAR_FORMAT, "w:gz"),
        }
    )


def parquet_seeds(data: Path) -> Seeds:
    """Tables that hold pictures, in the Hugging Face layout and plainly, and one that names files."""
    import pyarrow as pa
    from pyarrow import parquet

    pictures = [image_seeds(data, "JPEG").files[name] for name in "024"] * 2
    images = [{"bytes": picture, "path": f"{number}.jpg"} for number, picture in enumerate(pictures)]
    feature = {"info": {"features": {"label": {"names": list(LABELS), "_type": "ClassLabel"}}}}
    hugging = pa.table({"image": images, "label": [0, 1, 2, 0, 1, 2]}).replace_schema_metadata(
        {"huggingface": json.dumps(feature)}
    )
    plain = pa.table(
        {"image": pictures, "label": [*LABELS, *LABELS], "group": list("aabbcc"), "split": ["train", "val", "test"] * 2}
    )
    names = pa.table({"image": ["1.png", "2.png", "3.png"], "label": list(LABELS)})
    files = {}
    for name, table, options in (
        ("hugging", hugging, {"compression": "snappy", "row_group_size": 3}),
        ("plain", plain, {"compression": "none"}),
        ("zstd", hugging, {"compression": "zstd", "data_page_version": "2.0"}),
        ("names", names, {"compression": "gzip"}),
    ):
        packed = io.BytesIO()
        parquet.write_table(table, packed, **options)
        files[name] = packed.getvalue()
    return Seeds(files, _pictures())


def csv_seeds(_: Path) -> Seeds:
    rows = "".join(
        f"{number}.png,{label},{split},g{number}\n"
        for number, label, split in zip("123", LABELS, ("train", "val", "test"), strict=True)
    )
    short = "image;label\n1.png;coat\n2.png;hat\n"
    return Seeds({"full": f"image,label,split,group\n{rows}".encode(), "short": short.encode("utf-8-sig")}, _pictures())


def split_seeds(_: Path) -> Seeds:
    row = '"{}","{}.jpg","{}","train","hash"\n'
    rows = "".join(row.format(str(number) * 64, number, label) for number, label in enumerate(LABELS))
    return Seeds({"split": f'"sha256","file","label","split","reason"\n{rows}'.encode()})


def _pictures() -> dict[str, bytes]:
    packed = io.BytesIO()
    SOUND.save(packed, "PNG")
    return {f"{name}.png": packed.getvalue() for name in "123"}
