"""Files of PyTorch that somebody made to do harm. Each attack is a function that makes its bytes."""

from __future__ import annotations

import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lungfish.core import zip_directory
from lungfish.core.errors import WeightsError
from lungfish.weights.formats import pickle_machine, torch_objects, torch_zip
from lungfish.weights.formats.pytorch import read_torch
from lungfish.weights.formats.torch_stream import MAGIC_NUMBER

resource = pytest.importorskip("resource", reason="the peak of memory is asked of POSIX")
SEVERAL_S = 5.0  # an attack that works takes a minute, or a gigabyte
SEVERAL_MB = 300
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes
Member = tuple[bytes, bytes]


def member(name: bytes, data: bytes, *, deflated: bool = False) -> tuple[bytes, bytes]:
    """The local part of a member of a zip, and its row of the directory without the place, which is at byte 42."""
    packed = zlib.compress(data, 9)[2:-4] if deflated else data
    fields = (8 * deflated, 0, 0x21, zlib.crc32(data), len(packed), len(data), len(name))
    local = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, 0, *fields, 0) + name + packed
    return local, struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, *fields, 0, 0, 0, 0, 0, 0) + name


def end_record(count: int, size: int, place: int, comment: bytes = b"") -> bytes:
    return struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, size, place, len(comment)) + comment


def placed(row: bytes, place: int) -> bytes:
    return row[:42] + struct.pack("<I", place) + row[46:]


def archive(*members: Member, deflated: bool = False) -> bytes:
    body, rows = bytearray(), bytearray()
    for name, data in members:
        local, row = member(name, data, deflated=deflated)
        rows += placed(row, len(body))
        body += local
    return bytes(body + rows + end_record(len(members), len(rows), len(body)))


def text(value: bytes) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value


def number(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def numbers(*values: int) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def storage(count: int, key: bytes = b"0", kind: bytes = b"FloatStorage", *, more: bytes = b"") -> bytes:
    return (
        b"(" + text(b"storage") + b"ctorch\n" + kind + b"\n" + text(key) + text(b"cpu") + number(count) + more + b"tQ"
    )


def tensor(stored: bytes, offset: int, shape: bytes, stride: bytes) -> bytes:
    arguments = stored + number(offset) + shape + stride + b"\x89ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def state(*values: bytes) -> bytes:
    items = b"".join(text(str(index).encode()) + value for index, value in enumerate(values))
    return b"\x80\x02}(" + items + b"u."


def saved(pickled: bytes, *storages: bytes) -> bytes:
    """A file as torch saves it."""
    members = [(f"net/data/{index}".encode(), data) for index, data in enumerate(storages)]
    return archive((b"net/data.pkl", pickled), *members, (b"net/version", b"3\n"))


def stream(pickled: bytes, after: bytes = b"\x80\x02].") -> bytes:
    """A file as torch saved it once."""
    magic = b"\x80\x02\x8a\x0a" + MAGIC_NUMBER.to_bytes(10, "little") + b"."
    return magic + b"\x80\x02M\xe9\x03." + b"\x80\x02}." + pickled + after


ONE = tensor(storage(4), 0, numbers(4), numbers(1))


# What hangs a reader


def nested_key() -> bytes:
    """A key of 60 tuples in one another, each with two references to the next: its hash is never done."""
    return saved(b"\x80\x02}K\0q\0" + b"h\0\x86q\0" * 60 + b"K\1s.")


def nested_key_of_an_ordered_dict() -> bytes:
    pairs = b"](K\0q\0" + b"h\0\x86q\0" * 60 + b"K\1\x86e\x85q\x02"
    return saved(b"\x80\x02" + pairs + b"ccollections\nOrderedDict\nh\x02R.")


def keys_that_collide() -> bytes:
    """Integers that all hash to 0."""
    items = b"".join(b"\x8a\x0b" + ((2**61 - 1) * index).to_bytes(11, "little") + b"N" for index in range(1, 3000))
    return saved(b"\x80\x02}(" + items + b"u.")


# What fills the memory


def decoy_directory() -> bytes:
    """Two directories. Python's zip reader takes the second, torch's the first: a bomb, once of 800 MB in 778 KB."""
    count = 1 << 18
    pickled = state(tensor(storage(count), 0, numbers(count), numbers(1)))
    bombs = [(b"a/data.pkl", pickled), (b"a/version", b"3\n"), (b"a/data/0", bytes(1 << 20))]
    rows, body = b"", b""
    for name, data in bombs:
        local, row = member(name, data, deflated=name.endswith(b"0"))
        rows += placed(row, len(body))
        body += local
    local, row = member(b"a/data.pkl", state(ONE))
    decoy = placed(row, len(body) - len(rows))  # Python adds what is before the directory that the record means
    padding = len(rows) - len(decoy)
    decoy = decoy[:30] + struct.pack("<H", padding) + decoy[32:] + struct.pack("<HH", 0xCAFE, padding - 4)
    decoy += bytes(padding - 4)
    return body + local + rows + decoy + end_record(3, len(rows), len(body) + len(local))


def deflated_storage() -> bytes:
    return archive((b"net/data.pkl", state(ONE)), (b"net/data/0", bytes(16)), deflated=True)


def deflated_bomb() -> bytes:
    return archive((b"net/data.pkl", state(ONE)), (b"net/data/0", bytes(5_000_000)), deflated=True)


def crowd_of_members() -> bytes:
    return archive(*((str(index).encode(), b"") for index in range(torch_zip.MAX_TENSORS + torch_zip.MAX_OTHERS + 1)))


def crowd_of_tensors() -> bytes:
    """One tensor made again and again, by its arguments in the memo."""
    arguments = storage(4) + number(0) + numbers(4) + numbers(1) + b"\x89N"
    first = b"ctorch._utils\n_rebuild_tensor_v2\nq\0(" + arguments + b"tq\1"
    return saved(b"\x80\x02" + first + b"h\0h\1R" * (torch_objects.MAX_TENSORS + 1) + b".", bytes(16))


def crowd_of_opcodes() -> bytes:
    return saved(b"}" * (pickle_machine.MAX_OPCODES + 1))


def long_text() -> bytes:
    return saved(b"\x80\x02X" + struct.pack("<I", 2**32 - 1) + b"a")


def long_name() -> bytes:
    return saved(b"\x80\x02c" + b"a" * 10_000)


def absurd_storage() -> bytes:
    return saved(state(tensor(storage(10**15), 0, numbers(10**15), numbers(1))), bytes(16))


def absurd_storage_in_a_stream() -> bytes:
    return stream(state(tensor(storage(10**15, more=b"N"), 0, numbers(1), numbers(1))))


# What reads where nothing is


def past_the_storage() -> bytes:
    return saved(state(tensor(storage(4), 1, numbers(4), numbers(1))), bytes(16))


def long_stride() -> bytes:
    return saved(state(tensor(storage(4), 0, numbers(2, 2), numbers(2**62, 1))), bytes(16))


def stride_below_zero() -> bytes:
    return saved(state(tensor(storage(4), 3, numbers(4), numbers(-1))), bytes(16))


def offset_below_zero() -> bytes:
    return saved(state(tensor(storage(4), -1, numbers(4), numbers(1))), bytes(16))


def shape_that_wraps_around() -> bytes:
    return saved(state(tensor(storage(4), 0, numbers(2**32, 2**32), numbers(1, 1))), bytes(16))


def storage_of_another_size() -> bytes:
    return saved(state(ONE), bytes(12))


def storage_below_zero() -> bytes:
    return saved(state(tensor(storage(-4), 0, numbers(0), numbers(1))), bytes(16))


def storage_of_two_types() -> bytes:
    other = tensor(storage(2, kind=b"DoubleStorage"), 0, numbers(2), numbers(1))
    return saved(state(ONE, other), bytes(16))


def storage_that_is_not_there() -> bytes:
    return saved(state(tensor(storage(4, b"../version"), 0, numbers(4), numbers(1))), bytes(16))


def part_past_its_storage() -> bytes:
    part = b"(" + text(b"p") + number(2) + number(3) + b"t"
    return stream(state(tensor(storage(4, more=part), 0, numbers(3), numbers(1))))


def stream_of_other_storages() -> bytes:
    return stream(state(tensor(storage(4, more=b"N"), 0, numbers(4), numbers(1))), b"\x80\x02](" + text(b"1") + b"e.")


def stream_cut_short() -> bytes:
    pickled = state(tensor(storage(4, more=b"N"), 0, numbers(4), numbers(1)))
    return stream(pickled, b"\x80\x02](" + text(b"0") + b"e." + struct.pack("<q", 4) + bytes(15))


# What two readers read differently


def member_twice() -> bytes:
    return archive((b"net/data.pkl", state(ONE)), (b"net/data/0", bytes(16)), (b"net/data/0", bytes(16)))


def members_that_overlap() -> bytes:
    whole = bytearray(saved(state(ONE), bytes(16)))
    row = whole.rindex(b"PK\1\2", 0, whole.rindex(b"PK\1\2"))  # of net/data/0
    whole[row + 20 : row + 28] = struct.pack("<II", 40, 40)
    return bytes(whole)


def another_name_where_it_lies() -> bytes:
    return saved(state(ONE), bytes(16)).replace(b"net/data/0", b"net/data/1", 1)


def encrypted() -> bytes:
    whole = bytearray(saved(state(ONE), bytes(16)))
    whole[whole.index(b"PK\1\2") + 8] |= 1
    return bytes(whole)


# What runs code


def code() -> bytes:
    return saved(b"\x80\x02cposix\nsystem\n(" + text(b"echo") + b"tR.")


def code_by_a_type() -> bytes:
    return saved(b"\x80\x02cbuiltins\ngetattr\n.")


def call_of_a_text() -> bytes:
    return saved(b"\x80\x02" + text(b"eval") + b")R.")


def new_opcodes() -> bytes:
    return saved(b"\x80\x04" + b"\x8c\x05posix\x8c\x06system\x93.")


def state_of_a_tensor() -> bytes:
    """BUILD on what is no dict."""
    return saved(b"\x80\x02" + ONE + b"}b.", bytes(16))


ATTACKS: dict[Callable[[], bytes], str] = {
    nested_key: "a key of type tuple; allowed: strings and integers",
    nested_key_of_an_ordered_dict: "a key of type tuple",
    keys_that_collide: r"a key of type int; allowed: strings and integers below 2\*\*60",
    decoy_directory: "storage 0 is not as large as its pickle says",
    deflated_storage: "compressed or encrypted|claims to contain",
    deflated_bomb: r"claims to contain 5,000,\d\d\d bytes but has",
    crowd_of_members: "it contains 20,101 members; at most 20,100 are read",
    crowd_of_tensors: "it contains more than 20,000 tensors",
    crowd_of_opcodes: "its pickle has more than 1,000,000 opcodes",
    long_text: "its pickle has more than 16,777,216 bytes",
    long_name: "a name of more than 200 bytes",
    absurd_storage: "storage 0 is not as large as its pickle says",
    absurd_storage_in_a_stream: "storage 0 is larger than the file",
    past_the_storage: r"a tensor of shape \[4\] reaches past its storage of 16 bytes",
    long_stride: "reaches past its storage",
    stride_below_zero: "an invalid axis, stride or offset",
    offset_below_zero: "an invalid axis, stride or offset",
    shape_that_wraps_around: "reaches past its storage",
    storage_of_another_size: "storage 0 is not as large as its pickle says",
    storage_below_zero: "storage 0 is not as large as its pickle says",
    storage_of_two_types: "storage 0 is described twice",
    storage_that_is_not_there: r"storage \.\./version is not as large",
    part_past_its_storage: "a part of storage 0 reaches past it",
    stream_of_other_storages: "the storages that follow are not those of its pickle",
    stream_cut_short: "it is truncated",
    member_twice: "it contains a member twice",
    members_that_overlap: "overlaps another member",
    another_name_where_it_lies: "net/data/0 has another name in its local header",
    encrypted: "compressed or encrypted",
    code: r"it contains more than plain tensors and would run posix\.system",
    code_by_a_type: r"would run builtins\.getattr",
    call_of_a_text: "it contains more than plain tensors",
    new_opcodes: "it contains more than plain tensors",
    state_of_a_tensor: "it contains more than plain tensors",
}


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_attacks(attack: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(attack())
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=ATTACKS[attack]):
        read_torch(tmp_path / "net.pth")
    assert time.process_time() - start < SEVERAL_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < SEVERAL_MB * 1e6 / PEAK_UNIT


def test_without_an_attack(tmp_path: Path) -> None:
    """The parts that the attacks are made of make sound files, which both readers read alike."""
    torch = pytest.importorskip("torch")
    data = struct.pack("<4f", 1, 2, 3, 4)
    old = stream(state(tensor(storage(4, more=b"N"), 0, numbers(4), numbers(1))), b"\x80\x02](" + text(b"0") + b"e.")
    for whole in (saved(state(ONE), data), old + struct.pack("<q", 4) + data):
        (tmp_path / "net.pth").write_bytes(whole)
        assert read_torch(tmp_path / "net.pth")["0"].tolist() == [1, 2, 3, 4]  # type: ignore[attr-defined]
        assert torch.load(tmp_path / "net.pth", weights_only=True)["0"].tolist() == [1, 2, 3, 4]


def test_a_small_storage_repeated(tmp_path: Path) -> None:
    """A view of 4 TB on 16 bytes is described, never made."""
    huge = tensor(storage(4), 0, numbers(10**6, 10**6), numbers(0, 0))
    (tmp_path / "net.pth").write_bytes(saved(state(huge), bytes(16)))
    assert read_torch(tmp_path / "net.pth")["0"].shape == (10**6, 10**6)  # type: ignore[attr-defined]


def test_a_directory_of_an_absurd_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_directory, "MAX_DIRECTORY_BYTES", 100)
    (tmp_path / "net.pth").write_bytes(saved(state(ONE), bytes(16)))
    with pytest.raises(WeightsError, match="its directory is larger than 100 bytes"):
        read_torch(tmp_path / "net.pth")


def test_structures_that_are_deep_or_cyclic_are_let_go(tmp_path: Path) -> None:
    """Lists in one another, and one in itself, beside the tensors."""
    pickled = (
        b"\x80\x02}("
        + text(b"state_dict")
        + state(ONE)[2:-1]
        + text(b"deep")
        + b")"
        + b"\x85" * 50_000
        + text(b"cyclic")
        + b"]q\2h\2au."
    )
    (tmp_path / "net.pth").write_bytes(saved(pickled, bytes(16)))
    assert list(read_torch(tmp_path / "net.pth")) == ["0"]
