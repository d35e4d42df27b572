"""Mixtures of experts: the published optima of Krajewski et al. 2024, brute force over every law, memory."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.plan import plan
from scalinglens.plan.questions import ask
from scalinglens.plan.questions.mixture_of_experts import granular
from scalinglens.plan.source import as_source

GRANULARITIES = (1, 2, 4, 8, 16, 32, 64, 128)


@pytest.mark.parametrize(
    ("flops", "granularity", "tokens", "active", "loss"),
    [
        (2.95e18, 8, 4.37e9, 100e6, 3.133),
        (1.93e20, 16, 28.94e9, 1e9, 2.491),
        (1.41e21, 16, 72.9e9, 3e9, 2.245),
        (6.46e21, 32, 137.6e9, 7e9, 2.076),
        (4.16e23, 32, 941.07e9, 70e9, 1.694),
        (5.69e24, 64, 2.96e12, 300e9, 1.503),
        (4.97e25, 64, 7.94e12, 1e12, 1.367),
    ],
)
def test_the_published_optima_of_krajewski(flops, granularity, tokens, active, loss):
    options = {g: granular(flops, g) for g in GRANULARITIES}
    best = min(options, key=lambda g: options[g]["loss"])
    assert best == granularity
    assert options[best]["tokens"] == pytest.approx(tokens, rel=0.03)
    assert options[best]["params_active"] == pytest.approx(active, rel=0.03)
    assert options[best]["loss"] == pytest.approx(loss, abs=0.03)  # the coefficients are rounded


def brute(flops, most=np.inf, sparsities=None):
    """The least loss of abnar2025 over a fine grid."""
    s = np.linspace(0, 0.95, 1201) if sparsities is None else np.asarray(sparsities)
    n = np.geomspace(1e7, min(most, 1e13), 4001)[:, None]
    values = law("abnar2025").value(points={"params": n, "tokens": flops / (6 * n * (1 - s)), "sparsity": s + 0 * n})
    i, j = np.unravel_index(np.argmin(values), values.shape)
    return values[i, j], float(n[i, 0]), float(s[j])


@pytest.mark.parametrize("memory", [None, 80e9, 20e9, 4e9])
def test_against_brute_force(memory):
    found = ask("mixture-of-experts", flops=1e21, memory_bytes=memory)
    least, n, s = brute(1e21, np.inf if memory is None else memory / 2)
    assert found.answer["loss"].value == pytest.approx(least, rel=1e-6)
    assert found.answer["loss"].value <= least
    assert found.answer["params"].value == pytest.approx(n, rel=0.01)
    assert found.answer["sparsity"].value == pytest.approx(s, abs=0.002)
    dense, _, _ = brute(1e21, np.inf if memory is None else memory / 2, [0.0])
    assert found.answer["loss_dense"].value == pytest.approx(dense, rel=1e-6)
    low, high = found.near_optimal["sparsity"]
    assert low <= found.answer["sparsity"].value <= high + 1e-12
    if memory is not None:
        assert found.answer["params"].value <= memory / 2 * (1 + 1e-9)


def test_gain_is_the_compute_of_the_dense_one():
    found = ask("mixture-of-experts", flops=3e20, sparsity=0.9).answer
    dense, _, _ = brute(3e20 * found["gain"].value, sparsities=[0.0])
    assert dense == pytest.approx(found["loss"].value, rel=1e-6)
    assert found["params_active"].value == pytest.approx(0.1 * found["params"].value)
    # and the dense optimum is that of the engine
    engine = plan("abnar2025", flops=3e20, fix={"sparsity": 0}, cost="6*params*tokens", spread=False).answer
    assert engine["loss"].value == pytest.approx(found["loss_dense"].value, rel=1e-7)


def test_other_laws_and_warnings():
    found = ask("mixture-of-experts", flops=1e22)
    assert found.extrapolation_decades == {"flops": pytest.approx(1.0)}
    assert set(found.spread) == {"krajewski2024.moe", "clark2022.sbase_refit"}
    assert found.spread["clark2022.sbase_refit"]["tokens"] == 130e9
    assert all(said["gain"] > 1 for said in found.spread.values())
    assert any("0.95" in text for text in found.warnings)
    beyond = ask("mixture-of-experts", flops=1e21, sparsity=0.98)
    assert any("68%" in text for text in beyond.warnings)


def test_memory_takes_the_gain_away():
    gains = [ask("mixture-of-experts", flops=1e21, memory_bytes=m).answer["gain"].value for m in (1e12, 2e10, 5e9)]
    assert gains[0] > gains[1] > gains[2]


def test_a_law_of_experts():
    constants = {
        "a": 35.91, "b": 35.98, "c": 1.4637, "alpha": -0.1889, "beta": -0.1775, "delta": 0.2285, "gam": -0.0098,
        "omega": -0.5529, "zeta": 0.0259, "Es": 2.0, "Em": 290.0,
    }  # fmt: skip
    joint = as_source(law("ludziejewski2025", unverified=True), constants=constants)
    found = ask("mixture-of-experts", flops=1e21, memory_bytes=60e9, source=joint).answer
    best = np.inf
    for e in (1, 2, 4, 8, 16, 32, 64):
        n = np.geomspace(1e7, 30e9 / ((8 * e + 4) / 12), 20001)
        best = min(best, joint.value({"params_active": n, "tokens": 1e21 / (6 * n), "experts": float(e)}).min())
    assert found["loss"].value == pytest.approx(best, rel=1e-7)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"flops": 1e21, "sparsity": 1.5}, "share"),
        ({"flops": 1e21, "sparsity": 95}, "write 0.95"),
        ({"flops": 0}, "positive"),
        ({"flops": 1e21, "memory_bytes": 80}, "in bytes"),
        ({"flops": 1e21, "source": "besiroglu2024"}, "params, tokens and sparsity"),
    ],
)
def test_refusals(given, said):
    with pytest.raises(PlanError, match=said):
        ask("mixture-of-experts", **given)


def test_typo_of_a_law():
    with pytest.raises(Exception, match="abnar2025"):
        ask("mixture-of-experts", flops=1e21, source="abnar2052")
