import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf
from lungfish.cli import app as app_module
from lungfish.core.errors import MachineError
from lungfish.workflows import doctor, predict, train

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
    [(ZeroDivisionError("1/0"), "unexpected ZeroDivisionError: 1/0"), (MemoryError(), "out of memory")],
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

    monkeypatch.setattr(train, "run_job", interrupted)
    outcome = lungfish("train", "photos")
    assert outcome.code == code
    assert outcome.err == "stopped: the same command goes on from here\n"


def test_errors_are_escaped(lungfish: Run, tmp_path: Path) -> None:
    outcome = lungfish("predict", tmp_path / "\x1b[31mgone", "a.jpg")
    assert "\x1b" not in outcome.err
    assert r"\x1b[31mgone" in outcome.err


def test_every_command_is_plain_about_json() -> None:
    for command in app_module.COMMANDS:
        assert "json" in command.__annotations__, command.__name__


def test_interruption_of_the_reader(monkeypatch: pytest.MonkeyPatch, color_bundle: Path, tmp_path: Path) -> None:
    def gone(*_: object) -> None:
        raise BrokenPipeError

    quiet: list[bool] = []
    monkeypatch.setattr(app_module, "_leave_quietly", lambda: quiet.append(True) or 1)  # type: ignore[func-returns-value]
    monkeypatch.setattr(predict, "predict_each", gone)
    assert app_module.run(["predict", str(color_bundle), "a.jpg"]) == 1


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
