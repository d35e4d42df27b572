"""What cannot be designed is refused in a sentence that says what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import ScalingLensError
from scalinglens.fit import fit
from scalinglens.plan.design import design

TWO = ("prior", "prior")
ONE_RUN = {"params": [1e7], "tokens": [1e8]}


def rows(**more: Any) -> pd.DataFrame:
    return pd.DataFrame({**ONE_RUN, **more})


ASK: dict[str, Any] = {"target": {"flops": 1e22}, "budget": 1e19}

BARE = {"candidates": {"params_nonembedding": [1e8]}, "cost": "flops = 1e10*params_nonembedding"}

BAD: list[tuple[str, Any, dict[str, Any], str]] = [
    ("unknown law", "hofmann2022", {}, "hoffmann2022"),
    ("no source", 7, {}, "starts from a fit"),
    ("law without constants", "E + A/params^alpha + B/tokens^beta", {}, "no value for"),
    ("two sources for a loss", TWO, {}, "difference"),
    ("one source for a difference", "prior", {"goal": "difference"}, "two recipes"),
    ("three recipes", ("prior", "prior", "prior"), {"goal": "difference"}, "two recipes"),
    ("zero budget", "prior", {"budget": 0}, "budget is 0"),
    ("negative budget", "prior", {"budget": -1e20}, "positive"),
    ("infinite budget", "prior", {"budget": float("inf")}, "finite"),
    ("budget in words", "prior", {"budget": "much"}, "no number"),
    ("budget below the cheapest", "prior", {"budget": 1e10, "candidates": {"params": [1e8], "tokens": [1e9]}}, "cheapest"),
    ("empty target", "prior", {"target": {}}, "empty"),
    ("target of nothing", "prior", {"target": None}, "no number"),
    ("target misspelt", "prior", {"target": {"param": 1e9, "tokens": 1e10}}, "params"),
    ("target incomplete", "prior", {"target": {"params": 1e9}}, "lacks tokens"),
    ("target negative", "prior", {"target": {"params": -1e9, "tokens": 1e10}}, "params"),
    ("target budget negative", "prior", {"target": {"flops": -1.0}}, "positive"),
    ("two target budgets", "prior", {"target": {"flops": 1e22, "cost": 5.0}}, "one budget"),
    ("size at a point", "prior", {"goal": "size", "target": {"params": 1e9, "tokens": 1e10}}, "budget, not a point"),
    ("goal misspelt", "prior", {"goal": "los"}, "loss"),
    ("goal of nothing", "prior", {"goal": ""}, "formula"),
    ("goal of unknown parameters", "prior", {"goal": "gamma/(alpha + beta)"}, "gamma"),
    ("empty grid", "prior", {"candidates": {}}, "table or a grid"),
    ("grid without tokens", "prior", {"candidates": {"params": [1e8]}}, "tokens"),
    ("grid with a zero", "prior", {"candidates": {"params": [0.0], "tokens": [1e9]}}, "params"),
    ("grid too fine", "prior", {"candidates": {"params": np.ones(300), "tokens": np.ones(300)}}, "more than"),
    ("grid of words", "prior", {"candidates": {"params": ["big"], "tokens": [1e9]}}, "no number"),
    ("no rows", "prior", {"candidates": pd.DataFrame({"params": [], "tokens": []})}, "no candidate"),
    ("cost below zero", "prior", {"candidates": pd.DataFrame({"params": [1e8], "tokens": [1e9], "cost": [-1.0]})}, "costs -1"),
    ("unknown cost", "prior", {"cost": "flops.6md"}, "flops.6nd"),
    ("batch of none", "prior", {"batch": 0}, "batch"),
    ("copies of none", "prior", {"copies": 0}, "copies"),
    ("most of half", "prior", {"most": 0.5}, "most"),
    ("few draws", "prior", {"draws": 3}, "draws"),
    ("negative seed", "prior", {"seed": -1}, "seed"),
    ("level in percent", "prior", {"level": 90}, "0.9"),
    ("noise of one", "prior", {"noise": 1.0}, "noise"),
    ("bend of two", "prior", {"bend": 2.0}, "bend"),
    ("departure below zero", "prior", {"departure": -0.1}, "departure"),
    ("shared without two recipes", "prior", {"shared": ["alpha"]}, "difference"),
    ("shared misspelt", TWO, {"goal": "difference", "shared": ["alfa"]}, "alpha"),
    ("recipe unknown", TWO, {"goal": "difference", "candidates": rows(recipe=["old"])}, "recipe 1"),
    ("made without recipe", TWO, {"goal": "difference", "made": rows()}, "recipe"),
    ("made without tokens", "prior", {"made": pd.DataFrame({"params": [1e7], "loss": [3.0]})}, "tokens"),
    ("made with a loss below zero", "prior", {"made": rows(loss=[-3.0])}, "logarithm"),
    ("law of one input without a grid", "kaplan2020.L_N", {}, "give candidates"),
    ("law of one input at a budget", "kaplan2020.L_N", BARE, "give a point"),
]  # fmt: skip


@pytest.mark.parametrize(("source", "options", "says"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_refused(source: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ScalingLensError) as problem:
        design(source, **{**ASK, **options})
    assert says in str(problem.value)
    assert len(str(problem.value)) > 30


def test_a_fit_without_draws() -> None:
    params = np.geomspace(1e7, 1e9, 12)
    plain = fit({"params": params, "loss": 1.7 + 400 / params**0.34}, "E + A/params^alpha")
    with pytest.raises(ScalingLensError, match="boot=1000"):
        design(
            plain,
            target={"params": 1e10},
            budget=1e19,
            candidates={"params": [1e8], "cost": [1.0]},
            cost="flops = 1e10*params",
        )
