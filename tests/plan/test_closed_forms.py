"""Every law of the catalogue that trades two inputs: where there is a closed form, it is the numeric optimum.

The catalogue is enumerated, so that a new law is covered without a line here. Constants that are not published are made up by
the domain of the parameter; inputs beyond size and data are held.
"""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law, laws
from scalinglens.laws.law import Law
from scalinglens.plan.frontier import frontier
from scalinglens.plan.optimum.problem import state
from scalinglens.plan.optimum.solutions import Solver
from scalinglens.plan.source import as_source

BUDGETS = np.geomspace(1e17, 1e29, 13)
TARGETS = ("loss", "error")
HELD = {
    "experts": 8, "granularity": 8, "languages": 4, "years": 2023, "sparsity": 0.5, "bits_weights": 4, "bits_activations": 8,
    "bits_kv": 8, "loss_teacher": 2.2, "loss_supervised": 2.5, "h1": 0.3, "h2": 0.7, "tokens_unique": 1e11, "width": 4096,
    "vocab": 32_000, "streams": 4, "batch_tokens": 1e6, "learning_rate": 1e-3,
}  # fmt: skip
# what a domain does not say
MADE = {
    "ho2024": {"Y0": 2020.0, "ga": 0.1, "gb": 0.2},
    "ludziejewski2025": {"alpha": -0.2, "beta": -0.22, "gam": 0.01, "zeta": -0.01, "delta": -0.1, "omega": 0.05, "Es": 1.3},
    "droppo2021": {"Nc": 1e9, "Dc": 1e9, "a": 0.5},
    "gordon2021.L": {"Nc": 1e9, "Dc": 1e10},
}  # fmt: skip
# a closed form of something else than size against data; the test that holds it
ELSEWHERE = {
    "alabdulmohsin2023": "test_optimum.py: test_alabdulmohsin_shape",
    "clark2022": "test_optimum.py: test_clark_cut",
    "gao2022": "test_optimum.py: test_gao_divergence",
    "ghorbani2021": "test_optimum.py: test_ghorbani_split",
    "shukor2025.additive": "test_optimum.py: test_shukor_mixture_does_not_depend_on_scale",
    "kaplan2020.L_NS": "test_optimum.py: test_kaplan_steps_at_the_critical_batch",
    "bhagia2024.link": "no optimum: it names the ends of a link",
}
NO_CLOSED_FORM = ("numeric", "no closed form", "root-find", "minimise over", "search")


def made(name: str) -> tuple[Law, dict[str, float]]:
    """The law and values for the constants that nobody published: an exponent where the domain ends at 2, else a coefficient."""
    found = law(name, unverified=True)
    missing = [p for p in found.parameters if p not in found.constants]
    rng = np.random.default_rng(len(name))
    values = {p: rng.uniform(0.25, 0.45) if found.domain(p).high <= 2 else rng.uniform(50, 500) for p in missing}
    letters = {
        p: rng.uniform(0.25, 0.45) for p in missing if p.startswith(("alpha", "beta", "gam", "delta", "g", "aN", "aD"))
    }
    floors = {p: 1.5 for p in missing if p in ("E", "L_inf", "L0", "e0", "c_inf", "q")}
    return found, {**values, **letters, **floors, **MADE.get(name, {})}


def closed_and_numeric() -> list[str]:
    """Names of laws of size and data whose optimum the package finds in closed form."""
    return [name for name in laws() if "{n}" not in name and method(name) == "closed form"]


def question(name: str):
    found, constants = made(name)
    fix = {key: value for key, value in HELD.items() if key in found.inputs}
    return state(as_source(found, constants=constants), None, fix)


def method(name: str) -> str:
    if law(name, unverified=True).output not in TARGETS:
        return ""
    try:
        stated = question(name)
    except PlanError:  # nothing to trade: one input, or a schedule
        return ""
    return "" if stated.problem is None else Solver(stated).how


CLOSED = closed_and_numeric()


@pytest.mark.parametrize("name", CLOSED)
def test_closed_form_is_the_numeric_optimum(name):
    stated = question(name)
    logs = np.log(BUDGETS)
    short, numeric = Solver(stated), Solver(stated, closed=False)
    form = short.form_of(stated.source.heads[0], stated.source.heads[0].values[None])
    best = numeric.estimate(logs)
    assert set(best.status) == {0}
    for key, found in form.logs(logs).items():
        np.testing.assert_allclose(np.exp(found[0]), np.exp(best.logs[key]), rtol=1e-8, err_msg=f"{name}: {key}")
    if form.floor is not None:
        np.testing.assert_allclose(form.value(logs)[0], best.value, rtol=1e-10)
        reducible = best.value - form.floor[0, 0]  # gamma by the gain of a larger budget
        sharp = reducible > 1e-4 * best.value
        np.testing.assert_allclose((best.price / reducible)[sharp], form.gamma[0, 0], rtol=1e-7)


def test_the_enumeration_finds_what_is_known():
    known = {
        "besiroglu2024", "hoffmann2022.a3_tex", "muennighoff2023.base", "sardana2023.all", "gadre2024.c4", "kaplan2020.L_ND",
        "minicpm2024.L", "michaud2023", "krajewski2024.moe", "kumar2024.train", "coupled_power_mean", "droppo2021",
        "busbridge2025.supervised", "gordon2021.L", "ho2024", "ludziejewski2025", "bhagia2024.loss", "frantar2023.t5",
    }  # fmt: skip
    assert known <= set(CLOSED)
    assert not {"muennighoff2023", "pearce2024.L", "farseer2025", "abnar2025"} & set(CLOSED)


def test_no_published_optimum_is_left_out():
    """What the catalogue gives an optimum for is found in closed form, said to be numeric, or tested by name."""
    for name in laws():
        if "{n}" in name:
            continue
        said = law(name, unverified=True).about.get("optimum")
        if said is None or any(words in said for words in NO_CLOSED_FORM):
            continue
        assert name in CLOSED or name in ELSEWHERE or name.partition(".")[0] in ELSEWHERE, (name, said)


def test_closed_forms_are_used_by_the_frontier():
    for name in CLOSED:
        if not made(name)[1] and set(law(name).inputs) == {"params", "tokens"}:
            assert frontier(name, 1e22).how == "closed form"
