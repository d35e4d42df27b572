"""Kaplan's exponent and Hoffmann's from one law and from one set of runs, by changing nothing but what is counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.counting import CONVENTIONS, KAPLAN_SIZES, reconcile
from scalinglens.plan.frontier import frontier
from scalinglens.plan.recount import recount

# ranges of compute over which Pearce and Song fit: log10 of FLOP without and with the vocabulary
RANGES = {"nonembedding": (12.95, 20.7), "total": (13.4, 20.7)}
OMEGA = 47_491  # fitted to the shapes of Hoffmann et al.; vocabulary and aspect ratio alone give 47,481
ASPECT = 12 * (OMEGA / 32_000) ** 3


# ---- Pearce and Song: the law of the loss of Hoffmann et al., counted as Kaplan et al. did ------------------------------


@pytest.mark.parametrize(
    ("name", "counting", "printed"),
    [
        ("besiroglu2024", "nonembedding", "0.78"),
        ("besiroglu2024", "total", "0.51"),
        ("hoffmann2022.a3_tex", "nonembedding", "0.74"),
        ("hoffmann2022.a3_tex", "total", "0.46"),
    ],
)
def test_pearce_and_song(name, counting, printed):
    first, last = RANGES[counting]
    found = reconcile(name, flops=(10**first, 10**last), conventions=counting)
    assert f"{found.exponents[counting].value:.2f}" == printed


@pytest.mark.parametrize("name", ["besiroglu2024", "hoffmann2022.a3_tex"])
def test_kaplan_lies_in_the_range_of_his_own_models(name):
    """Kaplan et al. print 0.73, from 768 to 1.5e9 parameters; most of the way the local exponent is about that."""
    found = reconcile(name, conventions=("total", "nonembedding"))
    local = found.local["nonembedding"]
    assert local.min() < 0.73 < local.max()
    assert abs(found.exponents["nonembedding"].value - 0.73) < 0.06
    assert np.all(found.local["total"] == pytest.approx(found.exponents["total"].value, rel=1e-6))
    assert found.sizes["nonembedding"][[0, -1]] == pytest.approx(KAPLAN_SIZES, rel=1e-8)


def test_local_exponents_against_the_formula_of_the_paper():
    """Pearce and Song, eq. 19: 1/g(N); it runs from beta/(alpha/3 + beta) to the exponent of the totals."""
    c = law("besiroglu2024").constants
    found = reconcile("besiroglu2024", params=(10.0, 1e22), aspect=ASPECT, conventions="nonembedding")
    x, omega = found.sizes["nonembedding"] ** (2 / 3), OMEGA
    g = 1 - (x + omega / 9) / (x + omega / 3) / c["beta"] + (c["alpha"] + 1) / c["beta"] * (x + omega / 3) / (x + omega)
    np.testing.assert_allclose(found.local["nonembedding"], 1 / g, rtol=1e-5)
    assert found.local["nonembedding"][-1] == pytest.approx(c["beta"] / (c["alpha"] + c["beta"]), rel=1e-3)


def test_the_optimum_is_that_of_the_frontier():
    """The catalogue's law of Pearce and Song says the same in one formula."""
    found = reconcile("besiroglu2024", flops=(1e14, 1e22), aspect=ASPECT, conventions="nonembedding", points=9)
    best = frontier("pearce2024.L", found.flops["nonembedding"])
    np.testing.assert_allclose(found.sizes["nonembedding"], best.optimum["params_nonembedding"].value, rtol=1e-8)
    assert found.exponents["nonembedding"].value == pytest.approx(best.exponents["params_nonembedding"].value, rel=1e-8)


@pytest.mark.parametrize("counting", CONVENTIONS)
def test_every_convention_by_brute_force(counting):
    found = reconcile("besiroglu2024", flops=(1e15, 1e20), conventions=counting, points=3)
    blocks = np.exp(np.linspace(np.log(1e2), np.log(1e12), 400_001))
    width = (blocks * 39.2 / 12) ** (1 / 3)
    parts = {"blocks": blocks, "vocabulary": 32_000 * width, "attention": 2048 * width * width / 39.2}
    size, compute = (sum(parts[p] for p in getattr(CONVENTIONS[counting], what)) for what in ("size", "compute"))
    for flops, best in zip(found.flops[counting], found.sizes[counting], strict=True):
        loss = law("besiroglu2024").value(params=blocks + parts["vocabulary"], tokens=flops / 6 / compute)
        assert best == pytest.approx(size[np.argmin(loss)], rel=2e-4)


def test_where_all_is_blocks_all_conventions_agree():
    found = reconcile("besiroglu2024", params=(1e20, 1e22), vocab=1, sequence_length=1)
    for e in found.exponents.values():
        assert e.value == pytest.approx(0.5126121, abs=1e-5)


def test_intervals_are_those_of_the_fit(chinchilla_fit):
    found = reconcile(chinchilla_fit, params=(1e7, 1e9))
    own = chinchilla_fit.derived["a"]
    assert found.exponents["total"].value == pytest.approx(own.value, rel=1e-9)
    assert found.exponents["total"].low == pytest.approx(own.low, abs=2e-4)
    assert found.exponents["total"].high == pytest.approx(own.high, abs=2e-4)
    for e in found.exponents.values():
        assert e.low < e.value < e.high
    frame = found.to_frame()
    assert list(frame.index) == list(CONVENTIONS)
    assert frame.loc["total", "local_last"] == pytest.approx(own.value, rel=1e-6)


# ---- Porian et al.: the same runs, counted otherwise ----------------------------------------------------------------------

KEY = ["dataset", "hparams", "warmup", "decay", "param_count", "loss_type"]
VOCAB, CONTEXT = 50_432, 2048
WIDTHS = np.array([96, 128, 160, 224, 288, 320, 384, 480, 576, 640, 704, 832, 1024, 1120, 1312, 1504])
DEPTHS = np.array([3, 4, 5, 6, 8, 9, 10, 12, 14, 15, 18, 21, 23, 26, 26, 30])


@pytest.fixture(scope="module")
def porian(table):
    folder = "porian-resolving"
    printed = pd.read_csv(table(f"{folder}/published_fit_results.csv")).set_index(KEY)
    return dict(iter(pd.read_csv(table(f"{folder}/isoflop_points.csv")).groupby(KEY))), printed


def counts(sizes: np.ndarray, counted: str) -> dict[str, np.ndarray]:
    """The three counts of models, from one of them: blocks; with the head; with attention too."""
    head, attention = VOCAB * WIDTHS, CONTEXT * WIDTHS * DEPTHS
    mlp = 256 * ((2 * 4 * WIDTHS // 3 + 255) // 256)
    blocks = (4 * WIDTHS + 3 * mlp) * WIDTHS * DEPTHS
    whole = {"kaplan": blocks, "standard": blocks + head, "attention": blocks + head + attention}
    which = np.searchsorted(whole[counted], sizes)
    np.testing.assert_array_equal(whole[counted][which], sizes)  # these are the models of the paper
    return {name: values[which] for name, values in whole.items()}


# the runs whose losses are read, the count that is asked for, and the experiment that was printed for it
CHANGES = [
    ("rw base long kaplan kaplan train", "standard", "rw base long kaplan standard val", "0.7065"),
    ("rw base long kaplan standard val", "attention", "rw base long kaplan attention train", "0.7171"),
    ("rw base long kaplan attention train", "standard", "rw base long kaplan standard val", "0.7065"),
    ("rw base long kaplan attention train", "kaplan", "rw base long kaplan kaplan train", "0.8353"),
    ("owt2 base long kaplan kaplan train", "standard", "owt2 base long kaplan standard val", "0.6985"),
    ("owt2 base long kaplan standard val", "kaplan", "owt2 base long kaplan kaplan train", "0.8635"),
]


@pytest.mark.parametrize(("read", "count", "experiment", "exponent"), CHANGES)
def test_porian(porian, read, count, experiment, exponent):
    """Recounted losses of one experiment give the printed exponent of the other, within its printed 95% interval."""
    points, published = porian
    key, printed = tuple(read.split()), published.loc[tuple(experiment.split())]
    assert f"{printed['weighted.n_exponent']:.4f}" == exponent
    rows = points[key]
    table = {"params": rows["n"], "tokens": rows["t"], "flops": rows["flops"], "loss": rows["loss"]}
    found = recount(
        table, counts(rows["n"].to_numpy(), key[4])[count], noise=0.002 if key[0] == "rw" else 0.01, level=0.95
    )
    low, high = (printed[f"bootstrap_weighted.n_exponent.p{end}"] for end in ("2.5", "97.5"))
    assert low < found.a.value < high
    assert found.a.low < printed["weighted.n_exponent"] < found.a.high


def test_the_head_alone_makes_half_of_the_difference(porian):
    """From the very same losses: 0.84 counted as Kaplan et al., 0.71 with the head; the rest is not counting."""
    points, _ = porian
    rows = points["rw", "base", "long", "kaplan", "kaplan", "train"]
    table = {"params": rows["n"], "tokens": rows["t"], "flops": rows["flops"], "loss": rows["loss"]}
    sizes = counts(rows["n"].to_numpy(), "kaplan")
    a = {name: recount(table, sizes[name], noise=0.002).a for name in ("kaplan", "standard")}
    assert a["kaplan"].low > a["standard"].high
    assert a["kaplan"].value == pytest.approx(0.8353, abs=0.003)  # nothing changed: the published number
    assert a["kaplan"].value - a["standard"].value == pytest.approx(0.8353 - 0.7065, abs=0.01)


# ---- what can be wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"source": "muennighoff2023"}, "depends on params, tokens, tokens_unique"),
        ({"source": "gpt3_2020.L_C"}, "of tokens and of params"),
        ({"conventions": ("totl",)}, 'no convention "totl" .did you mean "total"'),
        ({"vocab": 0}, "vocab is 0"),
        ({"vocab": 32_000.5}, "vocab is 32000.5"),
        ({"aspect": -1}, "aspect must be positive"),
        ({"sequence_length": "long"}, "sequence_length is 'long'"),
        ({"params": (1e9, 1e3)}, "bounds of params are 1B and 1k"),
        ({"flops": 1e20}, "bounds of flops are two numbers"),
        ({"points": 1}, "points is 1; it must be a whole number of at least 2"),
    ],
)
def test_bad_counting(options, says):
    with pytest.raises(PlanError, match=says):
        reconcile(options.pop("source", "besiroglu2024"), **options)


def test_bad_recounts():
    table = {"params": [1e6, 1e6, 1e7, 1e7], "tokens": [1e8, 2e8, 1e8, 2e8], "loss": [4.0, 3.8, 3.9, 3.7]}
    with pytest.raises(PlanError, match="size has 2 values for 4 runs"):
        recount(table, [1e6, 2e6])
    with pytest.raises(PlanError, match=r"size differs among the runs of the model of 1e\+06 params: 1e\+06 to 2e\+06"):
        recount(table, [1e6, 2e6, 1e7, 1e7])
    with pytest.raises(PlanError, match="size must be positive and finite, got -1e"):
        recount(table, [-1e6, -1e6, 1e7, 1e7])
    with pytest.raises(PlanError, match="no model of frame has losses at two amounts of tokens around a budget"):
        recount(table, "params", budgets=[1e25])
