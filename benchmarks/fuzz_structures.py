"""Ways to damage the structure of a binary file, where a checksum or a length would stop most random damage."""

from __future__ import annotations

import io
import pickletools
import struct
import warnings
import zipfile
import zlib
from random import Random

from fuzz_mutations import INTEGERS, MOST_BYTES, PLAIN, WORDS, json_value

TIFF_TAGS: tuple[int, ...] = (
    254,
    256,
    257,
    258,
    259,
    262,
    266,
    273,
    274,
    277,
    278,
    279,
    284,
    317,
    320,
    322,
    323,
    324,
    325,
    330,
    338,
)
TIFF_TAGS += (339, 347, 529, 530, 34665, 34675)
TAR_TYPES = (b"1", b"2", b"3", b"5", b"6", b"L", b"K", b"S", b"x", b"g", b"V")
PICKLED = (  # code, nesting, memos that are not there, sizes that cannot be
    *(b"cos\nsystem\n", b"cbuiltins\neval\n", b"R", b"Q", b"b", b"o", b"(t", b"\x85" * 60, b"(" * 200, b"2", b"e"),
    *(b"j\xff\xff\xff\x7f", b"r\xff\xff\xff\xff", b"\x8b\xff\xff\xff\x7f", b"B\xff\xff\xff\x7f", b"X\xff\xff\xff\xff"),
    *(b"]", b"}", b")", b"N", b"\x94", b"\x82\x01", b"\x97", b"\x98", b"I" + b"9" * 3000 + b"\n"),
)


def safetensors_header(data: bytes, other: bytes, chance: Random) -> bytes:
    """Change the JSON header; its length stays right."""
    length = int.from_bytes(data[:8], "little")
    header = json_value(data[8 : 8 + length], other, chance)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def png_chunk(data: bytes, other: bytes, chance: Random) -> bytes:
    """Change a chunk, or what it has packed, and mend its length and checksum."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    index = chance.randrange(len(chunks))
    kind, content = chunks[index]
    if kind == b"IDAT" and chance.random() < 0.5:
        packed = zlib.decompressobj().decompress(content, MOST_BYTES)
        content = zlib.compress(chance.choice(PLAIN)(packed, other, chance))
    else:
        content = chance.choice(PLAIN)(content or b"\0", other, chance)
    chunks[index : index + chance.choice((0, 1, 1, 1))] = [(kind, content)] * chance.choice((0, 1, 1, 1, 1, 40))
    parts = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    ]
    return data[:8] + b"".join(parts)


def jpeg_segment(data: bytes, other: bytes, chance: Random) -> bytes:
    """Change, remove or repeat a segment; or repeat all scans."""
    at, segments = 2, []
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        stop = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segments.append(data[at:stop])
        at = stop
    scans = data[at:]
    if chance.random() < 0.15:
        return data[:at] + scans.removesuffix(b"\xff\xd9") * chance.choice((2, 20)) + b"\xff\xd9"
    index = chance.randrange(len(segments))
    body = chance.choice(PLAIN)(segments[index][4:] or b"\0", other, chance)[:65_000]
    changed = segments[index][:2] + struct.pack(">H", len(body) + 2) + body
    segments[index : index + 1] = [changed] * chance.choice((0, 1, 1, 1, 2))
    return data[:2] + b"".join(segments) + scans


def tiff_entry(data: bytes, _: bytes, chance: Random) -> bytes:
    """Change the tag, type, count or value of an entry of the first directory."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    at = start + 2 + 12 * chance.randrange(count)
    tag, kind, length, value = struct.unpack_from(f"{order}HHII", data, at)
    match chance.randrange(5):
        case 0:
            tag = chance.choice(TIFF_TAGS)
        case 1:
            kind = chance.randrange(20)
        case 2:
            length = chance.choice(INTEGERS) & 0xFFFFFFFF
        case _:
            value = chance.choice((*INTEGERS, *range(10))) & 0xFFFFFFFF
    return data[:at] + struct.pack(f"{order}HHII", tag, kind, length, value) + data[at + 12 :]


def tar_header(data: bytes, other: bytes, chance: Random) -> bytes:
    """Change a header, and mend its checksum."""
    starts = [at for at in range(0, len(data) - 511, 512) if data[at + 257 : at + 262] == b"ustar"]
    at = chance.choice(starts)
    field, width = chance.choice(((0, 100), (100, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155)))
    octal = f"{chance.choice(INTEGERS):011o}\0".encode()
    content = chance.choice((chance.randbytes(width), octal, b"\x80" + chance.randbytes(11), chance.choice(TAR_TYPES)))
    header = bytearray(data[at : at + 512])
    header[field : field + width] = chance.choice((content, content, other[:width]))[:width].ljust(width, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return data[:at] + bytes(header) + data[at + 512 :] + chance.choice((b"", b"", data[at : at + 1024]))


def protobuf_field(data: bytes, other: bytes, chance: Random, depth: int = 0) -> bytes:
    """Change, remove or repeat a field somewhere in nested messages; all lengths around it stay right."""
    fields, at = [], 0
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        length, begin = _varint(data, at) if tag & 7 in (0, 2) else (0, at)
        at = {0: begin, 1: at + 8, 2: begin + length, 5: at + 4}[tag & 7]
        fields.append((tag, begin, data[start:at], start))
    index = chance.randrange(len(fields))
    tag, begin, whole, start = fields[index]
    content = whole[begin - start :]
    changed = whole
    if tag & 7 == 2 and content and depth < 8 and chance.random() < 0.85:
        try:
            content = protobuf_field(content, other, chance, depth + 1)
        except (ValueError, KeyError, IndexError):  # no message but text or numbers
            content = chance.choice(PLAIN)(content, other, chance)
        changed = _encoded(tag) + _encoded(len(content)) + content
    elif tag & 7 == 0 or chance.random() < 0.5:
        changed = _encoded(tag & ~7) + _encoded(chance.choice(INTEGERS))
    elif chance.random() < 0.5:
        changed = _encoded(chance.randrange(1, 64) << 3 | tag & 7) + whole[len(_encoded(tag)) :]
    copies = chance.choice((0, 1, 1, 1, 1, 1, 2, 100 if len(whole) < 1000 else 2))
    return data[:start] + changed * copies + data[start + len(whole) :]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("no varint")


def _encoded(value: int) -> bytes:
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def pickle_opcode(data: bytes, _: bytes, chance: Random) -> bytes:
    """Remove, repeat, swap or replace an operation of a pickle, or of several that follow each other."""
    stream = io.BytesIO(data)
    starts: list[int] = []
    try:
        while len(starts) < 5000:
            starts += [at for _, _, at in pickletools.genops(stream) if at is not None]
    except Exception:  # noqa: BLE001  the numbers that follow the pickles
        pass
    index = chance.randrange(len(starts) - 1)
    start, stop = starts[index], starts[index + 1]
    operation = data[start:stop]
    elsewhere = chance.randrange(len(starts) - 1)
    number = chance.choice(INTEGERS).to_bytes(8, "little")[: len(operation) - 1]
    changed = chance.choice(
        (b"", operation * 2, operation[:1] + number, data[starts[elsewhere] : starts[elsewhere + 1]], *PICKLED)
    )
    return data[:start] + changed + chance.choice((operation, b"")) + data[stop:]


def zip_member(data: bytes, other: bytes, chance: Random) -> bytes:
    """Change, rename, remove or repeat a member; directory and checksums are mended."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.open(info).read(MOST_BYTES)) for info in archive.infolist()]
    index = chance.randrange(len(members))
    name, content = members[index]
    change = pickle_opcode if name.endswith(".pkl") else chance.choice(PLAIN)
    changed = chance.choice((name, name, name, name + chance.choice(WORDS[:10]), members[0][0]))
    members[index : index + 1] = [(changed, change(content or b"\0", other, chance))] * chance.choice((0, 1, 1, 1, 1))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", chance.choice((zipfile.ZIP_STORED,) * 9 + (zipfile.ZIP_DEFLATED,))) as archive:
        for name, content in members:
            with warnings.catch_warnings(action="ignore"):  # of names that occur twice
                archive.writestr(zipfile.ZipInfo(name), content)
    return packed.getvalue()


def parquet_footer(data: bytes, other: bytes, chance: Random) -> bytes:
    """Change the footer, or put an integer into it as it writes them; its length stays right."""
    length = int.from_bytes(data[-8:-4], "little")
    pages, footer = data[: -8 - length], data[-8 - length : -8]
    start = chance.randrange(len(footer))
    if chance.random() < 0.5:
        footer = footer[:start] + _encoded(chance.choice(INTEGERS)) + footer[start + chance.choice((0, 1, 2, 5)) :]
    else:
        footer = chance.choice(PLAIN)(footer, other, chance)
    return pages + footer + len(footer).to_bytes(4, "little") + b"PAR1"
