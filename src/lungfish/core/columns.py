"""Tables for terminals and notebooks."""

from __future__ import annotations

from collections.abc import Collection


def table(rows: list[list[str]], left: Collection[int] = (0,)) -> str:
    """Columns of text, two spaces apart: those of `left` to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(
            cell.ljust(width) if i in left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
