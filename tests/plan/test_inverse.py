"""The inverse questions: published worked examples, and the round trip through the frontier."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.cost import cost
from scalinglens.plan.frontier import frontier
from scalinglens.plan.inverse import cost_of, loss_at, reach_of
from scalinglens.plan.optimum.problem import state
from scalinglens.plan.plan import plan
from scalinglens.plan.source import as_source

SARDANA = "hoffmann2022.a3_hybrid"
HALF = {"17.4": 0.05, "28.0": 0.05, "12": 0.5, "0.85": 0.005}  # half a unit of the last printed digit


def chinchilla_tokens(params: float) -> float:
    """Tokens at which a size is compute-optimal: alpha A N^-alpha = beta B D^-beta."""
    c = law(SARDANA).constants
    return (c["beta"] * c["B"] / (c["alpha"] * c["A"]) * params ** c["alpha"]) ** (1 / c["beta"])


@pytest.mark.parametrize(
    ("params", "served", "saving", "best", "tokens"),
    [
        (13e9, 2e12, "17.4", 6.969e9, 1.248e12),
        (30e9, 1e13, "28.0", 1.361e10, 4.426e12),
        (70e9, 1e13, "12", 4.155e10, 7.92e12),
        (7e9, 1e11, "0.85", 6.00e9, None),
    ],
)
def test_sardana_worked_examples(params, served, saving, best, tokens):
    """Sardana et al. 2023: the quality of a compute-optimal model, cheaper where it is served. The open catalogue law."""
    data = chinchilla_tokens(params)
    quality = float(law(SARDANA).value(params=params, tokens=data))
    paid = cost("sardana2023.cost")
    found = cost_of(SARDANA, quality, cost=paid, fix={"tokens_inference": served})
    assert found.status == ("reached",)
    before = float(paid.value({"params": params, "tokens": data, "tokens_inference": served}))
    assert abs(100 * (1 - found.cost.value[0] / before) - float(saving)) <= HALF[saving]
    assert found.frontier.optimum["params"].value[0] == pytest.approx(best, rel=6e-4)
    if tokens:
        assert found.frontier.optimum["tokens"].value[0] == pytest.approx(tokens, rel=6e-4)
    # the first-order condition of the paper
    c, n, d = (
        law(SARDANA).constants,
        found.frontier.optimum["params"].value[0],
        found.frontier.optimum["tokens"].value[0],
    )
    ratio = c["alpha"] * c["A"] * n ** -c["alpha"] / (c["beta"] * c["B"] * d ** -c["beta"])
    assert ratio == pytest.approx(1 + served / (3 * d), rel=1e-7)
    # the same by the options of the verb
    again = plan(SARDANA, target_loss=quality, inference_tokens=served)
    assert again.answer["flops"].value == pytest.approx(found.cost.value[0], rel=1e-9)
    assert again.answer["flops_training"].value + again.answer["flops_inference"].value == pytest.approx(
        again.answer["flops"].value
    )


def test_sardana_minimum_by_brute_force():
    data = chinchilla_tokens(13e9)
    c = law(SARDANA).constants
    quality = float(law(SARDANA).value(params=13e9, tokens=data))
    sizes = np.exp(np.linspace(np.log(2e9), np.log(2e10), 2_000_001))
    rest = quality - c["E"] - c["A"] / sizes ** c["alpha"]
    tokens = (c["B"] / np.where(rest > 0, rest, np.nan)) ** (1 / c["beta"])
    total = 6 * sizes * tokens + 2 * sizes * 2e12
    found = cost_of(SARDANA, quality, cost="sardana2023.cost", fix={"tokens_inference": 2e12})
    assert found.cost.value[0] <= np.nanmin(total) * (1 + 1e-12)
    assert found.cost.value[0] == pytest.approx(np.nanmin(total), rel=1e-11)


def test_catalogue_costs_of_targets():
    found = cost_of("besiroglu2024", [2.0, 1.9])
    assert [f"{c:.3e}" for c in found.cost.value] == ["2.475e+23", "2.102e+25"]


def test_round_trip():
    budgets = np.geomspace(1e19, 1e25, 9)
    for name, options in (
        ("besiroglu2024", {}),
        ("muennighoff2023", {"fix": {"tokens_unique": 1e11}}),
        ("besiroglu2024", {"fix": {"params": 7e9}}),
        ("besiroglu2024", {"bounds": {"params": (1e8, 5e9)}}),
        ("pearce2024.L", {}),
        ("besiroglu2024", {"cost": cost("6*params*tokens").with_inference(1e11)}),
    ):
        out = frontier(name, budgets, **options)
        back = cost_of(name, out.loss.value, **options)
        # near the floor a loss in double precision no longer says the budget to eight digits
        sharp = np.finfo(float).eps * out.loss.value / -np.gradient(out.loss.value, np.log(budgets))
        error = np.abs(np.log(back.cost.value / budgets))
        assert np.all(error < 1e-8 + 50 * sharp), (name, options, error)


def test_below_the_floor():
    floor = law("besiroglu2024").constants["E"]
    found = cost_of("besiroglu2024", [floor * (1 + 1e-6), floor, floor - 0.1])
    assert found.status[1:] == ("below_floor", "below_floor")
    assert np.isfinite(found.cost.value[0])
    assert np.all(np.isinf(found.cost.value[1:]))
    # with a size held the floor is higher
    seven = floor + 482.01 / 7e9**0.3478
    assert cost_of("besiroglu2024", [seven * 1.0001, seven * 0.9999], fix={"params": 7e9}).status == (
        "reached",
        "below_floor",
    )


def test_easier_than_the_smallest_run():
    assert cost_of("besiroglu2024", 5.0, bounds={"params": (1e9, 1e12), "tokens": (1e9, 1e14)}).status == (
        "above_start",
    )
    with pytest.raises(PlanError, match="ask for a harder target"):
        plan("besiroglu2024", target_loss=5.0, bounds={"params": (1e9, 1e12), "tokens": (1e9, 1e14)})


def test_interval_of_a_cost_opens_near_the_floor(chinchilla_fit):
    source = as_source(chinchilla_fit)
    draws = source.heads[0].draws[:, source.law.parameters.index("E")]
    target = float(np.quantile(draws, 0.8))  # a fifth of the draws has its floor above
    found = reach_of(state(source), np.array([target, 2.1]))
    assert found.unreachable[0] == pytest.approx(0.2, abs=0.01)
    assert np.isinf(found.cost.high[0])
    assert np.isfinite(found.cost.low[0])
    assert found.unreachable[1] == 0
    assert found.cost.low[1] < found.cost.value[1] < found.cost.high[1]
    told = plan(chinchilla_fit, target_loss=target)
    assert told.answer["flops"].high is None
    assert any("never reach the target" in warning for warning in told.warnings)


def test_draws_in_closed_form_and_numerically(chinchilla_fit):
    """The same interval with and without the closed form (wide bounds turn it off)."""
    short = cost_of(chinchilla_fit, [2.3, 2.05])
    long = cost_of(chinchilla_fit, [2.3, 2.05], bounds={"params": (1e3, 1e18)})
    for part in ("value", "low", "high"):
        np.testing.assert_allclose(getattr(short.cost, part), getattr(long.cost, part), rtol=1e-8)


def test_deadline():
    found = loss_at("besiroglu2024", hours=100, rate=1e15)
    assert found.budgets[0] == pytest.approx(3.6e20)
    assert found.loss.value[0] == frontier("besiroglu2024", 3.6e20).loss.value[0]
