"""Losses of the theory as a table of runs: what a fit, a comparison and a plan make of them."""

from __future__ import annotations

import numpy as np
import pytest

import scalinglens as sl
from benchmarks.theory_fit import by_time
from scalinglens.theory.random_features.exponents import exponents
from scalinglens.theory.random_features.frontier import frontier
from scalinglens.theory.random_features.one_pass import one_pass
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.worlds.spectra import power_law


def test_where_one_term_is_left_the_fit_finds_its_exponent() -> None:
    """At late times only A/N^alpha is left, without end only B/t^beta: limits in which the law is right."""
    spectrum, true = power_law(1.5, 1.25), exponents(1.5, 1.25)
    late = solve(RandomFeatures(spectrum, np.geomspace(1e3, 1e5, 8)), [np.inf]).to_frame()
    wide = solve(RandomFeatures(spectrum), np.geomspace(1e3, 1e6, 8)).runs()
    by_size = sl.fit({"params": late.features, "loss": late.test_loss}, "A/params^alpha", loss="squares")
    by_time_only = sl.fit(wide, "B/steps^beta", loss="squares")
    assert by_size.parameters["alpha"].value == pytest.approx(true.features, abs=0.01)
    assert by_time_only.parameters["beta"].value == pytest.approx(true.time, abs=0.01)


def test_a_chinchilla_fit_of_an_exact_surface_is_biased() -> None:
    """a = 1.5, b = 1.25: the fit looks good, and its exponent of compute is a fifth too large."""
    row = by_time(1.5, 1.25)
    assert row["status"] == "certified"
    assert row["misfit"] < 0.15
    assert row["fitted"]["beta"] - row["true"]["beta"] > 0.1
    assert row["fitted"]["compute"] > 1.1 * row["true"]["compute"]
    inside, beyond = row["allocation"]
    assert 1 < inside["loss_ratio"] < beyond["loss_ratio"]
    assert beyond["size_ratio"] > inside["size_ratio"] > 1.5


def test_best_runs_of_the_frontier_have_the_exponent_of_compute() -> None:
    runs = frontier(power_law(1.5, 1.25), np.geomspace(1e8, 1e11, 7)).runs()
    assert runs.column("params") * runs.column("steps") == pytest.approx(runs.column("flops"), rel=1e-9)
    fit = sl.fit(runs, "A/flops^gamma", loss="squares")
    assert fit.parameters["gamma"].value == pytest.approx(2 / 9, abs=2e-3)


def test_one_pass_as_runs() -> None:
    problem = RandomFeatures(power_law(1.5, 1.25, 500), 64, noise=0.1)
    found = one_pass(problem, [0, 10, 100], learning_rate=0.1, batch=32)
    runs = found.runs()
    assert runs.column("tokens").tolist() == [320.0, 3200.0]
    assert runs.column("loss") == pytest.approx(found.test[1:] + 0.1, rel=1e-12)


def test_a_fit_of_the_theory_can_be_planned_and_compared() -> None:
    sizes, times = np.geomspace(32, 2048, 7).round(), np.geomspace(10, 1e4, 7)
    runs = solve(RandomFeatures(power_law(1.5, 1.25), sizes), times).runs()
    fit = sl.fit(runs, "E + A/params^alpha + B/steps^beta", loss="squares")
    found = {name: known.value for name, known in fit.parameters.items()}
    plan = sl.plan(fit, budget=1e6, cost="params*steps")
    alpha, beta = found["alpha"], found["beta"]
    best = (alpha * found["A"] / (beta * found["B"])) ** (1 / (alpha + beta)) * 1e6 ** (beta / (alpha + beta))
    assert plan.answer["params"].value == pytest.approx(best, rel=1e-6)
    compared = sl.compare(runs, ["E + A/params^alpha + B/steps^beta", "E + A/params^alpha"], holdout="top:steps:0.5")
    assert "steps" in repr(compared)
