"""Data mixture: closed forms, brute force on a grid of the simplex, several targets, a fit with draws."""

from __future__ import annotations

import numpy as np
import pytest

import scalinglens as sl
from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.questions import ask
from scalinglens.plan.source import as_source

CONSTANTS = {
    "E": 1.5,
    "A": 400.0,
    "alpha": 0.34,
    "B": 400.0,
    "beta": 0.28,
    "C1": 1.0,
    "C2": 2.0,
    "C3": 0.5,
    "g1": 0.5,
    "g2": 0.3,
    "g3": 0.7,
}
TEXT = ",".join(f"{name}={value}" for name, value in CONSTANTS.items())


def simplex(n: int) -> np.ndarray:
    i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    keep = i + j <= n
    return np.stack([i[keep], j[keep], n - i[keep] - j[keep]], axis=1) / n


def shares(found, names=("h1", "h2", "h3")) -> np.ndarray:
    return np.array([found.answer[f"share[{name}]"].value for name in names])


def test_brute_force_on_the_simplex():
    found = ask(
        "data-mixture", source="shukor2025.mixture3", constants=TEXT, params="1B", tokens="20B", domains="a,b,c"
    )
    grid = np.clip(simplex(400), 1e-9, 1)
    columns = {f"h{k + 1}": grid[:, k] for k in range(3)}
    loss = law("shukor2025.mixture3").value(CONSTANTS, {**columns, "params": 1e9, "tokens": 2e10})
    best = shares(found, "abc")
    np.testing.assert_allclose(best, grid[np.argmin(loss)], atol=1 / 400)
    assert best.sum() == pytest.approx(1)
    assert found.answer["loss"].value <= loss.min() * (1 + 1e-9)
    good = grid[loss <= found.answer["loss"].value * 1.001]
    for k, name in enumerate("abc"):
        low, high = found.near_optimal[f"share[{name}]"]
        assert low <= good[:, k].min() + 1e-4  # the grid cannot see beyond the exact range
        assert high >= good[:, k].max() - 1e-4
        assert (low, high) == pytest.approx((good[:, k].min(), good[:, k].max()), abs=0.012)


def test_the_optimum_of_the_additive_law_does_not_depend_on_size():
    at = [
        shares(ask("data-mixture", source="shukor2025.mixture3", constants=TEXT, params=n, tokens=d))
        for n, d in ((1e8, 1e10), (1e11, 1e13))
    ]
    np.testing.assert_allclose(*at, atol=1e-4)
    # stationary: C_i g_i h_i^(g_i - 1) is the same for every domain
    slope = [CONSTANTS[f"C{k}"] * CONSTANTS[f"g{k}"] * h ** (CONSTANTS[f"g{k}"] - 1) for k, h in enumerate(at[0], 1)]
    assert max(slope) / min(slope) == pytest.approx(1, rel=1e-3)


def test_one_target_of_the_exponential_law_takes_one_domain_and_two_share():
    one = ask("data-mixture", source="ye2024.mixture3", constants="c=2,k=1,t1=-1,t2=0.3,t3=0.2")
    np.testing.assert_allclose(shares(one, ("r1", "r2", "r3")), [1, 0, 0], atol=1e-6)
    assert any("nothing for r2, r3" in warning for warning in one.warnings)
    ye = "ye2024.mixture2"
    pair = [as_source(ye, constants={"c": 1, "k": 1, "t1": t, "t2": 0}) for t in (-3.0, 1.0)]
    found = ask("data-mixture", source=pair, weights="1,2")
    # minimise (exp(-3 r) + 2 exp(r))/3 over r from 0 to 1
    assert found.answer["share[r1]"].value == pytest.approx(np.log(1.5) / 4, abs=1e-4)
    kept = ask("data-mixture", source=pair, weights="1,2", least_share=0.2)
    assert kept.answer["share[r1]"].value == pytest.approx(0.2, abs=1e-6)


def test_a_fit_with_draws(tmp_path):
    rng = np.random.default_rng(3)
    h = np.linspace(0.03, 0.97, 40)
    loss = (2.0 + 1 / (1.5 * h**0.6 + 1.0 * (1 - h) ** 0.4)) * np.exp(2e-4 * rng.standard_normal(40))
    fit = sl.fit({"h1": h, "h2": 1 - h, "loss": loss}, "E + 1/(C1*h1^g1 + C2*h2^g2)", boot=60)
    fit.save(tmp_path / "mix.json")
    found = ask("data-mixture", source=str(tmp_path / "mix.json")).answer["share[h1]"]
    fine = np.linspace(0.01, 0.99, 9801)
    truth = fine[np.argmax(1.5 * fine**0.6 + (1 - fine) ** 0.4)]
    assert found.low is not None
    assert found.high is not None
    assert found.low - 0.01 <= truth <= found.high + 0.01
    assert 0 < found.high - found.low < 0.2


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"source": "besiroglu2024"}, "no shares of domains"),
        ({"source": "ye2024.mixture3"}, "no published value for c, k"),
        ({"source": "shukor2025.mixture3", "constants": TEXT}, "needs params"),
        ({"source": "ye2024.mixture2", "constants": "c=1,k=1,t1=1,t2"}, "constants are written"),
        ({"source": "ye2024.mixture2", "constants": "c=1,k=1,t1=1,t2=0", "least_share": 0.6}, "more than everything"),
        ({"source": "ye2024.mixture2", "constants": "c=1,k=1,t1=1,t2=0", "least_share": 20}, "for 20% write 0.2"),
        ({"source": "ye2024.mixture2", "constants": "c=1,k=1,t1=1,t2=0", "domains": "web"}, "1 domains are named"),
        ({"source": "ye2024.mixture2", "constants": "c=1,k=1,t1=1,t2=0", "weights": "1,2"}, "2 weights"),
        ({"source": ""}, "source is empty"),
    ],
)
def test_mistakes(given, says):
    with pytest.raises(PlanError, match=says):
        ask("data-mixture", **given)
