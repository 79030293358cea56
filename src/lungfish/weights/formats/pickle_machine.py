"""Interpret the pickle opcodes that files of tensors use, without importing or running anything that a file names.

Python's own unpickler, even with restricted imports, hashes whatever a file uses as a key: nested tuples of two
references to the level below, 60 deep, take years to hash. Here keys are strings and small integers only.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

MAX_PICKLE_BYTES = 16 << 20  # 20,000 tensors take 4 MB; in memory, one rare character makes a string 4 times as large
MAX_OPCODES = 1_000_000  # 20,000 tensors need 36 each; a million empty dicts take 140 MB and less than a second
MAX_NAME_BYTES = 200  # of a module or function
LARGEST_KEY = 2**60  # smaller integers hash to themselves; larger ones can be chosen to collide

STOP = ord(".")
_FLOAT, _INT, _SHORT, _LENGTH = struct.Struct(">d"), struct.Struct("<i"), struct.Struct("<H"), struct.Struct("<I")


class NotPlainError(Exception):
    """The pickle contains more than plain tensors.

    Args:
        code: What it would run, as `module.name`; empty for an unknown opcode.
    """

    def __init__(self, code: str = "") -> None:
        super().__init__(code)
        self.code = code


class DamagedError(ValueError):
    """The file contradicts itself or exceeds a limit."""


@dataclass(frozen=True)
class Call:
    """A function that a pickle may call, and that checks its arguments.

    Args:
        function: Called with the arguments from the pickle.
    """

    function: Callable[..., object]


class PickleMachine:
    """An interpreter of one pickle.

    Args:
        file: Positioned at the start of the pickle; after `run` at its end.
        find_global: Returns the value of `module` and `name`: a `Call`, or a plain value. Raises `NotPlainError` for
            others.
        find_storage: Returns the storage of a persistent id.
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
        """Return the pickled value: strings, numbers, None, lists, tuples, dicts, and results of the allowed functions.

        Raises:
            NotPlainError: It contains anything else.
            DamagedError: It is truncated or exceeds a limit.
            IndexError, KeyError, TypeError, UnicodeDecodeError: It is damaged.
        """
        pushers, modifiers = self._push_opcodes(), self._modify_opcodes()
        for _ in range(MAX_OPCODES):
            opcode = self._take(1)[0]
            if opcode in pushers:
                self._stack.append(pushers[opcode]())
            elif opcode in modifiers:
                modifiers[opcode]()
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
            raise DamagedError("its pickle is truncated")
        return data

    def _line(self) -> str:
        line = self._file.readline(MAX_NAME_BYTES + 1)
        self._bytes_left -= len(line)
        if not line.endswith(b"\n"):
            raise DamagedError(f"its pickle contains a name of more than {MAX_NAME_BYTES} bytes")
        return line[:-1].decode()

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _pop(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise DamagedError("its pickle pops more than it pushed")
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _text(self, count: int, errors: str = "strict") -> str:
        return self._take(count).decode("utf-8", errors)

    def _extend(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not list:
            raise DamagedError("its pickle appends to a value that is not a list")
        target.extend(items)

    def _update(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise DamagedError("its pickle sets items of a value that is not a dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _storage(self) -> object:
        (saved_id,) = self._pop(1)
        if type(saved_id) is not tuple:
            raise DamagedError("its pickle refers to a value that is not a storage")
        return self._find_storage(saved_id)

    def _call(self) -> object:
        function, arguments = self._pop(2)
        if type(function) is not Call or type(arguments) is not tuple:
            raise NotPlainError
        return function.function(*arguments)

    def _build(self) -> object:
        """Ignore the attributes of an ordered dict: a module's `_metadata`, which no reader needs."""
        target, state = self._pop(2)
        if type(target) is not dict or type(state) is not dict:
            raise NotPlainError
        return target

    def _push_opcodes(self) -> dict[int, Callable[[], object]]:
        """Return the opcodes that push a value."""
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
            ord("U"): lambda: self._text(take(1)[0]),  # Python 2
            ord("X"): lambda: self._text(_LENGTH.unpack(take(4))[0], "surrogatepass"),
            ord("]"): list,
            ord("b"): self._build,
            ord("c"): lambda: self._find_global(self._line(), self._line()),
            ord("h"): lambda: memo[take(1)[0]],
            ord("j"): lambda: memo[_LENGTH.unpack(take(4))[0]],
            ord("t"): lambda: tuple(since_mark()),
            ord("}"): dict,
        }

    def _modify_opcodes(self) -> dict[int, Callable[[], object]]:
        """Return the opcodes that modify the stack, the memo or a container."""
        take = self._take
        return {
            0x80: lambda: take(1),  # protocol version, which is not needed to interpret the opcodes
            ord("("): lambda: self._marks.append(len(self._stack)),
            ord("a"): lambda: self._extend(self._pop(1)),
            ord("e"): lambda: self._extend(self._since_mark()),
            ord("q"): lambda: self._put(take(1)[0]),
            ord("r"): lambda: self._put(_LENGTH.unpack(take(4))[0]),
            ord("s"): lambda: self._update(self._pop(2)),
            ord("u"): lambda: self._update(self._since_mark()),
        }


def checked_key(key: object) -> str | int:
    """Return `key` if a dict may use it. Raises `DamagedError`."""
    if type(key) is str or (type(key) is int and -LARGEST_KEY < key < LARGEST_KEY):
        return key
    raise DamagedError(f"its pickle has a key of type {type(key).__name__}; allowed: strings and integers below 2**60")
