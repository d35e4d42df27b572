"""Extrapolation tasks in the manner of SLDBench (arXiv 2507.21184), on documented splits of public tables.

    python -m benchmarks.extrapolation [TASK ...]

The law of a task is chosen without its test rows: every candidate is fitted on the smaller part of the training rows and
forecasts the larger part, from two origins; the best mean R2 among those whose fits are certified wins. Two rules are
reported: "default" chooses the form with the package's own loss (Huber in log space, delta 1e-3), "with loss" chooses between
that and squares, too. Every candidate is in benchmarks/results/extrapolation.json, with its evidence from inside the training
part and its R2 on the test rows.

What this does not show: the rule sees training rows only, but the lists of candidates were written by people who knew the
scores of some of them on these splits, so the scores of the winners are somewhat optimistic. The losses of the test rows of
one split of the data-constrained runs lie in the training rows of another.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import scalinglens as sl
from benchmarks.__main__ import RESULTS, commit, machine
from scalinglens.errors import ScalingLensError
from scalinglens.runs.published import read_published

LOSSES = ("huber", "squares")


@dataclass(frozen=True)
class Candidate:
    """One way to forecast: a law, the training rows it sees, and whether each group has a fit of its own."""

    form: str
    law: str
    rows: str = ""  # filter on the training rows
    by: str = ""  # column whose values are fitted one by one


@dataclass(frozen=True)
class Task:
    """What is forecast from what.

    Attributes:
        name, split: in words.
        frame: all rows, with the inputs of the laws and `loss`.
        folds: filters of (training part, what it forecasts); the last is the task, the others lie inside its training part.
        candidates: what is tried.
        shared: value of `by` whose rows belong to every group, and are forecast by the mean of their logarithms.
        losses: of the fits.
    """

    name: str
    split: str
    frame: pd.DataFrame
    folds: tuple[tuple[str, str], ...]
    candidates: tuple[Candidate, ...]
    shared: str = ""
    losses: tuple[str, ...] = LOSSES


# ---- the tasks --------------------------------------------------------------------------------------------------------


def mixture_of_experts() -> Task:
    """Largest of six sizes from the others: 28 of 223 runs, the split of the benchmark itself."""
    runs = read_published("routed-lm/curves.csv.gz").frame
    last = runs.sort_values("steps", kind="stable").groupby("run").tail(1)
    frame = last[["params_dense", "experts", "loss", "router_type", "k", "routing_frequency"]].reset_index(drop=True)
    saturated = "(1/(1/(experts - 1 + 1/(1/Es - 1/Em)) + 1/Em))"
    size, where = "(params_dense/1e8)", " where Es in [1.01, 20], Em in [20, 1e5]"
    clark = f"exp(-a*log({size}) - b*log({saturated}) + c*log({size})*log({saturated}) + d)"
    forms = {
        "clark2022": f"{clark}{where}, c real, d real",
        "clark2022 with a floor": f"E + {clark}{where}, c real, d real",
        "effective parameters": f"E + A*({size}*{saturated}^b)^(-a){where}",
        "effective parameters, unsaturated": f"E + A*({size}*experts^b)^(-a)",
        "two terms": f"E + A*{size}^(-a) + B*{size}^(-c)*{saturated}^(-b){where}",
        "term of experts": f"E + A*{size}^(-a)*{saturated}^(-b) + B*{saturated}^(-w){where}",
    }
    regular = "k == 1 and routing_frequency == 0.5"
    return Task(
        "mixture of experts",
        "params_dense > 1e9 from the five smaller sizes; all routers in one R2",
        frame,
        (
            ("params_dense < 1e8", f"params_dense > 1e8 and params_dense < 2e8 and {regular}"),
            ("params_dense < 2e8", f"params_dense > 2e8 and params_dense < 1e9 and {regular}"),
            ("params_dense < 1e9", "params_dense > 1e9"),
        ),
        tuple(
            Candidate(form, law, rows, by)
            for form, law in forms.items()
            for rows in ("", regular)
            for by in ("", "router_type")
        ),
        shared="Dense",
    )


DATA_FORMS = {
    "hoffmann2022": "hoffmann2022",
    "muennighoff2023": "muennighoff2023",
    "muennighoff2023, data only": "E + A/params^alpha + "
    "B/(tokens_unique*(1 + RD*(1 - exp(-(tokens/tokens_unique - 1)/RD))))^beta",
    "three power laws": "E + A/params^alpha + B/tokens^beta + C/tokens_unique^gam",
    "lovelace2026.one": "lovelace2026.one",
    "lovelace2026.two": "lovelace2026.two",
    "lovelace2026.four": "lovelace2026.four",
    "bryant2026.saturating": "bryant2026.saturating",
    "bryant2026.sum": "bryant2026.sum",
    "bryant2026.ratio": "bryant2026.ratio",
}


def _data_constrained(name: str, split: str, column: str, edges: tuple[float, ...]) -> Task:
    frame = read_published("datablations/runs_182_published_fit.csv").frame
    frame = frame.assign(per_parameter=frame["tokens"] / frame["params"])
    folds = [
        (
            f"{column} < {edge!r}",
            f"{column} >= {edge!r}" + (f" and {column} < {edges[-1]!r}" if edge != edges[-1] else ""),
        )
        for edge in edges
    ]
    return Task(name, split, frame, tuple(folds), tuple(Candidate(form, law) for form, law in DATA_FORMS.items()))


def data_constrained_tokens() -> Task:
    return _data_constrained(
        "data-constrained, tokens", "tokens >= 1.74e11 (156/26)", "tokens", (4e10, 8e10, 1.74e11)
    )  # fmt: skip


def data_constrained_unique() -> Task:
    return _data_constrained(
        "data-constrained, unique tokens", "tokens_unique >= 2.05e10 (161/21)", "tokens_unique", (4e9, 1e10, 2.05e10)
    )


def data_constrained_ratio() -> Task:
    runs = read_published("datablations/runs_182_published_fit.csv").frame
    largest = np.sort((runs["tokens"] / runs["params"]).to_numpy())[::-1]
    edges = tuple(float(largest[count - 1]) for count in (63, 42, 21))
    return _data_constrained(
        "data-constrained, tokens per parameter", "the 21 largest tokens / params (161/21)", "per_parameter", edges
    )


def parallel_streams() -> Task:
    frame = read_published("parscale/losses.csv").frame
    return Task(
        "parallel streams",
        "8 streams from 1 to 4, each corpus by itself (18/6 and 18/6)",
        frame,
        (("streams < 4", "streams == 4"), ("streams < 8", "streams == 8")),
        (
            Candidate("parscale2025", "parscale2025", by="dataset"),
            Candidate("no streams", "E + A/params_nonembedding^alpha", by="dataset"),
            Candidate("power of streams", "E + A/(params_nonembedding*streams^b)^alpha", by="dataset"),
        ),
    )


RATE_FORMS = {
    "diagonal": "({base})*exp(p*{x}^2 + q*{z}^2)",
    "quadratic": "({base})*exp(p*{x}^2 + q*{z}^2 + r*{x}*{z})",
    "cubic": "({base})*exp(p*{x}^2 + q*{z}^2 + r*{x}*{z} + s*{x}^3)",
    "cubic, batch with size": "({base})*exp(p*{x}^2 + q*{w}^2 + r*{x}*{w} + s*{x}^3)",
    "added cubic": "{base} + p*{x}^2 + q*{z}^2 + r*{x}*{z} + s*{x}^3",
    "added cubic with a floor": "E + {base} + p*{x}^2 + q*{z}^2 + r*{x}*{z} + s*{x}^3",
    "exponential walls": "({base})*exp(p*(exp(s*{x}) - 1 - s*{x}) + q*{z}^2 + r*{x}*{z})",
}


def _rate_laws() -> dict[str, str]:
    size, tokens = "log(params/5e8)", "log(tokens/2e10)"
    rate, batch = "log(learning_rate/1e-3)", "log(batch_tokens/5e5)"
    parts = {
        "base": "A*(params/5e8)^(-a) + B*(tokens/2e10)^(-b)",
        "x": f"({rate} - l0 - l1*{size} - l2*{tokens})",
        "z": f"({batch} - b0 - b1*{tokens})",
        "w": f"({batch} - b0 - b1*{tokens} - b2*{size})",
    }
    laws = {}
    for form, text in RATE_FORMS.items():
        formula = text.format(**parts)
        signed = [n for n in ("r", "s", "l0", "l1", "l2", "b0", "b1", "b2") if n in sl.law(formula).parameters]
        laws[form] = f"{formula} where {', '.join(f'{name} real' for name in signed)}"
    return laws


def _rates(name: str, split: str, also: str, forms: tuple[str, ...]) -> Task:
    frame = read_published("steplaw/dense_lr_bs_loss.csv").frame
    frame = frame[["params", "tokens", "learning_rate", "batch_tokens", "loss"]]
    laws = _rate_laws()
    return Task(
        name,
        split,
        frame if not also else frame.query(also).reset_index(drop=True),
        (
            ("params < 4e8", "params > 4e8 and params < 5e8"),
            ("params < 5e8", "params > 5e8 and params < 1e9"),
            ("params < 1e9", "params > 1e9"),
        ),
        tuple(Candidate(form, laws[form]) for form in forms),
    )


def learning_rate_and_batch() -> Task:
    return _rates(
        "learning rate and batch, filtered", "params 1.07e9 from four smaller sizes, learning rates up to 4e-3 on both sides",
        "learning_rate <= 4e-3", tuple(RATE_FORMS),
    )  # fmt: skip


def learning_rate_and_batch_all() -> Task:
    return _rates(
        "learning rate and batch, all rows", "params 1.07e9 from four smaller sizes, every row", "",
        ("quadratic", "cubic", "cubic, batch with size"),
    )  # fmt: skip


TASKS: dict[str, Callable[[], Task]] = {
    "moe": mixture_of_experts,
    "data_tokens": data_constrained_tokens,
    "data_unique": data_constrained_unique,
    "data_ratio": data_constrained_ratio,
    "streams": parallel_streams,
    "rates": learning_rate_and_batch,
    "rates_all": learning_rate_and_batch_all,
}


# ---- forecasts and scores ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Forecasted:
    """What one candidate forecast from one origin: R2 and mean relative error on the raw loss, and what its fits say."""

    r2: float
    are: float
    statuses: tuple[str, ...]
    starts: str


def forecast(task: Task, candidate: Candidate, loss: str, fold: tuple[str, str]) -> Forecasted:
    """Fit a candidate on the training part of a fold and score its forecast of the rest.

    With `by`, each group is fitted by itself; R2 is then over all rows of one target, and the least of the groups for tables
    that hold several corpora, whose losses have nothing to do with each other.
    """
    train, test = task.frame.query(fold[0]), task.frame.query(fold[1])
    if candidate.rows:
        train = train.query(candidate.rows)
    predicted, fits = pd.Series(np.nan, index=test.index), []
    shared: list[np.ndarray] = []
    for rows, ahead in _groups(task, candidate, train, test):
        fit = sl.fit(_numbers(rows), candidate.law, loss=loss)
        fits.append(fit)
        everything = fit.predict(_numbers(test))[fit.target].to_numpy()
        predicted[ahead] = everything[ahead.to_numpy()]
        shared.append(np.log(everything))
    if task.shared and candidate.by:
        of_all = (test[candidate.by] == task.shared).to_numpy()
        predicted[of_all] = np.exp(np.mean(shared, axis=0))[of_all]
    observed = test["loss"]
    parts = [observed.index]
    if candidate.by and not task.shared:
        parts = [part.index for _, part in test.groupby(candidate.by)]
    scores = [r_squared(observed[part].to_numpy(), predicted[part].to_numpy()) for part in parts]
    return Forecasted(
        r2=min(scores),
        are=float(np.mean(np.abs(predicted / observed - 1))),
        statuses=tuple(fit.status for fit in fits),
        starts=", ".join(f"{fit.certificate.starts_agree} of {fit.certificate.starts}" for fit in fits),
    )


def r_squared(observed: np.ndarray, predicted: np.ndarray) -> float:
    """1 - SSE / SST on the raw values."""
    return float(1 - np.sum((predicted - observed) ** 2) / np.sum((observed - observed.mean()) ** 2))


def _groups(
    task: Task, candidate: Candidate, train: pd.DataFrame, test: pd.DataFrame
) -> Iterator[tuple[pd.DataFrame, pd.Series]]:
    """Training rows of each group, and which test rows are its own."""
    if not candidate.by:
        yield train, pd.Series(True, index=test.index)
        return
    for value in sorted(set(test[candidate.by]) - {task.shared}):
        of_all = train[candidate.by] == task.shared
        if "k" in train:
            of_all &= train["k"] == 1  # a dense model with k > 1 is wider than its count says
        yield train[(train[candidate.by] == value) | of_all], test[candidate.by] == value


def _numbers(rows: pd.DataFrame) -> Any:
    return sl.read_runs(rows.select_dtypes("number").reset_index(drop=True))


def evaluate(task: Task) -> dict[str, Any]:
    """Try every candidate of a task, choose by what is inside its training part, and score the choice."""
    tried = []
    for candidate in task.candidates:
        for loss in task.losses:
            entry: dict[str, Any] = {
                "form": candidate.form, "law": candidate.law, "rows": candidate.rows or "all", "by": candidate.by or "one fit",
                "loss": loss,
            }  # fmt: skip
            try:
                found = [forecast(task, candidate, loss, fold) for fold in task.folds]
            except ScalingLensError as problem:
                tried.append({**entry, "failed": str(problem), "certified": False})
                continue
            *origins, test = found
            entry |= {
                "origins": [one.r2 for one in origins],
                "origin_statuses": [" ".join(one.statuses) for one in origins],
                "evidence": float(np.mean([one.r2 for one in origins])),
                "statuses": " ".join(test.statuses),
                "starts_agree": test.starts,
                "certified": all(status == "certified" for one in found for status in one.statuses),
                "test_r2": test.r2,
                "test_are": test.are,
            }
            tried.append(entry)
            print(
                f"  {candidate.form:<34}{entry['rows'][:8]:<9}{entry['by'][:8]:<9}{loss:<8} inside {entry['evidence']:8.4f}"
                f"  test {test.r2:8.4f}  {'certified' if entry['certified'] else entry['statuses']}",
                file=sys.stderr,
                flush=True,
            )
    certified = [entry for entry in tried if entry["certified"]]
    best = lambda entries: max(entries, key=lambda entry: entry["evidence"], default=None)  # noqa: E731
    test = task.frame.query(task.folds[-1][1])
    train = task.frame.query(task.folds[-1][0])
    return {
        "name": task.name, "split": task.split, "train": len(train), "test": len(test),
        "chosen": best([entry for entry in certified if entry["loss"] == "huber"]),
        "chosen_with_loss": best(certified),
        "candidates": tried,
    }  # fmt: skip


def main() -> None:
    os.environ.setdefault("SCALINGLENS_DATA", str(Path(__file__).parents[2] / "shared" / "data"))
    names = sys.argv[1:] or list(TASKS)
    for name in names:
        if name not in TASKS:
            raise SystemExit(f'there is no task "{name}"; known are {", ".join(TASKS)}')
    place = RESULTS / "extrapolation.json"
    before = json.loads(place.read_text())["tasks"] if place.exists() else {}
    for name in names:
        print(name, file=sys.stderr)
        before[name] = evaluate(TASKS[name]())
    outcome = {"suite": "extrapolation", "tasks": {n: before[n] for n in TASKS if n in before}}
    RESULTS.mkdir(exist_ok=True)
    place.write_text(json.dumps({**outcome, "commit": commit(), "machine": machine()}, indent=1) + "\n")
    print(
        f"{'task':<42}{'train':>6}{'test':>6}  {'chosen by the default rule':<30}{'R2':>8}  {'with loss':<36}{'R2':>8}"
    )
    for task in outcome["tasks"].values():
        first, second = task["chosen"], task["chosen_with_loss"]
        says = f"{second['form']}, {second['loss']}" if second else "none certified"
        print(
            f"{task['name']:<42}{task['train']:>6}{task['test']:>6}  {first['form'] if first else 'none certified':<30}"
            f"{first['test_r2'] if first else np.nan:>8.4f}  {says:<36}{second['test_r2'] if second else np.nan:>8.4f}"
        )


if __name__ == "__main__":
    main()
