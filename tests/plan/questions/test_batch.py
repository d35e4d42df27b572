"""Critical batch: published values, the two hyperbolas of McCandlish et al., and a fit of one's own."""

from __future__ import annotations

import numpy as np
import pytest

import scalinglens as sl
from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.questions import ask


def test_published_values():
    found = ask("batch-size", loss=3.0, tokens="10B", params="1B")
    assert found.answer["batch_critical"].value == pytest.approx(1.123e6, rel=5e-4)  # catalogue, kaplan2020
    assert found.spread["bergsma2025"]["batch_critical"] == pytest.approx(2048 * 1963.5, rel=1e-4)
    assert found.spread["zhang2024_cbs.tokens"]["batch_critical"] == pytest.approx(2048 * 275.05, rel=1e-4)
    assert found.spread["zhang2024_cbs.params"]["batch_critical"] == pytest.approx(2048 * 588.62, rel=1e-4)
    assert any("could not be verified" in warning for warning in found.warnings)
    without = ask("batch-size", tokens="10B")
    assert without.question["source"] == "bergsma2025"


@pytest.mark.parametrize("batch", [1e5, 1.1e6, 3e7])
def test_steps_and_tokens_are_on_the_hyperbola(batch):
    given = {"loss": 2.5, "tokens": 5e10, "batch_tokens": batch}
    e = {name: one.value for name, one in ask("batch-size", **given).answer.items()}
    assert (e["steps"] / e["steps_least"] - 1) * (e["tokens_used"] / e["tokens_least"] - 1) == pytest.approx(1)
    assert e["steps"] * batch == pytest.approx(e["tokens_used"])
    constants = {"Smin": e["steps_least"], "Emin": e["tokens_least"]}
    assert float(law("mccandlish2018.steps").value(constants, batch_examples=batch)) == pytest.approx(e["steps"])


def test_time_times_compute_is_least_at_the_critical_batch():
    found = ask("batch-size", loss=2.5)
    critical = found.answer["batch_critical"].value
    tried = critical * np.logspace(-1, 1, 20_001)
    product = (1 + critical / tried) * (1 + tried / critical)
    assert tried[np.argmin(product)] == pytest.approx(critical, rel=2e-4)
    good = tried[product <= 1.1 * product.min()]
    assert found.near_optimal["batch_critical"] == pytest.approx((good[0], good[-1]), rel=3e-4)


def test_days_on_a_cluster():
    given = {"loss": 2.5, "tokens": 1e11, "params": 1e9, "hardware": "h100:64", "price": 2.0}
    critical = ask("batch-size", **given).answer["batch_critical"].value
    found = {name: e.value for name, e in ask("batch-size", batch_tokens=critical / 3, **given).answer.items()}
    assert found["flops"] == pytest.approx(6 * 1e20 * (1 + 1 / 3))
    assert found["days"] == pytest.approx(found["flops"] / (64 * 989e12 * 0.4) / 86400)
    assert found["chips[critical batch]"] == pytest.approx(3 * 64)
    at = {name: e.value for name, e in ask("batch-size", **{**given, "hardware": "h100:192"}).answer.items()}
    assert found["days[critical batch]"] == pytest.approx(at["days"])
    assert found["dollars[critical batch]"] == pytest.approx(at["dollars"])
    many = ask("batch-size", batch_tokens=1e4 * critical, **{**given, "hardware": f"h100:{64 * 30000}"}).answer
    assert found["days[least]"] == pytest.approx(many["days"].value, rel=1e-3)


def test_a_fit_of_ones_own_has_an_interval(tmp_path):
    rng = np.random.default_rng(0)
    batch = np.logspace(1.5, 4.5, 24)
    steps = 1000 * (1 + 1e6 / (1000 * batch)) * np.exp(0.02 * rng.standard_normal(24))
    fit = sl.fit({"batch_examples": batch, "steps": steps}, "mccandlish2018.steps", target="steps", boot=100)
    fit.save(tmp_path / "noise.json")
    found = ask("batch-size", source=str(tmp_path / "noise.json"), sequence_length=512).answer["batch_critical"]
    assert found.low is not None
    assert found.high is not None
    assert found.low < 512 * 1000 < found.high
    assert found.value == pytest.approx(512 * 1000, rel=0.1)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "give loss=3.0 or tokens"),
        ({"loss": -1}, "must be positive"),
        ({"loss": 3.0, "hardware": "h100:8"}, "give params and tokens"),
        ({"source": "besiroglu2024"}, "needs a law with Smin, Emin"),
        ({"loss": 3.0, "tokens": 1e9, "params": 1e9, "hardware": "h1000"}, "h100"),
    ],
)
def test_mistakes(given, says):
    with pytest.raises(PlanError, match=says):
        ask("batch-size", **given)
