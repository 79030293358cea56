from pathlib import Path

import pytest

from lungfish.core.errors import OutputError
from lungfish.workflows.demo import write_digits


def test_digits_are_written_again_over_an_earlier_demo(tmp_path: Path) -> None:
    write_digits(tmp_path)
    write_digits(tmp_path)
    assert len(list(tmp_path.glob("?/*.png"))) == 1797


def test_a_folder_with_other_files_is_spared(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"mine\.jpg"):
        write_digits(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["cats", "mine.jpg"]
