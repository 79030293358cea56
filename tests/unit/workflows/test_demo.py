from pathlib import Path

import pytest

from lungfish.core.errors import OutputError
from lungfish.workflows.demo import write_digits


def test_digits_are_written_again_over_an_earlier_demo(tmp_path: Path) -> None:
    write_digits(tmp_path)
    write_digits(tmp_path)
    assert len(list(tmp_path.glob("?/*.png"))) == 1797


@pytest.mark.parametrize("kind", ["content", "link to a file", "link to a folder"])
def test_what_has_the_name_of_a_digit_is_spared(tmp_path: Path, kind: str) -> None:
    mine, digits = tmp_path / "mine", tmp_path / "digits"
    mine.mkdir()
    (mine / "0000.png").write_bytes(b"a photo")
    digits.mkdir()
    if kind == "link to a folder":
        (digits / "0").symlink_to(mine)
    else:
        (digits / "0").mkdir()
        file = digits / "0" / "0000.png"
        file.symlink_to(mine / "0000.png") if "link" in kind else file.write_bytes(b"a photo")
    with pytest.raises(OutputError, match=r"digits contains a file that is not part of the demo: 0"):
        write_digits(digits)
    assert {path.read_bytes() for path in tmp_path.rglob("*.png")} == {b"a photo"}


def test_a_folder_with_other_files_is_spared(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"mine\.jpg"):
        write_digits(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["cats", "mine.jpg"]
