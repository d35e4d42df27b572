"""Components against planted ones and scikit-free algebra, imputation, families, emergent tasks, bad input."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import FitError, RunsError
from scalinglens.fit.downstream import capabilities
from scalinglens.fit.downstream.capabilities import imputed

METRICS = ["a", "b", "c", "d", "e"]
LOADINGS = np.array([[0.5, 0.3, 0.4, 0.2, 0.6], [0.4, -0.5, 0.1, 0.2, -0.2], [0.1, 0.1, -0.5, 0.6, 0.0]])


def world(seed: int = 0, noise: float = 0.0):
    """Four families of ten models whose three abilities are lines in ln compute; scores linear in the abilities."""
    rng = np.random.default_rng(seed)
    logs = rng.uniform(np.log(1e20), np.log(1e24), 40)
    family = np.repeat(np.arange(4), 10)
    slope, shift = rng.uniform(0.05, 0.15, (4, 3)), rng.normal(0, 0.3, (4, 3))
    ability = slope[family] * (logs[:, None] - 50) * [1, 0.4, 0.2] + shift[family] * [0.3, 0.6, 0.4]
    scores = 0.5 + 0.3 * ability @ LOADINGS + noise * rng.normal(size=(40, 5))
    table = pd.DataFrame(scores, columns=METRICS)
    table["Model"] = [f"m{i}" for i in range(40)]
    table["Model Family"] = [f"f{k}" for k in family]
    table["C"] = np.exp(logs) / 1e21
    return table, ability, slope


def found(table, **options):
    return capabilities(table, METRICS, flops="C", flops_unit=1e21, **options)


def test_components_are_the_eigenvectors_of_the_covariance() -> None:
    table, _, _ = world(noise=0.02)
    got = found(table)
    values, vectors = np.linalg.eigh(np.cov(table[METRICS].T))
    assert got.explained == pytest.approx(values[::-1] / values.sum())
    for k in range(3):
        vector = vectors[:, -1 - k]
        assert got.loadings[k] == pytest.approx(vector * np.sign(vector.sum()), abs=1e-9)
    assert got.scores == pytest.approx((table[METRICS] - table[METRICS].mean()).to_numpy() @ got.loadings.T)


def test_three_planted_abilities_are_all_there_is() -> None:
    table, _, _ = world()
    got = found(table)
    assert got.explained[:3].sum() == pytest.approx(1.0)
    assert got.project(table[METRICS].to_numpy()) == pytest.approx(got.scores)


def test_families_are_lines_in_log_compute() -> None:
    """Each ability is a line in its family, so each component is; and a line put in gives the compute it was made with."""
    table, _, _ = world()
    got = found(table)
    assert len(got.lines) == 12
    assert all(line.r2 > 1 - 1e-9 for line in got.lines)
    for name in ("f0", "f3"):
        own = (table["Model Family"] == name).to_numpy()
        assert got.at(name, got.flops[own]) == pytest.approx(got.scores[own], abs=1e-9)
        if got.line(name).slope > 0:
            assert got.equivalent_flops(name)[own] == pytest.approx(got.flops[own], rel=1e-6)


def test_slopes_differ_between_families_as_planted() -> None:
    """One ability alone: the slope of its component is proportional to the planted one, family by family."""
    rng = np.random.default_rng(3)
    logs, family = rng.uniform(46, 55, 40), np.repeat(np.arange(4), 10)
    slope = np.array([0.05, 0.1, 0.15, 0.2])
    table, _, _ = world()
    table[METRICS] = 0.5 + (slope[family] * (logs - 50))[:, None] * LOADINGS[0]
    table["C"] = np.exp(logs) / 1e21
    got = found(table, components=1)
    measured = np.array([got.line(f"f{k}").slope for k in range(4)])
    assert measured / slope == pytest.approx(np.full(4, np.linalg.norm(LOADINGS[0])))


def test_a_missing_score_of_one_ability_is_filled_exactly() -> None:
    skill = np.linspace(-1, 1, 30)[:, None]
    full = 0.5 + 0.3 * skill * np.array([1.0, 0.5, 0.8, 0.2])
    holes = full.copy()
    holes[[2, 11, 20], [0, 2, 3]] = np.nan
    assert imputed(holes) == pytest.approx(full, abs=1e-6)
    assert np.isnan(holes).sum() == 3  # the input is left alone


def test_imputation_is_a_fixed_point() -> None:
    table, _, _ = world(1, noise=0.02)
    scores = table[METRICS].to_numpy(copy=True)
    scores[np.random.default_rng(0).random(scores.shape) < 0.1] = np.nan
    once, twice = imputed(scores, rounds=200), imputed(scores, rounds=201)
    assert once == pytest.approx(twice, abs=1e-8)


def test_emergent_task_is_recovered_beyond_the_cut() -> None:
    """A task that is a sigmoid of the abilities, trained on models below a cut in compute; compute alone cannot do it."""
    table, ability, _ = world()
    got = found(table)
    task = 0.05 + 0.9 / (1 + np.exp(-(12 * ability[:, 0] - 5 * ability[:, 1] - 2)))
    train = got.flops < np.quantile(got.flops, 0.7)
    by_components = got.emergent(task, train=train)
    by_compute = got.emergent(task, on="compute", train=train)
    assert by_components.mse(train=False) < 1e-6
    assert by_compute.mse(train=False) > 100 * by_components.mse(train=False)
    frame = by_components.predict()
    assert list(frame.columns) == ["model", "observed", "accuracy", "low", "high", "train"]
    assert frame["accuracy"].to_numpy() == pytest.approx(task, abs=5e-3)


def test_scores_go_by_name() -> None:
    table, ability, _ = world()
    got = found(table)
    task = 0.1 + 0.8 / (1 + np.exp(-6 * ability[:, 0]))
    named = dict(list(zip(table["Model"], task, strict=True))[::-1])
    assert got.emergent(named).fit.values == got.emergent(task).fit.values


def test_unknown_compute_is_no_obstacle_to_components() -> None:
    table, _, _ = world()
    table.loc[[0, 1], "C"] = np.nan
    got = found(table)
    assert np.isfinite(got.scores).all()
    assert got.line("f0").models == 8


def test_plain_data() -> None:
    got = found(world()[0])
    words = json.loads(json.dumps(got.to_dict()))
    assert len(words["models"]) == 40
    assert "4 models" not in repr(got)
    assert "40 models, 5 benchmarks" in repr(got)


@pytest.mark.parametrize(("change", "options", "error", "words"), [
    ({}, {"metrics": ["a", "z"]}, RunsError, 'no column "z"'),
    ({"a": "x"}, {}, RunsError, "no number"),
    ({"a": np.nan}, {}, FitError, "metric 0 has no score"),
    ({"Model": "same"}, {}, RunsError, "stands in two rows"),
    ({}, {"components": 9}, FitError, "do not give 9 components"),
    ({}, {"components": 0}, FitError, "positive whole number"),
])  # fmt: skip
def test_bad_tables(change, options, error, words) -> None:
    table = world()[0].assign(**change)
    metrics = options.pop("metrics", METRICS)
    with pytest.raises(error, match=words):
        capabilities(table, metrics, flops="C", **options)


def test_bad_questions() -> None:
    got = found(world()[0])
    with pytest.raises(FitError, match='did you mean "f3"'):
        got.line("f33")
    with pytest.raises(FitError, match="divide by 100"):
        got.emergent(np.full(40, 50.0))
    with pytest.raises(FitError, match="40 models"):
        got.emergent(np.full(3, 0.5))
    with pytest.raises(FitError, match="none of the models"):
        got.emergent({"other": 0.5})
    with pytest.raises(FitError, match='got "flops"'):
        got.emergent(np.full(40, 0.5), on="flops")
    with pytest.raises(FitError, match="too few for 3 components"):
        got.project([0.5, 0.5, np.nan, np.nan, np.nan])


def test_a_task_that_is_zero_for_most_models_is_found() -> None:
    """Relative errors do not exist at zero; the search must still find the steep curve (truth is the global optimum)."""
    table, _, _ = world()
    got = found(table)
    z = (np.log(got.flops) - np.log(got.flops).mean()) / np.log(got.flops).std()
    task = np.where(z > 0.3, 0.16 / (1 + np.exp(-(9 * z - 9))), 0.0)
    by_compute = got.emergent(task, on="compute")
    assert by_compute.mse(train=True) < 1e-6
