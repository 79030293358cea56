import pytest

from lungfish.core.errors import UnknownNameError
from lungfish.core.names import IN_SHORT, choose, in_short, plural, printable


def test_a_misspelt_name_gets_the_close_ones() -> None:
    with pytest.raises(UnknownNameError, match="unknown fruit: 'aple'") as caught:
        choose("aple", iter(["apple", "maple", "pear"]), "fruit")
    assert caught.value.hint == "Did you mean maple or apple?"


def test_a_strange_name_gets_them_all() -> None:
    with pytest.raises(UnknownNameError) as caught:
        choose("\x1b[2J", ["apple", "pear"], "fruit")
    assert caught.value.hint == "Known: apple, pear."
    assert "\x1b" not in str(caught.value)


def test_the_names_themselves_may_be_a_strangers() -> None:
    for name in ("cat", "xyz"):
        with pytest.raises(UnknownNameError) as caught:
            choose(name, ["\x1b[2Jcat", *map(str, range(1000))], "class")
        assert "\x1b" not in str(caught.value)
    assert caught.value.hint.endswith("28 and 971 more.")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name.jpg", "plain name.jpg"),
        ("Größe 靴 👟 é", "Größe 靴 👟 é"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\nb\tc\0", r"a\nb\tc\x00"),
        ("abc\u202etxt.exe", r"abc\u202etxt.exe"),
        ("a\u2028b", r"a\u2028b"),
        ("bad\udcff", r"bad\udcff"),
        ("\x9b31m", r"\x9b31m"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown
    printable(text).encode()


def test_plural() -> None:
    assert plural(1, "photo") == "1 photo"
    assert plural(3781, "photo") == "3,781 photos"
    assert plural(0, "class", "classes") == "0 classes"


def test_an_error_in_short() -> None:
    assert in_short(ValueError("  bad\n  shape [1,\n 2]")) == "bad shape [1, 2]"
    assert in_short(ValueError()) == in_short(ValueError("\n")) == "ValueError"
    assert in_short(ValueError("\x1b[2J")) == "\\x1b[2J"
    assert len(in_short(ValueError("x" * 9999))) == IN_SHORT
