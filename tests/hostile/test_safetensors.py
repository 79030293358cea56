"""Safetensors that somebody made to do harm."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lungfish.core.errors import WeightsError
from lungfish.weights.formats import safetensors as safetensors_file
from lungfish.weights.formats.limits import MAX_TENSORS
from lungfish.weights.formats.safetensors import read_safetensors

QUICK_S = 2.0


def with_header(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header


def empty_tensors(count: int) -> bytes:
    row = '{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return with_header(("{" + ",".join(f'"{index}":{row}' for index in range(count)) + "}").encode())


def crowd_of_empty_tensors() -> bytes:
    """400,000 of them took half a minute and 1.1 GB."""
    return empty_tensors(150_000)


def crowd_in_a_short_header() -> bytes:
    return empty_tensors(MAX_TENSORS + 1)


def header_of_spaces() -> bytes:
    return with_header(b"{" + b" " * safetensors_file.MAX_HEADER_BYTES + b"}")


def deep_header() -> bytes:
    return with_header(b'{"a":' + b"[" * 1_000_000)


def deep_metadata() -> bytes:
    return with_header(b'{"__metadata__":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001)


ATTACKS: dict[Callable[[], bytes], str] = {
    crowd_of_empty_tensors: "its header has 8,588,891 bytes; at most 8,388,608 are read",
    crowd_in_a_short_header: "it contains 20,001 tensors; at most 20,000 are read",
    header_of_spaces: "its header has 8,388,610 bytes",
    deep_header: r"cannot read net\.safetensors",
    deep_metadata: r"cannot read net\.safetensors",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_attacks(attack: Callable[[], bytes], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "net.safetensors").write_bytes(attack())
    start = time.process_time()
    with pytest.raises(WeightsError, match=ATTACKS[attack]):
        read_safetensors(tmp_path / "net.safetensors")
    assert time.process_time() - start < QUICK_S


def test_without_an_attack(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (tmp_path / "net.safetensors").write_bytes(empty_tensors(30))
    tensors, metadata = read_safetensors(tmp_path / "net.safetensors")
    assert set(tensors) == set(map(str, range(30)))
    assert json.dumps(metadata) == "{}"
