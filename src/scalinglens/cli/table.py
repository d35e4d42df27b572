"""A table as plain text: it can be read, piped and pasted."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["aligned", "shortened"]


def aligned(rows: Sequence[Sequence[str]], indent: str = "  ", gap: str = "  ") -> str:
    """Return rows of cells with their columns aligned to the left.

    >>> print(aligned([["params", "loss"], ["70B", "1.9"]]))
      params  loss
      70B     1.9
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        (indent + gap.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip() for row in rows
    )


def shortened(text: str, width: int) -> str:
    """Return text of at most `width` characters.

    >>> shortened("E + A/params^alpha", 9)
    'E + A/...'
    """
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."
