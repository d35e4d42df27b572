"""What must never be certified: noise, an axis without effect, terms that are near-constants; and what must."""

import numpy as np
import pytest

from scalinglens.fit import fit
from scalinglens.runs import read_runs

FORM = "E + A/params^alpha + B/tokens^beta"
CHINCHILLA = "epoch-chinchilla/svg_extracted_data.csv"


def world(loss, seed, rows=60, noise=0.01):
    rng = np.random.default_rng(seed)
    params, tokens = 10 ** rng.uniform(7.5, 9.5, rows), 10 ** rng.uniform(9, 11, rows)
    return read_runs(
        {"params": params, "tokens": tokens, "loss": loss(params, tokens) * np.exp(noise * rng.normal(size=rows))}
    )


def tight(found):
    """Whether both exponents come certified with a 90% interval narrower than 30% of their value."""
    widths = [found.parameters[name] for name in ("alpha", "beta")]
    if found.status != "certified" or any(e.low is None or e.high is None for e in widths):
        return False
    return all(e.high - e.low < 0.3 * abs(e.value) for e in widths)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("source", ["epoch", "gemstones", "datablations", "made"])
def test_shuffled_losses_never_give_certified_exponents_with_tight_intervals(table, source, seed):
    if source == "epoch":
        runs = read_runs(table(CHINCHILLA), where="loss < 3.44")
    elif source == "gemstones":
        runs = read_runs(table("gemstones/fit_hot.jsonl"), params="params_active_precise", loss="final_loss")
    elif source == "datablations":
        runs = read_runs(table("datablations/runs_182_published_fit.csv"))
    else:
        runs = world(lambda N, D: 1.8 + 450 / N**0.34 + 1900 / D**0.36, seed)
    loss = np.random.default_rng(seed).permutation(runs.column("loss"))
    shuffled = read_runs({"params": runs.column("params"), "tokens": runs.column("tokens"), "loss": loss})
    assert not tight(fit(shuffled, FORM, boot=60, seed=seed))


def test_the_same_tables_unshuffled_are_certified_and_tight(table):
    assert tight(fit(read_runs(table(CHINCHILLA), where="loss < 3.44"), FORM, boot=60))
    runs = world(lambda N, D: 1.8 + 450 / N**0.34 + 1900 / D**0.36, 0, rows=150, noise=0.003)
    assert tight(fit(runs, FORM, boot=60))


@pytest.mark.parametrize("seed", range(6))
def test_a_size_axis_without_effect_is_never_certified(seed):
    found = fit(world(lambda N, D: 1.8 + 1900 / D**0.36, seed), FORM, boot=20)
    assert found.status != "certified"
    assert found.certificate.reasons
    assert found.warnings


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("loss", ["huber", "squares"])
def test_an_exponent_that_runs_away_is_never_certified(seed, loss):
    """Only the three smallest models are worse: any alpha large enough describes that."""
    rng = np.random.default_rng(seed)
    params = np.where(np.arange(60) < 3, 10**7.5, 10 ** rng.uniform(8.5, 9.5, 60))
    tokens = 10 ** rng.uniform(9, 11, 60)
    values = (1.8 + 1900 / tokens**0.36 + 0.3 * (params < 1e8)) * np.exp(0.01 * rng.normal(size=60))
    found = fit(read_runs({"params": params, "tokens": tokens, "loss": values}), FORM, loss=loss, boot=20)
    assert found.status in ("not_identified", "not_converged")
    assert found.parameters["alpha"].low is None
    assert np.all(np.isnan(found.predict(params=1e11, tokens=1e13)["low"]))
    assert "no intervals, because the fit is" in found.refusal


@pytest.mark.parametrize("seed", range(6))
def test_terms_that_collapse_to_near_constants_are_never_certified(seed):
    """A loss linear in the logarithms is the limit of vanishing exponents, huge terms and a floor that falls away."""
    found = fit(world(lambda N, D: 3.2 - 0.02 * np.log(N / 1e8) - 0.03 * np.log(D / 1e10), seed), FORM, boot=20)
    assert found.status in ("not_identified", "not_converged")


@pytest.mark.parametrize("seed", range(3))
def test_a_constant_loss_is_never_certified(seed):
    assert fit(world(lambda N, D: 3.2 + 0 * N, seed), FORM).status != "certified"


@pytest.mark.parametrize("seed", range(3))
def test_a_floor_that_the_data_push_to_zero_is_at_its_bound(seed):
    runs = world(lambda N, D: 3.2 * (N / 1e8) ** -0.05 * (D / 1e10) ** -0.04, seed, noise=0.005)
    found = fit(runs, FORM)
    assert found.status == "at_bound"
    assert "E is at the bound 0 of its domain" in found.certificate.reasons


def test_one_size_of_model_leaves_its_term_open():
    rng = np.random.default_rng(0)
    tokens = 10 ** rng.uniform(9, 11, 40)
    loss = (1.8 + 450 / 1e9**0.34 + 1900 / tokens**0.36) * np.exp(0.005 * rng.normal(size=40))
    found = fit(read_runs({"params": np.full(40, 1e9), "tokens": tokens, "loss": loss}), FORM)
    assert found.status in ("not_identified", "not_converged", "at_bound")


def test_as_many_rows_as_parameters_leave_nothing_to_check():
    runs = world(lambda N, D: 1.8 + 450 / N**0.34 + 1900 / D**0.36, 0, rows=5)
    assert fit(runs, FORM).status != "certified"


def test_a_certificate_of_a_good_fit_says_what_was_checked(table):
    found = fit(read_runs(table(CHINCHILLA), where="loss < 3.44"), FORM)
    seal = found.certificate
    assert found.status == "certified"
    assert seal.gradient < 1e-4
    assert seal.hessian_positive
    assert seal.smallest_eigenvalue > 0
    assert seal.starts_agree >= 2
    assert seal.bounds == {}
    assert seal.reasons == ()
    assert seal.basins[0].excess == 0.0
    assert seal.basins[0].parameters == pytest.approx(found.values, rel=1e-5)
    assert sum(b.starts for b in seal.basins) <= seal.starts


def test_the_certificate_agrees_with_finite_differences_of_the_objective(table):
    """The Hessian in parameters of the definition is positive, and the gradient is nothing next to its parts."""
    runs = read_runs(table(CHINCHILLA), where="loss < 3.44")
    found = fit(runs, FORM, delta=0.05)  # a wide corner keeps the differences smooth
    names = list(found.values)
    centre = np.array([np.log(found.values[n]) if n in "EAB" else found.values[n] for n in names])
    N, D, L = (runs.column(n) for n in ("params", "tokens", "loss"))

    def objective(u):
        v = {n: np.exp(x) if n in "EAB" else x for n, x in zip(names, u, strict=True)}
        z = np.abs(np.log((v["E"] + v["A"] / N ** v["alpha"] + v["B"] / D ** v["beta"]) / L))
        return np.sum(np.where(z <= 0.05, z**2 / 2, 0.05 * (z - 0.025)))

    assert objective(centre) == pytest.approx(found.value, rel=1e-12)
    for i in range(5):
        for step in (1e-4, -1e-4):
            assert objective(centre + step * np.eye(5)[i]) > found.value
    h = 1e-4
    hessian = np.array([
        [(objective(centre + h * (a + b)) - objective(centre + h * (a - b)) - objective(centre - h * (a - b))
          + objective(centre - h * (a + b))) / (4 * h * h) for b in np.eye(5)] for a in np.eye(5)
    ])  # fmt: skip
    assert np.linalg.eigvalsh(hessian)[0] > 0
