"""The losses against their definitions: densities integrated numerically, linear programming, duplicated rows."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import linprog, minimize

from scalinglens.errors import FitError
from scalinglens.fit import fit
from scalinglens.fit.objective import Loss

RUNS = {"params": [1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9, 3e9], "loss": [4.20, 3.81, 3.40, 3.04, 2.80, 2.55, 2.41, 2.24]}


def rho(z, d):
    return z**2 / 2 if abs(z) <= d else d * (abs(z) - d / 2)


@pytest.mark.parametrize("delta", [1e-3, 0.5, 1.345, 20.0])
def test_likelihood_is_that_of_a_density_that_integrates_to_one(delta):
    loss = Loss("likelihood", delta)
    rng = np.random.default_rng(0)
    z, w = 0.02 * rng.standard_t(3, 50), rng.uniform(0.5, 2, 50)
    s = float(loss.scale(z, w))
    tail = 60 / delta + 60
    middle = quad(lambda x: np.exp(-rho(x, delta)), -delta, delta, epsabs=1e-13)[0]
    outside = 2 * quad(lambda x: np.exp(-rho(x, delta)), delta, delta + tail, epsabs=1e-13, limit=200)[0]
    norm = np.log(middle + outside)
    direct = sum(wi * (rho(zi / s, delta) + np.log(s) + norm) for zi, wi in zip(z, w, strict=True))
    assert float(loss.value(z, w)) == pytest.approx(direct, rel=1e-9)


@pytest.mark.parametrize("delta", [1e-3, 0.1, 1.345, 50.0])
def test_scale_solves_its_equation_and_is_the_best_one(delta):
    loss = Loss("likelihood", delta)
    rng = np.random.default_rng(1)
    z, w = 0.05 * rng.standard_t(2, (3, 40)), rng.uniform(0.1, 2, (3, 40))
    s = loss.scale(z, w)
    unit = z / s[:, None]
    equation = np.sum(w * np.clip(unit, -delta, delta) * unit, axis=1) / w.sum(axis=1)
    np.testing.assert_allclose(equation, 1.0, atol=1e-9)
    for lane in range(3):

        def at(log_scale, lane=lane):
            return sum(
                wi * (rho(zi / np.exp(log_scale), delta) + log_scale) for zi, wi in zip(z[lane], w[lane], strict=True)
            )

        best = at(np.log(s[lane]))
        assert best <= min(at(np.log(s[lane]) + step) for step in (-0.1, -0.001, 0.001, 0.1))


def test_scale_under_a_wide_corner_is_the_root_mean_square():
    z = np.random.default_rng(2).normal(size=30)
    assert float(Loss("likelihood", 1e3).scale(z, np.ones(30))) == pytest.approx(np.sqrt(np.mean(z**2)), rel=1e-10)


def test_penalty_is_the_definition_with_its_asymmetry():
    z = np.array([-0.3, -1e-4, 0.0, 1e-4, 0.3])
    for name, d in (("huber", 1e-3), ("squares", np.inf), ("lad", None)):
        expected = [abs(v) if name == "lad" else rho(v, d) for v in z]
        np.testing.assert_allclose(Loss(name).penalty(z), expected, rtol=1e-14)
        np.testing.assert_allclose(
            Loss(name, asymmetry=7.0).penalty(z), expected * np.where(z > 0, 7.0, 1.0), rtol=1e-14
        )


def test_least_absolute_deviations_of_a_law_linear_in_its_parameters_is_the_linear_programme():
    rng = np.random.default_rng(3)
    x = np.linspace(1, 9, 25)
    loss = 3 - 0.2 * x + 0.1 * rng.standard_t(2, 25)
    found = fit({"years": x, "loss": loss}, "a + b*years where a real, b real", loss="lad", space="linear")
    ones = np.ones(25)
    # minimise sum t with |a + b x - y| <= t
    bounds = np.block([[ones[:, None], x[:, None], -np.eye(25)], [-ones[:, None], -x[:, None], -np.eye(25)]])
    peer = linprog([0, 0, *ones], A_ub=bounds, b_ub=[*loss, *-loss], bounds=[(None, None)] * 2 + [(0, None)] * 25)
    assert found.value == pytest.approx(peer.fun, rel=1e-8)
    assert [found.values["a"], found.values["b"]] == pytest.approx(peer.x[:2].tolist(), rel=1e-6)


@pytest.mark.parametrize("options", [{}, {"delta": 0.1}, {"loss": "squares"}, {"loss": "lad"}, {"loss": "likelihood"},
                                     {"space": "linear"}, {"asymmetry": 5.0}])  # fmt: skip
def test_integer_weights_are_repeated_rows(options):
    times = np.array([1, 3, 2, 1, 1, 2, 4, 1])
    weighed = fit(RUNS, "E + A/params^alpha", weights=times.astype(float), **options)
    repeated = fit({name: np.repeat(column, times) for name, column in RUNS.items()}, "E + A/params^alpha", **options)
    assert weighed.value == pytest.approx(repeated.value, rel=1e-9)
    for name, value in repeated.values.items():
        assert weighed.values[name] == pytest.approx(value, rel=1e-5)
    if options.get("loss") == "likelihood":
        assert weighed.scale == pytest.approx(repeated.scale, rel=1e-6)


def test_weights_name_a_column_and_scale_nothing_but_the_objective():
    weights = [1.0, 2, 1, 2, 1, 2, 1, 2]
    by_name = fit(RUNS | {"trust": weights}, "E + A/params^alpha", weights="trust")
    by_array = fit(RUNS, "E + A/params^alpha", weights=10 * np.array(weights))
    assert by_array.value == pytest.approx(10 * by_name.value, rel=1e-10)
    assert by_array.values["alpha"] == pytest.approx(by_name.values["alpha"], rel=1e-6)


@pytest.mark.parametrize("options", [{"loss": "squares"}, {"loss": "squares", "space": "linear"},
                                     {"loss": "squares", "asymmetry": 6.0}, {"delta": 0.05, "space": "linear"},
                                     {"delta": 0.05, "asymmetry": 6.0},
                                     {"loss": "squares", "space": "log1p"}])  # fmt: skip
def test_optima_are_those_of_a_simplex_search_over_the_definition(options):
    x, y = np.array(RUNS["params"]), np.array(RUNS["loss"])

    def objective(u):
        E, A, alpha = np.exp(u[0]), np.exp(u[1]), u[2]
        prediction = E + A / (x / 1e7) ** alpha
        scale = {"log": np.log, "linear": lambda v: v, "log1p": lambda v: np.log(1 + v)}[options.get("space", "log")]
        z = scale(prediction) - scale(y)
        d = np.inf if options.get("loss") == "squares" else options["delta"]
        return sum(rho(v, d) * (options.get("asymmetry", 1.0) if v > 0 else 1.0) for v in z)

    best = minimize(objective, [0.5, 0.5, 0.2], method="Nelder-Mead",
                    options={"maxiter": 20000, "maxfev": 20000, "xatol": 1e-10, "fatol": 1e-18})  # fmt: skip
    found = fit(RUNS, "E + A/params^alpha", **options)
    assert found.value <= best.fun * (1 + 1e-9)
    assert found.value == pytest.approx(best.fun, rel=1e-6)
    assert found.values["E"] == pytest.approx(np.exp(best.x[0]), rel=1e-4)
    assert found.values["alpha"] == pytest.approx(best.x[2], rel=1e-4)


def test_more_asymmetry_lets_fewer_predictions_lie_above_a_run():
    rng = np.random.default_rng(4)
    params = np.geomspace(1e6, 1e9, 40)
    runs = {"params": params, "loss": (1.5 + 40 / params**0.2) * np.exp(np.abs(0.03 * rng.normal(size=40)))}
    above = [int(np.sum(fit(runs, "E + A/params^alpha", asymmetry=a).residuals > 1e-6)) for a in (0.1, 1.0, 10.0)]
    assert above[0] > above[1] > above[2]
    # the share above a quantile line of Huber's loss is near 1/(1 + asymmetry)
    assert above[2] <= 0.25 * 40


@pytest.mark.parametrize(("words", "options"), [
    ('unknown loss "hubre" (did you mean "huber"?)', {"loss": "hubre"}),
    ("delta must be a positive number, got 0", {"delta": 0}),
    ("asymmetry must be a positive number, got -1", {"asymmetry": -1}),
    ('unknown space "cubic"; known are log, linear, log1p', {"space": "cubic"}),
    ("the likelihood is symmetric", {"loss": "likelihood", "asymmetry": 2.0}),
    ("boot is a number of refits", {"boot": -1}),
    ("bca intervals come from bootstrap draws; add boot=1000", {"interval": "bca"}),
    ('unknown interval "profil"', {"interval": "profil"}),
    ("the level of an interval lies between 0 and 1", {"level": 90}),
    ("starts is a positive whole number", {"starts": 0}),
    ("seed is a whole number", {"seed": -1}),
    ("8 runs but 3 weights", {"weights": np.ones(3)}),
    ("weight 2 is -1", {"weights": np.array([1, 1, -1, 1, 1, 1, 1, 1])}),
    ("one group", {"groups": np.zeros(8), "boot": 20}),
    ('no parameter "alpa" to pin', {"pin": {"alpa": 0.3}}),
    ("alpha cannot be pinned at -1", {"pin": {"alpha": -1}}),
])  # fmt: skip
def test_impossible_requests_say_what_and_what_to_do(words, options):
    with pytest.raises(FitError) as error:
        fit(RUNS, "E + A/params^alpha", **options)
    assert words in str(error.value)


def test_too_few_runs_and_impossible_columns_are_named():
    few = {name: column[:2] for name, column in RUNS.items()}
    with pytest.raises(FitError, match="2 runs cannot determine 3 parameters \\(E, A, alpha\\)"):
        fit(few, "E + A/params^alpha")
    with pytest.raises(FitError, match="cannot be what it is fitted to"):
        fit(RUNS, "E + A/params^alpha", target="params")
