"""Hold-outs part a table as their text says: checked against brute force, and refused where they cannot."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalinglens.errors import HoldoutError, RunsError
from scalinglens.fit.compare.holdout import check_column, equal_to, parse_holdout, roll, subset
from scalinglens.runs import Runs, read_runs


def runs_of(values, **others) -> Runs:
    values = np.asarray(values, dtype=float)
    return read_runs({"params": values, "loss": 3.0 + np.zeros(len(values)), **others})


def held(runs: Runs, text: str) -> list[int]:
    (fold,) = roll(runs, parse_holdout(text), origins=1, enough=lambda rows: True)
    assert sorted([*fold.train, *fold.test]) == list(range(len(runs)))
    return sorted(fold.test.tolist())


sizes = st.lists(st.sampled_from([1e6, 2e6, 4e6, 8e6, 16e6, 32e6]), min_size=2, max_size=14).filter(
    lambda v: len(set(v)) > 1
)


@settings(max_examples=150, deadline=None)
@given(sizes, st.floats(0.02, 0.98))
def test_top_is_the_nearest_cut_between_different_values(values: list[float], share: float) -> None:
    got = held(runs_of(values), f"top:params:{share!r}")
    # brute force: every threshold, all larger values together
    cuts = [[i for i, v in enumerate(values) if v > t] for t in sorted(set(values))[:-1]]
    best = min(abs(len(cut) - share * len(values)) for cut in cuts)
    assert got in cuts
    assert abs(len(got) - share * len(values)) == pytest.approx(best, abs=1e-9)
    assert min(values[i] for i in got) > max(v for i, v in enumerate(values) if i not in got)


@settings(max_examples=100, deadline=None)
@given(sizes, st.sampled_from([1.5, 2.0, 4.0, 8.0]))
def test_factor_above_and_last(values: list[float], factor: float) -> None:
    runs = runs_of(values)
    expected = [i for i, v in enumerate(values) if v > max(values) / factor]
    if len(expected) < len(values):
        assert held(runs, f"factor:params:{factor}") == expected
        assert held(runs, f"above:params:{max(values) / factor!r}") == expected
    else:
        with pytest.raises(HoldoutError, match="leaves nothing to fit"):
            held(runs, f"factor:params:{factor}")
    assert held(runs, "last:params") == [i for i, v in enumerate(values) if v == max(values)]


def test_values_that_differ_by_rounding_are_one() -> None:
    flops = np.array([1e18, 6 * 1e6 * 2e12, 6 * 2e6 * 1e12 * (1 + 2e-16), 1.2e19 * (1 - 1e-12)])
    runs = runs_of([1, 2, 3, 4], flops=flops)
    assert held(runs, "last:flops") == [1, 2, 3]
    assert held(runs, "top:flops:0.25") == [1, 2, 3]
    assert held(runs, "above:flops:1.1e19") == [1, 2, 3]
    with pytest.raises(HoldoutError, match="holds out nothing"):
        held(runs, "above:flops:1.2e19")


def test_named_rows() -> None:
    runs = runs_of([1, 2, 3, 4], family=["opt", "opt", "pythia", "opt"], mask=[1, 0, 0, 1])
    assert held(runs, "is:family=pythia") == [2]
    assert held(runs, "is:mask=0") == [1, 2]
    assert held(runs, "is:params=2") == [1]


def test_quantities_and_odd_columns() -> None:
    assert parse_holdout("above:params:7B").value == 7e9
    assert parse_holdout("above:flops:3 PF-day").value == pytest.approx(3 * 8.64e19)
    assert parse_holdout("above:a:b:2").column == "a:b"
    assert parse_holdout(" last:Model Size ").column == "Model Size"
    assert parse_holdout("is:note=a=b").value == "a=b"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tpo:flops:0.5", 'did you mean "top"'),
        ("flops:0.5", "the forms are top:COLUMN:SHARE"),
        ("top:flops:0", "between 0 and 1, got 0"),
        ("top:flops:1", "between 0 and 1, got 1"),
        ("top:flops:25", "write 0.25 for 25 percent"),
        ("top:flops:half", "does not begin with a number"),
        ("top:flops", "incomplete; it is written top:COLUMN:SHARE"),
        ("factor:flops:1", "larger than 1, got 1"),
        ("factor:flops:0.5", "larger than 1, got 0.5"),
        ("above:params:7B tokens", "measured in parameters"),
        ("above:params:", "incomplete"),
        ("last:", "incomplete; it is written last:COLUMN"),
        ("is:family", "incomplete; it is written is:COLUMN=VALUE"),
        ("", "the forms are"),
    ],
)
def test_text_that_is_no_holdout(text: str, says: str) -> None:
    with pytest.raises(HoldoutError) as problem:
        parse_holdout(text)
    assert says in str(problem.value)
    assert text in str(problem.value)


def test_what_is_not_text() -> None:
    with pytest.raises(HoldoutError, match=r"is text such as top:flops:0\.5, got float 0\.5"):
        parse_holdout(0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("top:params:0.5", "params is 5M in all 3 runs"),
        ("last:params", "name a column that varies"),
        ("above:tokens:1T", "holds out nothing: tokens runs from 1 to 3"),
        ("above:tokens:0.5", "leaves nothing to fit"),
        ("factor:tokens:10", "leaves nothing to fit: tokens runs from 1 to 3; name a smaller factor"),
        ("is:family=optt", 'did you mean "opt"'),
        ("is:mask=1", "leaves nothing to fit: mask is 1 in all 3 runs"),
        ("is:mask=two", "mask holds numbers"),
        ("is:mask=7", "holds out nothing"),
    ],
)
def test_nothing_to_fit_or_to_forecast(text: str, says: str) -> None:
    runs = runs_of([5e6, 5e6, 5e6], tokens=[1, 2, 3], family=["opt", "opt", "bloom"], mask=[1, 1, 1])
    with pytest.raises(HoldoutError) as problem:
        held(runs, text)
    assert says in str(problem.value)


def test_unknown_column_names_another() -> None:
    runs = runs_of([1e6, 2e6, 4e6], tokens=[1e9, 2e9, 3e9])
    with pytest.raises(HoldoutError) as problem:
        check_column(runs, parse_holdout("top:flop_count:0.5"), ("params",), "loss")
    assert "top:params:0.5" in str(problem.value)
    with pytest.raises(HoldoutError, match='did you mean "tokens"'):
        check_column(runs, parse_holdout("last:tokns"), (), "loss")
    with pytest.raises(HoldoutError, match=r"by what is forecast.*top:params:0\.5"):
        check_column(runs, parse_holdout("top:loss:0.5"), ("params",), "loss")
    with pytest.raises(RunsError, match="famly"):
        check_column(runs, parse_holdout("is:famly=opt"), ("params",), "loss")


# ---- origins --------------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    sizes, st.sampled_from(["top:params:0.3", "last:params", "factor:params:3", "above:params:5M"]), st.integers(1, 6)
)
def test_origins_roll_without_overlap(values: list[float], text: str, least: int) -> None:
    runs = runs_of(values)
    try:
        folds = roll(runs, parse_holdout(text), enough=lambda rows: len(rows) >= least)
    except HoldoutError:
        return
    everything = runs.column("params")
    assert [fold.origin for fold in folds] == list(range(1, len(folds) + 1))
    assert folds[-1].test.tolist() == held(runs, text)
    for earlier, later in itertools.pairwise(folds):
        # what a later origin is fitted on is what the earlier one was fitted on and forecast
        assert sorted([*earlier.train, *earlier.test]) == sorted(later.train)
        assert len(earlier.train) >= least
    for fold in folds:
        assert everything[fold.train].max() < everything[fold.test].min()
        assert fold.factor == everything[fold.test].max() / everything[fold.train].max()
        np.testing.assert_array_equal(fold.ahead, everything[fold.test] / fold.edge)


def test_each_origin_applies_the_same_rule() -> None:
    runs = runs_of(2.0 ** np.arange(12))
    top = roll(runs, parse_holdout("top:params:0.5"), enough=lambda rows: len(rows) >= 2)
    assert [len(fold.train) for fold in top] == [2, 3, 6]  # of 3, half is 1.5: the smaller cut
    last = roll(runs, parse_holdout("last:params"), enough=lambda rows: len(rows) >= 2)
    assert [fold.test.tolist() for fold in last] == [[9], [10], [11]]
    factor = roll(runs, parse_holdout("factor:params:8"), origins=3, enough=lambda rows: len(rows) >= 2)
    assert [fold.factor for fold in factor] == [8.0, 8.0, 8.0]
    above = roll(runs, parse_holdout("above:params:512"), origins=3, enough=lambda rows: len(rows) >= 2)
    assert [fold.factor for fold in above] == [4.0, 4.0, 4.0]


def test_number_of_origins() -> None:
    runs = runs_of(2.0 ** np.arange(12))
    assert len(roll(runs, parse_holdout("last:params"), origins=5, enough=lambda rows: len(rows) >= 3)) == 5
    with pytest.raises(HoldoutError, match="has 9 origins that leave enough runs to fit, and 10 are asked for"):
        roll(runs, parse_holdout("last:params"), origins=10, enough=lambda rows: len(rows) >= 3)
    for wrong in (0, -1, 1.5, True):
        with pytest.raises(HoldoutError, match="whole number, 1 or more"):
            roll(runs, parse_holdout("last:params"), origins=wrong, enough=lambda rows: True)  # type: ignore[arg-type]
    with pytest.raises(HoldoutError, match="which have one origin"):
        roll(runs_of([1, 2], f=["a", "b"]), parse_holdout("is:f=a"), origins=2, enough=lambda rows: True)


def test_the_stated_origin_is_never_refused_for_being_small() -> None:
    (fold,) = roll(runs_of([1, 2, 4]), parse_holdout("last:params"), enough=lambda rows: False)
    assert fold.train.tolist() == [0, 1]
    assert fold.says() == "fitted to 2 runs with params up to 2, forecasts 1 up to 4, 2 times as far"


def test_negative_columns_have_no_factor() -> None:
    runs = runs_of([1e6, 1e6, 1e6, 1e6], day=[-3, -2, -1, 2], tokens=[4, 4, 4, 4])
    with pytest.raises(HoldoutError, match="a factor needs positive values"):
        held(runs_of([1, 1], day=[-2, -1]), "factor:day:2")
    (fold,) = roll(runs, parse_holdout("above:day:-1.5"), origins=1, enough=lambda rows: True)
    assert fold.test.tolist() == [2, 3]
    assert fold.extent == ""
    assert np.isnan(fold.factor)
    assert fold.says() == "fitted to 2 runs, forecasts 2"


def test_subset_keeps_its_sources() -> None:
    runs = read_runs({"params": [1e6, 2e6, 3e6, 4e6], "loss": [4.0, 9.0, 3.0, 2.0]}, where="loss < 5")
    part = subset(runs, np.array([0, 2]), "held out")
    assert part.rows.tolist() == [0, 3]
    assert part.column("loss").tolist() == [4.0, 2.0]
    assert [(gone.reason, gone.rows) for gone in part.dropped] == [("fails where loss < 5", (1,)), ("held out", (2,))]


def test_equal_to() -> None:
    values = np.array([1.23456, -9.99999, 0.0, 5e300, 5e-300])
    np.testing.assert_allclose(equal_to(values, 3), [1.23, -10.0, 0.0, 5e300, 5e-300])
