"""What a wrong allocation costs, against brute force and against the draws one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.regret import regret
from scalinglens.plan.source import as_source

GOPHER = {"params": 280e9, "tokens": 300e9}


def test_gopher():
    """Equal to the closed form of the catalogue: L* = 1.8172 + 2708.5 C^-0.17829."""
    found = regret("besiroglu2024", GOPHER, price=2e-18)
    c = law("besiroglu2024").constants
    budget = 6 * 280e9 * 300e9
    gamma = c["alpha"] * c["beta"] / (c["alpha"] + c["beta"])
    G = (c["alpha"] * c["A"] / (c["beta"] * c["B"])) ** (1 / (c["alpha"] + c["beta"]))
    K = (c["A"] * G ** -c["alpha"] + c["B"] * G ** c["beta"]) * 6**gamma
    loss = float(law("besiroglu2024").value(**GOPHER))
    best = c["E"] + K * budget**-gamma
    equivalent = ((loss - c["E"]) / K) ** (-1 / gamma)
    assert found.budget[0] == pytest.approx(budget, rel=1e-14)
    assert found.excess.value[0] == pytest.approx(loss - best, rel=1e-9)
    assert found.equivalent.value[0] == pytest.approx(equivalent, rel=1e-9)
    assert found.waste.value[0] == pytest.approx(1 - equivalent / budget, rel=1e-9)
    assert found.dollars.value[0] == pytest.approx(2e-18 * (budget - equivalent), rel=1e-9)


def test_the_best_allocation_has_none():
    from scalinglens.plan.frontier import frontier

    best = frontier("besiroglu2024", [1e20, 1e24])
    found = regret("besiroglu2024", {k: e.value for k, e in best.optimum.items()})
    assert np.all(found.excess.value >= 0)
    np.testing.assert_allclose(found.excess.value, 0, atol=1e-14)
    np.testing.assert_allclose(found.waste.value, 0, atol=1e-9)


def test_draws_one_by_one(chinchilla_fit):
    sizes, budget = np.array([1e9, 3e10, 1e12]), 1e23
    found = regret(chinchilla_fit, {"params": sizes}, budget)
    widening = chinchilla_fit._method.widening(0.9)
    excess, waste = [], []
    for draw in chinchilla_fit.draws:
        c = dict(zip(chinchilla_fit.law.parameters, draw, strict=True))
        one = regret(chinchilla_fit.law, {"params": sizes}, budget, constants=c)
        excess.append(one.excess.value)
        waste.append(one.waste.value)
    own = found.excess.value
    ends = [own * (np.quantile(excess, q, axis=0) / own) ** widening for q in (0.05, 0.95)]
    np.testing.assert_allclose(found.excess.low, ends[0], rtol=2e-3)
    np.testing.assert_allclose(found.excess.high, ends[1], rtol=2e-3)
    np.testing.assert_allclose(found.waste.low, np.quantile(waste, 0.05, axis=0), rtol=2e-3)


def test_thousand_allocations_at_once(chinchilla_fit):
    sizes = np.geomspace(1e8, 1e13, 1000)
    found = regret(chinchilla_fit, {"params": sizes}, 1e23)
    few = regret(chinchilla_fit, {"params": sizes[::333]}, 1e23)
    np.testing.assert_allclose(found.excess.high[::333], few.excess.high, rtol=1e-9)
    np.testing.assert_allclose(found.equivalent.low[::333], few.equivalent.low, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "allocation", "fix"),
    [
        ("pearce2024.L", {"params_nonembedding": np.geomspace(1e8, 1e12, 40)}, {}),
        (
            "pearce2024.L",
            {"params_nonembedding": np.geomspace(1e8, 1e11, 40), "tokens": np.geomspace(1e12, 1e11, 40)},
            {},
        ),
        ("muennighoff2023", {"params": np.geomspace(1e9, 1e11, 40)}, {"tokens_unique": 1e11}),
    ],
)
def test_without_a_closed_form_it_is_that_of_every_draw(name, allocation, fix):
    """Costs read off splines and settled where the order of the draws is open, against one regret for each draw."""
    source = as_source(name)
    head = source.heads[0]
    draws = head.values * np.exp(0.02 * np.random.default_rng(3).standard_normal((16, len(head.values))))
    budget = None if "tokens" in allocation else 1e23
    found = regret(replace(source, heads=(replace(head, draws=draws),)), allocation, budget, fix=fix)
    excess, costs = [], []
    for draw in draws:
        one = regret(replace(source, heads=(replace(head, values=draw),)), allocation, budget, fix=fix)
        excess.append(one.excess.value)
        costs.append(np.log(one.equivalent.value))
    for end, tail in (("low", 0.05), ("high", 0.95)):
        np.testing.assert_allclose(getattr(found.excess, end), np.quantile(excess, tail, axis=0), rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(np.log(getattr(found.equivalent, end)), np.quantile(costs, tail, axis=0), atol=1e-8)


def test_with_bounds_it_is_numeric_and_the_same(chinchilla_fit):
    short = regret(chinchilla_fit, {"params": [1e9, 1e11]}, 1e23)
    long = regret(chinchilla_fit, {"params": [1e9, 1e11]}, 1e23, bounds={"params": (1e4, 1e18)})
    for part in ("excess", "equivalent", "waste"):
        for end in ("value", "low", "high"):
            np.testing.assert_allclose(getattr(getattr(short, part), end), getattr(getattr(long, part), end), rtol=1e-6)


def test_pool_and_surface(chinchilla_pool, chinchilla_surface):
    for source, budget in ((chinchilla_pool, 1e21), (chinchilla_surface, 1e20)):
        found = regret(source, {"params": [5e8, 2.5e9]}, budget)
        assert np.all(found.excess.value > 0)
        assert np.all(found.excess.low < found.excess.value)
        assert np.all((found.waste.value > 0) & (found.waste.value < 1))


def test_limited_data():
    found = regret("muennighoff2023", {"params": 1e9}, 1e22, fix={"tokens_unique": 1e10})
    assert found.allocation["tokens"][0] == pytest.approx(1e22 / 6e9)
    assert found.excess.value[0] > 0


def test_frame():
    frame = regret("besiroglu2024", {"params": [1e9, 1e10]}, 1e22).to_frame()
    assert list(frame["params"]) == [1e9, 1e10]
    assert {"excess", "waste_low", "equivalent"} <= set(frame)


@pytest.mark.parametrize(
    ("allocation", "budget", "says"),
    [
        ({}, 1e22, "an allocation names its inputs"),
        ({"parms": 1e9}, 1e22, "it may name params, tokens"),
        ({"params": 1e9}, None, "does not say tokens"),
        ({"params": 1e9, "tokens": 1e9}, 1e22, "not the budget of"),
        ({"params": [1e9, 1e10], "tokens": [1e9, 1e10, 1e11]}, None, "lengths 2, 3"),
        ({"params": -1e9}, 1e22, "params must be positive"),
    ],
)
def test_bad_allocations(allocation, budget, says):
    with pytest.raises(PlanError, match=says):
        regret("besiroglu2024", allocation, budget)
