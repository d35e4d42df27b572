"""The eleven recommendations of Choshen et al. 2024 (arXiv 2410.11840) as checks.

The evidence behind the thresholds is that of the paper, on its models; a check that fails is a reason to look, not a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from scalinglens.errors import ScalingLensError
from scalinglens.fit.compare.check import Answer, Check, checked
from scalinglens.fit.compare.family import leave_target_out
from scalinglens.fit.compare.shape import Shape
from scalinglens.fit.result import Fit
from scalinglens.quantities import format_quantity

__all__ = ["forecast_scores", "recommended"]

CHOSHEN = "Choshen et al. 2024, recommendation {}"
USEFUL_ERROR = 0.04  # effects that papers publish are 4% and more; seeds differ by up to 3.5% (section 4)
WARM_UP = 1e10  # tokens below which checkpoints raised the error from under 10% to over 15% (figure 5)
WARM_UP_SHARE = 0.1  # the same as a share of each run, for runs that end below ten warm-ups
FEWEST_SIZES = 5  # figure 2
FARTHEST = 34.0  # times the largest size; the longest extrapolation that was still reliable (Pythia, figure 2)
PART_OF_TARGET = 0.3  # of the target's own training that replaces a ladder (section 5.1)
FAMILIES = (
    "family", "model_family", "Model Family", "dataset", "corpus", "train_dataset", "architecture", "router_type",
)  # fmt: skip


def forecast_scores(shape: Shape, fit: Fit | None) -> dict[str, float]:
    """Errors of the law when the largest size is left out, and how much the forecast of the target hangs on one size."""
    if fit is None or shape.size not in fit.law.inputs or len(shape.sizes()) < 3:
        return {}
    options = {"loss": fit.loss.name, "delta": fit.loss.delta, "space": fit.loss.space, "target": fit.target}
    options |= {"pin": {name: fit.values[name] for name in fit.pinned}}
    found: dict[str, float] = {}
    try:
        left = leave_target_out(shape.runs, fit.law, **options)
        found |= {"are": left.are, "baseline": left.baseline}
    except ScalingLensError:
        pass
    goal = {name: shape.target.get(name, float(fit.points[name].max())) for name in fit.law.inputs}
    whole = float(fit.predict(goal)[fit.target].iloc[0])
    shifts = {}
    for size in shape.sizes():
        near = np.abs(np.log(shape.runs.column(shape.size) / size)) <= 0.01
        try:
            part = leave_target_out(shape.runs, fit.law, held=near, **options)
        except ScalingLensError:
            continue
        shifts[float(size)] = abs(float(part.fit.predict(goal)[fit.target].iloc[0]) / whole - 1)
    if shifts:
        worst = max(shifts, key=lambda size: shifts[size])
        found |= {"shift": shifts[worst], "harmful": worst}
    return found


def recommended(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> list[Check]:
    """Return the eleven checks, in the order of the paper."""
    rules = (
        _expected_error, _checkpoints, _warm_up, _number_of_sizes, _distance, _partial_target, _one_model, _no_fit,
        _one_family, _harmful_size, _downwards,
    )  # fmt: skip
    return [checked(rule(shape, fit, scores), CHOSHEN.format(number)) for number, rule in enumerate(rules, start=1)]


def _expected_error(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "expected error"
    if "are" not in scores:
        return name, None, None, USEFUL_ERROR, "needs a fit and three sizes: the largest is forecast from the others"
    are = scores["are"]
    rest = "" if are <= USEFUL_ERROR else "; effects smaller than that cannot be told"
    return (
        name,
        are <= USEFUL_ERROR,
        are,
        USEFUL_ERROR,
        f"the largest size is forecast within {are:.2%} from the others{rest}",
    )


def _checkpoints(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "checkpoints"
    curves = shape.curves()
    if curves is None:
        words = (
            "one row per run; losses along the runs would lower the error, where the schedule allows (recommendation 2)"
        )
        return name, False, 1.0, 2.0, words
    each = float(np.median(np.bincount(curves)))
    return name, each >= 2, each, 2.0, f"{each:g} rows per run at the median"


def _warm_up(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "warm-up cut"
    curves = shape.curves()
    extent = shape.extent()
    if curves is None or not np.isfinite(extent).any():
        return name, None, None, 0.0, "no checkpoints, so nothing to cut"
    ends = np.zeros(curves.max() + 1)
    np.maximum.at(ends, curves, np.nan_to_num(extent))
    in_tokens = shape.length == "tokens"
    cut = WARM_UP_SHARE * ends[curves]
    if in_tokens:
        cut = np.minimum(cut, WARM_UP) if np.median(ends) < WARM_UP / WARM_UP_SHARE else np.full(len(cut), WARM_UP)
    early = int(np.sum(extent < cut))
    rule = (
        f"{format_quantity(WARM_UP)} tokens"
        if in_tokens and np.all(cut == WARM_UP)
        else f"{WARM_UP_SHARE:.0%} of its run"
    )
    remedy = "; leave them out with where=..." if early else ""
    return name, early == 0, early, 0.0, f"{early} of {len(extent)} checkpoints lie in the first {rule}{remedy}"


def _number_of_sizes(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "number of sizes"
    if not shape.size:
        return name, None, None, FEWEST_SIZES, "the table has no column of sizes"
    count = len(shape.sizes())
    rest = "" if count >= FEWEST_SIZES else "; more sizes help even if they are not larger, and one bad run weighs less"
    return name, count >= FEWEST_SIZES, count, FEWEST_SIZES, f"{count} different {shape.size}{rest}"


def _distance(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "distance to the target"
    if shape.size not in shape.target or not len(shape.sizes()):
        return name, None, None, FARTHEST, "needs a target with its size"
    ratio = shape.target[shape.size] / shape.sizes()[-1]
    says = f"the target is {ratio:.3g} times as large as the largest of the runs"
    return name, ratio <= FARTHEST, ratio, FARTHEST, says + ("" if ratio <= FARTHEST else "; train a larger one first")


def _partial_target(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "part of the target run"
    N, D = shape.pairs()
    goal = shape.target
    if not len(N) or shape.size not in goal or shape.length not in goal:
        return name, None, None, PART_OF_TARGET, "needs a target with its size and length"
    own = np.abs(np.log(N / goal[shape.size])) <= 0.01
    if not own.any():
        return name, None, 0.0, PART_OF_TARGET, "no run of the target's size; 30% of it would do in place of a ladder"
    share = float(D[own].max() / goal[shape.length])
    return (
        name,
        share >= PART_OF_TARGET,
        share,
        PART_OF_TARGET,
        f"the target's size is trained for {share:.0%} of its length",
    )


def _one_model(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "borrowed parameters"
    count = len(shape.sizes())
    if count != 1:
        return name, None, None, None, "several sizes, so none need be borrowed"
    if fit is None or shape.size not in fit.law.inputs:
        words = "one size only: borrow A and alpha from a relative, as in fit(..., pin=borrowed(other, 'A', 'alpha'))"
        return name, False, 0.0, 1.0, words
    held = len(fit.pinned)
    rest = "" if held else "; the size term is not determined, pin it"
    return name, held >= 1, held, 1.0, f"one size only, {held} parameters held{rest}"


def _no_fit(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "better than no fit"
    if "are" not in scores:
        return name, None, None, 1.0, "needs a fit and three sizes"
    ratio = scores["are"] / scores["baseline"] if scores["baseline"] > 0 else math.inf
    says = f"the law misses the largest size by {scores['are']:.2%}, the best smaller run by {scores['baseline']:.2%}"
    return name, ratio < 1, ratio, 1.0, says


def _one_family(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "one family"
    columns = [c for c in FAMILIES if c in shape.runs.frame.columns]
    if not columns:
        return name, None, None, 1.0, "no column names a family; the parameters of families differ strongly"
    counts = {c: len(set(shape.runs.labels(c).tolist())) for c in columns}
    worst = max(counts, key=lambda c: counts[c])
    count = counts[worst]
    rest = "" if count == 1 else "; fit each by itself, or say so"
    return name, count == 1, count, 1.0, f"{count} {'value' if count == 1 else 'values'} in column {worst!r}{rest}"


def _harmful_size(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "no size decides alone"
    if "shift" not in scores:
        return name, None, None, USEFUL_ERROR, "needs a fit and three sizes"
    shift, size = scores["shift"], format_quantity(scores["harmful"])
    says = f"without {shape.size} {size} the forecast moves by {shift:.2%}"
    rest = (
        "" if shift <= USEFUL_ERROR else "; look at those runs, but cross-validation does not tell whether to drop them"
    )
    return name, shift <= USEFUL_ERROR, shift, USEFUL_ERROR, says + rest


def _downwards(shape: Shape, fit: Fit | None, scores: Mapping[str, float]) -> Answer:
    name = "forecast downwards"
    sizes = shape.sizes()
    goal = shape.target
    if shape.size not in goal or not len(sizes) or goal[shape.size] >= sizes[0]:
        return name, None, None, PART_OF_TARGET, "the target is not smaller than the runs"
    _, D = shape.pairs()
    if not len(D) or shape.length not in goal:
        return name, None, None, PART_OF_TARGET, "needs the length of the target"
    share = float(D.max() / goal[shape.length])
    says = f"the longest run has {share:.0%} of the target's length"
    return name, share >= PART_OF_TARGET, share, PART_OF_TARGET, says
