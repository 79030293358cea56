import io
import re
import sys
import time

import pytest

from lungfish.core.progress import Bars, Lines, Silent, for_stderr


def test_lines_say_how_far_every_30_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with Lines().task("Decode", 100) as advance:
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
    with Lines().task("Decode", 100, 60) as advance:
        now += 30
        advance(15)
    assert capsys.readouterr()[1].splitlines() == [
        "Decode: 40 to do",
        "Decode: 75 of 100, 0/s, 50 s left",
        "Decode: 15 in 30.0 s",
    ]
    with Bars().task("Decode", 4, 3) as advance:
        advance(1)
    assert "4/4" in capsys.readouterr()[1]


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Silent()
    silent.say("hello")
    with silent.task("Decode", 2) as advance:
        advance(2)
    assert capsys.readouterr() == ("", "")


def test_bars_keep_to_stderr_and_print_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars()
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
    assert isinstance(for_stderr(), Lines)
