import io
import json
import re
import sys
import time
from dataclasses import replace

import pytest

from lungfish.core.errors import UnknownNameError
from lungfish.core.events import EpochEnded, Event, StageEnded, StageStarted
from lungfish.core.progress import Bars, Lines, Progress, for_stderr, stderr_listeners


def test_lines_say_how_far_every_30_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Progress(Lines()).task("Decode", 100) as advance:
        for _ in range(4):
            now += 10
            advance(20)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Decode: 100 to do",
        "Decode: 60 of 100, 2/s, 20 s left",
        "Decode: 80 in 40.0 s",
    ]


def test_what_an_earlier_process_did_counts_but_not_for_the_rate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Progress(Lines()).task("Decode", 100, 60) as advance:
        now += 30
        advance(15)
    assert capsys.readouterr()[1].splitlines() == [
        "Decode: 40 to do",
        "Decode: 75 of 100, 0/s, 50 s left",
        "Decode: 15 in 30.0 s",
    ]
    with Progress(Bars()).task("Decode", 4, 3) as advance:
        advance(1)
    assert "4/4" in capsys.readouterr()[1]


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Progress()
    silent.say("hello")
    with silent.task("Decode", 2) as advance:
        advance(2)
    assert capsys.readouterr() == ("", "")


def test_bars_keep_to_stderr_and_print_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Progress(Bars())
    bars.say("[red]x[/red]")
    with bars.task("Decode", 2) as advance:
        advance(2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "[red]x[/red]" in err
    assert "2/2" in err


class Terminal(io.StringIO):
    """What a program writes to a terminal, and what is then to be seen there."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        shown, row, column = [""], 0, 0
        for text in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", self.getvalue()):
            if text == "\r":
                column = 0
            elif text == "\n":
                row, column = row + 1, 0
                shown += [""] * (row == len(shown))
            elif text == "\x1b[2K":
                shown[row] = ""
            elif text[0] == "\x1b":
                assert text[-1] in "mhl", f"{text!r} moves the cursor"
            else:
                shown[row] = shown[row][:column].ljust(column) + text + shown[row][column + len(text) :]
                column += len(text)
        return shown


def test_news_appears_above_a_live_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    bars = for_stderr()
    bars.say("begins")
    with bars.task("train", 2) as advance:
        for epoch in ("epoch 1", "epoch 2 [red]"):
            advance(1)
            bars.say(epoch)
    bars.say("ends")
    *said, bar, after, cursor = terminal.lines()
    assert (said, after, cursor) == (["begins", "epoch 1", "epoch 2 [red]"], "ends", "")
    assert bar.startswith("train ")
    assert " 2/2 " in bar


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert isinstance(stderr_listeners()[0], Lines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert isinstance(stderr_listeners()[0], Bars)
    assert isinstance(stderr_listeners("plain")[0], Lines)
    assert stderr_listeners("none") == ()
    with pytest.raises(UnknownNameError, match="unknown progress format: 'jsno'\nDid you mean json"):
        stderr_listeners("jsno")


EPOCH = EpochEnded("finetune", 4, 0, 0.5, 0.8, 0.25, 0.875, 1e-3, 100.4, 0.02, 2.0)


def test_every_event_is_a_line_of_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    progress = for_stderr("json")
    with progress.task("photos", 3, 1) as advance:
        advance(2)
    progress.emit(EPOCH)
    progress.say("two\nlines")
    progress.warn("caf\u00e9")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.isascii()
    assert [json.loads(line) for line in err.splitlines()] == [
        {"event": "stage_started", "stage": "photos", "total": 3, "done": 1},
        {"event": "advanced", "stage": "photos", "total": 3, "done": 3},
        {"event": "stage_ended", "stage": "photos", "total": 3, "done": 3, "seconds": 0.0, "completed": True},
        {
            "event": "epoch_ended",
            "stage": "finetune",
            "epochs": 4,
            "epoch": 0,
            "loss": 0.5,
            "top1": 0.8,
            "val_loss": 0.25,
            "val_top1": 0.875,
            "learning_rate": 0.001,
            "images_per_s": 100.4,
            "data_wait": 0.02,
            "seconds": 2.0,
            "val_top1_before": None,
        },
        {"event": "logged", "text": "two\nlines"},
        {"event": "warned", "text": "caf\u00e9"},
    ]


@pytest.mark.parametrize("way", [Lines, Bars])
def test_epochs_and_warnings_in_words(way: type, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(way())
    progress.emit(EPOCH)
    progress.emit(replace(EPOCH, epoch=1, val_top1=0.2, val_top1_before=0.8, data_wait=0.25))
    progress.warn("the disk is nearly full")
    rest = "loss 0.500 in training, 0.250 on validation; 100 photos/s"
    assert " ".join(capsys.readouterr().err.split()) == (
        f"finetune: epoch 1 of 4, 87.5 % of validation photos right; {rest} "
        f"finetune: epoch 2 of 4, 20.0 % of validation photos right (before this stage: 80.0 %); {rest}, "
        "25 % of the time waiting for them "
        "the disk is nearly full"
    )


def fail_in_a_stage(progress: Progress) -> None:
    with progress.task("photos", 3) as advance:
        advance(1)
        raise ValueError("broken")


def test_a_stage_that_fails_ends_for_every_listener(capsys: pytest.CaptureFixture[str]) -> None:
    events: list[Event] = []
    with pytest.raises(ValueError, match="broken"):
        fail_in_a_stage(Progress(Lines(), events.append))
    assert isinstance(events[0], StageStarted)
    assert isinstance(events[-1], StageEnded)
    assert (events[-1].done, events[-1].completed) == (1, False)
    assert capsys.readouterr().err == "photos: 3 to do\n"
    bars = Progress(Bars())
    for _ in range(2):  # a bar that was left would keep the next one from starting
        with pytest.raises(ValueError, match="broken"):
            fail_in_a_stage(bars)
