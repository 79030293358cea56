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


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    assert isinstance(for_stderr(), Lines)
