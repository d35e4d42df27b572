"""Li et al. 2025, arXiv 2503.04715 (Step Law): learning rate and batch size of least loss.

    lr = k N^a D^b,   batch = k D^b tokens

What can be reproduced: the printed constants from the authors' file of bootstrap fits; the batch law from the table of runs,
by resampling its rows; and the decision that the law is for, the loss of the run it picks. What cannot: the printed exponents
of the learning rate, from the table of runs. None of the selections below gives both -0.713 and 0.307, and none of about
thirty others that were tried does; the printed standard deviations are a third of those of a row bootstrap, so the authors
had more groups or a smoothing that is not published. The tests record what each selection gives, and assert that none agrees.

Quirks of the table: `bs` is in sequences of 2,048 tokens; the grid of learning rates has steps of sqrt 2, so that a single
best run carries 17 % by itself; the last group has 47 runs at five learning rates only.
"""

import numpy as np
import pandas as pd
import pytest

from scalinglens.fit import fit
from scalinglens.laws.catalogue import law
from scalinglens.runs import read_runs

PRINTED_LR, PRINTED_BATCH = (-0.713, 0.307), 0.571


@pytest.fixture(scope="module")
def draws(table):
    return pd.read_csv(table("steplaw/1004_fitted_lr_bs_scaling_model_parameters.csv"))


@pytest.fixture(scope="module")
def runs(table):
    found = pd.read_csv(table("steplaw/dense_lr_bs_loss.csv"))
    found["batch"] = 2048.0 * found["bs"]
    assert len(found) == 1911
    return found


@pytest.fixture(scope="module")
def groups(runs):
    """The 17 settings of (N, D)."""
    found = [part.reset_index(drop=True) for _, part in runs.groupby(["N", "D"])]
    assert len(found) == 17
    assert all(part[["h", "ffnh", "numh", "numl"]].drop_duplicates().shape[0] == 1 for part in found)
    return found


# ---- from the file of bootstrap fits ----------------------------------------------------------------------------------


def test_printed_constants_are_the_means_of_the_bootstrap_file(draws):
    assert len(draws) == 1000
    means = {"lr_intercept": 0.586308, "lr_coefN": -0.712922, "lr_coefD": 0.307491, "bs_intercept": -0.543542}
    means |= {"bs_coefD": 0.570944}
    for name, value in means.items():
        assert draws[name].mean() == pytest.approx(value, abs=1e-5), name
    spread = {
        "lr_intercept": 0.6237,
        "lr_coefN": 0.0299,
        "lr_coefD": 0.0191,
        "bs_intercept": 0.4372,
        "bs_coefD": 0.0187,
    }
    for name, value in spread.items():
        assert draws[name].std() == pytest.approx(value, abs=6e-5), name
    ends = {"lr_coefN": (-0.7744, -0.6554), "lr_coefD": (0.2712, 0.3451), "bs_coefD": (0.5340, 0.6055)}
    for name, pair in ends.items():
        assert np.percentile(draws[name], [2.5, 97.5]) == pytest.approx(pair, abs=6e-5), name


def test_prefactors_are_exponentials_of_means_and_not_means_of_exponentials(draws):
    """Print has 1.79 (truncated from 1.797) and 0.58; the means of the exponentials are 2.19 and 0.64."""
    for name, right, wrong in (("lr_intercept", 1.7973, 2.187), ("bs_intercept", 0.5807, 0.639)):
        assert np.exp(draws[name].mean()) == pytest.approx(right, abs=1e-4)
        assert np.exp(draws[name]).mean() == pytest.approx(wrong, abs=1e-3)
    assert law("steplaw2025.lr").constants["k"] == 1.79
    assert law("steplaw2025.batch").constants["k"] == 0.58


def test_catalogue_has_the_means(draws):
    lr, batch = law("steplaw2025.lr_precise").constants, law("steplaw2025.batch_precise").constants
    got = [lr["k"], lr["a"], lr["b"], batch["k"], batch["b"]]
    assert got == pytest.approx(
        draws[["lr_intercept", "lr_coefN", "lr_coefD", "bs_intercept", "bs_coefD"]].mean(), abs=1e-5
    )


# ---- the decision -----------------------------------------------------------------------------------------------------


def test_the_run_nearest_to_the_printed_law_is_a_tenth_of_a_percent_from_the_best(groups):
    """0.0957 % in the mean over the groups, 0.31 % at most: the "0.09 %" of the abstract."""
    excess = []
    for part in groups:
        lr = law("steplaw2025.lr").value(params_nonembedding=part["N"][0], tokens=part["D"][0])
        batch = law("steplaw2025.batch").value(tokens=part["D"][0])
        distance = np.hypot(np.log(part["lr"] / lr), np.log(part["batch"] / batch))
        loss = part["smooth loss"]
        excess.append(100 * (loss[distance.idxmin()] / loss.min() - 1))
    assert np.mean(excess) == pytest.approx(0.0957, abs=0.002)
    assert np.max(excess) == pytest.approx(0.31, abs=0.005)


# ---- from the table of runs -------------------------------------------------------------------------------------------


def near(share):
    return lambda part: part[part["smooth loss"] <= (1 + share) * part["smooth loss"].min()]


def power_laws(rows):
    """Exponents of the learning rate (N, D), and prefactor and exponent of the batch, by the package's least squares."""
    table = read_runs(
        {
            "params_nonembedding": rows["N"].to_numpy(float),
            "tokens": rows["D"].to_numpy(float),
            "learning_rate": rows["lr"].to_numpy(float),
            "batch_tokens": rows["batch"].to_numpy(float),
        }
    )
    lr = fit(table, "steplaw2025.lr", loss="squares")
    batch = fit(table, "steplaw2025.batch", loss="squares")
    assert "not_converged" not in (lr.status, batch.status)
    return (lr.values["a"], lr.values["b"]), (batch.values["k"], batch.values["b"])


@pytest.mark.parametrize(("select", "rows", "lr", "batch"), [
    (lambda part: part.loc[[part["smooth loss"].idxmin()]], 17, (-0.823, 0.288), (3.42, 0.498)),
    (near(0.0025), 129, (-0.766, 0.197), (0.209, 0.613)),
    (near(0.005), 260, (-0.712, 0.173), (3.38, 0.496)),
    (lambda part: part.nsmallest(10, "smooth loss"), 170, (-0.809, 0.268), (1.41, 0.535)),
], ids=["best", "within 0.25 %", "within 0.5 %", "ten best"])  # fmt: skip
def test_no_selection_of_runs_gives_the_printed_learning_rate(groups, select, rows, lr, batch):
    """Within 0.25 % of the best is what the user of the authors' issue 10 found: -0.767, 0.197."""
    kept = pd.concat([select(part) for part in groups])
    assert len(kept) == rows
    got_lr, got_batch = power_laws(kept)
    assert got_lr == pytest.approx(lr, abs=1e-3)
    assert got_batch[0] == pytest.approx(batch[0], rel=5e-3)
    assert got_batch[1] == pytest.approx(batch[1], abs=1e-3)
    # more than the printed standard deviations (0.030, 0.019) away in at least one exponent
    assert abs(got_lr[0] - PRINTED_LR[0]) > 0.03 or abs(got_lr[1] - PRINTED_LR[1]) > 0.019


def test_minimum_of_a_quadratic_in_log_lr_and_log_batch(groups):
    """Fitted to the runs within 2 % of the best: the batch law is that of print, the learning rate is not."""
    rows = []
    for part in groups:
        kept = near(0.02)(part)
        x, z = np.log(kept["lr"].to_numpy()), np.log(kept["batch"].to_numpy())
        basis = np.stack([np.ones_like(x), x, z, x * x, x * z, z * z], axis=1)
        c = np.linalg.lstsq(basis, kept["smooth loss"].to_numpy(), rcond=None)[0]
        curvature = np.array([[2 * c[3], c[4]], [c[4], 2 * c[5]]])
        assert np.all(np.linalg.eigvalsh(curvature) > 0)
        best = np.exp(np.linalg.solve(curvature, -c[1:3]))
        rows.append({"N": part["N"][0], "D": part["D"][0], "lr": best[0], "batch": best[1]})
    lr, batch = power_laws(pd.DataFrame(rows))
    assert lr == pytest.approx((-0.695, 0.208), abs=1e-3)
    assert batch[0] == pytest.approx(0.546, rel=5e-3)
    assert batch[1] == pytest.approx(0.569, abs=1e-3)
    assert batch[1] == pytest.approx(PRINTED_BATCH, abs=0.0187)  # their standard deviation


def test_resampled_rows_recover_the_batch_law_and_not_the_learning_rate(groups):
    """Resample the rows of each group, take its best run, fit; mean of 1,000, whose error is a thirtieth of the spread."""
    rng = np.random.default_rng(0)
    count = 1000
    sizes = np.log([[part["N"][0], part["D"][0]] for part in groups])
    lr, batch = np.empty((17, count)), np.empty((17, count))
    for g, part in enumerate(groups):
        loss = part["smooth loss"].to_numpy()
        picked = rng.integers(0, len(part), (count, len(part)))
        best = picked[np.arange(count), np.argmin(loss[picked], axis=1)]
        lr[g], batch[g] = np.log(part["lr"].to_numpy()[best]), np.log(part["batch"].to_numpy()[best])
    ones = np.ones((17, 1))
    a = np.linalg.lstsq(np.hstack([ones, sizes]), lr, rcond=None)[0]
    b = np.linalg.lstsq(np.hstack([ones, sizes[:, 1:]]), batch, rcond=None)[0]
    assert a[1:].mean(axis=1) == pytest.approx([-0.823, 0.272], abs=0.01)
    assert a[1:].std(axis=1) == pytest.approx([0.091, 0.058], rel=0.1)
    assert b.mean(axis=1) == pytest.approx([-0.5455, 0.5723], abs=0.15)
    assert b[1].mean() == pytest.approx(0.5723, abs=0.006)
    assert b[1].mean() == pytest.approx(PRINTED_BATCH, abs=0.006)
    assert b.std(axis=1) == pytest.approx([1.48, 0.061], rel=0.1)
    # the exponent of N is further from print than ten times the error of this mean
    assert abs(a[1].mean() - PRINTED_LR[0]) > 10 * a[1].std() / np.sqrt(count)


def test_smoothed_loss_matters(groups):
    """The best run by the raw loss gives -0.945, 0.215 (and a prefactor that the fit calls not identified)."""
    kept = pd.concat([part.loc[[part["loss"].idxmin()]] for part in groups])
    assert power_laws(kept)[0] == pytest.approx((-0.945, 0.215), abs=1e-3)
