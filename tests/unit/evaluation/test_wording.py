import pytest

from lungfish.evaluation import wording


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (wording.percent(0.9032), "90.3 %"),
        (wording.percent(None), "not measured"),
        (wording.interval((0.869, 0.929)), "86.9–92.9 %"),
        (wording.interval(None), ""),
        (wording.size(13_547_694), "13.5 MB"),
        (wording.size(900), "0.9 kB"),
        (wording.milliseconds(0.1234), "0.12 ms"),
        (wording.milliseconds(12.34), "12.3 ms"),
        (wording.milliseconds(123.4), "123 ms"),
        (wording.duration(4.21), "4.2 s"),
        (wording.duration(92.4), "1 min 32 s"),
        (wording.duration(7260), "2 h 1 min"),
        (wording.listed(["a", "b"]), "a, b"),
        (wording.listed(["a", "b", "c", "d", "e"]), "a, b, c and 2 more"),
    ],
)
def test_figures_read_well(said, expected):
    assert said.replace("\xa0", " ") == expected
