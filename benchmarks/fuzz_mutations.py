"""Ways to damage a file of any format, and texts of JSON and CSV."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Mutation = Callable[[bytes, bytes, Random], bytes]

MOST_BYTES = 1 << 20  # of a case: what is wanted is much work from few bytes
EDGE_BYTES = 512  # headers and footers are hit more often than what lies between
INTEGERS: tuple[int, ...] = (
    0,
    1,
    2,
    7,
    31,
    100,
    127,
    128,
    255,
    256,
    4095,
    32767,
    32768,
    46336,
    65535,
    10**6,
    2**24,
    10**8,
)
INTEGERS += (2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
WORDS: tuple[str, ...] = (
    "",
    " ",
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "NUL",
    "a/b",
    "a\\b",
    "\0",
    "\x1b[2J",
    "\ud800",
    "é" * 300,
)
WORDS += ("x" * 5000, "=1+1", "<script>", "nan", "-1", "1e999", "9" * 400, "train", "file:///etc/passwd", "hf:a/b")
DEEP: Any = 0
for _ in range(200):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (None, True, False, -1, 0.5, -0.0, 1e308, float("nan"), float("inf"), [], {}, [[]], DEEP)


def mutate(data: bytes, other: bytes, structured: Sequence[Mutation], chance: Random) -> bytes:
    """Damage a file in one to six places.

    Args:
        data: The file.
        other: A second one of the format, to take pieces from.
        structured: Mutations that know the format; half of the damage is theirs.
        chance: Decides everything.
    """
    for _ in range(min(1 + int(chance.expovariate(0.7)), 6)):
        change = chance.choice(structured) if structured and chance.random() < 0.5 else chance.choice(PLAIN)
        try:
            data = change(data, other, chance)[:MOST_BYTES]
        except Exception:  # noqa: BLE001  what is damaged already may have no structure left
            continue
    return data


def flip_bits(data: bytes, _: bytes, chance: Random) -> bytes:
    changed = bytearray(data)
    for _bit in range(chance.choice((1, 1, 1, 2, 8, 64))):
        changed[_place(data, chance)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def overwrite_run(data: bytes, _: bytes, chance: Random) -> bytes:
    start, count = _place(data, chance), chance.choice((1, 2, 4, 16, 256))
    run = chance.choice((b"\0" * count, b"\xff" * count, chance.randbytes(count)))
    return data[:start] + run + data[start + count :]


def truncate(data: bytes, _: bytes, chance: Random) -> bytes:
    return data[: _place(data, chance)]


def insert(data: bytes, _: bytes, chance: Random) -> bytes:
    start = _place(data, chance)
    return data[:start] + chance.randbytes(chance.choice((1, 2, 4, 64))) + data[start:]


def delete(data: bytes, _: bytes, chance: Random) -> bytes:
    start = _place(data, chance)
    return data[:start] + data[start + chance.choice((1, 2, 4, 64, 1024)) :]


def duplicate(data: bytes, _: bytes, chance: Random) -> bytes:
    start = _place(data, chance)
    stop = start + chance.choice((1, 4, 32, 512, 8192))
    return data[:stop] + data[start:stop] * chance.choice((1, 1, 3, 50)) + data[stop:]


def splice(data: bytes, other: bytes, chance: Random) -> bytes:
    return data[: _place(data, chance)] + other[_place(other, chance) :]


def paste(data: bytes, other: bytes, chance: Random) -> bytes:
    start, source, count = _place(data, chance), _place(other, chance), chance.choice((4, 32, 512))
    return data[:start] + other[source : source + count] + data[start + count :]


def write_integer(data: bytes, _: bytes, chance: Random) -> bytes:
    width = chance.choice((1, 2, 4, 8))
    start = _place(data, chance) // width * width + chance.choice((0, 0, 0, 1))
    value = (chance.choice(INTEGERS) & ((1 << 8 * width) - 1)).to_bytes(width, chance.choice(("little", "big")))
    return data[:start] + value + data[start + width :]


PLAIN: tuple[Mutation, ...] = (
    *(flip_bits, overwrite_run, truncate, insert, delete, duplicate, splice, paste),
    *(write_integer, write_integer, flip_bits),
)


def json_value(data: bytes, _: bytes, chance: Random) -> bytes:
    """Replace, remove, repeat or rename one value of a JSON text."""
    root = json.loads(data)
    holder, key, value = {"": root}, "", root
    while isinstance(value, dict | list) and value and chance.random() < 0.85:
        holder, key = value, chance.choice(list(value) if isinstance(value, dict) else range(len(value)))  # type: ignore[assignment]
        value = holder[key]
    match chance.randrange(5):
        case 0 if isinstance(holder, dict):
            holder[chance.choice(WORDS)] = holder.pop(key)
        case 1:
            del holder[key]
        case 2:
            holder[key] = [value] * chance.choice((2, 1000))
        case _:
            holder[key] = chance.choice((*VALUES, *WORDS, *INTEGERS, str(value), -float(chance.choice(INTEGERS))))
    return json.dumps(root).encode()


def csv_cell(data: bytes, _: bytes, chance: Random) -> bytes:
    """Replace a value, or repeat a line."""
    lines = data.decode().split("\n")
    index = chance.randrange(len(lines))
    cells = lines[index].split(",")
    cells[chance.randrange(len(cells))] = chance.choice((*WORDS, '"', '"\n', ",", ",,", "\r", "\t", "'"))
    lines[index : index + 1] = [",".join(cells)] * chance.choice((1, 1, 1, 2, 2000))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _place(data: bytes, chance: Random) -> int:
    """Where to begin."""
    edge = min(EDGE_BYTES, len(data))
    near = chance.random()
    low, high = (0, edge) if near < 0.4 else (len(data) - edge, len(data)) if near < 0.6 else (0, len(data))
    return chance.randrange(low, high) if high else 0
