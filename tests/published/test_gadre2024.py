"""Gadre et al. 2024, arXiv 2403.08540: loss and task error of over-trained models from five or six small ones.

Traps. The two headline numbers of the paper are those of the RedPajama corpus alone: the same procedure misses the 7B loss by
4.3 % on C4 and by 1.6 % on RefinedWeb. The 0.05 % of the task error is luck: on all 46 tasks it is 2.1 %. The link is an
exponential in the loss, so the exponent that is printed lives on e^L and not on L.
"""

import numpy as np
import pandas as pd
import pytest

from scalinglens.fit.downstream import two_step

SMALL = ("d=96_l=8_h=4", "d=512_l=8_h=4", "d=576_l=24_h=8", "d=1024_l=24_h=8")
TASKS = (
    "bigbench_operators pubmed_qa_labeled hellaswag_zeroshot boolq arc_easy coqa bigbench_dyck_languages lambada_openai "
    "bigbench_novel_concepts winograd bigbench_cs_algorithms commonsense_qa bigbench_qa_wikidata hellaswag copa squad piqa"
).split()


@pytest.fixture(scope="module")
def models(table):
    losses = pd.read_csv(table("gadre-overtraining/losses_long.csv"))
    scores = pd.read_csv(table("gadre-overtraining/downstream_accuracy.csv"))
    assert (len(TASKS), len(scores.columns) - 1) == (17, 46)
    means = pd.DataFrame(
        {
            "name": scores["name"],
            "mean17": scores[TASKS].mean(axis=1),
            "mean46": scores[scores.columns[1:]].mean(axis=1),
        }
    )
    found = losses[losses["eval_set"] == "c4_val"].merge(means, on="name")
    assert len(found) == 104
    pairs = zip(found["name"], found["train_dataset"], strict=True)
    found["architecture"] = [name[len(corpus) + 1 : name.rindex("-")] for name, corpus in pairs]
    return found


def chosen(models, corpus, *wanted):
    """Rows of one corpus in the order (architecture, multiplier); D = 20 multiplier N."""
    own = models[models["train_dataset"] == corpus]
    rows = [
        own[(own["architecture"] == name) & (own["chinchilla_multiplier"] == multiplier)] for name, multiplier in wanted
    ]
    part = pd.concat(rows)
    assert len(part) == len(wanted)
    params = part["params"].to_numpy(float)
    return pd.DataFrame(
        {
            "params": params,
            "tokens": 20 * part["chinchilla_multiplier"].to_numpy() * params,
            "loss": part["eval_loss"].to_numpy(),
            "mean17": part["mean17"].to_numpy(),
            "mean46": part["mean46"].to_numpy(),
        }
    )


def forecast(models, corpus, task="mean17"):
    five = [(name, 1) for name in SMALL] + [(SMALL[0], 16)]
    return two_step(
        chosen(models, corpus, *five),
        task=task,
        loss_law="gadre2024.c4",
        link="exponential",
        loss="squares",
        space="linear",
        link_runs=chosen(models, corpus, *five, ("open_lm_1b", 1)),
    )


@pytest.mark.parametrize(("corpus", "a", "b", "e", "E", "k", "gamma", "eps"), [
    ("c4_original", 113.6926, 189.5155, -0.242472, 1.508261, 2.07891, 0.756121, 0.849742),
    ("rpj", 166.2110, 366.6872, -0.272851, 1.836648, 2.20649, 0.714591, 0.856992),
    ("rw_original", 125.0957, 246.2068, -0.254395, 1.734462, 2.21482, 0.707049, 0.865280),
])  # fmt: skip
def test_both_fits_of_each_corpus(models, corpus, a, b, e, E, k, gamma, eps):
    """The catalogue writes L(C, M) = E + (a' M^eta + b M^-eta) C^-eta: eta = -e/2 and a' = a 6^eta."""
    found = forecast(models, corpus)
    law, link = found.loss_fit, found.link_fit
    assert (law.status, link.status) == ("certified", "certified")
    assert law.certificate.starts_agree == law.certificate.starts
    assert law.values["eta"] == pytest.approx(-e / 2, abs=1e-6)
    assert law.values["a"] / 6 ** law.values["eta"] == pytest.approx(a, rel=2e-6)
    assert law.values["b"] == pytest.approx(b, rel=2e-6)
    assert law.values["E"] == pytest.approx(E, abs=2e-6)
    assert link.values["k"] == pytest.approx(k, abs=2e-5)
    assert link.values["gamma"] == pytest.approx(gamma, abs=2e-6)
    assert link.values["eps"] == pytest.approx(eps, abs=2e-6)


@pytest.mark.parametrize(("target", "loss", "observed", "percent", "error", "seen", "error_percent"), [
    (("open_lm_1b", 32), 2.519827, 2.502054, 0.7103, 0.492496, 0.475215, 3.6365),
    (("open_lm_7b", 1), 2.442745, 2.424993, 0.7320, 0.471856, 0.471637, 0.0464),
])  # fmt: skip
def test_headline_numbers(models, target, loss, observed, percent, error, seen, error_percent):
    """Of the paper, to the last digit printed: relative errors of the loss and of the error averaged over 17 tasks."""
    held_out = chosen(models, "rpj", target)
    row = forecast(models, "rpj").split(held_out).iloc[0]
    assert (row["loss"], row["loss_observed"]) == pytest.approx((loss, observed), abs=1e-6)
    assert 100 * abs(row["loss"] / row["loss_observed"] - 1) == pytest.approx(percent, abs=5e-4)
    assert (1 - row["mean17"], 1 - row["observed"]) == pytest.approx((error, seen), abs=1e-6)
    assert 100 * abs(row["error"]) / (1 - row["observed"]) == pytest.approx(error_percent, abs=5e-4)


@pytest.mark.parametrize(("corpus", "task", "target", "loss_percent", "error_percent"), [
    ("c4_original", "mean17", ("open_lm_7b", 1), 4.295, 0.137),
    ("rw_original", "mean17", ("open_lm_7b", 1), 1.619, 2.939),
    ("rpj", "mean46", ("open_lm_1b", 32), 0.710, 3.436),
    ("rpj", "mean46", ("open_lm_7b", 1), 0.732, 2.097),
])  # fmt: skip
def test_what_the_headline_leaves_out(models, corpus, task, target, loss_percent, error_percent):
    """Not printed: other corpora and all 46 tasks. They bound what the method can be said to reach."""
    row = forecast(models, corpus, task).split(chosen(models, corpus, target)).iloc[0]
    assert 100 * abs(row["loss"] / row["loss_observed"] - 1) == pytest.approx(loss_percent, abs=5e-4)
    assert 100 * abs(row["error"]) / (1 - row["observed"]) == pytest.approx(error_percent, abs=5e-4)


def test_the_small_error_of_c4_is_two_errors_that_cancel(models):
    """On C4 the chained error of 0.14 % is the difference of a step 1 and a step 2 that are each ten times as wrong."""
    row = forecast(models, "c4_original").split(chosen(models, "c4_original", ("open_lm_7b", 1))).iloc[0]
    assert row["error"] == pytest.approx(row["error_loss"] + row["error_link"], abs=1e-12)
    assert np.sign(row["error_loss"]) == -np.sign(row["error_link"])
    assert min(abs(row["error_loss"]), abs(row["error_link"])) > 10 * abs(row["error"])


def test_five_runs_for_four_parameters_are_warned_of(models):
    """Four parameters from five runs: said in a warning, and no interval without asking for one."""
    found = forecast(models, "rpj")
    assert found.predict(params=1.4e9, tokens=9e11)[["low", "high"]].isna().all(axis=None)
    assert any("only 5 runs" in warning for warning in found.warnings)
