"""The frontier: published values, intervals, near-optimal ranges, statuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.frontier import frontier
from scalinglens.plan.optimum.problem import state
from scalinglens.plan.optimum.solutions import Solver
from scalinglens.plan.source import as_source


def test_besiroglu_at_the_budget_of_gopher():
    found = frontier("besiroglu2024", 5.76e23)
    assert f"{found.optimum['params'].value[0]:.3e}" == "7.225e+10"
    assert f"{found.optimum['tokens'].value[0]:.4e}" == "1.3287e+12"
    assert f"{found.loss.value[0]:.4f}" == "1.9744"
    assert frontier("besiroglu2024", 1e21).optimum["params"].value[0] == pytest.approx(2.7785e9, rel=2e-5)


# Hoffmann et al. 2022, estimated optimal FLOP and tokens of a size by approach 1, as printed
ALLOCATION = """
400e6 1.92e19 8.0e9    1e9 1.21e20 20.2e9    10e9 1.23e22 205.1e9    175e9 3.85e24 3.7e12    280e9 9.90e24 5.9e12
520e9 3.43e25 11.0e12    1e12 1.27e26 21.2e12    10e12 1.30e28 216.2e12
"""
OFF = (
    67e9,
    5.76e23,
    1.5e12,
)  # the row of Gopher's budget is on no power law with the others: 6 N D is 4.7% above its FLOP


def test_chinchilla_allocation_table():
    """One frontier, params = k FLOP^a, gives all FLOP and tokens of the table within their printed rounding."""
    numbers = np.array(ALLOCATION.split(), dtype=float).reshape(-1, 3)
    slope, start = np.polyfit(np.log(numbers[:, 0]), np.log(numbers[:, 1]), 1)  # of FLOP on exact sizes
    a = 1 / slope
    assert 0.488 < a < 0.502  # the published interval of approach 1
    alpha = 0.34
    beta = alpha * a / (1 - a)
    G = np.exp(-start / slope) * 6**a
    constants = {"E": 1.7, "A": G ** (alpha + beta) * beta / alpha, "B": 1.0, "alpha": alpha, "beta": beta}
    for params, flops, tokens in numbers:
        half = 0.005 * 10 ** np.floor(np.log10(flops))
        ends = frontier("E + A/params^alpha + B/tokens^beta", [flops - half, flops + half], constants=constants)
        low, high = ends.optimum["params"].value
        assert low * (1 - 1e-3) <= params <= high * (1 + 1e-3)
        unit = 0.05 * (1e12 if tokens >= 1e12 else 1e9)
        assert ends.optimum["tokens"].value[0] * (1 - 1e-3) <= tokens + unit
        assert tokens - unit <= ends.optimum["tokens"].value[1] * (1 + 1e-3)
        assert tokens == pytest.approx(flops / (6 * params), rel=0.01)
    assert 6 * OFF[0] * OFF[2] / OFF[1] == pytest.approx(1.047, abs=1e-3)


@pytest.mark.parametrize(("name", "size"), [("hoffmann2022.a3_tex", 40.36e9), ("hoffmann2022.a3_printed", 32.19e9)])
def test_approach_3_at_the_budget_of_gopher(name, size):
    assert frontier(name, 5.76e23).optimum["params"].value[0] == pytest.approx(size, rel=2e-4)


def test_repetition():
    """Muennighoff et al. 2023: the worth of 4 and 16 epochs."""
    worth = law("muennighoff2023.D_eff")
    for epochs, ratio in ((4, "3.7257"), (16, "10.582")):
        value = float(worth.value(tokens=epochs * 1e11, tokens_unique=1e11)) / 1e11
        assert f"{value:.{len(ratio.partition('.')[2])}f}" == ratio


# ---- intervals ---------------------------------------------------------------------------------------------------------


def test_intervals_are_those_of_the_fit(chinchilla_fit):
    """Against the fit's own intervals of derived quantities and against one optimum per draw."""
    found = frontier(chinchilla_fit, [1e21, 1e24])
    for name, other in (("params", "a"), ("tokens", "b")):
        own = chinchilla_fit.derived[other]
        assert found.exponents[name].value == pytest.approx(own.value, rel=1e-12)
        assert found.exponents[name].low == pytest.approx(own.low, rel=1e-9)
        assert found.exponents[name].high == pytest.approx(own.high, rel=1e-9)
    assert found.gamma.low == pytest.approx(chinchilla_fit.derived["gamma"].low, rel=1e-9)
    assert found.floor.high == pytest.approx(chinchilla_fit.parameters["E"].high, rel=1e-9)
    predicted = chinchilla_fit.predict({k: found.optimum[k].value for k in ("params", "tokens")}, noise=False)
    np.testing.assert_allclose(found.loss.low, predicted["low"], rtol=1e-10)
    np.testing.assert_allclose(found.loss.high, predicted["high"], rtol=1e-10)
    widening = as_source(chinchilla_fit).heads[0].widening
    for i, budget in enumerate((1e21, 1e24)):
        each = []
        for draw in chinchilla_fit.draws:
            c = dict(zip(chinchilla_fit.law.parameters, draw, strict=True))
            each.append(frontier(chinchilla_fit.law, budget, constants=c).optimum["params"].value[0])
        ends = np.quantile(np.log(each), [0.05, 0.95])
        middle = np.log(found.optimum["params"].value[i])
        low, high = np.exp(middle + widening * (ends - middle))
        assert found.optimum["params"].low[i] == pytest.approx(low, rel=1e-9)
        assert found.optimum["params"].high[i] == pytest.approx(high, rel=1e-9)
        assert found.optimum["tokens"].low[i] == pytest.approx(budget / 6 / high, rel=1e-9)


def test_draws_numerically(chinchilla_fit):
    stated = state(as_source(chinchilla_fit))
    budgets = np.log([1e20, 1e23, 1e26])
    short, long = Solver(stated), Solver(stated, closed=False)
    a = short.drawn(budgets, short.estimate(budgets))["params"]
    b = long.drawn(budgets, long.estimate(budgets))["params"]
    # where a valley is flat to rounding: the square root of the machine's precision, a few times
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-7)


def test_pool(chinchilla_pool):
    found = frontier(chinchilla_pool, [1e20, 1e21, 1e22])
    params = found.optimum["params"]
    assert np.all((params.low < params.value) & (params.value < params.high))
    for i, budget in enumerate(found.budgets):  # brute force on the pool's own predictions
        sizes = params.value[i] * np.exp(np.linspace(-0.5, 0.5, 20_001))
        loss = chinchilla_pool.predict(params=sizes, tokens=budget / 6 / sizes, noise=False)["loss"].to_numpy()
        assert params.value[i] == pytest.approx(sizes[np.argmin(loss)], rel=1e-3)
        assert found.loss.value[i] <= loss.min() * (1 + 1e-12)


def test_surface(chinchilla_surface):
    found = frontier(chinchilla_surface, [3e19, 1e20])
    assert found.status == ("inside", "inside")
    params = found.optimum["params"]
    assert np.all((params.low < params.value) & (params.value < params.high))
    # the truth these runs were made from: minimum of 480/N^.35 + 2000/D^.37
    G = (0.35 * 480 / (0.37 * 2000)) ** (1 / 0.72)
    truth = G * (found.budgets / 6) ** (0.37 / 0.72)
    assert np.all(np.abs(np.log(params.value / truth)) < 0.25)
    far = frontier(chinchilla_surface, 1e25)  # it knows nothing there
    assert far.status == ("infeasible",)
    assert np.isnan(far.optimum["params"].value[0])


def test_thousand_budgets_and_four_thousand_draws(chinchilla_fit):
    """The size of the acceptance; its time is measured by benchmarks, here only that blocks agree."""
    many = replace(chinchilla_fit, draws=np.resize(chinchilla_fit.draws, (4000, 5)))
    budgets = np.geomspace(1e19, 1e26, 1000)
    found = frontier(many, budgets)
    part = frontier(many, budgets[[0, 500, 999]])
    np.testing.assert_allclose(found.optimum["params"].low[[0, 500, 999]], part.optimum["params"].low, rtol=1e-12)
    np.testing.assert_allclose(found.near_optimal["tokens"][[0, 500, 999]], part.near_optimal["tokens"], rtol=1e-9)
    np.testing.assert_allclose(found.loss.high[[0, 500, 999]], part.loss.high, rtol=1e-12)


def test_without_draws(runs):
    import scalinglens as sl

    found = frontier(sl.fit(runs, "E + A/params^alpha + B/tokens^beta"), 1e22)
    assert np.isnan(found.optimum["params"].low[0])
    assert any("boot=1000" in warning for warning in found.warnings)


# ---- near-optimal ranges -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [1e-4, 1e-3, 0.02])
def test_near_optimal_by_brute_force(tolerance):
    budgets = np.array([1e18, 1e22, 1e26])
    found = frontier("besiroglu2024", budgets, tolerance=tolerance)
    for i, budget in enumerate(budgets):
        sizes = found.optimum["params"].value[i] * np.exp(np.linspace(-6, 6, 200_001))
        loss = law("besiroglu2024").value(params=sizes, tokens=budget / 6 / sizes)
        good = sizes[loss <= found.loss.value[i] * (1 + tolerance)]
        np.testing.assert_allclose(found.near_optimal["params"][i], [good.min(), good.max()], rtol=1e-4)
        np.testing.assert_allclose(found.near_optimal["tokens"][i], budget / 6 / found.near_optimal["params"][i][::-1])


def test_near_optimal_of_three_inputs():
    """The range of each input, the others at their best for it."""
    name, bounds = "krajewski2024.moe", {"granularity": (1, 64)}
    cost = "flops = 6*params_nonembedding*granularity^0.1*tokens"
    found = frontier(name, 1e22, cost=cost, bounds=bounds)
    assert found.status == ("inside",)
    limit = found.loss.value[0] * 1.001
    for edge, inward in zip(found.near_optimal["granularity"][0], (1.02, 1 / 1.02), strict=True):
        at = frontier(name, 1e22, cost=cost, fix={"granularity": edge}).loss.value[0]
        within = frontier(name, 1e22, cost=cost, fix={"granularity": edge * inward}).loss.value[0]
        assert within < limit
        assert at <= limit * (1 + 1e-9)
    for edge in found.near_optimal["params_nonembedding"][0]:
        at = frontier(name, 1e22, cost=cost, fix={"params_nonembedding": edge}, bounds=bounds)
        assert at.loss.value[0] == pytest.approx(limit, rel=1e-9)


def test_zero_tolerance_is_the_optimum():
    found = frontier("besiroglu2024", 1e22, tolerance=0.0)
    np.testing.assert_allclose(found.near_optimal["params"][0], found.optimum["params"].value[0], rtol=1e-6)


# ---- bounds, fixed inputs, statuses --------------------------------------------------------------------------------------


def test_bounds_hold_and_are_said():
    found = frontier("besiroglu2024", [1e20, 1e25], bounds={"params": (None, "7B")})
    assert found.status == ("inside", "at_bound")
    assert found.optimum["params"].value[1] == pytest.approx(7e9)
    assert found.optimum["tokens"].value[1] == pytest.approx(1e25 / 6 / 7e9)
    assert found.near_optimal["params"][1, 1] == pytest.approx(7e9)
    assert any("params is at its bound" in warning for warning in found.warnings)


def test_bound_on_the_data_moves_the_size():
    found = frontier("besiroglu2024", 1e25, bounds={"tokens": (None, "1T")})
    assert found.status == ("at_bound",)
    assert found.optimum["tokens"].value[0] == pytest.approx(1e12)
    assert found.optimum["params"].value[0] == pytest.approx(1e25 / 6e12)


def test_budgets_that_cannot_be_met_are_statuses():
    found = frontier("besiroglu2024", [1e10, 1e22], bounds={"params": ("1B", "10B"), "tokens": ("1B", "1T")})
    assert found.status == ("infeasible", "inside")
    assert np.isnan(found.optimum["params"].value[0])
    found = frontier("besiroglu2024", 1e26, bounds={"params": ("1B", "10B"), "tokens": ("1B", "1T")})
    assert found.status == ("infeasible",)  # it cannot even be spent


def test_no_least_value():
    found = frontier("A/params^alpha + B*tokens^beta", 1e22, constants={"A": 1.0, "alpha": 0.3, "B": 1.0, "beta": 0.1})
    assert found.status == ("unbounded",)
    assert any("no least value" in warning for warning in found.warnings)


def test_more_is_better_for_an_accuracy():
    """An accuracy that follows the loss is best where the loss is least."""
    text = "accuracy = 1 - (E + A/params^alpha + B/tokens^beta)/10"
    found = frontier(text, 1e23, constants=dict(law("besiroglu2024").constants))
    least = frontier("besiroglu2024", 1e23)
    assert found.optimum["params"].value[0] == pytest.approx(least.optimum["params"].value[0], rel=1e-8)
    assert found.loss.value[0] == pytest.approx(1 - least.loss.value[0] / 10)
    assert found.near_optimal["params"][0, 0] < found.optimum["params"].value[0] < found.near_optimal["params"][0, 1]


def test_decades_beyond_the_data(chinchilla_fit):
    found = frontier(chinchilla_fit, [1e19, 1e27])
    flops = 6 * chinchilla_fit.points["params"] * chinchilla_fit.points["tokens"]
    assert found.decades["flops"][0] == 0
    assert found.decades["flops"][1] == pytest.approx(np.log10(1e27 / flops.max()))
    assert any("beyond the runs" in warning for warning in found.warnings)


def test_views(chinchilla_fit, tmp_path):
    found = frontier(chinchilla_fit, np.geomspace(1e20, 1e24, 30))
    assert len(found.to_frame()) == 30
    words = found.to_dict()
    assert words["schema"] == 1
    assert len(words["rows"]) == 30
    assert "params ~ budget^" in repr(found)
    found.plot(tmp_path / "frontier.svg")
    assert (tmp_path / "frontier.svg").stat().st_size > 1000


def test_a_flat_list_is_needed():
    with pytest.raises(PlanError, match="2 dimensions"):
        frontier("besiroglu2024", [[1e20, 1e21]])
