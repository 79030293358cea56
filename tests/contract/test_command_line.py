"""The commands and options that other people's scripts use. Renaming one needs a changelog entry."""

import inspect
import re
from dataclasses import MISSING, fields
from typing import get_type_hints

import pytest

import lungfish as lf
from lungfish.cli.app import run
from lungfish.cli.train import train as train_command
from lungfish.job.spec import Job

OPTIONS = {
    "demo": {"--out", "--json"},
    "train": {
        "--out",
        "--arch",
        "--weights",
        "--recipe",
        "--seed",
        "--split",
        "--force",
        "--dry-run",
        "--progress",
        "--json",
    },
    "predict": {"--artifact", "--top", "--json"},
    "evaluate": {"--split", "--min-top1", "--baseline", "--no-class-worse", "--json"},
    "explain": {"--out", "--label", "--json"},
    "slim": {"--out", "--artifact", "--json"},
    "models": {"--json"},
    "describe": {"--layers", "--precision", "--plot", "--json"},
    "compare": {"--photos", "--split", "--latency", "--threads", "--plot", "--json"},
    "scale": {
        *("--phi", "--width", "--depth", "--resolution", "--macs", "--params", "--memory-mb", "--by", "--out"),
        "--json",
    },
    "doctor": {"--json"},
    "weights list": {"--arch", "--json"},
    "weights search": {"--online", "--json"},
    "weights show": {"--json"},
    "weights fetch": {"--accept-license", "--arch", "--offline", "--json"},
    "weights verify": {"--images", "--json"},
    "weights licenses": {"--json"},
    "weights convert": {"--arch", "--source", "--out", "--license", "--force", "--json"},
    "weights prune": {"--all", "--older-than", "--json"},
}


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert run([*command, "--help"]) == 0
    return capsys.readouterr().out


def test_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for group in ((), ("weights",)):
        listed = help_of(capsys, *group).partition("Commands:")[2]
        names = {" ".join((*group, name)) for name in re.findall(r"^  (\w+)", listed, re.MULTILINE)}
        assert names >= {name for name in OPTIONS if name.split()[:-1] == list(group)}


def test_a_group_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    helped = help_of(capsys, "weights")
    assert run(["weights"]) == 0
    assert capsys.readouterr().out == helped
    assert "..." not in helped.partition("Commands:")[2]  # no summary is cut


@pytest.mark.parametrize("command", OPTIONS)
def test_options(capsys: pytest.CaptureFixture[str], command: str) -> None:
    listed = set(re.findall(r"^  (--[\w-]+)", help_of(capsys, *command.split()), re.MULTILINE))
    assert listed >= OPTIONS[command] | {"--help"}


def test_the_command_and_python_take_the_options_of_a_job() -> None:
    """Under the same names, with the same defaults and help; besides them, only what suits a terminal or a program."""
    options = {each.name: inspect.Parameter.empty if each.default is MISSING else each.default for each in fields(Job)}
    command, python = (inspect.signature(each).parameters for each in (train_command, lf.train))
    assert set(command) - set(options) == {"dry_run", "progress", "json"}
    assert set(python) - set(options) == {"progress", "on_event", "stop"}
    hints = get_type_hints(train_command, include_extras=True)
    for each in fields(Job):
        assert command[each.name].default == python[each.name].default == options[each.name], each.name
        (shown,) = hints[each.name].__metadata__
        assert shown.help == each.metadata["help"]
        assert shown.help in (Job.__doc__ or "")
