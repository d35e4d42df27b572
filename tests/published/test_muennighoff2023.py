"""Muennighoff et al. 2023 (arXiv 2305.16264): R_D* and R_N* on 182 runs, the other parameters held at print.

The printed half-life of 15 epochs is one of many local optima of the objective, and not the best.
"""

import numpy as np
import pytest

from scalinglens.fit import fit
from scalinglens.fit.objective import Design, Loss
from scalinglens.laws.catalogue import law
from scalinglens.runs import read_runs

HELD = {"A": np.exp(6.255414), "B": np.exp(7.3049974), "E": np.exp(0.6254804), "alpha": 0.3526596, "beta": 0.3526596}
BEST = 0.0158046625


@pytest.fixture(scope="module")
def runs(table):
    found = read_runs(table("datablations/runs_182_published_fit.csv"))
    assert len(found) == 182
    assert np.all(found.column("tokens_unique") <= found.column("tokens"))
    return found


def by_hand(runs, RD, RN):
    """The objective, written out: Huber 1e-3 of the logarithm of prediction over loss."""
    N, D, U, y = (runs.column(name) for name in ("params", "tokens", "tokens_unique", "loss"))
    optimal = (HELD["A"] / HELD["B"]) ** (1 / HELD["alpha"]) * U
    base = np.minimum(N, optimal)
    size = base * (1 + RN * (1 - np.exp(-np.maximum(N / base - 1, 0) / RN)))
    data = U * (1 + RD * (1 - np.exp(-(D / U - 1) / RD)))
    prediction = HELD["E"] + HELD["A"] / size ** HELD["alpha"] + HELD["B"] / data ** HELD["beta"]
    r = np.abs(np.log(prediction / y))
    return np.sum(np.where(r < 1e-3, r**2 / 2, 1e-3 * (r - 5e-4)))


def test_objective_and_r2_at_print(runs):
    found = fit(runs, "muennighoff2023", pin={**HELD, "RD": 15.387756, "RN": 5.309743})
    assert found.value == pytest.approx(0.0158259353, abs=1e-9)
    assert found.value == pytest.approx(by_hand(runs, 15.387756, 5.309743), rel=1e-12)
    seen, prediction = runs.column("loss"), found.predict(runs.frame)["loss"].to_numpy()
    assert 1 - np.sum((prediction - seen) ** 2) / np.sum((seen - seen.mean()) ** 2) == pytest.approx(0.77220, abs=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_print_is_one_of_several_optima_and_not_the_best(runs, seed):
    found = fit(runs, "muennighoff2023", pin=HELD, seed=seed)
    assert found.value <= 0.0158047
    assert found.values["RD"] == pytest.approx(95.365, rel=1e-3)
    assert found.values["RN"] == pytest.approx(1.7059, rel=1e-3)
    basins = [(b.parameters["RD"], b.parameters["RN"], b.value) for b in found.certificate.basins]
    assert basins[0] == pytest.approx((95.365, 1.7059, BEST), rel=1e-4)
    printed = [b for b in basins if abs(b[0] - 15.37) < 0.05]
    assert len(printed) == 1
    assert printed[0] == pytest.approx((15.3718, 5.3151, 0.0158259321), rel=1e-3)
    assert "near optimum" in repr(found)


def test_print_is_a_local_optimum(runs):
    """Stepping aside from it along RD and RN raises the objective, on every side."""
    here = by_hand(runs, 15.3718, 5.3151)
    for step in (0.9, 0.97, 1.03, 1.1):
        for other in (0.9, 0.97, 1.03, 1.1):
            assert by_hand(runs, 15.3718 * step, 5.3151 * other) > here


def test_starts_near_print_end_at_it_or_lower(runs):
    form = law("muennighoff2023")
    inputs = tuple(runs.column(name) for name in form.inputs)
    design = Design.build(form, Loss("huber", 1e-3, "log", 1.0), inputs, runs.column("loss"), np.ones(len(runs)), HELD)
    factors = np.geomspace(0.5, 2, 5)
    starts = np.array([
        [{**HELD, "RD": 15.387756 * a, "RN": 5.309743 * b}[name] for name in form.parameters] for a in factors for b in factors
    ])  # fmt: skip
    ends = design.minimise(design.to_coordinates(starts), damping=1.0)
    assert np.all(ends.value <= 0.0158260)
    assert np.all(ends.value >= BEST * (1 - 1e-8))


def test_the_half_life_is_not_identified(runs):
    """The profile over R_D, on a grid of R_N by hand: within 0.25% of the best from 15 to 200.

    The notes this was planned from say 0.15%; at R_D = 20 it is 0.23%, by two independent searches.
    """
    grid = np.geomspace(0.3, 60, 1500)
    for RD in (15, 20, 50, 95.365, 150, 200):
        best = min(by_hand(runs, RD, RN) for RN in grid)
        assert best / BEST - 1 < 0.0025
        assert fit(runs, "muennighoff2023", pin={**HELD, "RD": RD}).value == pytest.approx(best, rel=1e-6)
    interval = fit(runs, "muennighoff2023", pin=HELD, interval="profile").interval("RD")
    assert 15.387756 in interval
    assert 150 in interval


def test_repetition_of_data_alone(runs):
    """Print: R_D* 2.9157 at 0.016922 when only the data decay."""
    form = "E + A/params^alpha + B/(tokens_unique*(1 + RD*(1 - exp(-(tokens/tokens_unique - 1)/RD))))^beta"
    found = fit(runs, form, pin=HELD)
    assert found.value == pytest.approx(0.016922, abs=1e-6)
    assert found.values["RD"] == pytest.approx(2.9157, abs=2e-3)
