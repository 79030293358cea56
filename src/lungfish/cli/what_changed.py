"""Print what changed between two bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lungfish.evaluation.what_changed import WhatChanged

FEW_PHOTOS = 100


def what_changed_lines(changed: WhatChanged) -> str:
    """Return the verdict, a row for each class, and notes on both bundles; safe for a terminal."""
    from lungfish.core.columns import table
    from lungfish.core.names import plural, printable
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
        lines.append("points: new minus old; 95 % interval: Newcombe's for pairs, not corrected for multiple classes")
        lines.append("p: exact McNemar test, corrected for the number of classes (Holm)")
        lines.append(f"better and worse need p ≤ {SIGNIFICANT:g}, so at least 6 photos lost or gained")
    if 0 < changed.overall.n < FEW_PHOTOS and changed.verdict == "inconclusive":
        lines.append(
            f"{plural(changed.overall.n, 'photo is', 'photos are')} too few for a verdict. For each class, collect "
            "about 30 that neither bundle was trained on, and give them as --photos."
        )
    return "\n".join(lines)
