"""Format figures for people. A no-break space separates number and unit."""

from __future__ import annotations

NOT_MEASURED = "not measured"
STATUS = {"pass": "computes as trained", "fail": "less accurate than fp32", "not_measured": NOT_MEASURED}


def percent(share: float | None) -> str:
    """Format `0.9032` as `90.3 %`."""
    return NOT_MEASURED if share is None else f"{100 * share:.1f}\xa0%"


def interval(bounds: tuple[float, float] | None) -> str:
    """Format `(0.869, 0.929)` as `86.9–92.9 %`."""
    return "" if bounds is None else f"{100 * bounds[0]:.1f}–{percent(bounds[1])}"


def points(difference: float) -> str:
    """Format `0.06` as `6.0 points`."""
    return f"{100 * difference:.1f}\xa0points"


def size(count: int) -> str:
    """Format bytes in decimal megabytes or kilobytes."""
    return f"{count / 1e6:.1f}\xa0MB" if count >= 1e6 else f"{count / 1e3:.1f}\xa0kB"


def milliseconds(value: float) -> str:
    """Format milliseconds with at most three significant figures."""
    return f"{value:.0f}\xa0ms" if value >= 100 else f"{value:.1f}\xa0ms" if value >= 1 else f"{value:.2f}\xa0ms"


def duration(seconds: float) -> str:
    """Format `92.4` as `1 min 32 s`."""
    if seconds < 60:
        return f"{seconds:.1f}\xa0s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}\xa0h {minutes}\xa0min" if hours else f"{minutes}\xa0min {rest}\xa0s"


def sentence(text: str) -> str:
    """Turn a warning into a sentence: `too few photos` becomes `Too few photos.`; an empty text stays empty."""
    return f"{text[0].upper()}{text[1:]}." if text else ""


def status(row_status: str) -> str:
    """Return an artifact's status in words: `pass` as `computes as trained`."""
    return STATUS[row_status]


def listed(items: list[str], most: int = 3) -> str:
    """Join items as `a, b, c and 4 more`."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more:,} more" if more > 0 else "")
