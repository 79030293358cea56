import json
import shlex
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from lungfish.core import extras
from lungfish.core.errors import MissingExtraError
from lungfish.core.extras import install_command, install_extra, missing_extra


def test_the_hint_installs_where_this_interpreter_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "executable", "/my envs/bin/python")
    monkeypatch.setattr(extras, "distribution", installed(None))
    error = missing_extra(ModuleNotFoundError(name="sklearn.linear_model"), "training")
    assert isinstance(error, MissingExtraError)
    assert error.message == "training needs sklearn, which is not installed"
    command = error.hint.removeprefix("Run: ")
    assert shlex.split(command) == ["/my envs/bin/python", "-m", "pip", "install", "lungfish[train]"]


def installed(direct_url: object) -> Callable[[str], object]:
    """Return a stand-in for `importlib.metadata.distribution`, with that content of `direct_url.json`."""
    text = None if direct_url is None else json.dumps(direct_url)
    return lambda _name: SimpleNamespace(read_text={"direct_url.json": text}.get)


ORIGINS = {
    "index": (None, ["lungfish[train]"]),
    "clone, editable": (
        {"url": "file:///my%20code/lungfish", "dir_info": {"editable": True}},
        ["-e", "/my code/lungfish[train]"],
    ),
    "clone": ({"url": "file:///code/lungfish", "dir_info": {}}, ["lungfish[train] @ file:///code/lungfish"]),
    "wheel": ({"url": "file:///l.whl", "archive_info": {}}, ["lungfish[train] @ file:///l.whl"]),
    "git": (
        {"url": "https://host/l.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
        ["lungfish[train] @ git+https://host/l.git@abc"],
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
@pytest.mark.parametrize(("direct_url", "arguments"), ORIGINS.values(), ids=ORIGINS)
def test_an_extra_comes_from_where_lungfish_came_from(
    monkeypatch: pytest.MonkeyPatch, direct_url: object, arguments: list[str]
) -> None:
    monkeypatch.setattr(extras, "distribution", installed(direct_url))
    assert shlex.split(install_extra("train"))[1:] == ["-m", "pip", "install", *arguments]


def test_run_from_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "distribution", distribution_missing)
    assert shlex.split(install_extra("train"))[-1] == "lungfish[train]"


def distribution_missing(name: str) -> object:
    raise PackageNotFoundError(name)


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
