"""Random truths without noise come back in their predictions, or the status says why not."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scalinglens.fit import fit
from scalinglens.laws.catalogue import law
from scalinglens.runs import read_runs

EXACT = 1e-6  # relative, at the data: far below any noise, far above rounding


def check(formula, truth, points, **options):
    form = law(formula)
    loss = form.value(truth, points)
    found = fit(read_runs({**points, "loss": loss}), formula, **options)
    prediction = np.asarray(found.law.value(found.values, points))
    error = float(np.max(np.abs(prediction / loss - 1)))
    if found.status == "certified":
        assert error <= EXACT, (found.status, error, truth, found.values)
    elif error > EXACT:
        assert found.certificate.reasons, (found.status, error)
    return found, error


shapes = st.floats(0.15, 0.7)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(E=st.floats(0.3, 3.0), share=st.floats(0.05, 1.0), alpha=shapes, tilt=st.floats(0.1, 1.0), beta=shapes,
       rows=st.integers(12, 60), seed=st.integers(0, 99))  # fmt: skip
def test_chinchilla_truths_come_back(E, share, alpha, tilt, beta, rows, seed):
    rng = np.random.default_rng(seed)
    points = {"params": 10 ** rng.uniform(7, 10, rows), "tokens": 10 ** rng.uniform(9, 12, rows)}
    truth = {"E": E, "A": share * 1e8**alpha, "alpha": alpha, "B": tilt * 1e10**beta, "beta": beta}
    found, error = check("hoffmann2022", truth, points)
    assert found.status == "certified"
    assert error <= EXACT


@settings(max_examples=25, deadline=None, derandomize=True)
@given(alphaN=st.floats(0.05, 0.3), alphaD=st.floats(0.05, 0.3), Nc=st.floats(11, 14), Dc=st.floats(11, 14),
       rows=st.integers(12, 50), seed=st.integers(0, 99))  # fmt: skip
def test_kaplan_truths_come_back(alphaN, alphaD, Nc, Dc, rows, seed):
    rng = np.random.default_rng(seed)
    points = {"params": 10 ** rng.uniform(6, 9, rows), "tokens": 10 ** rng.uniform(8, 11, rows)}
    truth = {"Nc": 10**Nc, "alphaN": alphaN, "alphaD": alphaD, "Dc": 10**Dc}
    found, error = check("((Nc/params)^(alphaN/alphaD) + Dc/tokens)^alphaD", truth, points)
    # where one term outweighs the other by decades everywhere, that other is honestly unknown
    assert found.status != "certified" or error <= EXACT


@settings(max_examples=25, deadline=None, derandomize=True)
@given(a=st.floats(0.05, 0.5), b=st.floats(1.0, 5.0), c0=st.floats(0.05, 0.4), c1=st.floats(0.2, 1.0), d=st.floats(2.5, 4.0),
       f=st.floats(0.1, 0.6), rows=st.integers(20, 60))  # fmt: skip
def test_broken_truths_come_back(a, b, c0, c1, d, f, rows):
    points = {"x": np.geomspace(10, 1e6, rows)}
    truth = {"a": a, "b": b, "c0": c0, "d1": 10**d, "f1": f, "c1": c1}
    check("caballero2022", truth, points)


def test_a_law_with_a_closed_form_is_recovered_to_rounding():
    x = np.geomspace(1e6, 1e9, 12)
    found, error = check("A/params^alpha", {"A": 30.0, "alpha": 0.21}, {"params": x}, loss="squares")
    slope, intercept = np.polyfit(np.log(x), np.log(30.0 / x**0.21), 1)
    assert error < 1e-12
    assert abs(found.values["alpha"] + slope) < 1e-12
    assert abs(np.log(found.values["A"]) - intercept) < 1e-9


def test_noise_free_optima_have_objective_zero_and_say_so():
    points = {"params": np.geomspace(1e7, 1e10, 20), "tokens": np.geomspace(1e12, 1e9, 20) ** 0.97}
    found, _ = check("hoffmann2022", {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 1900.0, "beta": 0.36}, points)
    assert found.value < 1e-16
