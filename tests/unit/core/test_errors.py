import re
from collections.abc import Iterator

from lungfish.core import errors
from lungfish.core.errors import LungfishError, StorageError


def subclasses(cls: type[LungfishError]) -> Iterator[type[LungfishError]]:
    for sub in cls.__subclasses__():
        if sub.__module__ == errors.__name__:
            yield sub
            yield from subclasses(sub)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"[├└]── (\w+)(?: +exit (\d+))?", errors.__doc__ or "")
    assert [name for name, _ in drawn] == [cls.__name__ for cls in subclasses(LungfishError)]
    for name, code in drawn:
        if code:
            assert getattr(errors, name).exit_code == int(code), name


def test_codes_are_distinct() -> None:
    codes = [cls.code for cls in subclasses(LungfishError)]
    assert len(set(codes)) == len(codes)


def test_text_and_json() -> None:
    error = StorageError("disk full", "Free some space.")
    assert str(error) == "disk full\nFree some space."
    assert error.to_json() == {"error": {"code": "storage", "message": "disk full", "hint": "Free some space."}}
    assert error.exit_code == 3
    assert str(StorageError("disk full")) == "disk full"
