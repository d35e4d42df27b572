"""Links against SciPy's least squares, their floors and anchors, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares

from scalinglens.errors import FitError
from scalinglens.fit.downstream import accuracy_link, fit_link

LOSS = np.linspace(2.0, 4.0, 24)


def sigmoid(p, x):
    return p[0] - p[1] / (1 + np.exp(-p[2] * (x - p[3])))


def noisy(seed: int, scale: float = 0.01) -> np.ndarray:
    return sigmoid((0.8, 0.55, 5.0, 3.0), LOSS) + scale * np.random.default_rng(seed).normal(size=len(LOSS))


@pytest.mark.parametrize("unit", [0.05, 1.0, 30.0])
def test_sigmoid_is_the_least_squares_of_scipy(unit: float) -> None:
    """In any unit of the loss, at or below the best of nine starts."""
    y = noisy(0)
    found = fit_link(unit * LOSS, y)
    best = min(
        least_squares(
            lambda p: sigmoid(p, LOSS) - y, [0.9, 0.6, k, x0], bounds=([0, 0, 0, 0], [1, 1, np.inf, np.inf])
        ).cost
        for k in (2.0, 6.0, 20.0)
        for x0 in (2.5, 3.0, 3.5)
    )
    assert found.status == "certified"
    assert found.value == pytest.approx(best, rel=1e-6)
    assert found.values["L0"] == pytest.approx(3.0 * unit, rel=0.02)


def test_exponential_is_the_least_squares_of_scipy() -> None:
    y = 1 - (0.85 - 2.2 * np.exp(-0.7 * LOSS)) + 0.004 * np.random.default_rng(1).normal(size=len(LOSS))
    found = fit_link(LOSS, y, "exponential")
    best = least_squares(lambda p: 1 - p[0] + p[1] * np.exp(-p[2] * LOSS) - y, [0.9, 2.0, 0.7])
    assert found.value == pytest.approx(best.cost, rel=1e-6)
    assert [found.values[name] for name in ("eps", "k", "gamma")] == pytest.approx(best.x, rel=1e-3)


@pytest.mark.parametrize("link", ["sigmoid", "exponential"])
def test_floor(link: str) -> None:
    found = fit_link(LOSS, noisy(2), link, floor=0.25)
    assert found.law.value(found.values, {"loss": 1e3}) == pytest.approx(0.25, abs=1e-9)
    assert len(found.law.parameters) == len(accuracy_link(link).parameters) - 1


def test_ceiling_is_not_below_the_floor() -> None:
    """An accuracy below chance would else be fitted by a link that falls with skill."""
    y = 0.2 + 0.02 * np.random.default_rng(0).normal(size=len(LOSS))
    found = fit_link(LOSS, y, floor=0.25)
    assert found.values["b"] >= 0.25


def test_anchor_counts_as_one_row() -> None:
    """As an ordinary row at a loss of zero, in the objective; and in every resample."""
    y = noisy(3)
    runs = np.repeat(np.arange(8), 3)
    found = fit_link(LOSS, y, anchor=(0.0, 1.0), groups=runs)
    x, target = np.append(LOSS, 0.0), np.append(y, 1.0)
    best = min(
        least_squares(
            lambda p: sigmoid(p, x) - target, [0.9, 0.6, k, x0], bounds=([0, 0, 0, 0], [1, 1, np.inf, np.inf])
        ).cost
        for k in (1.0, 3.0, 6.0)
        for x0 in (2.0, 3.0)
    )
    assert found.value == pytest.approx(best, rel=1e-5)
    assert found.weights.sum() == pytest.approx(len(LOSS) + 1)
    anchors = found.weights < 1
    assert anchors.sum() == 8
    assert np.unique(found.groups[anchors]).tolist() == list(range(8))


def test_draws_belong_to_runs() -> None:
    found = fit_link(LOSS, noisy(4), groups=np.repeat(np.arange(8), 3), boot=50, level=0.5)
    assert found.groups.max() == 7
    assert len(found.draws) == 50


@pytest.mark.parametrize(("arguments", "options", "words"), [
    ((LOSS, 100 * noisy(0)), {}, ["accuracy of row", "divide percentages by 100"]),
    ((LOSS, noisy(0)[:-1]), {}, ["one accuracy per loss", "23 for 24"]),
    ((np.append(LOSS[:-1], np.nan), noisy(0)), {}, ["loss of row 23", "nan"]),
    ((LOSS, noisy(0)), {"link": "sigmiod"}, ['no link "sigmiod"', '"sigmoid"', "exponential"]),
    ((LOSS, noisy(0)), {"link": "accuracy = c - m*log(params)"}, ["loss as its only input", "params"]),
    ((LOSS, noisy(0)), {"floor": 25}, ["floor", "25"]),
    ((LOSS, noisy(0)), {"link": "accuracy = c - m*loss", "floor": 0.25}, ["write it into the formula"]),
    ((LOSS[:3], noisy(0)[:3]), {}, ["3 runs cannot determine 4 parameters"]),
])  # fmt: skip
def test_refusals(arguments, options, words) -> None:
    with pytest.raises(FitError) as problem:
        fit_link(*arguments, **options)
    for word in words:
        assert word in str(problem.value)


def test_typed_link() -> None:
    found = fit_link(LOSS, 0.9 - 0.2 * LOSS, "accuracy = c - m*loss")
    assert (found.values["c"], found.values["m"]) == pytest.approx((0.9, 0.2))
