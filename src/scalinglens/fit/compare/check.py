"""`Check`: one recommendation against one table, with the number behind the answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["MARKS", "Answer", "Check", "checked"]

MARKS = {True: "ok    ", False: "look  ", None: "-     "}

Answer = tuple[str, bool | None, float | None, float | None, str]
"""Name, passed, number, threshold, sentence."""


@dataclass(frozen=True)
class Check:
    """One recommendation against one table.

    Attributes:
        name: in a few words.
        passed: None where it does not apply, or the table does not say.
        number: what was measured, None where there is nothing to measure.
        threshold: what it was compared with.
        sentence: what it means here, and what to do about it.
        source: who recommends it.

    >>> Check("sizes", True, 6, 5, "6 different sizes", "").says()
    'ok    sizes: 6 different sizes'
    """

    name: str
    passed: bool | None
    number: float | None
    threshold: float | None
    sentence: str
    source: str

    def says(self) -> str:
        """Return the check as a line of text."""
        return f"{MARKS[self.passed]}{self.name}: {self.sentence}"

    def to_dict(self) -> dict[str, Any]:
        """Return the check as plain data."""
        finite = lambda v: float(v) if v is not None and math.isfinite(v) else None  # noqa: E731
        return {
            "name": self.name, "passed": self.passed, "number": finite(self.number),
            "threshold": finite(self.threshold), "sentence": self.sentence, "source": self.source,
        }  # fmt: skip

    def __str__(self) -> str:
        return self.says()


def checked(answer: Answer, source: str) -> Check:
    """Make the check of an answer, in plain Python types."""
    name, passed, number, threshold, sentence = answer
    return Check(
        name,
        None if passed is None else bool(passed),
        None if number is None else float(number),
        None if threshold is None else float(threshold),
        sentence,
        source,
    )
