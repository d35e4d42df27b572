"""`Runs`: columns, labels, digest and what it says about itself."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import RunsError
from scalinglens.runs import Runs, read_runs

SOURCE = {
    "N": [1e6, 1e7, 1e8],
    "D": [2e7, 4e8, 1e9],
    "final loss": [5.0, 4.0, 3.5],
    "seed": [0, 1, 2],
    "sweep <b>": ["a", None, "b"],
    "momentum": [0.9, 0.95, 0.9],
}


@pytest.fixture
def runs() -> Runs:
    return read_runs(SOURCE)


def test_columns_are_float64_and_frame_is_numbered(runs: Runs) -> None:
    assert runs.column("params").dtype == np.float64
    assert isinstance(runs.frame.index, pd.RangeIndex)
    assert runs.column("momentum").tolist() == [0.9, 0.95, 0.9]  # any numeric column of the table can enter a law


def test_absent_column_names_the_remedy(runs: Runs) -> None:
    with pytest.raises(RunsError) as caught:
        runs.column("learning_rate")
    message = str(caught.value)
    assert "have no column 'learning_rate'; known are params, tokens, flops, loss, seed" in message
    assert "not recognised but numeric: 'momentum';" in message  # words cannot be a learning rate
    assert "--map learning_rate=" in message
    with pytest.raises(RunsError, match='did you mean "momentum"'):
        runs.column("momentun")
    with pytest.raises(RunsError, match=r"is no number in 2 of 3 runs, first 'a' at row 0; use labels"):
        runs.column("sweep <b>")


@pytest.mark.parametrize(
    ("source", "wanted", "says", "remedy"),
    [
        ({"N": [7e7, 7e8], "D": [2e9, 2e10]}, "params_nonembedding", "--map params_nonembedding=N (",
         {"params_nonembedding": "N"}),
        ({"non_embedding_params": [7e7, 7e8], "D": [2e9, 2e10]}, "params", "--map params=non_embedding_params (",
         {"params": "non_embedding_params"}),
        ({"active params (M)": [70, 700], "D": [2e9, 2e10]}, "params", '--map params="active params (M)" (',
         {"params": "active params (M)"}),
        # the tokens of this table are derived from params, which must then keep its meaning
        ({"Model Size": ["70M", "0.7B"], "Training FLOP": [8.4e17, 8.4e19]}, "params_nonembedding",
         '--map params="Model Size" --map params_nonembedding="Model Size" (',
         {"params": "Model Size", "params_nonembedding": "Model Size"}),
    ],
)  # fmt: skip
def test_one_parameter_count_can_stand_in_for_another(
    source: dict[str, list[object]], wanted: str, says: str, remedy: dict[str, str]
) -> None:
    table = {**source, "loss": [3.0, 2.5], "tokenizer": ["a", "b"]}
    with pytest.raises(RunsError) as caught:
        read_runs(table).column(wanted)
    message = str(caught.value)
    assert says in message
    assert "counting conventions differ" in message
    assert "tokenizer" not in message
    mapped = read_runs(table, **remedy)  # type: ignore[arg-type]
    np.testing.assert_allclose(mapped.column(wanted), [7e7, 7e8])
    np.testing.assert_allclose(mapped.column("tokens"), [2e9, 2e10])


def test_a_derived_count_stands_in_for_nothing() -> None:
    runs = read_runs({"C": [1e20, 1e21], "D": [2e9, 2e10], "loss": [3.0, 2.5]})
    with pytest.raises(RunsError, match='--map params_active="its column"'):
        runs.column("params_active")


def test_a_filter_that_keeps_nothing_shows_what_there_is() -> None:
    source = {"loss": np.linspace(2, 3, 9), "Task": list("aabbbcdef")}
    runs = read_runs({**source, "D": np.geomspace(1e9, 1e11, 9)})
    for condition, says in (
        ("Task == 'nosuch'", "; Task is 'b', 'a', 'c', 'd', 'e' or one of 1 others; loosen"),
        ("Task == 'a' and tokens > 1T", "; Task is 'b', 'a', 'c', 'd', 'e' or one of 1 others; tokens runs from 1e"),
        ("loss > 4", "; loss runs from 2 to 3; loosen"),
    ):
        with pytest.raises(RunsError) as caught:
            runs.where(condition)
        assert f"leaves none of the 9 runs of frame{says}" in str(caught.value)


def test_labels(runs: Runs) -> None:
    assert runs.labels("seed").tolist() == [0.0, 1.0, 2.0]
    assert runs.labels("sweep <b>").tolist() == ["a", "(missing)", "b"]
    assert runs.labels("final loss").tolist() == [5.0, 4.0, 3.5]  # by the name of the source
    with pytest.raises(RunsError, match=r"no column 'swep'.* not recognised: 'sweep <b>', 'momentum'"):
        runs.labels("swep")


def test_digest_depends_on_numbers_and_names_only(runs: Runs) -> None:
    other = read_runs({**SOURCE, "sweep <b>": ["x", "y", "z"]})
    assert runs.digest() == other.digest()
    assert runs.digest() == read_runs(pd.DataFrame(SOURCE)).digest()
    changed = {**SOURCE, "final loss": [5.0, 4.0, math.nextafter(3.5, 4)]}
    assert runs.digest() != read_runs(changed).digest()
    assert runs.digest() != runs.where("loss < 5").digest()
    assert len(runs.digest()) == 64


def test_summary_says_everything(runs: Runs) -> None:
    text = read_runs({**SOURCE, "final loss": [5.0, None, 3.5]}).summary()
    for part in (
        "2 of 3 rows of frame; rows are counted from 0, without the header",
        "params <- column 'N' [parameters]  1M to 100M",
        "flops  <- derived by flops = 6 params tokens [FLOP]",
        "dropped 1: missing value in column final loss (loss) (row 1)",
        "warning: only 2 runs",
    ):
        assert part in text
    assert repr(runs).startswith("Runs(3 of 3 rows of frame: params, tokens, flops, loss, seed")


def test_html_is_escaped() -> None:
    html = read_runs({"N <script>": [1e6], "loss": [2.0]}, params="N <script>")._repr_html_()
    assert "<script>" not in html
    assert "N &lt;script&gt;" in html


def test_where_accumulates_and_keeps_source_rows(runs: Runs) -> None:
    fewer = runs.where("loss < 5").where("params > 20M")
    assert [(gone.reason, gone.rows) for gone in fewer.dropped] == [
        ("fails where loss < 5", (0,)),
        ("fails where params > 20M", (1,)),
    ]
    assert fewer.rows.tolist() == [2]
    assert len(runs) == 3
    assert runs.where("loss < 50") is runs


def test_complete(runs: Runs) -> None:
    assert runs.complete("params", "loss") is runs
    gaps = read_runs({**SOURCE, "lr": [None, None, None], "wd": [0.1, None, 0.1]})
    assert len(gaps.complete("weight_decay")) == 2
    with pytest.raises(RunsError, match="no column 'learning_rate'"):
        gaps.complete("learning_rate")


def test_to_frame_is_a_copy(runs: Runs) -> None:
    frame = runs.to_frame()
    frame.loc[0, "loss"] = 99.0
    assert runs.column("loss")[0] == 5.0
