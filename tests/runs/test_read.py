"""Reading: every source gives the same runs, columns are recognised by name and unit, nothing is lost silently."""

from __future__ import annotations

import gzip
import json
import math
import string
from pathlib import Path

import numpy as np
import pandas as pd
import polars
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalinglens.runs import read_runs
from scalinglens.runs.recognise import read_header

positive = st.floats(min_value=1e-3, max_value=1e30)
names = st.text(string.ascii_letters + " ;,'\"é\n", min_size=1, max_size=8).map(lambda text: f"label {text}")
rows = st.lists(st.tuples(positive, positive, st.floats(1e-6, 1e6), names), min_size=1, max_size=8)


def table(cells: list[tuple[float, float, float, str]]) -> pd.DataFrame:
    return pd.DataFrame(cells, columns=["params", "tokens", "loss", "kind"])


@pytest.mark.parametrize(
    "kind", ["csv", "tsv", "json", "jsonl", "columns.json", "parquet", "csv.gz", "jsonl.gz", "json.gz"]
)
@given(cells=rows)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, kind: str, cells: list[tuple[float, float, float, str]]) -> None:
    frame = table(cells)
    path = tmp_path / f"runs.{kind}"
    plain = kind.removesuffix(".gz")
    if plain == "parquet":
        frame.to_parquet(path)
    else:
        text = {
            "csv": lambda: frame.to_csv(index=False, float_format="%.17g"),
            "tsv": lambda: frame.to_csv(index=False, sep="\t"),
            "json": lambda: json.dumps(frame.to_dict("records")),
            "jsonl": lambda: "\n".join(json.dumps(row) for row in frame.to_dict("records")),
            "columns.json": lambda: json.dumps(frame.to_dict("list")),
        }[plain]()
        content = text.encode()
        path.write_bytes(gzip.compress(content) if kind.endswith(".gz") else content)
    runs = read_runs(path)
    for name in ("params", "tokens", "loss"):
        assert runs.column(name).tolist() == frame[name].tolist()
    assert [str(cell).strip() for cell in runs.frame["kind"]] == [str(cell).strip() for cell in frame["kind"]]
    assert runs.digest() == read_runs(frame).digest()
    assert read_runs(runs.to_frame()).digest() == runs.digest()


def test_objects_in_memory_agree() -> None:
    frame = table([(1e6, 1e8, 4.0, "a"), (1e7, 2e9, 3.0, "b"), (1e8, 3e10, 2.5, "a")])
    sources = [
        frame,
        frame.astype({"kind": "category"}),
        frame.astype({"params": "Int64", "loss": "Float64"}),
        frame.set_index("params"),
        polars.from_pandas(frame),
        polars.from_pandas(frame).lazy(),
        frame.to_dict("records"),
        frame.to_dict("list"),
        {name: frame[name].to_numpy() for name in frame},
        frame.to_records(index=False),
    ]
    digests = {read_runs(source).digest() for source in sources}
    assert digests == {read_runs(frame).digest()}
    assert {read_runs(source).frame["kind"].tolist()[1] for source in sources} == {"b"}


def test_the_source_frame_is_not_touched() -> None:
    frame = table([(1e6, 1e8, 4.0, "a"), (1e7, 2e9, math.nan, "b")])
    before = frame.copy()
    read_runs(frame, where="params < 1e8")
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("header", "name", "scale", "unit"),
    [
        ("Model Size", "params", 1, "parameters"),
        ("N", "params", 1, "parameters"),
        ("n_params", "params", 1, "parameters"),
        ("nParams", "params", 1, "parameters"),
        ("non_embedding_params", "params_nonembedding", 1, "parameters"),
        ("params (M)", "params", 1e6, "parameters"),
        ("params_millions", "params", 1e6, "parameters"),
        ("model_size_M", "params", 1e6, "parameters"),
        ("N (in billions)", "params", 1e9, "parameters"),
        ("Training FLOP", "flops", 1, "FLOP"),
        ("C", "flops", 1, "FLOP"),
        ("FLOPs (1E21)", "flops", 1e21, "FLOP"),
        ("compute (PF-days)", "flops", 8.64e19, "FLOP"),
        ("flops [ZFLOP]", "flops", 1e21, "FLOP"),
        ("train_tokens", "tokens", 1, "tokens"),
        ("D", "tokens", 1, "tokens"),
        ("tokens_B", "tokens", 1e9, "tokens"),
        ("tokens [1e9]", "tokens", 1e9, "tokens"),
        ("tokens (10^9)", "tokens", 1e9, "tokens"),
        ("unique_tokens", "tokens_unique", 1, "tokens"),
        ("val_loss", "loss", 1, "nats/token"),
        ("Final Loss", "loss", 1, "nats/token"),
        ("CrossEntropyLoss", "loss", 1, "nats/token"),
        ("test_cross_entropy", "loss", 1, "nats/token"),
        ("log_perplexity", "loss", 1, "nats/token"),
        ("loss (bits)", "loss", math.log(2), "nats/token"),
        ("loss_bits", "loss", math.log(2), "nats/token"),
        ("bpb", "loss", 1, "bits/byte"),
        ("lr", "learning_rate", 1, ""),
        ("bs", "batch_examples", 1, "sequences/step"),
        ("_step", "steps", 1, "steps"),
        ("steps (k)", "steps", 1e3, "steps"),
    ],
)
def test_names_and_units(header: str, name: str, scale: float, unit: str) -> None:
    found = read_header(header)
    assert found is not None
    assert (found.name, found.scale, found.unit) == (name, scale, unit)


@pytest.mark.parametrize(
    "header", ["n", "d", "D/N", "C_6ND", "hex_color", "tokens_per_epoch", "log_loss", "loss_star_std", "smooth loss",
               "", "()", "tokens_100", "flops_per_step", "N_per", "step_time", "params (?)", "seed_1e3"]
)  # fmt: skip
def test_names_that_are_left_alone(header: str) -> None:
    assert read_header(header) is None


def test_conversions_are_applied_and_said() -> None:
    runs = read_runs({"log10_flops": [20.0, 21.0], "params (M)": [70, 400], "val_ppl": [math.e**3, math.e**2]})
    assert runs.column("flops") == pytest.approx([1e20, 1e21], rel=1e-12)
    assert runs.column("params").tolist() == [7e7, 4e8]
    assert runs.column("loss") == pytest.approx([3.0, 2.0], rel=1e-12)
    assert runs.columns["loss"].says() == "loss <- ln of column 'val_ppl' [nats/token]"
    assert runs.columns["params"].says() == "params <- column 'params (M)' x 1e+06 [parameters]"
    assert "column 'val_ppl' holds perplexities; loss = ln(val_ppl) in nats/token" in runs.summary()
    assert read_runs({"q": [8.0], "ppl": [math.e]}, loss="ppl").column("loss")[0] == pytest.approx(1.0)
    bits = read_runs({"loss (bits)": [2.0], "N": [1e6]})
    assert bits.column("loss")[0] == pytest.approx(2 * math.log(2), rel=1e-15)


def test_cells_carry_their_own_unit() -> None:
    runs = read_runs({"model_size": ["70B", "7B", "125m", "1e9"], "C (PF-days)": ["1", "3 PF-day", "2e20 FLOP", "2"],
                      "loss": ["2.0", "2.1", "3,000.0", "3.1"]})  # fmt: skip
    assert runs.column("params").tolist() == [7e10, 7e9, 1.25e8, 1e9]
    assert runs.column("flops").tolist() == [8.64e19, 3 * 8.64e19, 2e20, 2 * 8.64e19]
    assert runs.frame["model_size"].tolist() == ["70B", "7B", "125m", "1e9"]  # labels as written stay available


def test_a_perplexity_is_second_to_a_loss() -> None:
    runs = read_runs({"loss": [2.0, 3.0], "ppl": [7.4, 20.1], "N": [1e6, 1e7]})
    assert runs.column("loss").tolist() == [2.0, 3.0]
    assert any("'ppl' could be meant too" in note for note in runs.notes)


def test_the_same_numbers_twice_are_no_ambiguity() -> None:
    runs = read_runs({"N": [1e6, 1e7], "val_loss": [3.0, 2.0], "eval_loss": [3.0, 2.0]})
    assert runs.columns["loss"].source == "val_loss"
    assert "columns 'val_loss' and 'eval_loss' hold the same numbers; the first is loss" in runs.notes


def test_mapping_overrides_and_switches_off() -> None:
    source = {"loss": [9.0, 9.0], "val loss": [3.0, 2.0], "N": [1.0, 2.0], "D": [1e9, 2e9], "C": [1e18, 1e19]}
    runs = read_runs(source, loss="val loss", params="N * 1e6", tokens="`D` / 2 + C * 0", flops=None, vocab=32_000)
    assert runs.column("loss").tolist() == [3.0, 2.0]
    assert runs.column("params").tolist() == [1e6, 2e6]
    assert runs.column("tokens").tolist() == [5e8, 1e9]
    assert runs.columns["flops"].how == "derived"
    assert runs.column("vocab").tolist() == [32_000, 32_000]
    assert runs.frame["loss (source)"].tolist() == [9.0, 9.0]
    assert [runs.columns[name].how for name in ("loss", "params", "vocab")] == ["mapped", "formula", "formula"]
    assert "params <- formula N * 1e6 [parameters]" in runs.columns["params"].says()
    assert read_runs(source, loss="val loss", tokens="300B").column("tokens").tolist() == [3e11, 3e11]
    assert read_runs(source, loss="val loss", temperature="D").columns["temperature"].source == "D"


def test_a_formula_may_use_recognised_quantities() -> None:
    runs = read_runs({"Model Size": [1e6], "Training FLOP": [6e15], "loss": [3.0]}, tokens="flops / (2 * params)")
    assert runs.column("tokens").tolist() == [3e9]


def test_every_dropped_row_has_a_reason() -> None:
    runs = read_runs(
        {
            "params": ["1e6", "1e6", "1e6", "big", "1e6", "", "1e6", "0"],
            "tokens": [1e8, 2e8, math.inf, 1e8, 3e8, 1e8, 4e8, 1e8],
            "loss": [3.0, math.nan, 3.0, 3.0, -1.0, 3.0, 3.5, 3.0],
            "lr": [0.1, None, None, None, None, None, None, None],
        },
        where="loss < 3.2",
    )
    assert {gone.reason: gone.rows for gone in runs.dropped} == {
        "text that is no number in column params, first 'big'": (3,),
        "missing value in column params": (5,),
        "non-positive value in column params": (7,),
        "infinite value in column tokens": (2,),
        "missing value in column loss": (1,),
        "non-positive value in column loss": (4,),
        "fails where loss < 3.2": (6,),
    }
    assert (len(runs), runs.rows_read, runs.rows.tolist()) == (1, 8, [0])
    assert len(runs) + sum(gone.count for gone in runs.dropped) == runs.rows_read


@given(st.lists(st.tuples(*[st.one_of(st.none(), st.sampled_from([math.nan, math.inf, -1.0, 0.0, "x"]), positive)] * 3),
                min_size=1, max_size=20))  # fmt: skip
@settings(deadline=None)
def test_rows_are_conserved(cells: list[tuple[object, object, object]]) -> None:
    source = [dict(zip(("params", "tokens", "loss"), (1e6, 1e7, 3.0), strict=True))]
    source += [dict(zip(("params", "tokens", "loss"), row, strict=True)) for row in cells]
    runs = read_runs(source)
    gone = [row for dropped in runs.dropped for row in dropped.rows]
    assert sorted([*gone, *runs.rows.tolist()]) == list(range(len(source)))
    assert np.isfinite(runs.frame[["params", "tokens", "loss"]]).all(axis=None)


def test_duplicates_are_reported_or_dropped() -> None:
    source = {"N": [1e6, 1e6, 1e7], "loss": [3.0, 3.0, 2.0], "kind": ["a", "a", "b"]}
    kept, fewer = read_runs(source), read_runs(source, duplicates="drop")
    assert len(kept) == 3
    assert any("1 of 3 rows are exact duplicates" in warning for warning in kept.warnings)
    assert [(gone.reason, gone.rows) for gone in fewer.dropped] == [("exact duplicate of an earlier row", (1,))]


def test_a_missing_minor_value_keeps_its_row_until_it_is_needed() -> None:
    runs = read_runs({"N": [1e6, 1e7], "D": [1e8, 1e9], "loss": [3.0, 2.0], "lr": [0.1, None]})
    assert len(runs) == 2
    assert runs.complete("learning_rate").dropped[-1].reason == "missing value in column learning_rate"


def test_the_coordinate_of_a_figure_is_not_the_variable_of_a_law() -> None:
    assert "x" in read_runs({"x": [1.0, 2.0], "loss": [3.0, 2.0]}).columns
    assert "x" not in read_runs({"x": [1.0, 2.0], "N": [1e6, 1e7], "loss": [3.0, 2.0]}).columns


def test_runs_pass_through() -> None:
    runs = read_runs({"N": [1e6, 1e7], "loss": [3.0, 2.0]})
    assert read_runs(runs) is runs
    assert len(read_runs(runs, where="loss < 3")) == 1


def test_a_nameless_index_is_left_out(tmp_path: Path) -> None:
    frame = table([(1e6, 1e8, 4.0, "a"), (1e7, 2e9, 3.0, "b"), (1e7, 2e9, 3.0, "b")])
    frame.to_csv(tmp_path / "runs.csv")
    runs = read_runs(tmp_path / "runs.csv")
    assert runs.digest() == read_runs(frame).digest()
    assert any("1 of 3 rows are exact duplicates" in warning for warning in runs.warnings)
    assert "the first column has no name and counts the rows; it was left out" in runs.notes
