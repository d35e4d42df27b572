"""Leaving the target out, borrowing parameters, and the components of the parameters of families."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalinglens.errors import FitError
from scalinglens.fit import fit
from scalinglens.fit.compare.family import borrowed, leave_target_out, parameter_components
from scalinglens.runs import read_runs

LAW = "E + A/params^alpha + B/tokens^beta"


def runs(A=480.0, B=2000.0, E=1.8, alpha=0.35, beta=0.37, sizes=(1e7, 3e7, 1e8, 3e8, 1e9), scatter=0.0, seed=0):
    N, D = np.meshgrid(sizes, 10 ** np.linspace(9, 11, 6), indexing="ij")
    N, D = N.ravel(), D.ravel()
    noise = np.exp(scatter * np.random.default_rng(seed).standard_normal(len(N)))
    return read_runs({"params": N, "tokens": D, "loss": (E + A / N**alpha + B / D**beta) * noise})


def test_the_largest_size_is_forecast_from_the_others() -> None:
    table = runs()
    found = leave_target_out(table, LAW)
    assert len(found.fit.observed) == 24
    assert found.are < 1e-6  # no noise, the right law
    np.testing.assert_allclose(found.observed, table.column("loss")[table.column("params") == 1e9])
    best = table.column("loss")[table.column("params") < 1e9].min()
    assert found.baseline == pytest.approx(np.mean(np.abs(best / found.observed - 1)))


def test_only_the_end_of_the_target_is_scored() -> None:
    table = runs(scatter=0.01)
    found = leave_target_out(table, LAW, last=0.3)
    assert len(found.observed) == 1
    assert found.observed[0] == table.column("loss")[-1]


def test_rows_can_be_named() -> None:
    table = runs()
    found = leave_target_out(table, LAW, held=table.column("params") == 1e8)
    assert len(found.observed) == 6
    assert found.are < 1e-6


def test_what_cannot_be_left_out_is_refused() -> None:
    with pytest.raises(FitError, match="all 6 runs have one size"):
        leave_target_out(runs(sizes=(1e8,)), LAW)
    with pytest.raises(FitError, match="30 of 30 runs are held out"):
        leave_target_out(runs(), LAW, held=np.ones(30, dtype=bool))
    with pytest.raises(FitError, match="there are 30 runs but 3 marks"):
        leave_target_out(runs(), LAW, held=np.ones(3, dtype=bool))
    with pytest.raises(FitError, match=r"last is a share .* got 1\.5"):
        leave_target_out(runs(), LAW, last=1.5)


def test_one_size_with_the_size_term_of_a_relative() -> None:
    """The relative has another corpus (B, beta, E) and the same size term: then the other sizes follow from one."""
    relative = fit(runs(B=1500.0, E=2.1, beta=0.34), LAW)
    table = runs(scatter=1e-4)
    one = table.where("params == 1e8")
    assert fit(one, LAW).status != "certified"
    lent = borrowed(relative, "A", "alpha")
    assert lent == pytest.approx({"A": 480.0, "alpha": 0.35}, rel=1e-3)
    found = fit(one, LAW, pin=lent)
    assert found.status == "certified"
    others = table.where("params != 1e8")
    assert np.mean(np.abs(found.predict(others.frame)["loss"].to_numpy() / others.column("loss") - 1)) < 2e-3


def test_what_cannot_be_lent_is_refused() -> None:
    relative = fit(runs(scatter=1e-3), LAW)
    with pytest.raises(FitError, match=r'no parameter "alfa" to lend.*did you mean "alpha"'):
        borrowed(relative, "alfa")
    with pytest.raises(FitError, match="name the parameters to borrow: E, A, alpha, B, beta"):
        borrowed(relative)
    unknown = fit(runs(sizes=(1e8,)), LAW)
    assert unknown.refusal
    with pytest.raises(FitError, match="cannot lend parameters"):
        borrowed(unknown, "A")


def made(values):
    """Fits that hold given values; only those are looked at."""
    one = fit(runs(scatter=1e-3), LAW)
    return [replace(one, values=dict(zip(one.law.parameters, row, strict=True))) for row in values]


def test_components_are_those_of_the_correlation_matrix() -> None:
    rng = np.random.default_rng(1)
    free = rng.standard_normal((12, 2))
    # ln A follows alpha, ln B follows beta, E is constant but for a little
    u = np.column_stack([1.8 + 1e-3 * rng.standard_normal(12), 6 + free[:, 0], 0.35 + 0.02 * free[:, 0], 7 + free[:, 1],
                         0.37 + 0.02 * free[:, 1]])  # fmt: skip
    values = u.copy()
    values[:, [1, 3]] = np.exp(u[:, [1, 3]])
    found = parameter_components(made(values))
    coordinates = np.log(values)  # every parameter of this law is positive
    expected = np.sort(np.linalg.eigvalsh(np.corrcoef(coordinates.T)))[::-1] / 5
    np.testing.assert_allclose(found.shares, expected, rtol=1e-6, atol=1e-9)
    rebuilt = found.centre + found.spread * (found.scores @ found.directions)
    np.testing.assert_allclose(rebuilt, coordinates, rtol=1e-9)
    assert np.all(found.directions[np.arange(5), np.argmax(np.abs(found.directions), axis=1)] > 0)
    assert found.shares[:3].sum() > 0.99


def test_parameters_without_ties_need_more_components() -> None:
    rng = np.random.default_rng(2)
    found = parameter_components(made(np.exp(rng.standard_normal((40, 5)))))
    assert found.shares[:3].sum() < 0.9
    some = parameter_components(made(np.exp(rng.standard_normal((40, 5)))), names=["A", "alpha"])
    assert some.parameters == ("A", "alpha")
    assert len(some.shares) == 2


def test_components_that_do_not_exist_are_refused() -> None:
    pair = made(np.exp(np.random.default_rng(3).standard_normal((2, 5))))
    with pytest.raises(FitError, match="two families at least, got 1"):
        parameter_components(pair[:1])
    with pytest.raises(FitError, match="the same"):
        parameter_components([pair[0], pair[0]])
    with pytest.raises(FitError, match='no parameter "gamma"'):
        parameter_components(pair, names=["gamma"])
    other = fit(runs(scatter=1e-3), "E + A/params^alpha")
    with pytest.raises(FitError, match="components need one law"):
        parameter_components([pair[0], other])
