"""Filters agree with pandas and Python, and refuse what is not in their grammar."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalinglens.errors import ExpressionError, RunsError
from scalinglens.runs import read_runs
from scalinglens.runs.filter import evaluate_filter, evaluate_formula

COLUMNS = {
    "loss": np.array([3.0, 2.5, math.nan, 2.0]),
    "params": np.array([1e9, 7e10, 3e9, 7e10]),
    "run": np.array(["x", "a^b", "x", None], dtype=object),
    "seed": np.array([1.0, 2.0, 3.0, 4.0]),
    "Model Size": np.array([1.0, 70.0, 3.0, 70.0]),
}


def rows(text: str) -> list[bool]:
    return evaluate_filter(text, COLUMNS.get, 4, list(COLUMNS)).tolist()


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("loss < 3", [False, True, False, True]),
        ("loss <= 3 and params >= 70B", [False, True, False, True]),
        ("params > 1.5B", [False, True, True, True]),
        ("2.2 < loss < 3.5", [True, True, False, False]),
        ('run != "x"', [False, True, False, False]),  # a row without a label satisfies nothing
        ("run == 'a^b'", [False, True, False, False]),
        ("not (run == 'x')", [False, True, False, False]),
        ("`Model Size` == 70 or loss > 2.9", [True, True, False, True]),
        ("log10(params) > 9.2 and seed^2 == 4", [False, True, False, False]),
        ("max(seed, 3) > 3", [False, False, False, True]),
        ("seed == '2'", [False, True, False, False]),
        ("seed != 'two'", [True, True, True, True]),
        ("params == '70B'", [False, True, False, True]),
        ("-loss > -2.2", [False, False, False, True]),
        ("1 < 2", [True, True, True, True]),
    ],
)
def test_filters(text: str, keep: list[bool]) -> None:
    assert rows(text) == keep


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=20),
    st.floats(-5, 5),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
)
def test_comparisons_agree_with_python(values: list[float], limit: float, sign: str) -> None:
    found = evaluate_filter(f"v {sign} {limit!r}", {"v": np.array(values)}.get, len(values), ["v"])
    assert found.tolist() == [eval(f"{value!r} {sign} {limit!r}") for value in values]


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("los < 3", RunsError, "there is no column 'los' (did you mean \"loss\"?); known are loss, params"),
        ("`Model Sise` < 3", RunsError, 'did you mean "Model Size"'),
        ("loss", ExpressionError, "is no condition; compare something"),
        ("loss + 1", ExpressionError, "is no condition"),
        ("loss = 3", ExpressionError, "equality is written =="),
        ("loss < 3 & params > 1", ExpressionError, "write and, or, not instead of & and |"),
        ("Model Size < 3", ExpressionError, "goes in backquotes: `Model Size`"),
        ("run < 'x'", ExpressionError, "text can be compared with == and != only"),
        ("run + 1 > 2", ExpressionError, "calculates with text"),
        ("loss and params", ExpressionError, "join conditions"),
        ("(loss < 3) == (params > 1)", ExpressionError, "condition"),
        ("run == 'x", ExpressionError, "unclosed '"),
        ("`loss < 3", ExpressionError, "unclosed `"),
        ("", ExpressionError, "the expression is empty"),
        ("__import__('os').system('x') == 1", ExpressionError, "only a named function can be called"),
        ("().__class__ == 1", ExpressionError, "attribute access"),
        ("sqrt(loss, 2) > 1", ExpressionError, "sqrt takes one argument"),
        (3, ExpressionError, "must be text"),
    ],
)
def test_refusals(text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        rows(text)
    assert says in str(caught.value)
    assert str(text) in str(caught.value)


def test_formula_agrees_with_numpy() -> None:
    text = "6 * params * `Model Size`^0.5 / exp(-1) + 2k"
    found = evaluate_formula(text, COLUMNS.get, 4, list(COLUMNS), "the formula")
    assert found == pytest.approx(6 * COLUMNS["params"] * np.sqrt(COLUMNS["Model Size"]) * np.e + 2000)


def test_source_names_work_after_recognition() -> None:
    runs = read_runs({"Model Size (B)": [7.0, 70.0], "Training FLOP": [1e22, 1e23], "loss": [2.0, 1.9]})
    # the original column keeps its own unit, the canonical one is in parameters
    assert len(runs.where("`Model Size (B)` < 10")) == len(runs.where("params < 10B")) == 1
    assert len(runs.where("`Training FLOP` > 5e22")) == 1
