"""The verb: what a design says must be what the runs would then give."""

from __future__ import annotations

import json
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from scalinglens.fit import fit
from scalinglens.fit.compare.pool import pool
from scalinglens.laws.catalogue import law
from scalinglens.plan.design import Design, design
from scalinglens.plan.design.belief import conditioned
from scalinglens.plan.design.prior import published_belief

TARGET = {"params": 2e10, "tokens": 4e11}
TRUTH = law("besiroglu2024")


def test_interval_before_is_that_of_the_fit(fitted: Any, grid: Any) -> None:
    found = design(fitted, target=TARGET, budget=1e21, candidates=grid, bend=0.0)
    known = fitted.predict(TARGET, noise=False)
    assert found.before.value == pytest.approx(known["loss"].item(), rel=1e-12)
    assert found.before.low is not None
    assert found.before.high is not None
    assert found.before.high - found.before.low == pytest.approx((known["high"] - known["low"]).item(), rel=0.25)
    assert found.after.low is not None
    assert found.after.low > found.before.low
    assert found.sd_after < found.sd_before


def test_doubt_about_the_law_widens_it(fitted: Any, grid: Any) -> None:
    sds = [
        design(fitted, target=TARGET, budget=1e21, candidates=grid, bend=bend).sd_before for bend in (0.0, 0.01, 0.03)
    ]
    assert sds[0] < sds[1] < sds[2]


def test_budget_cost_and_order(fitted: Any, grid: Any) -> None:
    found = design(fitted, target={"flops": 1e23}, budget=5e20, candidates=grid, batch=4, most=9)
    runs = found.runs
    assert found.cost <= 5e20 * (1 + 1e-8)
    np.testing.assert_allclose(runs["cost"], 6 * runs["params"] * runs["tokens"])
    np.testing.assert_allclose(runs["cumulative"], runs["cost"].cumsum())
    assert runs["left"].is_monotonic_decreasing
    assert runs["left"].iloc[-1] == pytest.approx(found.sd_after / found.sd_before)
    assert runs["batch"].tolist() == [1 + i // 4 for i in range(len(runs))]
    assert len(runs) <= 9


def test_more_budget_buys_a_narrower_interval(fitted: Any, grid: Any) -> None:
    sds = [design(fitted, target=TARGET, budget=b, candidates=grid).sd_after for b in np.geomspace(1e19, 1e22, 6)]
    assert all(b <= a * 1.01 for a, b in pairwise(sds)), sds
    assert sds[-1] < 0.9 * sds[0]


def test_runs_made_count_as_information(fitted: Any, grid: Any) -> None:
    first = design(fitted, target=TARGET, budget=1e21, candidates=grid, departure=0.0, bend=0.0)
    again = design(fitted, target=TARGET, budget=1e21, candidates=grid, departure=0.0, bend=0.0, made=first.runs)
    assert again.sd_before == pytest.approx(first.sd_after, rel=1e-6)
    assert again.sd_after < again.sd_before
    assert again.made == len(fitted.observed) + len(first)


def test_size_is_decided_by_other_runs_than_loss(fitted: Any) -> None:
    loss, size = (design(fitted, target={"flops": 1e23}, budget=1e20, goal=goal, most=10) for goal in ("loss", "size"))
    assert size.decision == "params"
    assert size.before.value == pytest.approx(
        (fitted.derived["G"].value) * (1e23 / 6) ** fitted.derived["a"].value, rel=1e-9
    )
    assert not loss.runs[["params", "tokens"]].equals(size.runs[["params", "tokens"]])


def test_a_difference_of_recipes(fitted: Any, other: Any, grid: Any) -> None:
    ask = {"target": TARGET, "budget": 1e21, "goal": "difference", "candidates": grid, "bend": 0.0}
    apart = design({"old": fitted, "new": other}, **ask)
    shared = design({"old": fitted, "new": other}, shared=["alpha", "A", "E"], **ask)
    exact = np.log(fitted.predict(TARGET)["loss"].item() / other.predict(TARGET)["loss"].item())
    assert apart.before.value == pytest.approx(exact, rel=1e-9)
    assert apart.before.value < 0  # the second has a larger data term
    assert shared.sd_before < apart.sd_before
    assert set(apart.runs["recipe"]) == {"old", "new"}


def test_shared_parameters_are_held_equal(fitted: Any, grid: Any) -> None:
    everything = list(fitted.law.parameters)
    found = design(
        (fitted, fitted), target=TARGET, budget=1e21, goal="difference", shared=everything, candidates=grid, bend=0.0
    )
    assert found.sd_before < 1e-5  # nothing is left to differ


def test_a_pool_adds_what_the_laws_disagree_about(grid: Any, made_up_runs: Any) -> None:
    runs = made_up_runs(2)
    members = [fit(runs, name, boot=100) for name in ("hoffmann2022", "A/params^alpha + B/tokens^beta")]
    both = pool(members)
    one = design(members[0], target=TARGET, budget=1e21, candidates=grid, bend=0.0)
    two = design(both, target=TARGET, budget=1e21, candidates=grid, bend=0.0)
    assert two.sd_before > one.sd_before
    assert two.sd_after < two.sd_before


def test_a_fit_that_is_not_identified_falls_back_on_published_laws() -> None:
    params = np.geomspace(1e8, 1e9, 7)
    runs = {"params": params, "tokens": 20 * params}  # on the diagonal
    runs["loss"] = TRUTH.value(None, runs) * np.exp(0.002 * np.random.default_rng(0).standard_normal(7))
    poor = fit(runs, "hoffmann2022", boot=50)
    assert poor.refusal
    found = design(poor, target={"flops": 1e22}, budget=1e20, most=8)
    assert any("published laws" in warning for warning in found.warnings)
    assert found.made == 7


def test_prior_and_runs_made(made_up_runs: Any) -> None:
    runs = {k: v[:6] for k, v in made_up_runs(3).items()}
    first = design("prior", target={"flops": 1e22}, budget=1e19, most=6)
    after = design("prior", target={"flops": 1e22}, budget=1e19, most=6, made=pd.DataFrame(runs))
    assert not after.first
    assert after.made == 6
    assert after.sd_before < first.sd_before


def test_expected_width_is_what_comes_true() -> None:
    """Worlds drawn from the prior: the error after the designed runs has the deviation that the design promised."""
    prior = published_belief(law("hoffmann2022"), None, count=400)
    grid = {"params": np.geomspace(3e7, 1e9, 6).tolist(), "tokens_per_param": [5.0, 20.0, 80.0, 320.0]}
    found = design(
        "prior", target={"params": 5e9, "tokens": 1e11}, budget=1e20, candidates=grid, bend=0.0, departure=0.0
    )
    columns = {name: np.asarray(found.runs[name], dtype=float) for name in ("params", "tokens")}
    at = {"params": np.array([5e9]), "tokens": np.array([1e11])}
    misses = []
    rng = np.random.default_rng(0)
    for u in prior.draws[:60]:
        exact, _ = prior.slopes(u[None], columns)
        loss = np.exp(exact[0] + 0.005 * rng.standard_normal(len(found)))
        known = conditioned(prior, columns, loss)
        misses.append(float(known.slopes(known.best[None], at)[0][0, 0] - prior.slopes(u[None], at)[0][0, 0]))
    spread = 1.4826 * np.median(np.abs(misses))
    assert 0.5 * found.sd_after < spread < 1.7 * found.sd_after


def test_wrong_runs_do_worse_at_the_same_cost() -> None:
    """Negative control: all of the budget in one corner, under a law that is known to be right."""
    target = {"params": 5e9, "tokens": 1e11}
    grid = {"params": np.geomspace(3e7, 1e9, 6).tolist(), "tokens_per_param": [5.0, 20.0, 80.0, 320.0]}
    good = design("prior", target=target, budget=2e19, candidates=grid, bend=0.0).runs
    corner = pd.DataFrame({"params": [3e7] * 40, "tokens": np.geomspace(1e9, 4e9, 40)})
    corner = corner[(6 * corner["params"] * corner["tokens"]).cumsum() <= good["cost"].sum()]
    prior = published_belief(law("hoffmann2022"), None)
    at = {name: np.array([value]) for name, value in target.items()}
    errors: dict[str, list[float]] = {"good": [], "corner": []}
    for seed in range(8):
        for name, runs in (("good", good), ("corner", corner)):
            columns = {n: np.asarray(runs[n], dtype=float) for n in ("params", "tokens")}
            noise = np.exp(0.004 * np.random.default_rng(seed).standard_normal(len(runs)))
            known = conditioned(prior, columns, TRUTH.value(None, columns) * noise)
            errors[name].append(float(known.slopes(known.best[None], at)[0][0, 0] - np.log(TRUTH.value(None, at)[0])))
    rms = {name: float(np.sqrt(np.mean(np.square(values)))) for name, values in errors.items()}
    assert rms["corner"] > 1.5 * rms["good"]  # measured: 2.0


def test_same_seed_same_runs(fitted: Any, grid: Any) -> None:
    one, two = (design(fitted, target=TARGET, budget=1e21, candidates=grid, seed=5) for _ in range(2))
    pd.testing.assert_frame_equal(one.runs, two.runs)
    assert one.runs["seed"].iloc[0] == 5


def test_copies_get_seeds_of_their_own(fitted: Any) -> None:
    grid = {"params": [1e8], "tokens_per_param": [20.0]}
    found = design(fitted, target=TARGET, budget=1e20, candidates=grid, copies=3)
    assert found.runs["seed"].tolist() == [0, 1, 2]


def test_a_table_with_its_own_cost_and_a_cost_formula(fitted: Any) -> None:
    rows = pd.DataFrame({"params": [1e8, 1e9, 4e9], "tokens": [2e9, 2e10, 8e10], "cost": [1.0, 2.0, 50.0]})
    found = design(fitted, target=TARGET, budget=10, candidates=rows)
    assert found.cost <= 10
    assert 4e9 not in found.runs["params"].tolist()
    dollars = design(
        fitted, target=TARGET, budget=100, candidates=rows.drop(columns="cost"), cost="dollars = 2e-18*6*params*tokens"
    )
    assert dollars.unit == "USD"
    assert dollars.cost == pytest.approx((2e-18 * 6 * dollars.runs["params"] * dollars.runs["tokens"]).sum())


def test_views(fitted: Any, grid: Any, tmp_path: Path) -> None:
    found = design(fitted, target={"flops": 1e23}, budget=1e21, candidates=grid, batch=5)
    assert isinstance(found, Design)
    again = json.loads(json.dumps(found.to_dict()))
    assert again["schema"] == 1
    assert len(again["runs"]) == len(found) == len(found.to_frame())
    assert again["after"]["low"] > again["before"]["low"]
    path = tmp_path / "sweep.toml"
    sweep = tomllib.loads(found.to_toml(path))
    assert sweep == tomllib.loads(path.read_text())
    assert len(sweep["run"]) == len(found)
    for entry, row in zip(sweep["run"], found.runs.to_dict("records"), strict=True):
        assert isinstance(entry["params"], int)
        assert isinstance(entry["tokens"], int)
        assert entry["params"] == round(row["params"])
        assert entry["seed"] == row["seed"]
        assert entry["stage"] == row["batch"]
    assert "before" in repr(found)
    assert "<table>" in found._repr_html_()
    assert found.citations()


def test_sweep_of_shapes(fitted: Any) -> None:
    rows = pd.DataFrame({"params": [1e8, 1e9], "tokens": [2e9, 2e10], "width": [512, 1536], "depth": [12, 24]})
    sweep = tomllib.loads(design(fitted, target=TARGET, budget=1e21, candidates=rows).to_toml())
    assert {"width", "depth", "tokens", "seed"} <= set(sweep["run"][0])
    assert "params" not in sweep["run"][0]


def test_far_targets_are_warned_of(fitted: Any, grid: Any) -> None:
    found = design(fitted, target={"flops": 1e27}, budget=1e21, candidates=grid)
    assert any("decades" in warning for warning in found.warnings)
