"""Training trajectories as a question with a file or plain numbers: which tokens move, and whether sizes agree on them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import TheoryError, did_you_mean
from scalinglens.figures.figure import Axis, Figure, Line, Mark, Panel, series
from scalinglens.theory.answer import Answer
from scalinglens.theory.numbers import counts
from scalinglens.theory.softmax_models import FEATURES, draw_labels, made_language, train_one_pass
from scalinglens.theory.trajectories import TREND_NAMES, matched_overlap, predictor_table, token_trends

__all__ = ["trajectories"]

_XIA = "Xia et al. 2022, Training Trajectories of Language Models Across Scales, arXiv 2212.09803"
_TOKENS = 2000
_COLUMNS = ("run", "step", "token", "loss")
_STRETCH = (0.4, 0.05)  # of the perplexities that both runs cross: a late part, where models differ


@dataclass(frozen=True, eq=False)
class _Run:
    name: str
    steps: np.ndarray
    losses: np.ndarray  # [tokens, checkpoints]

    @property
    def perplexity(self) -> np.ndarray:
        return np.exp(self.losses.mean(0))


def trajectories(
    *,
    losses: str = "",
    sizes: str = "8,16,32",
    steps: int = 3000,
    start: float = 0.1,
    level: float = 0.05,
    margin: float = 0.0,
    seed: int = 0,
) -> Answer:
    """Which tokens still fall, stagnate or rise over training, and whether two runs agree on those that fall.

    Args:
        losses: file .csv with columns run, step, token and loss (nats); without it softmax models are trained here.
        sizes: features of 32 that the trained models see, a list A,B,C.
        steps: of the trained models, one pass of SGD.
        start: share of the last step from which on checkpoints count for trends.
        level: p-value below which a slope is a trend; of tokens without one this share is called falling or rising.
        margin: nats that a loss must fall to count for the agreement.
        seed: of the trained models.

    Returns:
        Shares of tokens by trend for each run; in JSON and the notes the agreement of each pair of runs on the tokens that fall,
        between equal perplexities and between equal steps; of trained models also what predicts accuracy, step or perplexity.

    Raises:
        TheoryError: an unreadable file, runs with different tokens, too few checkpoints, a size that is not possible.

    Source: Xia et al. 2022 (arXiv 2212.09803).

    >>> trajectories(sizes="8,32", steps=200).table["run"]
    ['8 features', '32 features']
    """
    document: dict[str, Any] = {"start": start, "level": level, "margin": margin, "made": not losses}
    if losses:
        runs, predictors, title = _read(losses), None, f"trajectories in {Path(losses).name}"
    else:
        runs, predictors = _made(counts("sizes", sizes, most=FEATURES), steps, seed)
        title = f"trajectories of {_TOKENS} tokens, softmax models, {steps} steps"
    table: dict[str, Any] = {name: [] for name in ("run", "checkpoints", "perplexity", *TREND_NAMES)}
    for run in runs:
        found = token_trends(np.exp(run.losses), run.steps, start=start, level=level)
        values = {"run": run.name, "checkpoints": len(found.steps), "perplexity": run.perplexity[-1], **found.shares()}
        for name, value in values.items():
            table[name].append(value)
    pairs = [_agreement(a, b, margin) for a, b in itertools.combinations(runs, 2)]
    document |= {"runs": table, "pairs": pairs, "predictors": None}
    notes = [
        f"{pair['first']} and {pair['then']} agree on {pair['equal_perplexity']:.1%} of falling tokens "
        f"between equal perplexities, on {pair['equal_steps']:.1%} between equal steps"
        for pair in pairs
        if pair["equal_perplexity"] is not None
    ]
    notes.append("agreement: tokens that fall in both runs, over those that fall in either")
    if predictors is not None:
        document["predictors"] = {str(name): predictors[name].tolist() for name in predictors}
        alone = predictors[predictors["then"] == ""]
        notes.append(
            "R2 of accuracy: " + ", ".join(f"{n} {r:.3f}" for n, r in zip(alone["first"], alone["R2"], strict=True))
        )
    apart = [f"{pair['first']} and {pair['then']}" for pair in pairs if pair["equal_perplexity"] is None]
    warnings = (
        [f"{', '.join(apart)}: no stretch of perplexity and steps that both cross, not compared"] if apart else []
    )
    return Answer(title, table, document, notes, warnings, (_XIA,), _figure(runs, start, level, title))


def _made(sizes: list[int], steps: int, seed: int) -> tuple[list[_Run], pd.DataFrame]:
    if steps < 100:
        raise TheoryError(f"steps is {steps}; give 100 or more, so that there are checkpoints to compare")
    if len(set(sizes)) != len(sizes):
        raise TheoryError(f"sizes are {', '.join(map(str, sizes))}; give each once")
    rng = np.random.default_rng(seed)
    truth = made_language(rng, scale=1.5)
    inputs = rng.normal(size=(_TOKENS, FEATURES))
    labels = draw_labels(rng, inputs, truth)
    trained = [train_one_pass(rng, size=size, truth=truth, inputs=inputs, labels=labels, steps=steps) for size in sizes]
    runs = [_Run(f"{run.size} features", run.steps, run.losses) for run in trained]
    predictors = {
        "perplexity": np.concatenate([run.perplexity for run in runs]),
        "steps": np.concatenate([run.steps for run in trained]),
        "flops": np.concatenate([run.steps * run.size for run in trained]),
    }
    return runs, predictor_table(np.concatenate([run.accuracy for run in trained]), predictors)


def _read(path: str) -> list[_Run]:
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as problem:
        raise TheoryError(f"{path} cannot be read: {problem}") from None
    for name in _COLUMNS:
        if name not in frame:
            raise TheoryError(
                f'{path} has no column "{name}"{did_you_mean(name, frame.columns)}; it has {", ".join(frame)}'
            )
    for name in ("step", "loss"):
        try:
            frame[name] = frame[name].astype(float)
        except ValueError as problem:
            raise TheoryError(f"{path} has cells of {name} that are no numbers: {problem}") from None
    holes = np.flatnonzero(frame[[*_COLUMNS]].isna().to_numpy().any(axis=1))
    if len(holes):
        raise TheoryError(f"{path} has {len(holes)} rows with an empty cell, the first in line {holes[0] + 2}")
    twice = frame.duplicated(["run", "step", "token"])
    if twice.any():
        raise TheoryError(f"{path} has a token twice at one step, in line {twice.argmax() + 2}; keep one loss of each")
    runs, tokens = [], None
    for name, part in frame.groupby("run", sort=False):
        grid = part.pivot_table(index="token", columns="step", values="loss")
        if len(part) != grid.size:
            raise TheoryError(f"run {name} lacks {grid.size - len(part)} losses; give every token at each of its steps")
        if tokens is not None and not grid.index.equals(tokens):
            raise TheoryError(f"run {name} has other tokens than the run before; the runs must share their tokens")
        tokens = grid.index
        runs.append(_Run(str(name), grid.columns.to_numpy(float), grid.to_numpy()))
    if not runs:
        raise TheoryError(f"{path} has no rows")
    return runs


def _agreement(a: _Run, b: _Run, margin: float) -> dict[str, Any]:
    """Agreement over a late stretch of perplexity that both cross, and over the steps at which the first crosses it."""
    pair: dict[str, Any] = {"first": a.name, "then": b.name, "equal_perplexity": None, "equal_steps": None}
    # the perplexity as progress: its best so far, made strictly falling
    ppl_a, ppl_b = (np.minimum.accumulate(run.perplexity) * np.exp(-1e-9 * np.arange(len(run.steps))) for run in (a, b))
    high, low = min(ppl_a[0], ppl_b[0]), max(ppl_a[-1], ppl_b[-1])
    first, last = max(a.steps[0], b.steps[0]), min(a.steps[-1], b.steps[-1])
    if not low < high or not first < last:
        return pair
    between = tuple(low + share * (high - low) for share in _STRETCH)
    at = np.interp(-np.log(between), -np.log(ppl_a), a.steps)
    stretch = np.clip(at, first, last)
    if not stretch[0] < stretch[1]:
        return pair
    matched = matched_overlap(
        a.losses, b.losses, progress_a=ppl_a, progress_b=ppl_b, between=(between[0], between[1]), margin=margin
    )
    stepped = matched_overlap(
        a.losses, b.losses, progress_a=a.steps, progress_b=b.steps, between=(stretch[0], stretch[1]), margin=margin
    )
    return pair | {
        "perplexities": list(between),
        "steps": stretch.tolist(),
        "equal_perplexity": matched,
        "equal_steps": stepped,
    }


def _figure(runs: list[_Run], start: float, level: float, title: str) -> Figure:
    """Perplexity of all tokens over training, and of those that fall and that rise in the first run."""
    whole = tuple(Line(run.steps, run.perplexity, series(k), label=run.name) for k, run in enumerate(runs))
    one = runs[0]
    labels = token_trends(np.exp(one.losses), one.steps, start=start, level=level).labels
    marks: list[Mark] = [
        Line(one.steps, np.exp(one.losses[labels == name].mean(0)), series(k), label=name)
        for k, name in enumerate(TREND_NAMES)
        if (labels == name).any()
    ]
    x, y = Axis("step", "log", "power"), Axis("perplexity", "log")
    panels = (Panel("All tokens", x, y, whole), Panel(f"Tokens by trend, {one.name}", x, y, tuple(marks)))
    return Figure("Training trajectories", panels, title)
