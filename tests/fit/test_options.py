"""Pins, ties, targets, groups and seeds: each equals the longer way of saying the same thing."""

import numpy as np
import pytest

from scalinglens.fit import fit
from scalinglens.runs import read_runs

FORM = "E + A/params^alpha + B/tokens^beta"


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(0)
    params, tokens = 10 ** rng.uniform(7.5, 9.5, 70), 10 ** rng.uniform(9, 11, 70)
    loss = (1.8 + 450 / params**0.34 + 1900 / tokens**0.36) * np.exp(0.01 * rng.normal(size=70))
    return read_runs({"params": params, "tokens": tokens, "loss": loss, "ppl": np.exp(loss),
                      "site": np.arange(70) // 7})  # fmt: skip


@pytest.mark.parametrize("options", [{}, {"loss": "squares"}, {"loss": "likelihood"}, {"space": "linear"}])
def test_a_typed_formula_is_the_named_law(runs, options):
    named, typed = fit(runs, "hoffmann2022", boot=20, **options), fit(runs, FORM, boot=20, **options)
    assert typed.value == pytest.approx(named.value, rel=1e-10)
    for name, value in named.values.items():
        assert typed.values[name] == pytest.approx(value, rel=1e-10)
    np.testing.assert_allclose(typed.draws, named.draws, rtol=1e-10)
    assert typed.status == named.status == "certified"


def test_a_law_written_in_another_order_has_the_same_optimum(runs):
    one, other = fit(runs, FORM), fit(runs, "B*tokens^(-beta) + A/params^alpha + E")
    assert other.value == pytest.approx(one.value, rel=1e-10)
    for name, value in one.values.items():
        assert other.values[name] == pytest.approx(value, rel=1e-6)


def test_published_constants_never_enter(runs):
    # hoffmann2022, besiroglu2024 and gpt-like namesakes share one form and must give one answer
    values = [fit(runs, name).values for name in ("hoffmann2022", "besiroglu2024")]
    assert values[0] == values[1]


def test_a_pinned_parameter_is_a_number_in_the_formula(runs):
    pinned = fit(runs, FORM, pin={"alpha": 0.34, "E": 1.8})
    typed = fit(runs, "1.8 + A/params^0.34 + B/tokens^beta")
    assert pinned.value == pytest.approx(typed.value, rel=1e-10)
    assert pinned.values["beta"] == pytest.approx(typed.values["beta"], rel=1e-7)
    assert (pinned.values["alpha"], pinned.values["E"]) == (0.34, 1.8)
    assert pinned.pinned == ("alpha", "E")
    # holding parameters can only raise the objective
    assert pinned.value >= fit(runs, FORM).value * (1 - 1e-12)


def test_pinning_at_the_optimum_changes_nothing(runs):
    free = fit(runs, FORM)
    held = fit(runs, FORM, pin={"beta": free.values["beta"]})
    assert held.value == pytest.approx(free.value, rel=1e-9)
    assert held.values["A"] == pytest.approx(free.values["A"], rel=1e-5)


def test_everything_pinned_is_an_evaluation(runs):
    truth = {"E": 1.8, "A": 450.0, "alpha": 0.34, "B": 1900.0, "beta": 0.36}
    found = fit(runs, FORM, pin=truth)
    z = np.abs(
        np.log((1.8 + 450 / runs.column("params") ** 0.34 + 1900 / runs.column("tokens") ** 0.36) / runs.column("loss"))
    )
    assert found.value == pytest.approx(float(np.sum(np.where(z <= 1e-3, z**2 / 2, 1e-3 * (z - 5e-4)))), rel=1e-10)
    assert found.values == pytest.approx(truth)


def test_a_tie_is_one_name_for_both(runs):
    tied = fit(runs, FORM, tie={"beta": "alpha"})
    typed = fit(runs, "E + A/params^alpha + B/tokens^alpha")
    assert tied.value == pytest.approx(typed.value, rel=1e-10)
    assert tied.values["alpha"] == pytest.approx(typed.values["alpha"], rel=1e-7)
    doubled = fit(runs, FORM, tie={"beta": "1.2*alpha"})
    assert doubled.value == pytest.approx(fit(runs, "E + A/params^alpha + B/tokens^(1.2*alpha)").value, rel=1e-10)


def test_another_target_is_another_column_under_the_name_loss(runs):
    other = read_runs({"params": runs.column("params"), "tokens": runs.column("tokens"), "loss": runs.column("ppl")})
    by_target, by_name = fit(runs, FORM, target="ppl"), fit(other, FORM)
    assert by_target.value == pytest.approx(by_name.value, rel=1e-12)
    assert by_target.target == "ppl"
    assert any("fitted to column ppl" in warning for warning in by_target.warnings)


def test_the_same_seed_gives_the_same_bits_and_another_seed_the_same_optimum(runs):
    one, same, other = (
        fit(runs, FORM, boot=40, seed=3),
        fit(runs, FORM, boot=40, seed=3),
        fit(runs, FORM, boot=40, seed=4),
    )
    assert one.values == same.values
    assert np.array_equal(one.draws, same.draws)
    assert other.value == pytest.approx(one.value, rel=1e-10)
    assert not np.array_equal(other.draws, one.draws)


def test_more_draws_begin_with_the_fewer(runs):
    few, many = fit(runs, FORM, boot=30), fit(runs, FORM, boot=90)
    np.testing.assert_allclose(many.draws[:30], few.draws, rtol=1e-5)


def test_rescaling_inputs_moves_only_the_amplitudes(runs):
    scaled = read_runs(
        {"params": runs.column("params") * 1e3, "tokens": runs.column("tokens"), "loss": runs.column("loss")}
    )
    one, other = fit(runs, FORM), fit(scaled, FORM)
    assert other.value == pytest.approx(one.value, rel=1e-9)
    assert other.values["alpha"] == pytest.approx(one.values["alpha"], rel=1e-6)
    assert other.values["A"] == pytest.approx(one.values["A"] * 1e3 ** one.values["alpha"], rel=1e-5)


def test_rows_in_any_order_give_the_same_optimum(runs):
    order = np.random.default_rng(5).permutation(len(runs))
    shuffled = read_runs(runs.frame.iloc[order].reset_index(drop=True))
    one, other = fit(runs, FORM), fit(shuffled, FORM)
    assert other.value == pytest.approx(one.value, rel=1e-10)
    assert other.values["beta"] == pytest.approx(one.values["beta"], rel=1e-6)


def test_a_row_of_weight_zero_is_no_row(runs):
    weights = np.ones(len(runs))
    weights[[3, 40]] = 0
    keep = np.flatnonzero(weights)
    one = fit(runs, FORM, weights=weights)
    other = fit(read_runs(runs.frame.iloc[keep].reset_index(drop=True)), FORM)
    assert one.value == pytest.approx(other.value, rel=1e-10)
    assert one.values["alpha"] == pytest.approx(other.values["alpha"], rel=1e-6)
