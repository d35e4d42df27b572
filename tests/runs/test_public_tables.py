"""The public tables of the field: what is recognised in each, against counts and columns known from their sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import RunsError
from scalinglens.runs import read_runs

Table = Callable[[str], Path]
PARAMS, ACTIVE, NONEMB = "params", "params_active", "params_nonembedding"

# table, rows read, rows kept, canonical column -> source (a rule where it is derived)
TABLES: list[tuple[str, int, int, dict[str, str]]] = [
    ("bnsl-4digit-addition/points.csv", 17, 17, {"examples": "train_set_size", "loss": "test_cross_entropy"}),
    ("datablations/runs.csv", 296, 296, {PARAMS: PARAMS, "tokens_unique": "unique_tokens", "loss": "loss"}),
    ("datablations/runs_182_published_fit.csv", 182, 182, {"epochs": "epochs = tokens / tokens_unique"}),
    ("epoch-chinchilla/svg_extracted_data.csv", 245, 245,
     {PARAMS: "Model Size", "flops": "Training FLOP", "tokens": "tokens = flops / (6 params)", "loss": "loss"}),
    ("gadre-overtraining/losses_long.csv", 832, 832,
     {PARAMS: PARAMS, NONEMB: "params_no_embed", "tokens": "tokens", "loss": "eval_loss", "learning_rate": "lr"}),
    ("gemstones/fit_cool_begin.jsonl", 199, 199, {ACTIVE: "params_active_precise", "loss": "final_loss"}),
    ("gemstones/fit_cool_end.jsonl", 199, 199, {"steps": "step", "run": "run_name"}),
    ("gemstones/fit_hot.jsonl", 220, 220, {"flops": "flops = 6 params_active tokens", "width": "width"}),
    ("gemstones/fit_hot_100b+.jsonl", 770, 770, {"tokens": "tokens", "depth": "depth"}),
    ("gemstones/fit_hot_120b+_only.jsonl", 528, 528, {"tokens": "tokens"}),
    ("gemstones/fit_hot_sampled_like_chinchilla.jsonl", 24, 24, {"tokens": "tokens"}),
    ("gemstones/fit_slim_chinchilla.jsonl", 28, 28, {"flops": "FLOPs", "loss": "final_loss"}),
    ("hitchhiker-colpret/datablations_contour_losses.csv", 229, 229, {PARAMS: "num_params", "tokens": "token_num"}),
    ("hitchhiker-colpret/loss_curves_192.csv.gz", 35876, 35876, {"tokens": "tokens", "loss": "loss"}),
    ("hitchhiker-colpret/olmo.csv", 1708, 1708, {PARAMS: "num_params", "steps": "Step"}),
    ("hitchhiker-colpret/opt.csv", 147, 147, {"tokens": "tokens", PARAMS: "params = flops / (6 tokens)"}),
    ("hitchhiker-colpret/opt_trajectories.csv", 142, 142, {PARAMS: "model_size", "loss": "ppl"}),
    ("hitchhiker-colpret/2310.16764_ConvNets_match.csv", 26, 26, {"x": "x"}),
    ("isoflop-collection/isoflops.csv", 505, 505, {PARAMS: PARAMS, "tokens": "tokens", "loss": "loss"}),
    ("llama2-digitised/combined_llama2.csv", 57, 57, {PARAMS: PARAMS, "loss": "loss"}),
    ("misfitting-survey/scaling_results.csv", 4852, 4852, {PARAMS: "N", "tokens": "D", "flops": "C", "loss": "loss"}),
    ("misfitting-survey/scaling_results_last_ckpt_only.csv", 261, 261, {NONEMB: "N_no_emb"}),
    ("multi-power-law/loss_curves.csv.gz", 6265, 6265, {PARAMS: "model_size_M", "steps": "step", "loss": "loss"}),
    ("observational-scaling/base_llm_benchmark_eval.csv", 148, 123,
     {PARAMS: "Model Size (B)", "tokens": "Pretraining Data Size (T)", "flops": "FLOPs (1E21)"}),
    ("olmo-ladder/ladder_runs.csv.gz", 4198, 3570,
     {"tokens": "throughput/total_tokens", "batch_tokens": "batch_size_in_tokens"}),
    ("parscale/losses.csv", 48, 48, {NONEMB: "non_embedding_params", "streams": "parallel_streams", "loss": "loss"}),
    ("porian-resolving/isoflop_points.csv", 1745, 1745, {"flops": "flops", "loss": "loss"}),
    ("revisiting-scaling-benchmark/benchmark.lang.csv", 1399, 1399, {"examples": "Seen Examples", "loss": "Loss"}),
    ("revisiting-scaling-benchmark/benchmark.vision.csv", 18883, 18883, {"examples": "Seen Examples", "loss": "Loss"}),
    ("routed-lm/curves.csv.gz", 5799, 5791,
     {PARAMS: "total_parameter_count", "params_dense": "dense_parameter_count", "loss": "loss_validation"}),
    ("steplaw/dense_lr_bs_loss.csv", 1911, 1911, {PARAMS: "N", "batch_examples": "bs", "learning_rate": "lr"}),
    ("steplaw/moe_lr_bs_loss.csv", 708, 708, {ACTIVE: "Na", "flops": "flops = 6 params_active tokens", "loss": "loss"}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "read", "kept", "sources"), TABLES, ids=[name for name, *_ in TABLES])
def test_recognition(table: Table, name: str, read: int, kept: int, sources: dict[str, str]) -> None:
    runs = read_runs(table(name))
    assert (runs.rows_read, len(runs)) == (read, kept)
    assert len(runs) + sum(gone.count for gone in runs.dropped) == read
    for quantity, source in sources.items():
        column = runs.columns[quantity]
        assert source == (column.rule if column.how == "derived" else column.source)


@pytest.mark.parametrize("name", [name for name, *_ in TABLES if ".csv" in name])
def test_numbers_agree_with_pandas(table: Table, name: str) -> None:
    path = table(name)
    runs, reference = read_runs(path), pd.read_csv(path, encoding="utf-8-sig", low_memory=False)
    for column in runs.columns.values():
        plain = column.how == "name" and column.scale == 1.0 and not column.rule
        if plain and pd.api.types.is_numeric_dtype(reference[column.source]):
            expected = reference[column.source].to_numpy(dtype=np.float64)[runs.rows]
            # older pandas parses to within one unit of the last place
            np.testing.assert_allclose(runs.column(column.name), expected, rtol=3e-16)


def test_published_subset_of_epoch(table: Table) -> None:
    runs = read_runs(table("epoch-chinchilla/svg_extracted_data.csv"), where="loss < 3.44")
    assert len(runs) == 240  # as in Besiroglu et al. 2024
    assert [(gone.reason, gone.count) for gone in runs.dropped] == [("fails where loss < 3.44", 5)]
    assert runs.warnings == ()
    assert len(runs.where("`Model Size` > 1B and `Training FLOP` < 1e21")) > 50


def test_perplexities_are_converted_and_logarithms_are_asked_about(table: Table) -> None:
    path = table("hitchhiker-colpret/opt_trajectories.csv")
    runs = read_runs(path)
    np.testing.assert_allclose(np.exp(runs.column("loss")), pd.read_csv(path)["ppl"], rtol=1e-12)
    assert any('if these are log10, map tokens="10 ^ num_token"' in warning for warning in runs.warnings)
    mended = read_runs(path, tokens="10 ^ num_token", flops="10 ^ flops")
    assert mended.warnings == ()
    assert set(mended.column("params")) >= {1.25e8, 1.75e11}


def test_mixed_perplexities_and_duplicates_are_found(table: Table) -> None:
    curves = read_runs(table("hitchhiker-colpret/loss_curves_192.csv.gz"))
    assert any("all where model is OPT-" in warning for warning in curves.warnings)
    lang = read_runs(table("revisiting-scaling-benchmark/benchmark.lang.csv"))
    assert any("687 of 1399 rows are exact duplicates" in warning for warning in lang.warnings)
    assert len(read_runs(table("revisiting-scaling-benchmark/benchmark.lang.csv"), duplicates="drop")) == 712


def test_billions_without_a_unit_are_asked_about(table: Table) -> None:
    path = table("llama2-digitised/combined_llama2.csv")
    assert any("params runs from 7 to 70: no model is that small" in warning for warning in read_runs(path).warnings)
    assert set(read_runs(path, params="params * 1e9").column("params")) == {7e9, 1.3e10, 3.4e10, 7e10}


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("double-descent-nmt/nlp-model-dd.csv", "2 columns of"),
        ("double-descent-nmt/dd-translation-samples-aug26-small.csv", "--map loss=test_loss or --map loss=train_loss"),
        ("gadre-overtraining/downstream_accuracy.csv", "is recognised as params, tokens, flops or loss"),
        ("gadre-overtraining/grid_search_losses.json", "maps names to single values"),
        ("steplaw/1004_fitted_lr_bs_scaling_model_parameters.csv", "is recognised as params, tokens, flops or loss"),
    ],
)
def test_tables_that_need_a_word(table: Table, name: str, says: str) -> None:
    with pytest.raises(RunsError) as caught:
        read_runs(table(name))
    assert says in str(caught.value)


def test_double_descent_with_its_loss_named(table: Table) -> None:
    runs = read_runs(table("double-descent-nmt/nlp-model-dd.csv"), loss="test_loss", x="n")
    assert len(runs) == 64
    assert any("not monotone in x" in warning for warning in runs.warnings)


def test_porian_with_sizes_named(table: Table) -> None:
    runs = read_runs(
        table("porian-resolving/isoflop_points.csv"),
        params="n",
        tokens="t",
        where="dataset == 'rw' and hparams == 'tuned' and loss_type == 'val'",
    )
    assert 0 < len(runs) < 1745
    assert set(runs.labels("dataset")) == {"rw"}
