"""Progress: published doubling times, their combination, waiting times as inverses, fits of one's own."""

from __future__ import annotations

import numpy as np
import pytest

import scalinglens as sl
from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.questions import ask


def test_published_rates():
    found = ask("progress", years=8.4 / 12).answer
    assert found["compute_factor[0.7 years]"].value == pytest.approx(2)
    assert (found["doubling_months"].low, found["doubling_months"].high) == (4.5, 14.3)
    assert found["density_doubling_days"].value == pytest.approx(99, abs=0.1)  # 99 days, 3.3 months
    factor = law("xiao2024_densing.trend").value({"B": 0.0}, days=365.25)
    assert ask("progress").answer["density_factor[1 year]"].value == pytest.approx(float(factor))


def test_the_interval_is_in_order():
    found = ask("progress", years=2, flops=1e25, compute_growth=4, compute_factor=10).answer
    for name in ("compute_factor[2 years]", "flops_effective", "algorithm_share", "years_to_wait"):
        assert found[name].low < found[name].value < found[name].high
    assert found["compute_factor[2 years]"].high == pytest.approx(2 ** (24 / 4.5))
    # two doublings a year by compute, 12/8.4 by algorithms
    assert found["algorithm_share"].value == pytest.approx((12 / 8.4) / (12 / 8.4 + 2))


def test_waiting_is_the_inverse():
    wait = ask("progress", compute_factor=10).answer["years_to_wait"].value
    at = ask("progress", years=wait)
    assert at.answer[f"compute_factor[{wait:g} years]"].value == pytest.approx(10)
    days = ask("progress", params="70B", params_target="7B").answer["days_to_fit"].value
    then = ask("progress", years=days / 365.25, params="70B").answer["params_then"].value
    assert then == pytest.approx(7e9)


def test_a_fit_of_ho2024_combines_both_doubling_times(tmp_path):
    rng = np.random.default_rng(0)
    count = 120
    n, d, y = 10 ** rng.uniform(7, 11, count), 10 ** rng.uniform(9, 12, count), rng.uniform(2014, 2024, count)
    loss = 20 * (n * np.exp(0.6 * (y - 2019))) ** -0.12 + 60 * (d * np.exp(0.3 * (y - 2019))) ** -0.15
    runs = {"params": n, "tokens": d, "years": y, "loss": loss * np.exp(0.002 * rng.standard_normal(count))}
    fit = sl.fit(runs, "ho2024", pin={"E": 0, "Y0": 2019}, boot=40)
    fit.save(tmp_path / "ho.json")
    found = ask("progress", source=str(tmp_path / "ho.json")).answer
    e = found["doubling_months"]
    assert e.low < e.value < e.high
    assert e.value == pytest.approx(12 * np.log(2) / 0.9, rel=0.1)
    both = {"TN": found["doubling_months[params]"].value, "TD": found["doubling_months[tokens]"].value}
    assert e.value == pytest.approx(float(law("ho2024.doubling").value(both)))


def test_a_fit_of_the_density(tmp_path):
    days = np.linspace(0, 700, 20)
    density = np.exp(0.005 * days + 0.1 + 0.05 * np.random.default_rng(0).standard_normal(20))
    fit = sl.fit({"days": days, "density": density}, "xiao2024_densing.trend", target="density", boot=40)
    fit.save(tmp_path / "density.json")
    e = ask("progress", source=str(tmp_path / "density.json")).answer["density_doubling_days"]
    assert e.low < np.log(2) / 0.005 * 1.05
    assert e.high > np.log(2) / 0.005 * 0.95


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"years": 0}, "must be positive"),
        ({"compute_growth": 0.5}, "above 1"),
        ({"compute_factor": 1}, "above 1"),
        ({"params_target": "7B"}, "give params"),
        ({"params": "7B", "params_target": "70B"}, "must be smaller"),
        ({"source": "besiroglu2024"}, "needs a law with ga, gb"),
    ],
)
def test_mistakes(given, says):
    with pytest.raises(PlanError, match=says):
        ask("progress", **given)
