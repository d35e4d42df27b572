"""Every exception of scalinglens, in one place.

A message says what happened, where (file, column, row, character) with the offending value, and what to do about it.
All of them derive from `ScalingLensError`; the command line prints the message of such an error and exits with status 2,
any other exception is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CatalogueError",
    "ExperimentError",
    "ExpressionError",
    "FetchError",
    "FitError",
    "FormulaError",
    "HoldoutError",
    "OptionError",
    "OutputError",
    "PlanError",
    "PredictionError",
    "QuantityError",
    "RunsError",
    "SavedFitError",
    "ScalingLensError",
    "ScheduleError",
    "TheoryError",
    "UnknownLawError",
    "WorldError",
    "did_you_mean",
]


class ScalingLensError(Exception):
    """Base of every error a user can cause; catch this to catch them all."""


class QuantityError(ScalingLensError, ValueError):
    """A quantity such as "70B" or "3 PF-day" cannot be read, or carries the wrong unit."""


class ExpressionError(ScalingLensError, ValueError):
    """A filter or column expression is not in the small grammar we accept."""


class FormulaError(ExpressionError):
    """A law's formula is not in the grammar of `scalinglens.laws.formula`, or cannot be evaluated."""


class RunsError(ScalingLensError, ValueError):
    """A table of runs cannot be read, or lacks what was asked of it."""


class UnknownLawError(ScalingLensError, LookupError):
    """No law of that name is in the catalogue."""

    __str__ = Exception.__str__  # LookupError siblings such as KeyError quote their message; ours is a sentence


class CatalogueError(ScalingLensError, ValueError):
    """An entry of the law catalogue contradicts itself (a defect of the data file)."""


class FetchError(ScalingLensError, RuntimeError):
    """A file cannot be fetched: no network, not found, too slow, cut off, or not what its checksum says."""


class FitError(ScalingLensError, ValueError):
    """A fit cannot be attempted, or its result cannot give what was asked (an interval of an unidentified parameter)."""


class HoldoutError(ScalingLensError, ValueError):
    """A hold-out is not written as it must be, or leaves nothing to fit or nothing to forecast."""


class ScheduleError(ScalingLensError, ValueError):
    """A learning-rate schedule is not written as it must be, or does not reach the steps asked for."""


class PlanError(ScalingLensError, ValueError):
    """A question of planning cannot be answered: an impossible budget, no optimum inside the bounds, or an unknown input."""


class PredictionError(ScalingLensError, ValueError):
    """The points to predict at lack an input of the law, or hold impossible values."""


class OptionError(ScalingLensError, ValueError):
    """An option of the command line is not written as it must be."""


class OutputError(ScalingLensError, OSError):
    """A file cannot be written where it was asked for."""


class SavedFitError(ScalingLensError, ValueError):
    """A saved fit is truncated, altered, or written by an unknown version."""


class WorldError(ScalingLensError, ValueError):
    """A world cannot be made: a spectrum whose sum diverges, a graph without edges, a text that is too short."""


class ExperimentError(ScalingLensError, ValueError):
    """A training is not described as it must be: an unknown key, a wrong type, a number of heads that cannot be."""


class TheoryError(ScalingLensError, ValueError):
    """A solvable model is asked for something outside its domain: a size that is not positive, a step that diverges."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ' (did you mean "x"?)' for the nearest known word, or an empty string.

    >>> did_you_mean("hofmann2022", ["hoffmann2022", "kaplan2020"])
    ' (did you mean "hoffmann2022"?)'
    >>> did_you_mean("zzz", ["hoffmann2022"])
    ''
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' (did you mean "{near[0]}"?)' if near else ""
