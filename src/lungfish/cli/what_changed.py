"""What changed between two bundles, as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lungfish.evaluation.what_changed import WhatChanged


def what_changed_lines(changed: WhatChanged) -> str:
    """The verdict, a row for each class, and what to know of both; safe on a terminal."""
    from lungfish.cli.output import table
    from lungfish.core.names import printable
    from lungfish.evaluation.paired import SIGNIFICANT
    from lungfish.evaluation.what_changed_text import headline, notes, p_value, signed, signed_interval

    rows = [["class", "photos", "old right", "new right", "lost", "gained", "points", "95 % interval", "p", "verdict"]]
    for row in changed.classes:
        pairs = row.pairs
        if not pairs.n:
            rows.append([printable(row.label), "0", *["-"] * 7, "no photos"])
            continue
        counts = [pairs.n, pairs.old_correct, pairs.new_correct, pairs.only_old, pairs.only_new]
        p = p_value(row.p_corrected).removeprefix("p ").removeprefix("= ")
        figures = [signed(pairs.difference), signed_interval(pairs.ci95), p, row.verdict]
        rows.append([printable(row.label), *(f"{count:,}" for count in counts), *figures])
    lines = ["what changed", printable(headline(changed)), *map(printable, notes(changed))]
    if changed.overall.n:
        lines += ["", table(rows, left=(0, 9)), ""]
        lines.append("new minus old, on the same photos; interval: Newcombe's for pairs, of the single class")
        lines.append(
            f"p: exact McNemar test, corrected for the number of classes (Holm); a verdict needs {SIGNIFICANT:g}"
        )
    return "\n".join(lines)
