"""Bhagia et al. 2024, arXiv 2412.04403 (OLMo ladder): accuracy of 7B-4T and 13B-5T from 16 runs of up to 1.3B parameters.

Quirks of the table: tokens of a ladder run are the last `throughput/total_tokens`, which the 13B rows lack (its tokens are a
constant); the accuracy of MMLU is a weighted mean of four columns; runs stand in the order of their files, rows in that of
training. The loss is in bits per byte of the right answer.
"""

import numpy as np
import pandas as pd
import pytest

from scalinglens.fit.downstream import Checkpoints, two_step

SIZES = {"190M": 190354176, "370M": 371262464, "760M": 758220288, "1B": 1279395840}
LARGE = {"peteish7_eval_anneal": (6887575552, 3945065873408), "peteish13_eval_final": (13202396160, 5000088518656)}
MMLU = {"stem": 0.215, "humanities": 0.335, "social_sciences": 0.219, "other": 0.231}
READING = Checkpoints(run="run", final=5, smooth=5, skip=0.1)

# task, chance, 7B predicted and actual and points, 13B predicted and actual and points
PRINTED = [
    ("mmlu_avg_test", 1 / 4, (0.4838, 0.4901, 0.63), (0.5127, 0.5161, 0.35)),
    ("hellaswag_val", 1 / 4, (0.8252, 0.8135, 1.17), (0.8530, 0.8319, 2.11)),
    ("arc_challenge_test", 1 / 4, (0.5150, 0.6195, 10.45), (0.5267, 0.6381, 11.13)),
    ("arc_easy_test", 1 / 4, (0.7659, 0.8455, 7.97), (0.7724, 0.8717, 9.93)),
    ("piqa_val", 1 / 2, (0.8122, 0.8205, 0.83), (0.8208, 0.8296, 0.88)),
    ("csqa_val", 1 / 5, (0.7571, 0.7265, 3.07), (0.7761, 0.7410, 3.51)),
    ("socialiqa_val", 1 / 3, (0.5874, 0.5993, 1.19), (0.5995, 0.6160, 1.65)),
    ("openbookqa_test", 1 / 4, (0.4417, 0.4940, 5.23), (0.4486, 0.4864, 3.78)),
]


@pytest.fixture(scope="module")
def ladder(table):
    return pd.read_csv(table("olmo-ladder/ladder_runs.csv.gz"))


def columns(ladder, task):
    """Bits per byte and accuracy of a task."""
    for kind, ending in (("downstream_bpb", "bpb"), ("downstream", "len_norm")):
        if task.startswith("mmlu_avg"):
            parts = {name: f"eval/{kind}/mmlu_{name}_test_rc_5shot_{ending}" for name in MMLU}
            yield sum(weight * ladder[parts[name]] for name, weight in MMLU.items())
        else:
            yield ladder[f"eval/{kind}/{task}_rc_5shot_{ending}"]


def small_runs(ladder, task):
    """The 16 runs of the ladder, all checkpoints, with size and final tokens in every row."""
    bits, accuracy = columns(ladder, task)
    names = [f"{size}-{multiple}xC" for size in SIZES for multiple in (1, 2, 5, 10)]
    kept = ladder["run"].isin(names)
    run = ladder.loc[kept, "run"]
    tokens = ladder.loc[kept].groupby("run", sort=False)["throughput/total_tokens"].last()
    return pd.DataFrame(
        {
            "run": run,
            "params_nonembedding": run.map(lambda name: SIZES[name.split("-")[0]]),
            "tokens": run.map(tokens).astype("int64"),
            "loss": bits[kept],
            "accuracy": accuracy[kept],
        }
    ).reset_index(drop=True)


def large_runs(ladder, task):
    """The two targets: trailing mean of five rows at their ends (one row of the 7B)."""
    bits, accuracy = columns(ladder, task)
    rows = []
    for name, (params, tokens) in LARGE.items():
        own = ladder["run"] == name
        ends = {"loss": bits[own].tail(5).mean(), "accuracy": accuracy[own].tail(5).mean()}
        rows.append({"params_nonembedding": float(params), "tokens": float(tokens), **ends})
    return pd.DataFrame(rows)


def forecast(ladder, task, chance, **options):
    return two_step(
        small_runs(ladder, task),
        task="accuracy",
        loss_law="bhagia2024.loss",
        chance=chance,
        checkpoints=READING,
        anchor=(0.0, 1.0),
        **options,
    )


@pytest.fixture(scope="module")
def errors(ladder):
    """Task -> error split by step at the two targets."""
    return {task: forecast(ladder, task, chance).split(large_runs(ladder, task)) for task, chance, *_ in PRINTED}


@pytest.mark.parametrize(("task", "small", "large"), [(task, small, large) for task, _, small, large in PRINTED])
def test_all_sixteen_predictions(errors, task, small, large):
    for (_, row), (predicted, actual, points) in zip(errors[task].iterrows(), (small, large), strict=True):
        assert row["accuracy"] == pytest.approx(predicted, abs=5e-4)
        assert row["observed"] == pytest.approx(actual, abs=5e-5)
        assert 100 * abs(row["error"]) == pytest.approx(points, abs=0.05)


def test_mean_errors(errors):
    """3.8 and 4.2 points in the paper."""
    points = np.array([100 * found["error"].abs().to_numpy() for found in errors.values()])
    assert points.mean(axis=0) == pytest.approx([3.816, 4.167], abs=0.05)


def test_the_saved_table_of_the_authors(errors):
    """13B, to the digits of the file in the authors' repository."""
    saved = {"mmlu_avg_test": 0.512680, "hellaswag_val": 0.853036, "arc_challenge_test": 0.526710}
    for task, value in saved.items():
        assert errors[task]["accuracy"].iloc[1] == pytest.approx(value, abs=2e-6)


@pytest.mark.parametrize(("task", "predicted", "actual"), [
    ("mmlu_avg_test", 0.7502, 0.7488), ("hellaswag_val", 0.6532, 0.6609), ("arc_challenge_test", 0.7833, 0.7157),
    ("csqa_val", 0.6617, 0.8116),
])  # fmt: skip
def test_first_step_at_13b(errors, task, predicted, actual):
    """Bits per byte of the 13B."""
    row = errors[task].iloc[1]
    assert row["loss"] == pytest.approx(predicted, abs=1e-4)
    assert row["loss_observed"] == pytest.approx(actual, abs=1e-4)


def test_most_of_the_error_is_the_first_step(errors):
    """Summed over the targets, the loss is further off, in accuracy, than the link. On csqa the two steps cancel."""
    every = pd.concat(errors)
    assert every["error_loss"].abs().sum() > every["error_link"].abs().sum()
    csqa = errors["csqa_val"].iloc[1]
    assert csqa["error_loss"] * csqa["error_link"] < 0
    assert abs(csqa["error_loss"]) > 1.5 * abs(csqa["error"])


def test_rows_and_runs_are_those_of_the_paper(ladder):
    """16 runs in step 1; 1,401 rows in step 2, and the ideal point with the weight of one."""
    found = forecast(ladder, "piqa_val", 0.5)
    assert len(found.loss_fit.observed) == 16
    assert found.settings["link_rows"] == 1401
    assert found.link_fit.weights.sum() == pytest.approx(1402, rel=1e-12)
    assert found.loss_fit.certificate.starts_agree >= 2
    assert found.link_fit.values["b"] == pytest.approx(1.0)  # at its bound, as in most tasks of the paper


def test_csqa_has_no_floor(ladder):
    found = forecast(ladder, "csqa_val", 0.2)
    assert found.loss_fit.status == "at_bound"
    assert found.loss_fit.certificate.bounds == {"E": 0.0}


@pytest.mark.slow
def test_intervals_hold_what_the_method_can_forecast(ladder):
    """90 % intervals of a new run at 7B and 13B hold four tasks or more, and neither ARC task; a few may be refused.

    The misses are of the method and not of the draws: at these sizes the loss of both ARC tasks falls far below the law.
    Where the floor of the first step may be zero (csqa, hellaswag) refits do not settle, and the intervals are refused.
    """
    held, missed, refused = set(), set(), set()
    for task, chance, *_ in PRINTED:
        found = forecast(ladder, task, chance, boot=400, resample="parametric")
        target = large_runs(ladder, task)
        frame = found.predict(target)
        seen = target["accuracy"].to_numpy()
        inside = bool(np.all((frame["low"] <= seen) & (seen <= frame["high"])))
        (refused if found.refusal else held if inside else missed).add(task)
    assert missed == {"arc_challenge_test", "arc_easy_test"}
    assert held >= {"mmlu_avg_test", "piqa_val", "socialiqa_val", "openbookqa_test"}
    assert refused <= {"csqa_val", "hellaswag_val"}
