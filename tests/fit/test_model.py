"""Both models of a law against finite differences of the law and against each other."""

from dataclasses import replace

import numpy as np
import pytest

from scalinglens.fit.model import GeneralModel, LogSumExpModel
from scalinglens.fit.objective import Design, Loss
from scalinglens.laws.catalogue import law
from scalinglens.numerics.newton import expand

CHINCHILLA = "E + A/params^alpha + B/tokens^beta"
KAPLAN = "((Nc/params)^(alphaN/alphaD) + Dc/tokens)^alphaD"
BROKEN = "a + b*x^(-c0)*(1 + (x/d)^(1/f))^(-c1*f) where c0 real, c1 real"
CASES = {
    CHINCHILLA: {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 1200.0, "beta": 0.36},
    KAPLAN: {"Nc": 6e13, "alphaN": 0.076, "alphaD": 0.103, "Dc": 1.8e13},
    BROKEN: {"a": 0.4, "b": 3.0, "c0": 0.2, "d": 900.0, "f": 0.3, "c1": 0.6},
}


def design(formula, loss=None, seed=0, rows=40, noise=0.03):
    rng = np.random.default_rng(seed)
    form = law(formula)
    ranges = {"params": (7, 10), "tokens": (9, 12), "x": (1, 5)}
    inputs = tuple(10 ** rng.uniform(*ranges[name], rows) for name in form.inputs)
    clean = form.value(CASES[formula], dict(zip(form.inputs, inputs, strict=True)))
    observed = clean * np.exp(noise * rng.standard_t(3, rows))
    return Design.build(form, loss or Loss(), inputs, observed, rng.uniform(0.5, 2, rows), {})


def at(made, seed=0, jitter=0.02, lanes=1):
    natural = np.array([CASES[made.law.name][name] for name in made.law.parameters])
    u = made.to_coordinates(natural[None])
    return u * (1 + jitter * np.random.default_rng(seed).normal(size=(lanes, u.shape[1])))


def reference(made, u):
    """The objective by the law's own evaluation, in Python floats."""
    natural = dict(zip(made.law.parameters, made.to_natural(u[None])[0], strict=True))
    prediction = made.law.value(natural, dict(zip(made.law.inputs, made.inputs, strict=True)))
    loss, d = made.loss, made.loss.delta
    scale = {"log": np.log, "linear": lambda v: v, "log1p": lambda v: np.log(1 + v)}[loss.space]
    z = scale(prediction) - scale(made.observed)
    rho = z**2 / 2 if loss.name == "squares" else np.where(np.abs(z) <= d, z**2 / 2, d * (np.abs(z) - d / 2))
    return float(np.sum(made.weights * rho * np.where(z > 0, loss.asymmetry, 1.0)))


@pytest.mark.parametrize("formula", list(CASES))
@pytest.mark.parametrize("name", ["huber", "squares"])
@pytest.mark.parametrize("space", ["log", "linear", "log1p"])
@pytest.mark.parametrize("asymmetry", [1.0, 10.0])
def test_derivatives_are_finite_differences_of_the_objective(formula, name, space, asymmetry):
    made = design(formula, Loss(name, 5e-3, space, asymmetry))
    threshold = 5e-3 if name == "huber" else np.inf
    objective, u = made.objective(threshold), at(made, seed=1)[0]
    steps = 1e-6 * (1 + np.abs(u)) * np.eye(len(u))
    z = np.abs(made.residuals(u[None])[0])
    shift = max(np.abs(made.residuals((u + s)[None])[0] - made.residuals(u[None])[0]).max() for s in steps)
    calm = (z > 2 * shift) & (np.abs(z - threshold) > 2 * shift)  # rows that cross no corner within the step
    made = replace(made, weights=made.weights * calm)
    objective = made.objective(threshold)
    here = expand(objective, u[None])
    assert here.value[0] == pytest.approx(reference(made, u), rel=1e-11)
    slope = np.array([(reference(made, u + s) - reference(made, u - s)) / (2 * s.sum()) for s in steps])
    np.testing.assert_allclose(here.gradient[0], slope, rtol=1e-6, atol=1e-7 * np.abs(slope).max())
    bend = np.array(
        [(expand(objective, (u + s)[None]).gradient[0] - expand(objective, (u - s)[None]).gradient[0]) / (2 * s.sum())
         for s in steps]
    )  # fmt: skip
    np.testing.assert_allclose(here.hessian[0], bend, rtol=1e-5, atol=1e-6 * np.abs(bend).max())
    jacobian = np.array(
        [(made.residuals((u + s)[None])[0] - made.residuals((u - s)[None])[0]) / (2 * s.sum()) for s in steps]
    )
    z = made.residuals(u[None])[0]
    weights = made.weights * np.where(z > 0, asymmetry, 1.0) * np.minimum(1.0, threshold / np.abs(z))
    scale = np.sqrt(np.outer(np.diag(here.majorant[0]), np.diag(here.majorant[0])))
    np.testing.assert_allclose(here.majorant[0] / scale, (jacobian * weights) @ jacobian.T / scale, atol=1e-6)


@pytest.mark.parametrize("space", ["log", "linear", "log1p"])
@pytest.mark.parametrize("lanes", [1, 3, 50])  # few lanes and many take different routes
def test_the_two_models_are_equal_to_rounding(space, lanes):
    made = design(CHINCHILLA, Loss(space=space))
    assert isinstance(made.model, LogSumExpModel)
    general = replace(made, model=GeneralModel(made.model.size, made.law.compiled("fit"), made.inputs))
    u = at(made, jitter=0.05, lanes=lanes)
    np.testing.assert_allclose(made.residuals(u), general.residuals(u), atol=1e-13)
    fast, slow = (expand(d.objective(1e-3), u) for d in (made, general))
    np.testing.assert_allclose(fast.value, slow.value, rtol=1e-12)
    for name in ("gradient", "hessian", "majorant"):
        left, right = getattr(fast, name), getattr(slow, name)
        largest = np.abs(right).max(axis=tuple(range(1, right.ndim)), keepdims=True)
        np.testing.assert_allclose(left / largest, right / largest, atol=1e-11)


def test_the_two_models_end_at_the_same_optimum():
    made = design(CHINCHILLA, noise=0.01, rows=80)
    general = replace(made, model=GeneralModel(made.model.size, made.law.compiled("fit"), made.inputs))
    u = at(made, lanes=4)
    fast, slow = made.minimise(u), general.minimise(u)
    np.testing.assert_allclose(fast.value, slow.value, rtol=1e-10)
    np.testing.assert_allclose(fast.u, slow.u, rtol=1e-6)


@pytest.mark.parametrize("formula", ["A/params^alpha", "(A/params)^alpha", "1.5 + A/params^alpha", "E + A/params^0.5"])
def test_short_laws_have_right_derivatives_too(formula):
    form = law(formula)
    rng = np.random.default_rng(3)
    params = 10 ** rng.uniform(6, 9, 12)
    values = {"E": 1.5, "A": 20.0, "alpha": 0.2}
    observed = form.value({n: values[n] for n in form.parameters}, {"params": params}) * 1.01
    made = Design.build(form, Loss("squares"), (params,), observed, np.ones(12), {})
    u = made.to_coordinates(np.array([[values[name] * 1.1 for name in form.parameters]]))[0]
    for lanes in (1, 40):
        here = expand(made.objective(np.inf), np.tile(u, (lanes, 1)))
        for i in range(len(u)):
            step = 1e-6 * np.eye(len(u))[i]
            ahead, behind = (expand(made.objective(np.inf), (u + s)[None]) for s in (step, -step))
            assert here.gradient[-1, i] == pytest.approx((ahead.value[0] - behind.value[0]) / 2e-6, rel=1e-5, abs=1e-9)
            np.testing.assert_allclose(
                here.hessian[-1, i], (ahead.gradient[0] - behind.gradient[0]) / 2e-6, rtol=1e-4, atol=1e-7
            )
