"""What is known before and after runs: slopes against differences, posteriors against direct algebra."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.fit.derived import derived_quantities
from scalinglens.laws.catalogue import law
from scalinglens.plan.cost import cost
from scalinglens.plan.design.belief import Belief, conditioned, log_slopes, plain_noise, to_coordinates
from scalinglens.plan.design.bend import Bend
from scalinglens.plan.design.decision import Question, decide, optimum
from scalinglens.plan.design.prior import published_belief, published_constants

CHINCHILLA = law("besiroglu2024")
FLOPS = cost("6*params*tokens")


def runs(seed: int, count: int = 40) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    params = 10 ** rng.uniform(7.5, 9.5, count)
    return {"params": params, "tokens": params * 10 ** rng.uniform(0.5, 2.3, count)}


def test_slopes_against_differences() -> None:
    belief = published_belief(law("hoffmann2022"), None, count=30)
    columns = runs(0, 7)
    value, slopes = log_slopes(belief.law, belief.draws, columns)
    for i in range(5):
        step = 1e-6 * np.eye(5)[i]
        ahead, behind = (log_slopes(belief.law, belief.draws + s, columns)[0] for s in (step, -step))
        np.testing.assert_allclose(slopes[:, :, i], (ahead - behind) / 2e-6, rtol=1e-5, atol=1e-7)
    assert np.isfinite(value).all()


def test_optimum_and_its_slope_against_the_closed_form() -> None:
    belief = published_belief(CHINCHILLA, CHINCHILLA.constants, count=40)
    question = Question("size", {}, 1e23, FLOPS)

    def closed(u: np.ndarray) -> np.ndarray:
        natural = np.where([belief.law.coordinates[n] == "log" for n in belief.law.parameters], np.exp(u), u)
        found = derived_quantities(belief.law, dict(zip(belief.law.parameters, natural.T, strict=True)))
        return np.log(found["G"]) + found["a"] * np.log(1e23 / 6)

    where, edge = optimum(belief.law, belief.draws, question)
    inside = ~edge
    np.testing.assert_allclose(np.log(where["params"][inside, 0]), closed(belief.draws)[inside], rtol=1e-10)
    found = decide(belief, belief.draws, question)
    sd = np.sqrt(np.diag(belief.covariance))
    for i in range(5):
        step = 1e-4 * sd[i] * np.eye(5)[i]
        exact = (closed(belief.draws + step) - closed(belief.draws - step)) / (2e-4 * sd[i])
        np.testing.assert_allclose(
            found.slopes[inside, i], exact[inside], rtol=2e-3, atol=1e-9 + 1e-5 * np.abs(exact).max()
        )


def test_loss_at_a_budget_has_the_slope_of_the_optimum() -> None:
    belief = published_belief(CHINCHILLA, CHINCHILLA.constants, count=20)
    question = Question("loss", {}, 1e22, FLOPS)
    found = decide(belief, belief.draws, question)
    for i in range(5):
        step = 1e-4 * np.sqrt(belief.covariance[i, i]) * np.eye(5)[i]
        ahead, behind = (decide(belief, belief.draws + s, question).values for s in (step, -step))
        np.testing.assert_allclose(found.slopes[:, i], (ahead - behind) / (2 * step[i]), rtol=1e-3, atol=1e-6)


def test_a_formula_as_goal() -> None:
    belief = published_belief(CHINCHILLA, CHINCHILLA.constants, count=20)
    found = decide(belief, belief.draws, Question("beta/(alpha + beta)", {}, None, FLOPS))
    assert found.best == pytest.approx(0.5126, abs=1e-4)
    alpha, beta = (belief.draws[:, belief.law.parameters.index(n)] for n in ("alpha", "beta"))
    slope = found.slopes[:, belief.law.parameters.index("alpha")]
    np.testing.assert_allclose(slope, -beta / (alpha + beta) ** 2, rtol=1e-5)


def test_published_prior_holds_every_paper() -> None:
    middle, covariance, names = published_constants()
    assert {"hoffmann2022.a3_tex", "besiroglu2024", "muennighoff2023.base"} <= set(names)
    belief = published_belief(law("hoffmann2022"), None)
    predicted = np.exp(
        log_slopes(belief.law, belief.draws, {"params": np.array([7e10]), "tokens": np.array([1.4e12])})[0]
    )
    low, high = np.quantile(predicted, [0.02, 0.98])
    assert low < 1.94 < high  # Chinchilla itself
    assert np.all(np.linalg.eigvalsh(covariance) > 0)
    assert 0.5 < np.exp(middle[0]) < 2.0


def test_conditioning_equals_least_squares_where_the_data_rule() -> None:
    columns, truth = runs(1, 200), CHINCHILLA.constants
    rng = np.random.default_rng(3)
    loss = CHINCHILLA.value(truth, columns) * np.exp(0.003 * rng.standard_normal(200))
    known = conditioned(published_belief(law("hoffmann2022"), None, noise=0.003), columns, loss)
    exact = to_coordinates(CHINCHILLA, np.array([[truth[n] for n in CHINCHILLA.parameters]]))[0]
    sd = np.sqrt(np.diag(known.covariance))
    assert np.all(np.abs(known.best - exact) < 4 * sd)
    assert known.noise.scale == pytest.approx(0.003, rel=0.15)
    _, slopes = log_slopes(known.law, known.best[None], columns)
    plain = np.linalg.inv(slopes[0].T @ slopes[0] / known.noise.scale**2)
    np.testing.assert_allclose(sd, np.sqrt(np.diag(plain)), rtol=0.25)  # t weights and the prior account for the rest


def test_stray_runs_do_not_move_it() -> None:
    columns = runs(2, 60)
    loss = CHINCHILLA.value(CHINCHILLA.constants, columns) * np.exp(
        0.003 * np.random.default_rng(1).standard_normal(60)
    )
    prior = published_belief(law("hoffmann2022"), None)
    spoilt = loss.copy()
    spoilt[[3, 17, 40]] *= 1.3
    at = {"params": np.array([1e10]), "tokens": np.array([2e11])}
    clean, dirty = (
        log_slopes(b.law, b.best[None], at)[0][0, 0] for b in (conditioned(prior, columns, y) for y in (loss, spoilt))
    )
    assert abs(clean - dirty) < 0.005


def test_runs_that_contradict_the_law_leave_it_in_its_domain() -> None:
    """Larger models are worse here: the exponent of size is as small as may be, not negative, and the best size has an answer."""
    columns = runs(4, 80)
    loss = 2.5 * (columns["params"] / 1e8) ** 0.1 * (columns["tokens"] / 1e10) ** -0.1
    known = conditioned(published_belief(law("hoffmann2022"), None, noise=0.003), columns, loss)
    alpha = known.law.parameters.index("alpha")
    assert 0 < known.best[alpha] < 0.02
    assert known.draws[:, alpha].min() > 0
    assert np.isfinite(decide(known, known.draws[:4], Question("size", {}, 1e21, FLOPS)).values).all()


def test_no_logarithm_of_a_run() -> None:
    with pytest.raises(PlanError, match="no logarithm"):
        conditioned(published_belief(law("hoffmann2022"), None), runs(0, 2), np.array([2.0, -1.0]))


def test_bend_against_the_joint_posterior() -> None:
    columns = runs(4, 50)
    u = to_coordinates(CHINCHILLA, np.array([[CHINCHILLA.constants[n] for n in CHINCHILLA.parameters]]))[0]
    _, slopes = log_slopes(CHINCHILLA, u[None], columns)
    sd = 0.01
    J = slopes[0] / sd
    fitted = Belief(CHINCHILLA, u, np.tile(u, (5, 1)), np.linalg.inv(J.T @ J), plain_noise(sd), points=columns)
    bend = Bend(0.02, {"params": 1e10, "tokens": 2e11})
    F = bend.features(columns) / sd
    both = np.concatenate([J, F], axis=1)
    exact = np.linalg.inv(both.T @ both + np.diag([0.0] * 5 + [1.0] * bend.count))
    np.testing.assert_allclose(fitted.bent(bend).covariance, exact, rtol=1e-5, atol=1e-9 * np.abs(exact).max())


def test_bend_has_the_covariance_of_its_kernel() -> None:
    bend = Bend(0.02, {"params": 1e10, "tokens": 2e11})
    z = np.random.default_rng(0).uniform(-2.5, 0.5, (60, 2))
    away = bend.features({"params": 1e10 * 10 ** z[:, 0], "tokens": 2e11 * 10 ** z[:, 1]})
    far = np.linalg.norm(z, axis=1)
    apart = np.linalg.norm(z[:, None] - z, axis=2)
    exact = 0.02**2 * np.outer(far, far) * np.exp(-(apart**2) / 2)
    np.testing.assert_allclose(np.sqrt(np.sum(away**2, axis=1)), 0.02 * far, rtol=1e-12)
    # a lattice one reach apart follows the process between its points within a twentieth of the variance
    np.testing.assert_allclose(away @ away.T / np.outer(far, far), exact / np.outer(far, far), atol=0.05 * 0.02**2)


def test_bend_is_nothing_at_the_target_and_large_far_outside_the_lattice() -> None:
    bend = Bend(0.02, {"params": 1e10, "tokens": 2e11})
    away = bend.features({"params": np.array([1e10, 1e3]), "tokens": np.array([2e11, 2e11])})
    np.testing.assert_allclose(np.sqrt(np.sum(away**2, axis=1)), [0.0, 0.14], rtol=1e-12)


def test_cheap_runs_do_not_average_the_bend_away() -> None:
    prior = published_belief(law("hoffmann2022"), None, noise=0.001)
    corner = {"params": np.full(400, 1e7), "tokens": np.full(400, 2e8)}
    at = {"params": np.array([1e7]), "tokens": np.array([2e8])}
    loss = CHINCHILLA.value(CHINCHILLA.constants, corner)
    variance = []
    for belief in (prior, prior.bent(Bend(0.01, {"params": 1e9, "tokens": 2e10}))):
        known = conditioned(belief, corner, loss)
        _, slopes = log_slopes(known.law, known.best[None, :5], at)
        variance.append(float(slopes[0, 0] @ known.covariance[:5, :5] @ slopes[0, 0]))
    assert np.sqrt(variance[0]) < 2e-4  # noise over the root of 400
    assert np.sqrt(variance[1]) == pytest.approx(0.01 * np.sqrt(8), rel=0.1)  # two decades in size and in data
