"""Fits of laws that are the root of an equation: truths, real curves against SciPy, and everything after the fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

import scalinglens as sl
from scalinglens.fit.objective import Design, Loss
from scalinglens.fit.saved import load
from scalinglens.fit.starts import candidates, separate
from scalinglens.laws.catalogue import law
from scalinglens.numerics.newton import expand

M4 = law("alabdulmohsin2022.M4")
TRUE = {"e_inf": 0.12, "e0": 1.0, "a": 0.6, "b": 3.0, "c": -0.25}


def made(noise: float = 0.0) -> pd.DataFrame:
    x = np.geomspace(1e2, 1e8, 40)
    scatter = np.random.default_rng(3).normal(0, noise, len(x)) if noise else 0.0
    return pd.DataFrame({"x": x, "error": M4.value(TRUE, x=x) * np.exp(scatter)})


def curve(path: Path, domain: str, task: str, model: str) -> pd.DataFrame:
    runs = pd.read_csv(path).drop_duplicates()
    runs = runs[(runs.Domain == domain) & (runs.Task == task) & (runs.Model == model) & (runs.Training == 1)]
    return pd.DataFrame({"x": runs["Seen Examples"], "error": runs["Loss"]}).reset_index(drop=True)


def multi_start(frame: pd.DataFrame, starts: int) -> float:
    """Half the least squares of ln(error) that SciPy finds, the law inverted by plain bisection."""
    x, y = frame["x"].to_numpy(), frame["error"].to_numpy()

    def residuals(t: np.ndarray) -> np.ndarray:
        low, high = np.full((2, len(x)), np.exp(t[:2])[:, None])
        ends = low.copy(), high.copy()
        with np.errstate(all="ignore"):
            for _ in range(60):
                middle = 0.5 * (low + high)
                side = np.log(middle - ends[0]) - t[2] * np.log(ends[1] - middle) - t[3] - t[4] * np.log(x)
                low, high = np.where(side > 0, low, middle), np.where(side > 0, middle, high)
            return np.nan_to_num(np.log(0.5 * (low + high) / y), nan=1e3)

    rng = np.random.default_rng(0)
    best = np.inf
    for _ in range(starts):
        c, a = -rng.uniform(0.05, 1.0), rng.uniform(0.0, 1.5)
        low, high = y.min() * rng.uniform(0.05, 0.99), y.max() * rng.uniform(1.01, 2.0)
        b = np.median(np.log(y - low) - a * np.log(high - y) - c * np.log(x))
        found = least_squares(
            residuals,
            [np.log(low), np.log(high), a, b, c],
            bounds=([-30, -5, 0, -60, -5], [5, 8, 50, 60, 0]),
            max_nfev=200,
            x_scale="jac",
        )
        best = min(best, float(found.cost))
    return best


class TestSearch:
    def test_ends_are_searched_beyond_the_data_and_the_amplitude_follows(self) -> None:
        frame = made()
        parts = separate(M4)
        assert parts.linear == ("b",)
        x, y = (frame["x"].to_numpy(),), frame["error"].to_numpy()
        found = candidates(M4, x, y, np.ones(len(y)), held={}, count=64, seed=0)
        drawn = dict(zip(M4.parameters, found.T, strict=True))
        assert np.all((drawn["e_inf"] >= 0) & (drawn["e_inf"] < y.min()))
        assert np.all(drawn["e0"] > y.max())
        assert np.all(drawn["b"] > 0)

    def test_derivatives_of_the_objective(self) -> None:
        frame = made(0.05)
        design = Design.build(
            M4, Loss("squares"), (frame["x"].to_numpy(),), frame["error"].to_numpy(), np.ones(len(frame)), {}
        )
        u = design.to_coordinates(np.array([[0.1, 1.1, 0.4, 2.5, -0.22]]))
        here = expand(design.objective(np.inf), u)
        for i in range(5):
            step = np.zeros((1, 5))
            step[0, i] = 1e-5
            up, down = (expand(design.objective(np.inf), u + s * step) for s in (1, -1))
            assert here.gradient[0, i] == pytest.approx((up.value[0] - down.value[0]) / 2e-5, rel=1e-6)
            assert here.hessian[0, i] == pytest.approx((up.gradient[0] - down.gradient[0]) / 2e-5, rel=1e-6, abs=1e-8)


class TestTruths:
    def test_noise_free_curve_is_recovered(self) -> None:
        found = sl.fit(made(), "alabdulmohsin2022.M4")
        assert found.status == "certified"
        for name, value in TRUE.items():
            assert found.values[name] == pytest.approx(value, rel=1e-6), name

    def test_noise_free_fixed_point_is_recovered(self) -> None:
        full = law("kaplan2020.L_NS_batch", unverified=True)
        N, S, B = (a.ravel() for a in np.meshgrid([1e6, 1e7, 1e8, 1e9], [1e3, 1e4, 1e5], [3e4, 3e5, 3e6]))
        frame = pd.DataFrame({"params_nonembedding": N, "steps": S, "batch_tokens": B})
        frame["loss"] = full.value(points=dict(frame))
        found = sl.fit(frame, "kaplan2020.L_NS_batch")
        for name, value in full.constants.items():
            assert found.values[name] == pytest.approx(value, rel=1e-5), name

    def test_pinned_random_guess_level(self) -> None:
        found = sl.fit(made(), "alabdulmohsin2022.M4", pin={"e0": 1.0})
        assert found.values["e0"] == 1.0
        assert found.values["a"] == pytest.approx(TRUE["a"], rel=1e-6)


class TestAfterTheFit:
    def test_bootstrap_prediction_and_round_trip(self, tmp_path: Path) -> None:
        found = sl.fit(made(0.01), "alabdulmohsin2022.M4", pin={"e0": 1.0}, boot=40)
        assert found.status == "certified"
        ahead = found.predict(x=[1e9, 1e10])
        assert np.all(ahead["low"] < ahead["error"])
        assert np.all(ahead["error"] < ahead["high"])
        found.save(tmp_path / "fit.json")
        again = load(tmp_path / "fit.json")
        assert again.law.between == ("e_inf", "e0")
        pd.testing.assert_frame_equal(again.predict(x=[1e9, 1e10]), ahead)
        assert "  0 = (error - e_inf)/(e0 - error)^a - b*x^c" in str(found)
        assert found.derived == {}

    def test_figure_says_the_equation(self) -> None:
        from scalinglens.fit.figures import law_text

        assert law_text(sl.fit(made(), "alabdulmohsin2022.M4")).startswith("0 = (error")


# the table's curves with a finite optimum, with one at infinite e0 and a (the last NMT), and with one at a = 0 (the last)
CURVES = [
    ("NMT", "log_perplexity", "Dec-only"),
    ("NMT", "log_perplexity", "28 Enc, 6 Dec"),
    ("NMT", "log_perplexity", "6 Enc, 28 Dec"),
    ("LM", "val_loss", "1.07e+09"),
    ("BB", "('ling', '1-shot')", "262M"),
    ("BB", "('mult', '2-shot')", "262M"),
    ("BB", "('unit', '2-shot')", "262M"),
]


@pytest.mark.parametrize("which", CURVES, ids=lambda which: " ".join(which))
def test_real_curves_are_never_worse_than_m2_or_than_scipy(
    table: Callable[[str], Path], which: tuple[str, ...]
) -> None:
    frame = curve(table("revisiting-scaling-benchmark/benchmark.lang.csv"), *which)
    assert len(frame) >= 9
    found = sl.fit(frame, "alabdulmohsin2022.M4", loss="squares")
    assert found.value <= sl.fit(frame, "alabdulmohsin2022.M2", loss="squares").value * (1 + 1e-9)
    assert found.value <= multi_start(frame, starts=3) * (1 + 1e-6)
