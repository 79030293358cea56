import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

Run = Callable[..., Any]


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))

    return give


def test_lines_of_three_columns(lungfish: Run, color_bundle: Path, color_photos: Path) -> None:
    red, blue = color_photos / "red" / "0.png", color_photos / "blue" / "1.png"
    outcome = lungfish("predict", color_bundle, blue, red)
    assert outcome.code == 0
    assert outcome.out == f"{blue}\tblue\t0.9880\n{red}\tred\t0.9880\n"
    assert outcome.err == ""


def test_json(lungfish: Run, color_bundle: Path, color_photos: Path) -> None:
    outcome = lungfish("predict", color_bundle, color_photos / "red" / "0.png", "--json", "--top", 1)
    (row,) = outcome.json
    assert row["label"] == "red"
    assert row["known"] is True
    assert row["error"] is None
    assert len(row["top"]) == 1


def test_folders_are_opened_and_junk_is_left(lungfish: Run, color_bundle: Path, color_photos: Path) -> None:
    (color_photos / ".DS_Store").write_bytes(b"x")
    (color_photos / "red" / "._0.png").write_bytes(b"x")
    (color_photos / "notes.txt").write_text("x")
    outcome = lungfish("predict", color_bundle, color_photos)
    files = [line.split("\t")[0] for line in outcome.out.splitlines()]
    assert files == sorted(str(path) for path in color_photos.rglob("[0-9].png"))
    assert outcome.code == 0


def test_a_bad_picture_keeps_its_place_and_fails_the_command(
    lungfish: Run, color_bundle: Path, color_photos: Path
) -> None:
    bad = color_photos / "bad.jpg"
    bad.write_text("hello")
    arguments = (
        "predict",
        color_bundle,
        color_photos / "red" / "0.png",
        bad,
        color_photos / "gone.png",
        color_photos / "red",
    )
    outcome = lungfish(*arguments)
    assert outcome.code == 1
    assert outcome.err == ""
    lines = outcome.out.splitlines()
    assert len(lines) == 6
    assert lines[1].startswith(f"{bad}\t-\t-\terror: not a picture")
    assert lines[2] == f"{color_photos / 'gone.png'}\t-\t-\terror: no such file"
    outcome = lungfish(*arguments, "--json")
    assert outcome.code == 1
    assert outcome.err == ""
    assert [row["error"] is None for row in outcome.json] == [True, False, False, True, True, True]


def test_unknown_pictures_are_marked(lungfish: Run, color_bundle: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "gray").save(tmp_path / "gray.png")
    assert lungfish("predict", color_bundle, tmp_path / "gray.png").out.endswith("\t0.3333\tunknown\n")


def test_a_list_of_paths_on_stdin(
    lungfish: Run, stdin: Callable[[bytes], None], color_bundle: Path, color_photos: Path
) -> None:
    paths = [color_photos / "blue" / "0.png", color_photos / "red" / "0.png"]
    stdin(b"\n".join(map(os.fsencode, paths)) + b"\r\n\n")
    outcome = lungfish("predict", color_bundle, "-")
    assert [line.split("\t")[:2] for line in outcome.out.splitlines()] == [
        [str(paths[0]), "blue"],
        [str(paths[1]), "red"],
    ]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_picture_on_stdin(lungfish: Run, stdin: Callable[[bytes], None], color_bundle: Path, kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (300, 300), "red").save(buffer, kind)
    stdin(buffer.getvalue())
    outcome = lungfish("predict", color_bundle, "-")
    assert outcome.out.startswith("-\tred\t")


def test_nothing_on_stdin(lungfish: Run, stdin: Callable[[bytes], None], color_bundle: Path) -> None:
    stdin(b"")
    outcome = lungfish("predict", color_bundle, "-", "--json")
    assert (outcome.code, outcome.json) == (0, [])


def test_what_holds_no_picture_does_not_lose_the_rows_of_the_others(
    lungfish: Run, color_bundle: Path, color_photos: Path, tmp_path: Path
) -> None:
    empty, long, red = tmp_path / "empty", "x" * 300, color_photos / "red" / "0.png"
    empty.mkdir()
    outcome = lungfish("predict", color_bundle, red, empty, long, red)
    assert outcome.code == 1
    first, second, third, last = (line.split("\t") for line in outcome.out.splitlines())
    assert first == last == [str(red), "red", "0.9880"]
    assert second[:3] == [str(empty), "-", "-"]
    assert "a folder without pictures" in second[3]
    assert third[:3] == [long, "-", "-"]
    assert third[3].startswith("error: ")


def test_pictures_without_a_suffix_are_found_as_in_training(
    lungfish: Run, color_bundle: Path, color_photos: Path
) -> None:
    (color_photos / "red" / "0.png").rename(color_photos / "red" / "0")
    outcome = lungfish("predict", color_bundle, color_photos / "red")
    assert outcome.code == 0
    assert outcome.out.startswith(f"{color_photos / 'red' / '0'}\tred\t")
    assert len(outcome.out.splitlines()) == 3


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_paths_that_are_too_long(lungfish: Run, color_bundle: Path, color_photos: Path, command: str) -> None:
    for arguments in [("x" * 300, color_photos), (color_bundle / ("x" * 300), color_photos)]:
        outcome = lungfish(command, *arguments)
        assert outcome.code == 2
        assert "unexpected" not in outcome.err
    if command == "evaluate":
        assert lungfish(command, color_bundle, "x" * 300).code == 2
        assert lungfish(command, color_bundle, color_photos, "--baseline", "x" * 300).code == 2


def test_models_that_are_no_bundle(lungfish: Run, tmp_path: Path) -> None:
    outcome = lungfish("predict", "efficientnet_lite9.in1k", "a.jpg")
    assert outcome.code == 2
    assert "no bundle or weights called efficientnet_lite9.in1k" in outcome.err
    assert "efficientnet_lite0.in1k" in outcome.err
    outcome = lungfish("predict", tmp_path, "a.jpg", "--json")
    assert outcome.code == 1
    assert outcome.json["error"]["code"] == "bundle"


@pytest.mark.parametrize(
    "architecture", [{"name": "\x1b[31mresnet999"}, {"name": "efficientnet_lite0", "table": {"rows": [{"block": "?"}]}}]
)
def test_an_unknown_architecture(
    lungfish: Run, color_bundle: Path, rewrite: Callable[..., None], architecture: dict[str, Any]
) -> None:
    rewrite(color_bundle, lambda manifest: manifest.update(architecture=architecture))
    for command in ("predict", "evaluate"):
        outcome = lungfish(command, color_bundle, "photos")
        assert outcome.code == 1
        assert "unknown architecture" in outcome.err
        assert "upgrade" in outcome.err
        assert "\x1b" not in outcome.err


def test_an_unknown_artifact(lungfish: Run, color_bundle: Path) -> None:
    outcome = lungfish("predict", color_bundle, "a.jpg", "--artifact", "model-int8.onnx")
    assert outcome.code == 2
    assert "Did you mean model.onnx?" in outcome.err


def test_names_cannot_drive_the_terminal(
    lungfish: Run, write_color_bundle: Callable[..., Path], color_photos: Path, tmp_path: Path
) -> None:
    evil = color_photos / "\x1b[2J<b>é\t.png"
    try:
        shutil.copy(color_photos / "red" / "0.png", evil)
    except OSError:
        pytest.skip("this system has no such names")
    outcome = lungfish("predict", write_color_bundle(tmp_path / "b"), evil)
    assert "\x1b" not in outcome.out
    assert r"\x1b[2J<b>é\t.png" in outcome.out
    assert outcome.out.count("\t") == 2
    assert lungfish("predict", tmp_path / "b", evil, "--json").json[0]["file"] == str(evil)


def test_a_whole_process_with_a_narrow_encoding(color_bundle: Path, color_photos: Path, tmp_path: Path) -> None:
    name = tmp_path / "größe 靴.png"
    shutil.copy(color_photos / "red" / "0.png", name)
    command = [sys.executable, "-m", "lungfish", "predict", str(color_bundle), str(name)]
    done = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "ascii"}, check=False)
    assert done.returncode == 0, done.stderr
    assert rb"gr\xf6\xdfe \u9774.png" in done.stdout


def test_a_reader_that_leaves_early(color_bundle: Path, color_photos: Path) -> None:
    command = [sys.executable, "-m", "lungfish", "predict", str(color_bundle), *[str(color_photos)] * 400]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b"\t0.9880\n")
        process.stdout.close()
        assert process.stderr.read() == b""


def test_links_that_lead_out_of_a_folder(lungfish: Run, color_bundle: Path, color_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "blue.png").symlink_to(color_photos / "blue" / "0.png")
    (tmp_path / "some" / "all").symlink_to("/")
    some = tmp_path / "some"
    outcome = lungfish("predict", color_bundle, some)
    assert outcome.code == 1
    reason = "-\t-\terror: a link that leads outside the folder: add --follow-links"
    assert outcome.out == f"{some}/all\t{reason}\n{some}/blue.png\t{reason}\n"
    (some / "all").unlink()
    outcome = lungfish("predict", color_bundle, some, "--follow-links")
    assert (outcome.code, outcome.out) == (0, f"{some}/blue.png\tblue\t0.9880\n")
