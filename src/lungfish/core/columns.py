"""Format tables for terminals and notebooks."""

from __future__ import annotations

from collections.abc import Collection


def table(rows: list[list[str]], left: Collection[int] = (0,)) -> str:
    """Return rows as aligned text, with two spaces between columns.

    Args:
        rows: Cells of each row.
        left: Indices of left-aligned columns; the others are right-aligned.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
