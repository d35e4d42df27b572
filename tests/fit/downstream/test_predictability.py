"""Each check fails where its reason holds and nowhere else; false alarms are rare."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import FitError
from scalinglens.fit.downstream import predictability
from scalinglens.fit.downstream.predictability import scatter_of

LOSS = np.linspace(4.0, 2.0, 16)
RISE = 0.8 - 0.55 / (1 + np.exp(-4 * (LOSS - 3.0)))
TURN = 0.25 + 0.3 * np.exp(-(((LOSS - 3.0) / 0.4) ** 2))


def failed(loss, accuracy, **options) -> set[str]:
    return {check.name for check in predictability(loss, accuracy, **options) if check.passed is False}


def by_name(loss, accuracy, **options):
    return {check.name: check for check in predictability(loss, accuracy, **options)}


def noise(seed: int, scale: float = 0.01) -> np.ndarray:
    return scale * np.random.default_rng(seed).normal(size=len(LOSS))


@pytest.mark.parametrize("seed", range(20))
def test_a_plain_rise_fails_nothing(seed: int) -> None:
    assert failed(LOSS, RISE + noise(seed), chance=0.25, items=2000) == set()


@pytest.mark.parametrize("seed", range(20))
def test_accuracy_at_chance_is_refused(seed: int) -> None:
    checks = predictability(LOSS, 0.25 + noise(seed), chance=0.25)
    assert any(check.fatal and check.passed is False for check in checks)


def test_at_chance_is_counted_against_the_binomial_error() -> None:
    """Of 100 questions, 0.30 is one standard error above 0.25; of 10,000 it is eleven."""
    accuracy = np.full(16, 0.25) + np.linspace(0, 0.05, 16)
    few, many = (by_name(LOSS, accuracy, chance=0.25, items=items)["above chance"] for items in (100, 10_000))
    assert (few.value, few.passed, few.fatal) == (0, False, True)
    bar = 0.25 + 3.2272 * np.sqrt(0.25 * 0.75 / 10_000)  # normal quantile of 0.01/16
    assert (many.value, many.passed) == (int(np.sum(accuracy > bar)), True)


def test_few_runs_above_chance_warn_and_do_not_refuse() -> None:
    accuracy = np.where(LOSS < 2.3, 0.35, 0.25) + np.linspace(0, 1e-3, 16)
    check = by_name(LOSS, accuracy, chance=0.25, items=5000)["above chance"]
    assert (check.passed, check.fatal, check.value) == (False, False, 3)


def test_inverse_scaling() -> None:
    check = by_name(LOSS, RISE[::-1] + noise(0), chance=0.25)["trend"]
    assert (check.passed, check.fatal) == (False, True)
    assert "inverse scaling" in check.says


def test_a_turn_is_seen() -> None:
    assert "monotone" in failed(LOSS, TURN + noise(0), chance=0.25)


def test_false_alarms_of_a_turn_are_rare() -> None:
    wrong = sum("monotone" in failed(LOSS, RISE + noise(seed, 0.02), chance=0.25) for seed in range(300))
    assert wrong <= 9  # 3 expected of a test at 1 %, 9 is beyond 99.9 %


def test_saturation() -> None:
    assert failed(LOSS, 0.99 - 0.3 / (1 + np.exp(-8 * (LOSS - 3.2))), chance=0.25) == {"not saturated"}


def test_sharp_metric_counts_the_tokens() -> None:
    """Exact match over n tokens of loss L is exp(-n L) (Schaeffer et al. 2023)."""
    loss = np.linspace(1.2, 0.2, 16)
    check = by_name(loss, np.exp(-10 * loss), chance=0.0)["smooth metric"]
    assert check.value == pytest.approx(10, rel=1e-6)
    assert check.passed is False
    assert by_name(loss, np.exp(-2.6 * loss), chance=0.0)["smooth metric"].passed is True
    stepped = by_name(loss, np.where(loss < 0.5, 0.9, 0.0))["smooth metric"]
    assert stepped.passed is False
    assert "score exactly zero" in stepped.says


def test_a_small_benchmark_drowns_the_rise() -> None:
    accuracy = 0.5 + np.linspace(0, 0.1, 16)
    checks = by_name(LOSS, accuracy, chance=0.25, items=40)
    assert checks["signal"].passed is False
    error = np.sqrt(0.55 * 0.45 / 40)
    assert checks["signal"].value == pytest.approx(0.1 / error)
    assert by_name(LOSS, accuracy, chance=0.25, items=40_000)["signal"].passed is True


def test_few_runs() -> None:
    assert "enough runs" in failed(LOSS[::5], RISE[::5])


def test_without_chance_the_check_is_undecided() -> None:
    assert by_name(LOSS, RISE)["above chance"].passed is None


def test_base_rate_is_a_note() -> None:
    check = by_name(LOSS, RISE)["base rate"]
    assert (check.passed, check.value) == (None, 18 / 46)


def test_order_of_the_runs_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(16)
    accuracy = RISE + noise(1)
    assert predictability(LOSS[order], accuracy[order], chance=0.25) == predictability(LOSS, accuracy, chance=0.25)


def test_scatter_is_that_of_the_noise_and_not_of_the_curve() -> None:
    x = np.sort(np.random.default_rng(0).uniform(0, 1, 4000))
    y = np.sin(6 * x) + 0.1 * np.random.default_rng(1).normal(size=4000)
    assert scatter_of(x, y) == pytest.approx(0.1, rel=0.03)


@pytest.mark.parametrize(("loss", "accuracy", "options", "words"), [
    (LOSS, RISE[:-1], {}, "15 for 16"),
    (LOSS, np.append(RISE[:-1], np.nan), {}, "accuracy of run 15 is nan"),
    (LOSS, RISE, {"chance": 25}, "chance is the share"),
    (LOSS, RISE, {"items": 0}, "items is the number"),
    (np.array([]), np.array([]), {}, "one accuracy per loss"),
])  # fmt: skip
def test_refusals(loss, accuracy, options, words) -> None:
    with pytest.raises(FitError, match=words):
        predictability(loss, accuracy, **options)


def test_constant_columns() -> None:
    assert "trend" in failed(LOSS, np.full(16, 0.3))
    assert "trend" in failed(np.full(16, 2.0), RISE)
