"""Do designed runs settle a decision at a part of the compute? Designed, random, largest first, cheapest first, at equal cost.

    python -m benchmarks.design [WORLDS]

One protocol for made-up worlds and public tables. A table holds runs with their cost; the target lies beyond all of them. Every
arm buys runs of that table up to a share of its total cost; every arm, and the full table, is then read by one and the same
estimator (the prior from published laws brought up to date, `adapted`), which is defined for any number of runs. The
designed arm sees the losses of the runs it has bought and nothing else, and buys in two stages: from the prior a first ladder,
then the rest of its share with what is known by then. The error is that of the decision at the target: of ln loss, or of
ln N*; on public tables against the run measured there, which none of the arms may see.

`share` is the smallest share at which the error of an arm is at most 1.1 times that of the full table (1 where none is):
per world over replicates of the noise, per public experiment on the one table there is. Results: benchmarks/results/design.json.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.__main__ import RESULTS, commit, machine
from benchmarks.worlds import _truth
from scalinglens.laws.catalogue import law as find_law
from scalinglens.numerics.processes import parallel_map
from scalinglens.plan.cost import cost
from scalinglens.plan.design.belief import Belief, adapted, normal_belief, plain_noise
from scalinglens.plan.design.bend import Bend
from scalinglens.plan.design.candidates import RATIOS
from scalinglens.plan.design.decision import Question, decide
from scalinglens.plan.design.ladder import first_ladder
from scalinglens.plan.design.prior import published_belief
from scalinglens.plan.design.problem import pose
from scalinglens.plan.design.search import search

WORLDS = 200
KINDS = ("homoscedastic", "growing", "coupled", "curved", "broken")  # the first two follow the law that is fitted
SHARES = (0.05, 0.10, 0.15, 0.30)
STAGES = (0.15, 1.0)  # parts of the budget after which the designed arm looks again
DEPARTURE: float | None = None
BEND = 0.02
REPLICATES = 2
RANDOM = 3
DRAWS = 24
CLOSE = 1.1
DATA = Path(os.environ.get("SCALINGLENS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
LAW = find_law("hoffmann2022")
FLOPS = cost("6*params*tokens")


@dataclass(frozen=True)
class Case:
    """A table to choose from, a decision, and the truth about it."""

    frame: pd.DataFrame
    loss: np.ndarray
    prior: Belief
    question: Question
    truth: float


def error(case: Case, rows: Sequence[int]) -> float:
    """Error of the decision from some rows of the table."""
    rows = list(rows)
    columns = {name: case.frame[name].to_numpy()[rows] for name in case.prior.law.inputs}
    known = adapted(case.prior, columns, case.loss[rows]) if rows else case.prior
    if case.question.goal == "loss" and case.question.budget is None:
        point = {name: np.array([case.question.point[name]]) for name in known.law.inputs}
        value = float(known.slopes(known.best[None], point)[0][0, 0])
    else:
        value = decide(known, known.best[None], case.question).best
    return abs(value - case.truth)


def designed(case: Case, share: float, seed: int) -> list[int]:
    """Rows bought by the designed arm: a first ladder, and the rest with what is known by then."""
    bought: list[int] = []
    for stage, part in enumerate(STAGES):
        bought = bought + _more(case, bought, part * share, seed + stage)
    return bought


def _more(case: Case, bought: list[int], share: float, seed: int) -> list[int]:
    """Rows to buy next, up to a share of the total cost."""
    frame = case.frame
    price = frame["cost"].to_numpy()
    left = share * price.sum() - price[bought].sum()
    belief = case.prior
    if bought:
        columns = {name: frame[name].to_numpy()[bought] for name in belief.law.inputs}
        belief = adapted(belief, columns, case.loss[bought], seed=seed)
    free = np.setdiff1d(np.flatnonzero(price <= left), bought)
    if not len(free):
        return []
    some = frame.iloc[free].reset_index(drop=True)
    posed = pose((belief,), case.question, some, None, departure=DEPARTURE, draws=DRAWS, seed=seed)
    forced = first_ladder(some, "params", "tokens", left) if not bought else []
    state = search(posed.problem, left, copies=1, most=400, forced=forced, exchange=False)
    return [int(free[i]) for i in state.chosen]


def filled(cost_of: np.ndarray, order: np.ndarray, budget: float) -> list[int]:
    """Rows in an order, each taken if it still fits."""
    taken, left = [], budget
    for row in order:
        if cost_of[row] <= left:
            taken.append(int(row))
            left -= cost_of[row]
    return taken


def arms(case: Case, seed: int, shares: Sequence[float] | None = None) -> dict[str, Any]:
    """Errors of all arms at all shares, and that of the full table."""
    shares = SHARES if shares is None else shares
    rng = np.random.default_rng([seed, 3])
    price = case.frame["cost"].to_numpy()
    shuffled = rng.permutation(len(price))  # ties of equal cost are broken by chance, not by the order of the file
    descending = shuffled[np.argsort(-price[shuffled], kind="stable")]
    ascending = shuffled[np.argsort(price[shuffled], kind="stable")]
    rows = [designed(case, share, seed) for share in shares]
    orders = [rng.permutation(len(price)) for _ in range(RANDOM)]
    out: dict[str, Any] = {"full": error(case, range(len(price))), "prior": error(case, [])}
    out["designed"] = [error(case, part) for part in rows]
    out["runs"] = [len(part) for part in rows]
    out["random"] = [[error(case, filled(price, o, s * price.sum())) for o in orders] for s in shares]
    out["largest"] = [error(case, filled(price, descending, s * price.sum())) for s in shares]
    out["cheapest"] = [error(case, filled(price, ascending, s * price.sum())) for s in shares]
    return out


# ---- made-up worlds ---------------------------------------------------------------------------------------------------


def world(number: int, goal: str) -> dict[str, Any]:
    """All replicates of one world: the same truth and grid, new noise."""
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
    budget = 10 * frame["cost"].max()
    grid = np.geomspace(1e8, 1e13, 4001)
    best = grid[np.argmin(truth(grid, budget / 6 / grid))]
    if goal == "loss":
        question = Question("loss", {"params": best, "tokens": budget / 6 / best}, None, FLOPS)
        right = float(np.log(truth(np.array([best]), np.array([budget / 6 / best]))[0]))
    else:
        question, right = Question("size", {}, float(budget), FLOPS), float(np.log(best))
    prior = _bent(published_belief(LAW, None, count=400, seed=number), {"params": best, "tokens": budget / 6 / best})
    results = []
    for replicate in range(REPLICATES):
        sd = noise * (mean / np.exp(np.mean(np.log(mean)))) ** growth
        loss = mean * np.exp(sd * np.random.default_rng([number, replicate, 5]).normal(size=len(mean)))
        results.append(arms(Case(frame, loss, prior, question, right), 100 * number + replicate))
    return {"kind": kind, "results": results}


# ---- public tables ----------------------------------------------------------------------------------------------------


def porian() -> list[tuple[str, Case]]:
    """Fifteen sets of isoFLOP points; the two largest budgets are ahead, the target is the best run of the largest."""
    table = pd.read_csv(DATA / "porian-resolving/isoflop_points.csv").rename(columns={"n": "params", "t": "tokens"})
    found = []
    keys = ["dataset", "hparams", "warmup", "decay", "param_count", "loss_type"]
    for name, part in table.groupby(keys):
        budgets = np.unique(part["flops"])
        ahead = part[part["flops"] == budgets[-1]]
        best = ahead.loc[ahead["loss"].idxmin()]
        known = _sane(part[part["flops"] <= budgets[-3]])
        found.append(("/".join(map(str, name)), _case(known.assign(cost=known["flops"]), best)))
    return found


def _sane(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in the range of the default grid of `design`: a rule that needs no loss."""
    ratio = table["tokens"] / table["params"]
    return table[(ratio >= RATIOS[0]) & (ratio <= RATIOS[1])].reset_index(drop=True)


def gemstones() -> list[tuple[str, Case]]:
    """Three tables; runs above a quarter of the largest compute are ahead, and each of the ten largest is a target."""
    found = []
    for name in ("cool_end", "cool_begin", "hot"):
        table = pd.read_json(DATA / f"gemstones/fit_{name}.jsonl", lines=True)
        table = table.rename(columns={"params_active_precise": "params", "final_loss": "loss"})
        table["cost"] = 6.0 * table["params"].astype(float) * table["tokens"]
        known = table[table["cost"] <= table["cost"].max() / 4].reset_index(drop=True)
        known["group"] = known["run_name"]  # checkpoints of a model share what its shape does to the loss
        for _, target in table.nlargest(10, "cost").iterrows():
            found.append((f"{name}/{target['run_name']}/{target['tokens']:.3g}", _case(known, target)))
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


def steplaw() -> list[tuple[str, Case]]:
    """Dense runs over learning rate and batch; one law for all four inputs; the best run of each of the five dearest cells is a
    target, and cells of half its compute or more are ahead. Runs more than 5% above the best of their cell are left out:
    no parabola holds there."""
    table = pd.read_csv(DATA / "steplaw/dense_lr_bs_loss.csv")
    table = table.rename(columns={"N": "params", "D": "tokens", "lr": "learning_rate"})
    table["batch_tokens"] = 2048.0 * table["bs"]
    table["cost"] = 6.0 * table["params"].astype(float) * table["tokens"]
    table = table[table["loss"] <= 1.05 * table.groupby(["params", "tokens"])["loss"].transform("min")]
    law = find_law(STEPLAW)
    prior = _steplaw_prior(law)
    found = []
    for price in np.sort(table["cost"].unique())[::-1][:5]:
        ahead = table[table["cost"] == price]
        best = ahead.loc[ahead["loss"].idxmin()]
        known = table[table["cost"] <= price / 2].reset_index(drop=True)
        found.append((f"{best['params']:.3g}/{best['tokens']:.3g}", _case(known, best, prior)))
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


def _bent(belief: Belief, centre: dict[str, float]) -> Belief:
    return belief.bent(Bend(BEND, centre))


def _case(known: pd.DataFrame, target: pd.Series, prior: Belief | None = None) -> Case:
    prior = published_belief(LAW, None, count=400, seed=1) if prior is None else prior
    point = {name: float(target[name]) for name in prior.law.inputs}
    columns = known[[*prior.law.inputs, "cost"]].astype(float)
    if "group" in known:
        columns["group"] = known["group"]
        prior = replace(prior, noise=replace(prior.noise, scale=0.01, shared=0.7), groups="group")
    question = Question("loss", point, None, FLOPS)
    prior = _bent(prior, {name: point[name] for name in ("params", "tokens")})
    return Case(columns, known["loss"].to_numpy(float), prior, question, float(np.log(target["loss"])))


# ---- what is reported -------------------------------------------------------------------------------------------------


def share_of(errors: np.ndarray, full: float, shares: Sequence[float] = SHARES) -> float:
    """The smallest share from which the error is close to that of the full table."""
    good = np.flatnonzero(errors <= CLOSE * full)
    return float(shares[good[0]]) if len(good) else 1.0


def quartiles(values: Any) -> list[float]:
    return [float(q) for q in np.quantile(np.asarray(values, dtype=float), [0.25, 0.5, 0.75])]


def summary(groups: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Groups of results that share a truth (replicates of a world; one result for a public experiment)."""
    rms = lambda values: float(np.sqrt(np.mean(np.square(values))))  # noqa: E731
    kinds = ("designed", "random", "largest", "cheapest")
    full = np.array([rms([r["full"] for r in group]) for group in groups])
    every = range(len(SHARES))
    # one array [experiments, shares] per arm; the orders of the random arm are arms of their own, because the root mean square
    # of several is larger than the typical one
    per = {
        kind: [np.array([[rms([r[kind][s] for r in group]) for s in every] for group in groups])]
        for kind in kinds
        if kind != "random"
    }
    per["random"] = [
        np.array([[rms([r["random"][s][o] for r in group]) for s in every] for group in groups]) for o in range(RANDOM)
    ]
    shares = {k: [share_of(e, f) for arm in per[k] for e, f in zip(arm, full, strict=True)] for k in kinds}
    at = SHARES.index(0.15)
    together = {kind: np.concatenate(per[kind]) for kind in kinds}
    spread = lambda e: [{"rms": rms(e[:, s]), "quartiles": quartiles(e[:, s])} for s in every]  # noqa: E731
    needed = lambda v: {"quartiles": quartiles(v), "within_15_percent": float(np.mean(np.array(v) <= 0.15))}  # noqa: E731
    mine = per["designed"][0]
    beaten = lambda e: [float(np.mean([mine[:, s] < arm[:, s] for arm in e])) for s in every]  # noqa: E731
    over = lambda e: [quartiles([arm[:, s] / full for arm in e]) for s in every]  # noqa: E731
    return {
        "experiments": len(groups),
        "shares": list(SHARES),
        "runs_designed": [float(np.median([r["runs"][s] for g in groups for r in g])) for s in every],
        "error_full": {"rms": rms(full), "quartiles": quartiles(full)},
        "error_prior": rms([r["prior"] for g in groups for r in g]),
        "error": {kind: spread(together[kind]) for kind in kinds},
        "error_over_full_quartiles": {kind: over(per[kind]) for kind in kinds},
        "share_needed": {kind: needed(v) for kind, v in shares.items()},
        "designed_beats": {kind: beaten(per[kind]) for kind in kinds[1:]},
        "at_15_percent": {kind: rms(together[kind][:, at]) / rms(full) for kind in kinds},
    }


def shown(part: dict[str, Any]) -> str:
    """What is printed while the study runs."""
    return json.dumps({k: part[k] for k in ("at_15_percent", "share_needed", "designed_beats")})


def main() -> None:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS
    started = time.time()
    outcome: dict[str, Any] = {"suite": "design", "worlds": {}, "tables": {}}
    for name, cases in (("porian", porian()), ("gemstones", gemstones()), ("steplaw", steplaw())):
        done = list(parallel_map(lambda k, cases=cases: arms(cases[k][1], k), range(len(cases))))
        each = {c[0]: {k: r[k] for k in ("full", "designed", "largest")} for c, r in zip(cases, done, strict=True)}
        outcome["tables"][name] = {**summary([[r] for r in done]), "each": each}
        print(name, round(time.time() - started), shown(outcome["tables"][name]), flush=True)
        write(outcome, started)
    for goal in ("loss", "size"):
        found = list(parallel_map(lambda k, goal=goal: world(k, goal), range(worlds)))
        for kinds, label in ((KINDS[:2], "law_right"), (KINDS[2:], "law_wrong"), (KINDS, "all")):
            part = summary([f["results"] for f in found if f["kind"] in kinds])
            outcome["worlds"][f"{goal}/{label}"] = part
            print(goal, label, round(time.time() - started), shown(part), flush=True)
        write(outcome, started)


def write(outcome: dict[str, Any], started: float) -> None:
    """Write what there is so far: the study takes an hour."""
    settings = {
        "replicates": REPLICATES,
        "random": RANDOM,
        "draws": DRAWS,
        "bend": BEND,
        "close": CLOSE,
        "stages": STAGES,
    }
    about = {"settings": settings, "seconds": time.time() - started, "commit": commit(), "machine": machine()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "design.json").write_text(json.dumps(outcome | about, indent=1) + "\n")


if __name__ == "__main__":
    main()
