"""Porian et al. 2024, arXiv 2406.19146: exponents of the best size, from published pairs and from isoFLOP points."""

import numpy as np
import pandas as pd
import pytest

from scalinglens.fit import fit
from scalinglens.fit.isoflop import isoflop
from scalinglens.runs import read_runs

KEY = ["dataset", "hparams", "warmup", "decay", "param_count", "loss_type"]
NOISE = {
    "rw": 0.002,
    "owt2": 0.01,
}  # of the loss; the published code compares ln loss with its thresholds: always the low one

# rounded weighted exponents of the paper's table, in the order of the steps from Kaplan's to Hoffmann's
CHAIN = [
    ("rw base long kaplan kaplan train", 0.8353),
    ("rw base long kaplan standard val", 0.7065),
    ("rw base short kaplan standard val", 0.6020),
    ("rw base short chinchilla standard val", 0.5715),
    ("rw tuned short const standard val", 0.4969),
]


@pytest.fixture(scope="module")
def published(table):
    return pd.read_csv(table("porian-resolving/published_fit_results.csv")).set_index(KEY)


def parts(table, name):
    return dict(iter(pd.read_csv(table(f"porian-resolving/{name}.csv")).groupby(KEY)))


def test_fifteen_exponents_from_the_published_pairs(table, published):
    """The power law through the pairs, by the package's fit: weighted least squares of ln n on ln flops."""
    found = parts(table, "published_optimal_pairs")
    assert len(found) == len(published) == 15
    for key, pairs in found.items():
        pairs = pairs.dropna(subset=["n", "n_star_std"])
        printed = published.loc[key]
        for column, deviation in (("n", "n_star_std"), ("t", "t_star_std")):
            runs = read_runs({"x": pairs["flops"], "loss": pairs[column]})
            for weights, kind in ((pairs[deviation].to_numpy() ** -2.0, "weighted"), (None, "basic")):
                line = fit(runs, "k*x^a", loss="squares", weights=weights)
                assert line.values["a"] == pytest.approx(printed[f"{kind}.{column}_exponent"], abs=1e-6), (key, column)
                # and in closed form, to all digits that are printed
                root = np.ones(len(pairs)) if weights is None else np.sqrt(weights)
                slope = np.polyfit(np.log(pairs["flops"]), np.log(pairs[column]), 1, w=root)[0]
                assert slope == pytest.approx(printed[f"{kind}.{column}_exponent"], abs=1e-10), (key, column)


def one(table, published, key, **options):
    points = parts(table, "isoflop_points")[key]
    runs = read_runs(points[["flops", "n", "t", "loss"]], params="n", tokens="t")
    return isoflop(runs, noise=NOISE[key[0]], level=0.95, **options), published.loc[key]


def test_fifteen_exponents_from_isoflop_points(table, published):
    for key in published.index:
        found, printed = one(table, published, key)
        low, high = (printed[f"bootstrap_weighted.n_exponent.p{end}"] for end in ("2.5", "97.5"))
        assert low < found.a.value < high, key
        assert found.a.value == pytest.approx(printed["weighted.n_exponent"], abs=0.003), key
        # the printed intervals come from the same draws: 1,000 of them show an end to a tenth of the width
        assert (found.a.low, found.a.high) == pytest.approx((low, high), abs=0.1 * (high - low)), key
        assert found.b.value == pytest.approx(printed["weighted.t_exponent"], abs=0.003), key


@pytest.mark.parametrize(("name", "exponent"), CHAIN)
def test_the_chain_from_kaplan_to_hoffmann(table, published, name, exponent):
    key = tuple(name.split())
    assert published.loc[key]["weighted.n_exponent"] == pytest.approx(exponent, abs=5e-5)
    found, _ = one(table, published, key, seed=42)
    assert found.a.value == pytest.approx(exponent, abs=0.003)


def test_the_same_budgets_are_refused(table, published):
    pairs = parts(table, "published_optimal_pairs")
    refused = 0
    for key in published.index:
        found, _ = one(table, published, key)
        kept = pairs[key].dropna(subset=["n", "n_star_std"])
        mine = {o.flops: o.size.value for o in found.optima if o.size is not None}
        assert sorted(mine) == sorted(kept["flops"]), key
        refused += len(found.optima) - len(mine)
        # medians of 1,000 draws each: apart by a fraction of the error that the weights rest on
        theirs = dict(zip(kept["flops"], zip(np.log(kept["n"]), kept["n_star_std"], strict=True), strict=True))
        off = [(np.log(size) - theirs[flops][0]) / theirs[flops][1] for flops, size in mine.items()]
        assert np.max(np.abs(off)) < 0.5, key
        mine_error = {o.flops: o.error for o in found.optima if o.size is not None}
        assert np.log([mine_error[c] / e for c, (_, e) in theirs.items()]) == pytest.approx(0, abs=0.15), key
    assert refused == 4


@pytest.mark.slow
def test_any_seed_stays_within_the_tolerance(table, published):
    for key in published.index:
        values = [one(table, published, key, seed=seed)[0].a.value for seed in range(10)]
        printed = published.loc[key]
        assert np.mean(values) == pytest.approx(printed["weighted.n_exponent"], abs=0.003), key
        assert max(abs(np.array(values) - printed["weighted.n_exponent"])) < 0.005, key
