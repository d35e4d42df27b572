"""The numeric optimum against every closed form of the catalogue, and against brute force."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from scalinglens.laws.catalogue import law, laws
from scalinglens.laws.law import Law
from scalinglens.plan.frontier import frontier
from scalinglens.plan.optimum import traces
from scalinglens.plan.optimum.best import best_inputs
from scalinglens.plan.optimum.optimum import solve
from scalinglens.plan.optimum.problem import state
from scalinglens.plan.optimum.solutions import Solver
from scalinglens.plan.source import as_source

BUDGETS = np.geomspace(1e17, 1e29, 25)


def numeric(name: str | Law, budgets=BUDGETS, *, cost=None, fix=None, bounds=None, **constants):
    """Optimum without the closed form: input -> values."""
    solver = Solver(state(as_source(name, constants=constants), cost, fix, bounds), closed=False)
    best = solver.estimate(np.log(np.asarray(budgets, dtype=float)))
    assert solver.how != "closed form"
    assert set(best.status) <= {0}
    return {key: np.exp(logs) for key, logs in best.logs.items()}


def close(found, expected, digits=1e-8):
    np.testing.assert_allclose(found, expected, rtol=digits)


def hoffmann(A, B, alpha, beta, C):
    """Hoffmann et al. 2022, eq. 4."""
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    a = beta / (alpha + beta)
    return G * (C / 6) ** a, (C / 6) ** (1 - a) / G


CHINCHILLAS = [
    name
    for name in laws()
    if "{n}" not in name
    and law(name).inputs == ("params", "tokens")
    and law(name).formula == law("besiroglu2024").formula
    and set(law(name).parameters) <= set(law(name).constants)
]


@pytest.mark.parametrize("name", CHINCHILLAS)
def test_chinchilla_form(name):
    c = law(name).constants
    params, tokens = hoffmann(c["A"], c["B"], c["alpha"], c["beta"], BUDGETS)
    found = numeric(name)
    close(found["params"], params)
    close(found["tokens"], tokens)
    short = frontier(name, BUDGETS)
    assert short.how == "closed form"
    close(short.optimum["params"].value, params, 1e-11)
    assert short.exponents["params"].value == pytest.approx(c["beta"] / (c["alpha"] + c["beta"]), rel=1e-12)
    assert short.gamma.value == pytest.approx(c["alpha"] * c["beta"] / (c["alpha"] + c["beta"]), rel=1e-12)
    assert short.floor.value == pytest.approx(c["E"], rel=1e-12)


def test_the_list_of_chinchilla_laws_is_not_empty():
    assert len(CHINCHILLAS) >= 12


@pytest.mark.parametrize("name", ["gadre2024.c4", "gadre2024.redpajama", "gadre2024.refinedweb"])
def test_gadre_ratio(name):
    c = law(name).constants
    ratio = (c["b"] / c["a"]) ** (1 / (2 * c["eta"]))
    for found in (numeric(name), {k: e.value for k, e in frontier(name, BUDGETS).optimum.items()}):
        close(found["tokens"] / found["params"], ratio)


def test_kaplan_coupled():
    c = law("kaplan2020.L_ND").constants
    r = c["alphaN"] / c["alphaD"]  # minimise (Nc/N)^r + 6 N Dc/C
    expected = (r * c["Nc"] ** r * BUDGETS / (6 * c["Dc"])) ** (1 / (1 + r))
    close(numeric("kaplan2020.L_ND")["params_nonembedding"], expected)
    short = frontier("kaplan2020.L_ND", BUDGETS)
    assert short.how == "closed form"
    assert short.exponents["params_nonembedding"].value == pytest.approx(1 / (1 + r), rel=1e-12)
    assert round(short.exponents["params_nonembedding"].value, 3) == 0.575


def test_kaplan_steps_at_the_critical_batch():
    """The cost holds the loss itself: C = 6 N S_min B_crit(L); exponents of Kaplan et al. 2020, section 6."""
    full = law("kaplan2020.L_NS", unverified=True)
    c = {**full.constants, "Bstar": 2.1e8, "alphaB": 0.21}
    cost = "flops = 6*params_nonembedding*steps*Bstar*((Nc/params_nonembedding)^alphaN + (Sc/steps)^alphaS)^(-1/alphaB)"
    from scalinglens.plan.cost import cost as make

    found = frontier(full, BUDGETS, cost=make(cost, constants=c))
    gamma = 1 / (1 / c["alphaS"] + 1 / c["alphaB"] + 1 / c["alphaN"])
    assert found.exponents["params_nonembedding"].value == pytest.approx(gamma / c["alphaN"], rel=1e-8)
    assert found.exponents["steps"].value == pytest.approx(gamma / c["alphaS"], rel=1e-8)
    assert found.gamma.value == pytest.approx(gamma, rel=1e-8)


def test_minicpm_ratio():
    made = {"CN": 90.0, "CD": 400.0, "L0": 0.2}
    c = {**law("minicpm2024.L").constants, **made}
    alpha, beta = c["alpha"], c["beta"]
    K = (alpha * c["CN"] / (beta * c["CD"])) ** (1 / (alpha + beta))
    found = numeric("minicpm2024.L", **made)
    close(found["params_nonembedding"] / found["tokens"], K**2 * (BUDGETS / 6) ** ((beta - alpha) / (alpha + beta)))


def test_michaud_exponents():
    found = frontier("michaud2023", BUDGETS, constants={"E": 1.0, "A": 50.0, "B": 80.0, "alpha": 0.4})
    assert found.exponents["params"].value == pytest.approx(1 / 2.4, rel=1e-12)
    assert found.gamma.value == pytest.approx(0.4 / 2.4, rel=1e-12)
    close(numeric("michaud2023", E=1.0, A=50.0, B=80.0, alpha=0.4)["params"], found.optimum["params"].value)


def test_ghorbani_split():
    found = numeric(
        "ghorbani2021",
        np.geomspace(1e7, 1e11, 9),
        cost="flops = params_encoder + params_decoder",
        a=3.0,
        pe=0.14,
        pd=0.2,
        L_inf=1.0,
    )
    close(found["params_encoder"] / found["params_decoder"], 0.14 / 0.2)


def test_ludziejewski_at_fixed_experts():
    made = {
        "a": 30.0,
        "b": 60.0,
        "c": 1.5,
        "alpha": -0.2,
        "beta": -0.22,
        "gam": 0.01,
        "zeta": -0.01,
        "delta": -0.1,
        "omega": 0.05,
        "Es": 1.3,
        "Em": 300.0,
    }
    E = 1 / (1 / (8 - 1 + 1 / (1 / 1.3 - 1 / 300)) + 1 / 300)
    A, B = 30.0 * E**-0.1, 60.0 * E**0.05
    alpha, beta = 0.2 - 0.01 * np.log(E), 0.22 + 0.01 * np.log(E)
    params, tokens = hoffmann(A, B, alpha, beta, BUDGETS)
    found = numeric("ludziejewski2025", fix={"experts": 8}, **made)
    close(found["params_active"], params)
    close(found["tokens"], tokens)
    close(
        frontier("ludziejewski2025", BUDGETS, fix={"experts": 8}, constants=made).optimum["params_active"].value, params
    )


def test_alabdulmohsin_shape():
    made = {"alpha": 40.0, "a": 0.6, "beta": 1e-3, "b": 0.5, "xi": 2.0, "eps": 0.1}
    c = law("alabdulmohsin2023").constants["c"]
    flops = np.geomspace(1e9, 1e13, 7)
    t = flops / 1e9
    expected = (made["alpha"] * made["a"] * t**c / (made["beta"] * made["b"])) ** (1 / (made["a"] + made["b"]))
    found = best_inputs("alabdulmohsin2023", {"x": (1e-3, 1e12)}, {"flops": flops}, constants=made)
    close(found.optimum["x"].value, expected)
    close(
        law("alabdulmohsin2023.optimum").value({k: made[k] for k in ("alpha", "a", "beta", "b")}, flops=flops), expected
    )


def test_gao_divergence():
    gain = best_inputs("gao2022.best_of_n", {"kl": (1e-3, 1e6)}, constants={"a": 1.9, "b": 0.12})
    close(np.sqrt(gain.optimum["kl"].value), 1.9 / (2 * 0.12))
    gain = best_inputs("gao2022.rl", {"kl": (1e-3, 1e8)}, constants={"a": 1.9, "b": 0.5})
    close(np.sqrt(gain.optimum["kl"].value), np.exp(1.9 / 0.5 - 1))


def test_shukor_mixture_does_not_depend_on_scale():
    made = {"E": 1.5, "A": 400.0, "B": 900.0, "alpha": 0.34, "beta": 0.33, "C1": 3.0, "C2": 2.0, "g1": 0.5, "g2": 0.5}
    shares = [
        numeric(
            "shukor2025.additive", [1.0], cost="flops = h1 + h2", fix={"params": n, "tokens": d},
            bounds={"h1": (1e-6, 1), "h2": (1e-6, 1)}, **made
        )["h1"][0]
        for n, d in ((1e8, 1e9), (7e10, 1e12))
    ]  # fmt: skip
    close(shares, 3.0**2 / (3.0**2 + 2.0**2))  # C1 h1^-.5 = C2 h2^-.5


@pytest.mark.parametrize("kind", ["sbase", "rl_r", "hash"])
def test_clark_cut(kind):
    """Routing stops helping at N_cut = 10^(-b/c): there the elasticity by experts vanishes."""
    c = law(f"clark2022.{kind}").constants
    cut = 10 ** (-c["b"] / c["c"])
    source = as_source(f"clark2022.{kind}")
    slope = source.elasticities({"params_dense": [cut, cut / 2, cut * 2], "experts": [64.0] * 3})["experts"]
    assert abs(slope[0]) < 1e-12
    assert slope[1] < 0 < slope[2]


@pytest.mark.parametrize(
    ("name", "made", "fix", "size"),
    [
        ("krajewski2024.moe", {}, {"granularity": 8}, "params_nonembedding"),
        ("kumar2024.train", {}, {"bits_weights": 4, "bits_activations": 8, "bits_kv": 8}, "params_nonembedding"),
        ("coupled_power_mean", {"E": 1.6, "A": 300.0, "alpha": 0.3, "B": 900.0, "beta": 0.4, "q": 0.6}, {}, "params"),
        ("droppo2021", {"L_inf": 1.5, "a": 0.5, "Nc": 1e9, "aN": 0.3, "Dc": 1e9, "aD": 0.4}, {}, "params"),
        (
            "busbridge2025.supervised",
            {"E": 1.2, "A": 3e3, "alpha": 0.4, "B": 1e4, "beta": 0.45, "gam": 0.8},
            {},
            "params_nonembedding",
        ),
        ("gordon2021.L", {"Nc": 1e9, "alphaN": 0.3, "Dc": 1e10, "alphaD": 0.4}, {}, "params"),
        (
            "ho2024",
            {"E": 1.6, "A": 400.0, "alpha": 0.34, "B": 900.0, "beta": 0.33, "ga": 0.1, "gb": 0.2, "Y0": 2020.0},
            {"years": 2023},
            "params",
        ),
    ],
)
def test_closed_form_agrees_with_the_numeric_one(name, made, fix, size):
    short = frontier(name, BUDGETS, fix=fix, constants=made)
    assert short.how == "closed form"
    close(numeric(name, fix=fix, **made)[size], short.optimum[size].value)


@pytest.mark.parametrize("cost", ["flops = 2*params^1.2*tokens^0.7", "dollars = 3e-18*params*tokens"])
def test_any_monomial_cost(cost):
    short = frontier("besiroglu2024", BUDGETS, cost=cost)
    assert short.how == "closed form"
    close(numeric("besiroglu2024", cost=cost)["params"], short.optimum["params"].value)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_limited_data_against_brute_force(factor):
    unique = 1e11
    budgets = factor * np.array([1e21, 1e23, 1e25])
    found = frontier("muennighoff2023", budgets, fix={"tokens_unique": unique})
    published = law("muennighoff2023")
    for i, budget in enumerate(budgets):
        params = found.optimum["params"].value[i] * np.exp(np.linspace(-3, 3, 400_001))
        loss = published.value(params=params, tokens=budget / 6 / params, tokens_unique=unique)
        best = int(np.argmin(loss))
        assert 0 < best < len(params) - 1
        assert found.loss.value[i] <= loss[best] * (1 + 1e-13)
        assert found.optimum["params"].value[i] == pytest.approx(params[best], rel=1e-4)


def test_several_minima():
    """A second valley far away: the scan of the whole range must find the deeper one."""
    two = Law("two valleys", "E + A/params^alpha + B/tokens^beta - H*exp(-(log(params) - m)^2/s)")
    for m in (18.0, 30.0):
        constants = {"E": 1.8, "A": 480.0, "alpha": 0.35, "B": 2000.0, "beta": 0.37, "H": 0.5, "m": m, "s": 0.5}
        found = numeric(two, [1e23], **constants)["params"][0]
        params = np.exp(np.linspace(5, 50, 200_001))
        loss = two.value(constants, params=params, tokens=1e23 / 6 / params)
        assert np.log(found) == pytest.approx(np.log(params[np.argmin(loss)]), abs=3e-4)


def test_three_inputs_against_a_general_optimiser():
    from scipy.optimize import minimize

    published = law("abnar2025")
    limits = {"sparsity": (0.01, 0.98)}
    found = frontier("abnar2025", [1e20, 1e23], cost="flops = 6*params*(1 - sparsity)^0.5*tokens", bounds=limits)
    for i, budget in enumerate((1e20, 1e23)):

        def loss(v, budget=budget):
            params, sparsity = np.exp(v)
            tokens = budget / 6 / params / (1 - sparsity) ** 0.5
            return float(published.value(params=params, tokens=tokens, sparsity=sparsity))

        starts = [(np.log(1e9 * f), np.log(s)) for f in (1, 100) for s in (0.05, 0.5, 0.95)]
        ends = [(None, None), tuple(np.log(limits["sparsity"]))]
        reference = min((minimize(loss, s, bounds=ends, tol=1e-14) for s in starts), key=lambda r: r.fun)
        assert found.loss.value[i] <= reference.fun * (1 + 1e-9)


def test_no_closed_form_where_the_law_bends():
    """Below one epoch the law is the plain one; a check of single points would take it for a monomial."""
    from scalinglens.plan.optimum.closed_form import closed_form
    from scalinglens.plan.repetition import with_repetition

    for source in (with_repetition(as_source("besiroglu2024")), as_source("muennighoff2023")):
        stated = state(source, None, {"tokens_unique": 1e11})
        found = closed_form(source.law, source.heads[0].values[None], stated.cost.law, stated.free, stated.fixed)
        assert found is None
        assert frontier(source, 1e24, fix={"tokens_unique": 1e11}).how == "equal elasticities"


def test_draws_of_a_law_without_closed_form_by_brute_force(chinchilla_fit):
    from scalinglens.plan.repetition import with_repetition

    source = with_repetition(as_source(chinchilla_fit))
    found = frontier(source, 1e23, fix={"tokens_unique": 5e10}).optimum["params"]
    sizes = np.exp(np.linspace(np.log(found.value[0]) - 1, np.log(found.value[0]) + 1, 20_001))
    loss = source.sampled({"params": sizes, "tokens": 1e23 / 6 / sizes, "tokens_unique": 5e10})
    ends = np.quantile(sizes[loss.argmin(axis=1)], [0.05, 0.95])
    np.testing.assert_allclose([found.low[0], found.high[0]], ends, rtol=3e-3)  # a grid step and the order of widening


def drawn(name, count=80, share=0.02):
    """A published law with draws around its constants."""
    made = as_source(name)
    head = made.heads[0]
    noise = np.random.default_rng(0).standard_normal((count, len(head.values)))
    return replace(made, heads=(replace(head, draws=head.values * np.exp(share * noise)),))


@pytest.mark.parametrize(
    ("name", "fix", "bounds"),
    [
        ("pearce2024.L", {}, {}),
        ("pearce2024.L", {}, {"params_nonembedding": (1e6, 1e9)}),
        ("pearce2024.L", {}, {"tokens": (1e10, 1e12)}),
        ("muennighoff2023", {"tokens_unique": 1e11}, {}),  # kinks that wander with the draws
        ("besiroglu2024", {}, {"params": (1e9, 3e10)}),
    ],
)
def test_ends_over_many_budgets_are_those_of_every_draw_solved(name, fix, bounds):
    """Against a scan of the whole range under each draw, at some of 201 budgets; both to the last digits."""
    source = drawn(name)
    budgets = np.geomspace(1e20, 1e25, 201)
    found = frontier(source, budgets, fix=fix, bounds=bounds)
    stated = state(source, None, fix, bounds)
    at = np.array([0, 3, 40, 77, 100, 131, 160, 199])
    draws = source.heads[0].draws
    every = solve(
        source.heads[0].model(draws), stated.problem, np.broadcast_to(np.log(budgets[at]), (len(draws), len(at)))
    )
    for size in stated.free:
        ends = np.quantile(every.logs[size], [0.05, 0.95], axis=0)
        np.testing.assert_allclose(np.log(found.optimum[size].low[at]), ends[0], rtol=0, atol=1e-10)
        np.testing.assert_allclose(np.log(found.optimum[size].high[at]), ends[1], rtol=0, atol=1e-10)
    losses = source.sampled({key: found.optimum[key].value[at] for key in source.inputs})
    np.testing.assert_allclose(found.loss.low[at], np.quantile(losses, 0.05, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.loss.high[at], np.quantile(losses, 0.95, axis=0), rtol=1e-12)


@pytest.mark.parametrize("name", ["pearce2024.L", "muennighoff2023"])
def test_exponents_over_many_budgets(name, monkeypatch):
    """Slopes use the splines, where single ends do not: one hundred-thousandth apart from every budget solved."""
    source, fix = drawn(name), {"tokens_unique": 1e11} if name == "muennighoff2023" else {}
    budgets = np.geomspace(1e20, 1e25, 101)
    fast = frontier(source, budgets, fix=fix)
    monkeypatch.setattr(traces, "FEW", 10**6)
    slow = frontier(source, budgets, fix=fix)
    for key, exponent in slow.exponents.items():
        for end in ("value", "low", "high"):
            assert getattr(fast.exponents[key], end) == pytest.approx(getattr(exponent, end), abs=2e-5)
    assert fast.gamma.low == pytest.approx(slow.gamma.low, abs=2e-5)


def test_more_is_better_under_draws_too():
    """Draws of a law of an accuracy are best where its loss is least, not where it is worst."""
    c = dict(law("besiroglu2024").constants)
    text = "accuracy = 1 - (E + A/params^alpha + B/tokens^beta)/10"
    rises, falls = as_source(text, constants=c), as_source("besiroglu2024")
    draws = falls.heads[0].values * np.exp(0.01 * np.random.default_rng(1).standard_normal((50, 5)))
    order = [falls.law.parameters.index(name) for name in rises.law.parameters]
    rises = replace(rises, heads=(replace(rises.heads[0], draws=draws[:, order]),))
    falls = replace(falls, heads=(replace(falls.heads[0], draws=draws),))
    one, other = (frontier(source, [1e21, 1e23]).optimum["params"] for source in (rises, falls))
    np.testing.assert_allclose([one.low, one.high], [other.low, other.high], rtol=1e-8)


def test_budgets_in_any_order_and_twice():
    found = frontier("pearce2024.L", [1e20, 1e18, 1e20, 1e22])
    again = frontier("pearce2024.L", [1e18, 1e20, 1e22])
    np.testing.assert_allclose(
        found.optimum["params_nonembedding"].value, again.optimum["params_nonembedding"].value[[1, 0, 1, 2]], rtol=1e-9
    )


def test_a_draw_without_an_optimum_is_left_aside():
    """A size that no budget reaches leaves a draw without a loss; the others keep their ends."""
    text, c = "E + A/(params - K)^alpha + B/tokens^beta", dict(law("besiroglu2024").constants)
    source = as_source(text, constants={**c, "K": 1e6})
    head = source.heads[0]
    draws = head.values * np.exp(0.01 * np.random.default_rng(2).standard_normal((60, len(head.values))))
    broken = draws.copy()
    broken[7, head.law.parameters.index("K")] = 1e14
    budgets = np.geomspace(1e20, 1e24, 60)
    one, other = (
        frontier(replace(source, heads=(replace(head, draws=some),)), budgets).optimum["tokens"]
        for some in (broken, np.delete(draws, 7, axis=0))
    )
    assert np.isfinite(one.low).all()
    np.testing.assert_allclose(one.low, other.low, rtol=2e-3)  # with the splines, where it is left aside
    np.testing.assert_allclose(one.high, other.high, rtol=2e-3)


def test_a_trace_bounds_what_it_follows():
    """Between nodes every draw lies inside the bounds, kinks included; backwards it finds where a value is reached."""
    x = np.linspace(0, 9, 500)
    kinks = np.linspace(2, 7, 40)

    def line(at, _):
        return {"a": 1.0 - 0.1 * at[:, None] - 0.05 * np.maximum(at[:, None] - kinks, 0.0)}

    trace = traces.traced(line, x, ("a",))
    assert len(trace.nodes) < 140
    low, high = trace.between("a")
    cell = np.clip(np.searchsorted(trace.nodes, x, side="right") - 1, 0, len(trace.nodes) - 2)
    truth = line(x, None)["a"]
    assert np.all((truth >= low[cell] - 1e-12) & (truth <= high[cell] + 1e-12))
    back, errors = trace.backwards("a", truth)
    assert np.all(np.abs(back - x[:, None]) <= errors + 1e-9)
    _, error = trace.backwards("a", np.full((1, 40), 2.0))
    assert np.isinf(error).all()
