"""A machine for the opcodes of pickle that files of tensors use. It imports nothing and runs nothing of a file.

Python's own unpickler, even with its imports restricted, hashes what a file makes a key: a tuple of two references to
a tuple of two references, 60 deep, is hashed for years. Here keys are texts and small integers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

MAX_PICKLE_BYTES = 16 << 20  # 20,000 tensors take 4 MB; one odd letter makes a text four times as large in memory
MAX_OPCODES = 1_000_000  # 20,000 tensors take 36 each; as many empty dicts take 140 MB, and less than a second
MAX_NAME_BYTES = 200  # of a module or function
LARGEST_KEY = 2**60  # of integers, which hash to themselves below it; above it a file can choose keys that collide

STOP = ord(".")
_FLOAT, _INT, _SHORT, _LENGTH = struct.Struct(">d"), struct.Struct("<i"), struct.Struct("<H"), struct.Struct("<I")


class NotPlainError(Exception):
    """The pickle holds more than plain tensors.

    Args:
        code: what it would run, as `module.name`; empty if it is an opcode that is not known.
    """

    def __init__(self, code: str = "") -> None:
        super().__init__(code)
        self.code = code


class DamagedError(ValueError):
    """The file contradicts itself or goes past a limit."""


@dataclass(frozen=True)
class Call:
    """A function that a pickle may call; it checks what it is given.

    Args:
        function: takes what the pickle gives it.
    """

    function: Callable[..., object]


class PickleMachine:
    """Runs one pickle.

    Args:
        file: stands at the beginning of the pickle, and after `run` behind its end.
        find_global: the value of `module` and `name`: a `Call`, or a plain value. Raises `NotPlainError` for others.
        find_storage: what a persistent id stands for.
    """

    def __init__(
        self,
        file: IO[bytes],
        find_global: Callable[[str, str], object],
        find_storage: Callable[[tuple[Any, ...]], object],
    ) -> None:
        self._file = file
        self._bytes_left = MAX_PICKLE_BYTES
        self._find_global = find_global
        self._find_storage = find_storage
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> object:
        """The value that the pickle holds: texts, numbers, None, lists, tuples, dicts, and what the functions return.

        Raises:
            NotPlainError: it holds more than that.
            DamagedError: it is cut short or goes past a limit.
            IndexError, KeyError, TypeError, UnicodeDecodeError: it is damaged.
        """
        pushing, changing = self._pushing(), self._changing()
        for _ in range(MAX_OPCODES):
            opcode = self._take(1)[0]
            if opcode in pushing:
                self._stack.append(pushing[opcode]())
            elif opcode in changing:
                changing[opcode]()
            elif opcode == STOP:
                return self._stack.pop()
            else:
                raise NotPlainError
        raise DamagedError(f"its pickle has more than {MAX_OPCODES:,} opcodes")

    def _take(self, count: int) -> bytes:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise DamagedError(f"its pickle has more than {MAX_PICKLE_BYTES:,} bytes")
        data = self._file.read(count)
        if len(data) != count:
            raise DamagedError("its pickle is cut short")
        return data

    def _line(self) -> str:
        line = self._file.readline(MAX_NAME_BYTES + 1)
        self._bytes_left -= len(line)
        if not line.endswith(b"\n"):
            raise DamagedError(f"its pickle holds a name of more than {MAX_NAME_BYTES} bytes")
        return line[:-1].decode()

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _pop(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise DamagedError("its pickle takes more than it made")
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _text(self, count: int, errors: str = "strict") -> str:
        return self._take(count).decode("utf-8", errors)

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise DamagedError("its pickle appends to what is no list")
        target.extend(items)

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise DamagedError("its pickle sets items of what is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _storage(self) -> object:
        (saved_id,) = self._pop(1)
        if type(saved_id) is not tuple:
            raise DamagedError("its pickle refers to what is no storage")
        return self._find_storage(saved_id)

    def _call(self) -> object:
        function, arguments = self._pop(2)
        if type(function) is not Call or type(arguments) is not tuple:
            raise NotPlainError
        return function.function(*arguments)

    def _build(self) -> object:
        """The attributes of an ordered dict: a module's `_metadata`, which no reader needs."""
        target, state = self._pop(2)
        if type(target) is not dict or type(state) is not dict:
            raise NotPlainError
        return target

    def _pushing(self) -> dict[int, Callable[[], object]]:
        """The opcodes that put a value on the stack."""
        take, since_mark, memo = self._take, self._since_mark, self._memo
        return {
            0x81: self._call,  # NEWOBJ: a class and its arguments
            0x85: lambda: tuple(self._pop(1)),
            0x86: lambda: tuple(self._pop(2)),
            0x87: lambda: tuple(self._pop(3)),
            0x88: lambda: True,
            0x89: lambda: False,
            0x8A: lambda: int.from_bytes(take(take(1)[0]), "little", signed=True),
            ord(")"): tuple,
            ord("G"): lambda: _FLOAT.unpack(take(8))[0],
            ord("J"): lambda: _INT.unpack(take(4))[0],
            ord("K"): lambda: take(1)[0],
            ord("M"): lambda: _SHORT.unpack(take(2))[0],
            ord("N"): lambda: None,
            ord("Q"): self._storage,
            ord("R"): self._call,
            ord("U"): lambda: self._text(take(1)[0]),  # of Python 2
            ord("X"): lambda: self._text(_LENGTH.unpack(take(4))[0], "surrogatepass"),
            ord("]"): list,
            ord("b"): self._build,
            ord("c"): lambda: self._find_global(self._line(), self._line()),
            ord("h"): lambda: memo[take(1)[0]],
            ord("j"): lambda: memo[_LENGTH.unpack(take(4))[0]],
            ord("t"): lambda: tuple(since_mark()),
            ord("}"): dict,
        }

    def _changing(self) -> dict[int, Callable[[], object]]:
        """The opcodes that change what is there."""
        take = self._take
        return {
            0x80: lambda: take(1),  # the protocol version; the opcodes themselves are enough
            ord("("): lambda: self._marks.append(len(self._stack)),
            ord("a"): lambda: self._extend(self._pop(1)),
            ord("e"): lambda: self._extend(self._since_mark()),
            ord("q"): lambda: self._put(take(1)[0]),
            ord("r"): lambda: self._put(_LENGTH.unpack(take(4))[0]),
            ord("s"): lambda: self._update(self._pop(2)),
            ord("u"): lambda: self._update(self._since_mark()),
        }


def checked_key(key: object) -> str | int:
    """`key` if a dict may have it. Raises `DamagedError`."""
    if type(key) is str or (type(key) is int and -LARGEST_KEY < key < LARGEST_KEY):
        return key
    raise DamagedError(
        f"its pickle has a key that is a {type(key).__name__}: allowed are texts and integers below 2**60"
    )
