"""Every method on a table whose answer is known, its price by brute force, and its refusals with their types."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from scalinglens.errors import FitError, PlanError, QuantityError
from scalinglens.plan.methods import METHODS, REFUSALS, Task, answer_of, compare_methods, methods_command
from scalinglens.runs import read_runs

E, A, B = 1.69, 406.4, 410.7
LAWS = "approach3,varpro"


@pytest.fixture(scope="module")
def noisy(isoflops):
    """All methods but the networks on one table with noise."""
    data, truth = isoflops(noise=0.003, half=1.8, sizes=13, seed=1)
    names = [name for name in METHODS if name != "network"]
    return compare_methods(data, flops="1e22", methods=names, boot=20, truth=_law()), truth


def _law():
    from scalinglens.plan.source import as_source

    return as_source("hoffmann2022", constants={"E": E, "A": A, "B": B, "alpha": 0.34, "beta": 0.28})


# ---- each method against the truth --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "size", "exponent"), [
    ("approach2", 0.03, 1e-9),
    ("akima", 0.03, 0.002),
    ("approach3", 1e-5, 1e-7),
    ("varpro", 1e-5, 1e-7),
    ("network", 0.03, 0.005),
    ("kernel", 0.01, 0.002),
])  # fmt: skip
def test_without_noise_a_method_finds_the_optimum(isoflops, method, size, exponent):
    data, truth = isoflops()
    for flops in (1e20, 1e22):
        answer = answer_of(method, Task(read_runs(data), flops, members=4))
        assert answer.point[0] == pytest.approx(math.log(truth(flops)), abs=size)
        assert answer.point[2] == pytest.approx(math.log(flops / 6 / truth(flops)), abs=size)
        assert answer.point[1] == pytest.approx(0.28 / 0.62, abs=exponent)
        assert answer.point[3] == pytest.approx(0.34 / 0.62, abs=exponent)


def test_the_envelope_finds_it_on_curves(isoflops, curves):
    _, truth = isoflops()
    found = compare_methods(curves, flops=1e20, methods="approach1,approach3,varpro", boot=0)
    row = found["approach1"]
    assert row.params.value == pytest.approx(truth(1e20), rel=0.05)
    assert row.a.value == pytest.approx(0.28 / 0.62, abs=0.01)
    assert found["varpro"].params.value == pytest.approx(truth(1e20), rel=1e-6)


def test_kaplans_law_in_its_own_counting():
    """The exponent of the catalogue's note, C^0.575, and sizes turned to sizes with embeddings."""
    rng = np.random.default_rng(0)
    bare, d = 10 ** rng.uniform((5, 8), (9, 10.5), (80, 2)).T
    whole = bare + 4e4 * bare ** (1 / 3)
    loss = ((6.4e13 / bare) ** (0.076 / 0.103) + 1.8e13 / d) ** 0.103
    table = {"params": whole, "params_nonembedding": bare, "tokens": d, "loss": loss}
    row = compare_methods(table, flops=1e21, methods="kaplan", boot=0)["kaplan"]
    x = 0.076 / 0.103
    best = (x * 6.4e13**x / 1.8e13 * (1e21 / 6)) ** (1 / (1 + x))
    assert row.params.value == pytest.approx(best + 4e4 * best ** (1 / 3), rel=1e-4)
    own = 1 / (1 + x)
    assert any(f"params_nonembedding ~ C^{own:.3f}" in note for note in row.notes)
    assert own == pytest.approx(0.575, abs=5e-4)
    share = (best + 4e4 * best ** (1 / 3) / 3) / (best + 4e4 * best ** (1 / 3))
    assert row.a.value == pytest.approx(own * share, rel=1e-4)
    plain = compare_methods(
        {k: v for k, v in table.items() if k != "params_nonembedding"}, flops=1e21, methods="kaplan", boot=0
    )
    assert any("the table has no others" in note for note in plain["kaplan"].notes)


# ---- intervals and prices ------------------------------------------------------------------------------------------------


def test_rows_hold_value_interval_and_price(noisy):
    found, truth = noisy
    for row in found.rows:
        if row.method == "approach1":
            assert row.status == "no_training_curves"
            continue
        assert row.status == "ok", row
        assert row.draws >= 20
        assert row.params.low < row.params.value < row.params.high or row.method == "kaplan"
        assert row.a.low < row.a.high
        if row.method != "kaplan":
            assert abs(math.log(row.params.value / truth(1e22))) < 0.6
            assert row.a.value + row.b.value == pytest.approx(1, abs=0.01)
    units = {row.method: row.resampled for row in found.rows}
    assert units["approach2"] == units["akima"] == "noise of single losses"
    assert units["approach3"] == units["kaplan"] == "noise of the law"
    assert units["varpro"] == units["kernel"] == "runs"


def test_regret_by_brute_force(noisy):
    found, _ = noisy
    sizes = np.geomspace(1e8, 1e13, 200_001)
    loss = lambda n, c: E + A / n**0.34 + B / (c / 6 / n) ** 0.28  # noqa: E731
    least = loss(sizes, 1e22).min()
    for row in found.rows:
        if row.status != "ok":
            continue
        own = loss(row.params.value, 1e22)
        assert row.excess.value == pytest.approx(own - least, abs=1e-9)
        spent = 1e22 * (1 - row.waste.value)
        assert loss(sizes, spent).min() == pytest.approx(own, abs=1e-8)
        assert row.excess.high >= row.excess.low >= 0


def test_the_reference_is_the_certified_law_where_no_truth_is_given(isoflops):
    data, _ = isoflops(noise=0.003)
    found = compare_methods(data, flops=1e22, methods=LAWS, boot=0)
    assert (found.reference, found.given) == ("hoffmann2022", False)
    assert found["approach3"].excess.value == pytest.approx(0, abs=1e-12)
    assert found["varpro"].excess.value > 0
    assert found["approach3"].a.low is None


def test_other_costs_are_for_laws(isoflops):
    data, _ = isoflops()
    found = compare_methods(data, flops=1e22, boot=0, cost="flops = 12*params*tokens")
    for row in found.rows:
        assert row.status == ("ok" if row.method in ("approach3", "varpro", "kaplan") else "cost"), row.method
    half = compare_methods(data, flops=0.5e22, methods=LAWS, boot=0)
    for name in LAWS.split(","):
        assert found[name].params.value == pytest.approx(half[name].params.value, rel=1e-6)


# ---- refusals ------------------------------------------------------------------------------------------------------------


def status(table, method, **options):
    row = compare_methods(table, flops=1e22, methods=method, boot=0, **options)[method]
    assert bool(row.reason) == (row.status != "ok")
    assert row.status == "ok" or row.params is None
    return row.status


def test_tables_that_a_method_cannot_use(isoflops):
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform((7, 9), (9, 11), (60, 2)).T
    scattered = {"params": n, "tokens": d, "loss": E + A / n**0.34 + B / d**0.28}
    apart = {"params": n[:20], "flops": (c := np.geomspace(1e17, 1e21, 20))}
    apart["loss"] = E + A / n[:20] ** 0.34 + B / (c / 6 / n[:20]) ** 0.28
    dense = {k: np.tile(v, 10) * (np.exp(rng.normal(size=600)) if k != "loss" else 1.0) for k, v in scattered.items()}
    for method in ("approach2", "akima"):
        assert status(apart, method) == "no_equal_compute"
        assert status(dense, method) == "no_equal_compute"
        assert status(isoflops(budgets=2)[0], method) == "no_optimum"
        assert status(isoflops(half=0.3, offset=4.0)[0], method) == "no_optimum"
    assert status(scattered, "approach1") == "no_training_curves"
    assert status(scattered, "varpro") == "ok"
    few = {k: v[:4] for k, v in scattered.items()}
    for method in ("approach3", "varpro", "kernel"):
        assert status(few, method) == "too_few_runs"
    assert status({**scattered, "loss": E + A / n**0.34}, "varpro") == "clamped"
    assert status({**scattered, "loss": E + A / n**0.34}, "approach3") in ("not_identified", "no_optimum")
    assert status({"flops": 6 * n * d, "loss": scattered["loss"]}, "kernel") == "missing_column"
    fixed = {**scattered, "tokens": 20 * n, "loss": E + A / n**0.34 + B / (20 * n) ** 0.28}
    assert status(fixed, "kernel") in ("not_identified", "no_optimum")


def test_losses_without_trend_have_no_exponents(isoflops):
    """Negative control."""
    data, _ = isoflops()
    noise = {**data, "loss": 3 * np.exp(0.01 * np.random.default_rng(3).normal(size=len(data["loss"])))}
    found = compare_methods(noise, flops=1e22, methods="approach2,akima,varpro,kernel", boot=0)
    assert all(row.status in ("no_trend", "no_optimum", "clamped", "not_identified") for row in found.rows), found


def test_without_a_law_there_is_no_price(isoflops):
    data, _ = isoflops()
    few = {k: v[:4] for k, v in data.items()}
    found = compare_methods(few, flops=1e22, methods="approach3,varpro", boot=0)
    assert found.reference == ""
    assert any("no regrets" in warning for warning in found.warnings)


@pytest.mark.parametrize(("options", "error", "words"), [
    ({"methods": "aproach2"}, PlanError, 'did you mean "approach2"'),
    ({"methods": ""}, PlanError, "known are all"),
    ({"methods": []}, PlanError, "no method is named"),
    ({"flops": -1}, PlanError, "flops"),
    ({"flops": None}, PlanError, "give flops=1e24"),
    ({"flops": "7 apples"}, (PlanError, QuantityError), "apples"),
    ({"boot": 5}, FitError, "does not show the ends"),
    ({"boot": True}, FitError, "boot is a whole number"),
    ({"level": 90}, FitError, "write 0.9"),
    ({"cost": "dollars = 2e-18*6*params*tokens"}, PlanError, "the cost is in"),
])  # fmt: skip
def test_options_that_cannot_be(isoflops, options, error, words):
    with pytest.raises(error, match=words):
        compare_methods(isoflops()[0], **{"flops": 1e22, "methods": "approach2", "boot": 0, **options})


# ---- views ---------------------------------------------------------------------------------------------------------------


def test_text_frame_and_dictionary_agree(noisy):
    found, _ = noisy
    frame, plain = found.to_frame().set_index("method"), found.to_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["schema"] == 1
    assert set(plain) == {
        "schema", "flops", "decades", "level", "reference", "reference_given", "methods", "refusals", "rows", "columns",
        "settings", "data", "citations", "warnings",
    }  # fmt: skip
    assert plain["decades"] == pytest.approx(1)
    for row in plain["methods"]:
        assert set(row) == {
            "method", "status", "reason", "a", "b", "params", "tokens", "loss", "excess", "waste", "bias", "resampled",
            "draws", "notes",
        }  # fmt: skip
        if row["status"] == "ok":
            assert frame.loc[row["method"], "params"] == row["params"]["value"]
            assert frame.loc[row["method"], "a_low"] == row["a"]["low"]
        else:
            assert row["params"] is None
            assert plain["refusals"] == {row["status"]: REFUSALS[row["status"]]}
    text = repr(found)
    assert all(row.method in text for row in found.rows)
    assert "no answer, there are no curves" in text
    assert "<table>" in found._repr_html_()


def test_picture(noisy, tmp_path):
    found, _ = noisy
    found.plot(tmp_path / "methods.png")
    assert (tmp_path / "methods.png").stat().st_size > 10_000


def test_same_seed_same_numbers(isoflops):
    data, _ = isoflops(noise=0.003)
    one, two = (compare_methods(data, flops=1e22, methods="approach2,varpro", boot=30, seed=7) for _ in range(2))
    assert one.to_dict() == two.to_dict()
    other = compare_methods(data, flops=1e22, methods="approach2,varpro", boot=30, seed=8)
    assert one["varpro"].params.value == other["varpro"].params.value
    assert one["varpro"].params.low != other["varpro"].params.low


def test_the_command_prints_text_or_json(isoflops, tmp_path):
    import pandas as pd

    import scalinglens as sl

    path = tmp_path / "runs.csv"
    pd.DataFrame(isoflops(noise=0.003)[0]).rename(columns={"flops": "budget"}).to_csv(path, index=False)
    options = {"flops": "1e22", "boot": 0, "mapping": {"flops": "budget"}}
    text = methods_command(path, "approach2,varpro", **options, plot=tmp_path / "m.svg")
    assert text.startswith("2 of 2 methods answer on 77 runs")
    assert (tmp_path / "m.svg").exists()
    plain = json.loads(methods_command(path, "approach2,varpro", **options, as_json=True, where="loss < 100"))
    assert [row["method"] for row in plain["methods"]] == ["approach2", "varpro"]
    (tmp_path / "fit.json").write_text('{"law": "x", "parameters": {}}')
    real = sl.fit(pd.read_csv(path).rename(columns={"budget": "flops"}), "hoffmann2022")
    real.save(tmp_path / "real.json")
    for name in ("fit.json", "real.json"):
        with pytest.raises(PlanError, match="saved fit"):
            methods_command(tmp_path / name, flops=1e22)
        with pytest.raises(PlanError, match="saved fit"):
            compare_methods(str(tmp_path / name), flops=1e22)
