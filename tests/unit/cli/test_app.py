import errno
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import lungfish as lf
from lungfish.cli import app as app_module
from lungfish.core.errors import MachineError
from lungfish.job import run as job
from lungfish.workflows import doctor, predict

Run = Callable[..., Any]


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(doctor, "examine", fail)


def test_version(lungfish: Run) -> None:
    assert lungfish("--version").out == f"lungfish {lf.__version__}\n"


def test_help_needs_no_terminal(lungfish: Run) -> None:
    outcome = lungfish("--help")
    assert outcome.code == 0
    assert "predict" in outcome.out
    assert "..." not in outcome.out.partition("Commands:")[2]  # no summary is cut
    assert lungfish() == outcome


@pytest.mark.parametrize(
    "arguments",
    [["predict"], ["predict", "m", "a", "--no-such"], ["predict", "m", "a", "--top", "x"], ["predit"], ["--no"]],
)
def test_usage_errors(lungfish: Run, arguments: list[str]) -> None:
    outcome = lungfish(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert re.match(r"error: .+\nSee lungfish.* --help\.\n$", outcome.err)
    outcome = lungfish(*arguments, "--json")
    assert outcome.code == 2
    assert outcome.err == ""
    assert set(outcome.json["error"]) == {"code", "message", "hint"}
    assert outcome.json["error"]["code"] == "usage"


def test_our_errors(lungfish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, MachineError("the disk is on fire", "Call for help."))
    outcome = lungfish("doctor")
    assert (outcome.code, outcome.out, outcome.err) == (3, "", "error: the disk is on fire\nCall for help.\n")
    assert lungfish("doctor", "--json").json == {
        "error": {"code": "machine", "message": "the disk is on fire", "hint": "Call for help."}
    }


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ZeroDivisionError("1/0"), "unexpected ZeroDivisionError: 1/0"),
        (MemoryError(), "out of memory"),
        (OSError(errno.EIO, "Input/output error"), "cannot use a file: Input/output error"),
        (OSError(errno.EIO, "Input/output error", "x"), "cannot use x: Input/output error"),
    ],
)
def test_unexpected_errors_have_no_traceback(
    lungfish: Run, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    monkeypatch.delenv("LUNGFISH_DEBUG", raising=False)
    fail_with(monkeypatch, error)
    outcome = lungfish("doctor")
    assert outcome.code == 3
    assert words in outcome.err
    assert "Traceback" not in outcome.err
    assert words in lungfish("doctor", "--json").json["error"]["message"]


def test_a_lost_process_of_a_group_is_told_by_the_first_one_alone(
    lungfish: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer"))
    assert "unexpected RuntimeError" in lungfish("doctor").err  # there is no group
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert lungfish("doctor", "--json").json["error"]["code"] == "worker"
    monkeypatch.setenv("RANK", "1")
    assert lungfish("doctor", "--json").out == ""
    fail_with(monkeypatch, OSError("gloomy.jpg"))
    assert "unexpected OSError" in lungfish("doctor").err


def test_tracebacks_for_those_who_ask(lungfish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGFISH_DEBUG", "1")
    fail_with(monkeypatch, ZeroDivisionError("1/0"))
    assert "Traceback" in lungfish("doctor").err


def test_ctrl_c(lungfish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    outcome = lungfish("doctor")
    assert (outcome.code, outcome.out, outcome.err) == (130, "", "stopped\n")


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (app_module.Stopped, 75)])
def test_a_stopped_job_says_how_to_go_on(
    lungfish: Run, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException], code: int
) -> None:
    def interrupted(*_: object) -> None:
        raise stop

    monkeypatch.setattr(job, "run_job", interrupted)
    outcome = lungfish("train", "photos")
    assert outcome.code == code
    assert outcome.err == "Reading photos from photos\nstopped: run the same command again to resume\n"


def test_errors_are_escaped(lungfish: Run, tmp_path: Path) -> None:
    outcome = lungfish("predict", tmp_path / "\x1b[31mgone", "a.jpg")
    assert "\x1b" not in outcome.err
    assert r"\x1b[31mgone" in outcome.err


def test_every_command_is_plain_about_json() -> None:
    for command in app_module.COMMANDS:
        assert "json" in command.__annotations__, command.__name__


def test_interruption_of_the_reader(monkeypatch: pytest.MonkeyPatch, color_bundle: Path, tmp_path: Path) -> None:
    def gone(*_: object, **__: object) -> None:
        raise BrokenPipeError

    quiet: list[bool] = []
    monkeypatch.setattr(app_module, "_give_up_stdout", lambda: quiet.append(True))
    monkeypatch.setattr(predict, "predict_each", gone)
    assert app_module.run(["predict", str(color_bundle), "a.jpg"]) == 1
    assert quiet == [True]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, as Linux has it")
@pytest.mark.parametrize(
    "arguments", [("models",), ("describe", "mobilenet_v2", "--json"), ("predict", "gone", "a.jpg", "--json")]
)
def test_output_to_a_full_disk(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "lungfish", *arguments]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 3
    assert ended.stderr == "error: the output cannot be written: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="closes file descriptors as a shell does")
def test_started_with_closed_streams(color_bundle: Path, tmp_path: Path) -> None:
    """As some schedulers do."""
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    command = f"{sys.executable} -m lungfish predict {color_bundle}"
    for rest, code in ((f"{tmp_path}/red.png >&-", 0), (f"{tmp_path}/none.png >&-", 1), ("- <&-", 0)):
        ended = subprocess.run(["sh", "-c", f"{command} {rest}"], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (code, ""), rest


@pytest.mark.parametrize(("photo", "code"), [("red.png", 0), ("none.png", 1)])
def test_a_process_of_torchrun_leaves_without_tearing_python_down(
    color_bundle: Path, tmp_path: Path, photo: str, code: int
) -> None:
    """Threads of the process group outlive it and could abort the process."""
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    script = "import atexit; atexit.register(print, 'torn down'); from lungfish.cli.app import main; main()"
    command = [sys.executable, "-c", script, "predict", str(color_bundle), str(tmp_path / photo)]
    for variables, torn_down in ({}, True), ({"RANK": "0"}, False):
        ended = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)
        assert ended.returncode == code
        assert photo in ended.stdout + ended.stderr
        assert ("torn down" in ended.stdout) is torn_down


def test_a_place_that_may_not_be_used(lungfish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, PermissionError(13, "Permission denied", "/root/caf\udce9"))
    outcome = lungfish("doctor")
    assert outcome.code == 3
    assert outcome.err.startswith("error: cannot use /root/caf\\udce9: Permission denied\n")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_error_into_a_pipe_that_nobody_reads(tmp_path: Path, options: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "lungfish", "predict", str(tmp_path / "gone"), "a.jpg", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()
        assert b"BrokenPipe" not in process.stderr.read()
    assert process.returncode != 0
