import shlex
import sys

import pytest

from lungfish.core.errors import MissingExtraError
from lungfish.core.extras import install_command, missing_extra


def test_the_hint_installs_where_this_interpreter_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "executable", "/my envs/bin/python")
    error = missing_extra(ModuleNotFoundError(name="torch.nn"), "training")
    assert isinstance(error, MissingExtraError)
    assert error.message == "training needs torch, which is not installed"
    command = error.hint.removeprefix("Run: ")
    assert shlex.split(command) == ["/my envs/bin/python", "-m", "pip", "install", "lungfish[train]"]


def test_windows_quotes_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "executable", r"C:\my envs\python.exe")
    assert install_command("timm") == r'"C:\my envs\python.exe" -m pip install timm'


def test_where_no_interpreter_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    assert install_command("timm") == "python -m pip install timm"


def test_a_missing_module_of_ours_is_a_bug() -> None:
    bug = ModuleNotFoundError(name="lungfish.nowhere")
    assert missing_extra(bug, "training") is bug
