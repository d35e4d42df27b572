"""The decisions of the design study: made-up worlds and public tables, each a table to choose from, a target and the truth.

A table holds runs with their cost; the target lies beyond all of them, and its loss is seen by nobody. Every case starts from
the prior of published laws with a bend about the target whose size is not known (`doubted`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.worlds import _truth
from scalinglens.laws.catalogue import law as find_law
from scalinglens.plan.cost import cost
from scalinglens.plan.design.belief import Belief, normal_belief, plain_noise
from scalinglens.plan.design.bend import Bend
from scalinglens.plan.design.candidates import RATIOS
from scalinglens.plan.design.decision import Question, decide
from scalinglens.plan.design.mixture import doubted
from scalinglens.plan.design.prior import published_belief

__all__ = ["GOALS", "KINDS", "TABLES", "Case", "world"]

KINDS = ("homoscedastic", "growing", "coupled", "curved", "broken")  # the first two follow the law that is fitted
GOALS = ("loss", "size")
BEND = 0.01  # the middle of the sizes that the bend may have
DATA = Path(os.environ.get("SCALINGLENS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
LAW = find_law("hoffmann2022")
FLOPS = cost("6*params*tokens")


@dataclass(frozen=True)
class Case:
    """A table to choose from, a decision, and the truth about it.

    Attributes:
        name: of the experiment.
        cluster: cases of one cluster share runs at the target, or the runs to choose from, and are not independent.
        frame: the runs with their cost.
        loss: of the runs.
        prior: what is known before, one belief for each size of the bend.
        question: the decision.
        truth: ln loss, or ln N*.
    """

    name: str
    cluster: str
    frame: pd.DataFrame
    loss: np.ndarray
    prior: Sequence[Belief]
    question: Question
    truth: float


def world(number: int) -> list[Case]:
    """Both decisions about one world: its truth, a grid of sizes and ratios, and noise; the target has ten times the largest
    compute, at the size that the prior holds for best."""
    kind = KINDS[number % len(KINDS)]
    rng = np.random.default_rng([number, 17])
    truth = _truth(kind, rng)
    sizes = np.geomspace(5e7, 2e9, 10)
    ratio = np.geomspace(2.0, 200.0, 7) * 10 ** rng.uniform(-0.2, 0.2)
    params, ratios = (a.ravel() for a in np.meshgrid(sizes, ratio, indexing="ij"))
    frame = pd.DataFrame({"params": params, "tokens": params * ratios})
    frame["cost"] = 6 * frame["params"] * frame["tokens"]
    mean = truth(params, params * ratios)
    noise, growth = 10 ** rng.uniform(-2.7, -2.0), rng.uniform(2, 5) if kind == "growing" else 0.0
    sd = noise * (mean / np.exp(np.mean(np.log(mean)))) ** growth
    loss = mean * np.exp(sd * np.random.default_rng([number, 0, 5]).normal(size=len(mean)))
    budget = 10 * float(frame["cost"].max())
    grid = np.geomspace(1e8, 1e13, 4001)
    best = grid[np.argmin(truth(grid, budget / 6 / grid))]
    base = published_belief(LAW, None, count=400, seed=number)
    point = _optimum(base, budget)
    prior = doubted(base, Bend(BEND, point))
    right = float(np.log(truth(np.array([point["params"]]), np.array([point["tokens"]]))[0]))
    name = f"{kind}/{number}"
    return [
        Case(name, name, frame, loss, prior, Question("loss", point, None, FLOPS), right),
        Case(name, name, frame, loss, prior, Question("size", {}, budget, FLOPS), float(np.log(best))),
    ]


def _optimum(belief: Belief, budget: float) -> dict[str, float]:
    """Size and data that a belief holds for best."""
    size = float(np.exp(decide(belief, belief.best[None], Question("size", {}, budget, FLOPS)).best))
    return {"params": size, "tokens": budget / 6 / size}


SWEEP = ["dataset", "hparams", "warmup", "decay"]
COUNTED = ["param_count", "loss_type"]  # two ways to count and to measure the same runs


def porian() -> list[Case]:
    """Fifteen sets of isoFLOP points. Each of the three largest budgets is ahead in turn, with the one below it; targets are the
    best two runs of a budget."""
    found = []
    for name, budgets, part in _porian_sets():
        for at in (-1, -2, -3):
            known = _porian_known(part, budgets, at)
            for place, target in part[part["flops"] == budgets[at]].nsmallest(2, "loss").reset_index().iterrows():
                found.append(_case(f"{'/'.join(name)}/{at}/{place}", "/".join(name[:4]), known, target))
    return found


def porian_size() -> list[Case]:
    """The same tables; the best size at a budget ahead, as its authors interpolated it there."""
    pairs = pd.read_csv(DATA / "porian-resolving/published_optimal_pairs.csv")
    base = published_belief(LAW, None, count=400, seed=1)
    found = []
    for name, budgets, part in _porian_sets():
        for at in (-1, -2, -3):
            same = (pairs[[*SWEEP, *COUNTED]] == list(name)).all(axis=1) & np.isclose(pairs["flops"], budgets[at])
            if not same.any():
                continue
            known = _porian_known(part, budgets, at)
            budget = float(budgets[at])
            prior = doubted(base, Bend(BEND, _optimum(base, budget)))
            columns, ask = known[["params", "tokens", "cost"]].astype(float), Question("size", {}, budget, FLOPS)
            truth = float(np.log(pairs.loc[same, "n"].iloc[0]))
            loss = known["loss"].to_numpy(float)
            found.append(Case(f"{'/'.join(name)}/{at}", "/".join(name[:4]), columns, loss, prior, ask, truth))
    return found


def _porian_sets() -> list[tuple[tuple[str, ...], np.ndarray, pd.DataFrame]]:
    table = pd.read_csv(DATA / "porian-resolving/isoflop_points.csv").rename(columns={"n": "params", "t": "tokens"})
    return [(name, np.unique(part["flops"]), part) for name, part in table.groupby([*SWEEP, *COUNTED])]  # type: ignore[misc]


def _porian_known(part: pd.DataFrame, budgets: np.ndarray, at: int) -> pd.DataFrame:
    known = sane(part[part["flops"] <= budgets[at - 2]])
    return known.assign(cost=known["flops"])


def sane(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in the range of the default grid of `design`: a rule that needs no loss."""
    ratio = table["tokens"] / table["params"]
    return table[(ratio >= RATIOS[0]) & (ratio <= RATIOS[1])].reset_index(drop=True)


def gemstones() -> list[Case]:
    """Three tables; runs above a quarter, or a sixteenth, of the largest compute are ahead, and targets are the largest runs of
    the models that reach beyond."""
    found = []
    for name in ("cool_end", "cool_begin", "hot"):
        table = pd.read_json(DATA / f"gemstones/fit_{name}.jsonl", lines=True)
        table = table.rename(columns={"params_active_precise": "params", "final_loss": "loss"})
        table["cost"] = 6.0 * table["params"].astype(float) * table["tokens"]
        for part in (4, 16):
            known = table[table["cost"] <= table["cost"].max() / part].reset_index(drop=True)
            known["group"] = known["run_name"]  # checkpoints of a model share what its shape does to the loss
            last = table.loc[table.groupby("run_name")["cost"].idxmax()]
            for _, target in last[last["cost"] > table["cost"].max() / part].iterrows():
                label = f"{name}/{part}/{target['run_name']}"
                found.append(_case(label, str(target["run_name"]), known, target))
    return found


STEPLAW = (
    "E + A/params^alpha + B/tokens^beta"
    " + K*(log(learning_rate) - c + g*log(params/1e9) - h*log(tokens/2e10))^2"
    " + M*(log(batch_tokens) - p - q*log(tokens/2e10))^2 where c real, g real, h real, p real, q real"
)
HYPER = {  # what one would guess without these runs: value and standard deviation of the coordinate
    "K": (0.02, 1.0),
    "c": (-6.9, 1.0),
    "g": (0.5, 0.3),
    "h": (0.2, 0.3),
    "M": (0.01, 1.0),
    "p": (13.1, 1.0),
    "q": (0.5, 0.3),
}


def steplaw() -> list[Case]:
    """Dense runs over learning rate and batch; one law for all four inputs. The best run of each of the nine dearest cells of
    size and data is a target; cells above a half, or a quarter, of its compute are ahead. Runs more than 5% above the best of
    their cell are left out: no parabola holds there. The loss is the smoothed one, as its authors use it."""
    return _steplaw("smooth loss")


def steplaw_last() -> list[Case]:
    """The same with the loss of the last step, which scatters by three percent from cell to cell, alike for runs of a cell."""
    return _steplaw("loss")


def _steplaw(column: str) -> list[Case]:
    table = pd.read_csv(DATA / "steplaw/dense_lr_bs_loss.csv")
    table = table.rename(columns={"N": "params", "D": "tokens", "lr": "learning_rate"})
    table["loss"] = table[column]
    table["batch_tokens"] = 2048.0 * table["bs"]
    table["cost"] = 6.0 * table["params"].astype(float) * table["tokens"]
    best = table.loc[table.groupby(["params", "tokens"])["loss"].idxmin()].nlargest(9, "cost")
    table = table[table["loss"] <= 1.05 * table.groupby(["params", "tokens"])["loss"].transform("min")]
    base, found = _steplaw_prior(find_law(STEPLAW)), []
    for part in (2, 4):
        for _, target in best.iterrows():
            known = table[table["cost"] <= target["cost"] / part].reset_index(drop=True)
            cell = f"{target['params']:.3g}/{target['tokens']:.3g}"
            found.append(_case(f"{cell}/{part}", cell, known, target, base))
    return found


def _steplaw_prior(law: Any) -> Belief:
    base = published_belief(LAW, None, count=400, seed=1)
    names = list(law.parameters)
    best, covariance = np.zeros(len(names)), np.zeros((len(names), len(names)))
    own = [names.index(n) for n in LAW.parameters]
    best[own] = base.best
    covariance[np.ix_(own, own)] = base.covariance
    for name, (value, sd) in HYPER.items():
        i = names.index(name)
        best[i] = np.log(value) if law.coordinates[name] == "log" else value
        covariance[i, i] = sd**2
    return normal_belief(law, best, covariance, plain_noise(0.005), 400, 1, prior=True)


def _case(name: str, cluster: str, known: pd.DataFrame, target: pd.Series, base: Belief | None = None) -> Case:
    base = published_belief(LAW, None, count=400, seed=1) if base is None else base
    point = {name: float(target[name]) for name in base.law.inputs}
    columns = known[[*base.law.inputs, "cost"]].astype(float)
    if "group" in known:
        columns["group"] = known["group"]
        base = replace(base, noise=replace(base.noise, scale=0.01, shared=0.7), groups="group")
    question = Question("loss", point, None, FLOPS)
    prior = doubted(base, Bend(BEND, {name: point[name] for name in ("params", "tokens")}))
    return Case(name, cluster, columns, known["loss"].to_numpy(float), prior, question, float(np.log(target["loss"])))


TABLES = {
    "porian": porian,
    "porian_size": porian_size,
    "gemstones": gemstones,
    "steplaw": steplaw,
    "steplaw_last": steplaw_last,
}
