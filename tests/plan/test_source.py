"""Everything a plan can rest on, and costs."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import FormulaError, PlanError, SavedFitError, UnknownLawError
from scalinglens.laws.catalogue import law
from scalinglens.plan.cost import cost, training_flops
from scalinglens.plan.repetition import with_repetition
from scalinglens.plan.source import as_source

AT = {"params": np.array([1e8, 3e9]), "tokens": np.array([1e10, 2e11])}


def differences(value, at, step=1e-5):
    """d value / d ln input by central differences."""
    found = {}
    for name in at:
        up, down = ({**at, name: at[name] * np.exp(s)} for s in (step, -step))
        found[name] = (value(up) - value(down)) / (2 * step)
    return found


def test_a_fit(chinchilla_fit):
    source = as_source(chinchilla_fit)
    np.testing.assert_allclose(source.value(AT), chinchilla_fit.predict(AT)["loss"])
    np.testing.assert_allclose(source.sampled(AT), chinchilla_fit.sample(AT), rtol=1e-12)
    assert source.draws == 200
    assert source.range["params"] == (chinchilla_fit.points["params"].min(), chinchilla_fit.points["params"].max())


def test_a_saved_fit(chinchilla_fit, tmp_path):
    path = tmp_path / "fit.json"
    chinchilla_fit.save(path)
    again = as_source(str(path))
    np.testing.assert_allclose(again.sampled(AT), as_source(chinchilla_fit).sampled(AT), rtol=1e-12)
    assert again.name == str(path)


@pytest.mark.parametrize("which", ["chinchilla_fit", "chinchilla_pool", "chinchilla_surface"])
def test_elasticities_are_derivatives(which, request):
    source = as_source(request.getfixturevalue(which))
    at = {"params": np.array([1e8, 5e8]), "tokens": np.array([5e9, 2e10])}
    expected = differences(source.value, at, 1e-4)
    for name, slope in source.elasticities(at).items():
        np.testing.assert_allclose(slope, expected[name], rtol=2e-5)


def test_shapes(chinchilla_pool):
    source = as_source(chinchilla_pool)
    grid = {"params": np.array([[1e8], [1e9]]), "tokens": np.array([1e9, 1e10, 1e11])}
    assert source.value(grid).shape == (2, 3)
    assert source.sampled(grid).shape == (100, 2, 3)
    assert source.elasticities(grid)["tokens"].shape == (2, 3)


def test_beyond(chinchilla_fit):
    source = as_source(chinchilla_fit)
    high = source.range["params"][1]
    assert source.beyond({"params": [high / 2, high * 100]})["params"] == pytest.approx(2)
    assert as_source("besiroglu2024").beyond({"params": 1e20}) == {}


def test_constants_of_the_user():
    source = as_source("E + A/params^alpha", constants={"E": 1.0, "A": 10.0, "alpha": 0.5})
    assert float(source.value({"params": 100.0})) == pytest.approx(2.0)


def test_repetition_is_none_below_one_epoch():
    plain, repeated = as_source("besiroglu2024"), with_repetition(as_source("besiroglu2024"))
    np.testing.assert_allclose(repeated.value({**AT, "tokens_unique": 1e12}), plain.value(AT), rtol=1e-14)
    worth = law("muennighoff2023.D_eff").value(tokens=AT["tokens"], tokens_unique=1e9)
    np.testing.assert_allclose(
        repeated.value({**AT, "tokens_unique": 1e9}), plain.value({**AT, "tokens": worth}), rtol=1e-14
    )


def test_repetition_keeps_the_draws(chinchilla_fit):
    plain, repeated = as_source(chinchilla_fit), with_repetition(as_source(chinchilla_fit))
    np.testing.assert_allclose(repeated.sampled({**AT, "tokens_unique": 1e13}), plain.sampled(AT), rtol=1e-12)


# ---- costs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("flops.6nd", {"params": 70e9, "tokens": 1.4e12}, 5.88e23),
        ("6*params*tokens", {"params": 70e9, "tokens": 1.4e12}, 5.88e23),
        ("sardana2023.cost", {"params": 6.969e9, "tokens": 1.248e12, "tokens_inference": 2e12}, 8.006e22),
        (
            "flops.kaplan",
            {"params_nonembedding": 1e9, "depth": 24, "sequence_length": 2048, "width": 2048, "tokens": 1e10},
            6.604e19,
        ),
        (
            "flops.palm",
            {"params": 540e9, "depth": 118, "heads": 48, "key_size": 256, "sequence_length": 2048, "tokens": 2.0},
            2 * 3.2756e12,
        ),
        ("dollars = 2e-18*6*params*tokens", {"params": 70e9, "tokens": 1.4e12}, 1.176e6),
    ],
)
def test_costs(name, at, value):
    paid = cost(name)
    assert float(paid.value(at)) == pytest.approx(value, rel=2e-4)
    at = {key: np.array([v]) for key, v in at.items() if key in paid.inputs}
    expected = differences(lambda x: np.log(paid.value(x)), at)
    for key, slope in paid.elasticities(at).items():
        np.testing.assert_allclose(slope, expected[key], rtol=1e-6, atol=1e-9)


def test_units():
    assert cost("6*params*tokens").unit == "FLOP"
    assert cost("dollars = 2e-18*params*tokens").unit == "USD"
    assert cost("k*params", unit="bytes", constants={"k": 16.0}).unit == "bytes"
    assert cost("6*params*tokens").times(1e-18, "USD").unit == "USD"
    assert training_flops("params_active").inputs == ("params_active", "tokens")


def test_inference():
    paid = cost("6*params*tokens").with_inference(1e12)
    assert float(paid.value({"params": 1e9, "tokens": 1e10})) == pytest.approx(6e19 + 2e21)
    assert cost("6*params*tokens").with_inference().inputs == ("params", "tokens", "tokens_inference")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("", PlanError, "a cost is a formula"),
        (7, PlanError, "a cost is a formula"),
        ("6*parms*tokens", PlanError, 'did you mean "params"'),
        ("k*params*tokens", PlanError, r'"k", which is no quantity.*give its value'),
        ("besiroglu2024", PlanError, "loss, which is no cost"),
        ("flops.6dn", UnknownLawError, "flops.6nd"),
        ("6*params*", FormulaError, "the cost cannot be read"),
        ("6*params*tokens)", FormulaError, "the cost cannot be read"),
        ("flops", UnknownLawError, "there is no cost|gives"),
    ],
)
def test_bad_costs(text, error, says):
    with pytest.raises((error, PlanError, FormulaError), match=says):
        cost(text)


def test_saved_fit_that_is_none(tmp_path):
    path = tmp_path / "fit.json"
    path.write_text("{}")
    with pytest.raises(SavedFitError, match="not a saved fit"):
        as_source(str(path))
