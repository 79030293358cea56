import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf
from lungfish.cli import app as app_module
from lungfish.core.errors import MachineError
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


def test_tracebacks_for_those_who_ask(lungfish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGFISH_DEBUG", "1")
    fail_with(monkeypatch, ZeroDivisionError("1/0"))
    assert "Traceback" in lungfish("doctor").err


def test_ctrl_c(lungfish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    outcome = lungfish("doctor")
    assert outcome.code == 130
    assert "Traceback" not in outcome.err


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
    monkeypatch.setattr(app_module, "_leave_quietly", lambda: quiet.append(True) or 1)
    monkeypatch.setattr(predict, "predict_each", gone)
    assert app_module.run(["predict", str(color_bundle), "a.jpg"]) == 1
