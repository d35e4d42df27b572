"""Barkeshli, Alfarano and Gromov 2026, arXiv 2601.10684: the analysis half, on the Chinchilla points of Epoch.

Their regressors on 240 points against the law with two terms; the frontier by a network; slices at fixed size; the offset of
Pythia's losses. What print leaves open (learning rate, transforms, lambda, which splits, how sizes read off a figure are
grouped) is said where it matters.
"""

import numpy as np
import pytest

from scalinglens.fit import fit
from scalinglens.fit.surface import surface
from scalinglens.runs import read_runs

WINDOW = np.geomspace(6e18, 3e21, 50)  # of compute, where print fits its exponents


@pytest.fixture(scope="module")
def runs(table):
    found = read_runs(table("epoch-chinchilla/svg_extracted_data.csv"), where="loss < 3.44")
    assert len(found) == 240
    return found


@pytest.fixture(scope="module")
def columns(runs):
    return {name: runs.column(name) for name in ("params", "tokens", "loss")}


def errors(found, columns, rows):
    """Mean squared error of the loss over rows."""
    part = {name: values[rows] for name, values in columns.items()}
    prediction = found.predict(params=part["params"], tokens=part["tokens"], noise=False)["loss"].to_numpy()
    return np.mean((prediction - part["loss"]) ** 2)


# ---- the law with two terms -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("space", "printed", "mse"), [
    ("log", {"A": 477.84, "B": 2142.2, "E": 1.81719, "alpha": 0.34731, "beta": 0.36714}, 4.76e-4),
    ("linear", {"A": 455, "B": 2404, "E": 1.8200, "alpha": 0.3443, "beta": 0.3729}, 4.68e-4),
])  # fmt: skip
def test_the_law_on_all_points(runs, columns, space, printed, mse):
    found = fit(runs, "hoffmann2022", space=space)
    assert found.status == "certified"
    # print (477.82, 2143.62, 1.8172, .3473, .3672) and these differ in the fourth digit: the optimum is flat
    for name, value in printed.items():
        assert found.values[name] == pytest.approx(value, rel=1e-3), name
    assert errors(found, columns, slice(None)) == pytest.approx(mse, rel=2e-3)
    if space == "log":
        assert found.derived["gamma"].value == pytest.approx(0.1785, abs=5e-4)
        assert found.derived["a"].value == pytest.approx(0.5139, abs=5e-4)


# ---- regressors without a law, on points held out ---------------------------------------------------------------------


def split_errors(columns, seeds, **options):
    """Training and validation errors [splits, law network kernel, 2] of 80/20 splits."""
    found = []
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(240)
        held, kept = order[:48], order[48:]
        part = {name: values[kept] for name, values in columns.items()}
        each = [
            fit(part, "hoffmann2022"),
            surface(part, "network", **options),
            surface(part, "kernel", ridge=1e-4),  # lambda is not printed; this one is of the reference study
        ]
        found.append([[errors(one, columns, rows) for rows in (kept, held)] for one in each])
    return np.array(found)


def test_three_splits(columns):
    """The fast version of the next test."""
    found = split_errors(columns, (1, 4, 8), members=2)
    law, network, kernel = found.mean(axis=0)[:, 1]
    assert law / network > 1.5
    assert law / kernel > 1.5


@pytest.mark.slow
def test_twenty_splits(columns):
    """Print: validation errors of network and kernel are half of the law's. Measured here: 2.3 and 2.4 times less."""
    found = split_errors(columns, range(20), members=3)
    training, validation = found.mean(axis=0).T
    assert training == pytest.approx([4.7e-4, 1.2e-4, 0.95e-4], rel=0.1)
    # the mean over splits is set by the few that hold out a corner of the plane; medians are those of the reference study
    assert 1.8 < validation[0] / validation[1] < 2.8
    assert 1.8 < validation[0] / validation[2] < 2.9
    medians = np.median(found[:, :, 1], axis=0)
    assert medians == pytest.approx([3.9e-4, 1.8e-4, 1.7e-4], rel=0.15)
    assert np.mean(found[:, 1, 1] < found[:, 0, 1]) >= 0.9
    assert np.mean(found[:, 2, 1] < found[:, 0, 1]) >= 0.9


@pytest.mark.slow
def test_the_published_recipe_is_slower_and_no_better(columns):
    """AdamW on a wide network, as printed, in ten lines; its learning rate, 1e-3, is not printed."""
    theirs, mine = [], []
    for seed in (1, 4, 8):
        order = np.random.default_rng(seed).permutation(240)
        held, kept = order[:48], order[48:]
        part = {name: values[kept] for name, values in columns.items()}
        mine.append(errors(surface(part, members=3), columns, held))
        x = np.log(np.stack([columns["params"], columns["tokens"]], axis=1))
        x = (x - x[kept].mean(axis=0)) / x[kept].std(axis=0)
        y = np.log(columns["loss"])
        predicted = adamw(x[kept], y[kept] - y[kept].mean(), x[held], seed) + y[kept].mean()
        theirs.append(np.mean((np.exp(predicted) - columns["loss"][held]) ** 2))
    assert np.mean(mine) < 1.1 * np.mean(theirs)
    assert np.mean(theirs) < 4e-4  # it does learn


def adamw(x, y, at, seed, width=64, steps=1500, rate=1e-3, decay=1e-4, delta=1e-3):
    rng = np.random.default_rng(seed)
    sizes = ((2, width), (width,), (width, width), (width,), (width, 1), (1,))
    fan = (2, 2, width, width, width, width)
    p = [rng.uniform(-1, 1, shape) / np.sqrt(f) for shape, f in zip(sizes, fan, strict=True)]
    first, second = [np.zeros_like(q) for q in p], [np.zeros_like(q) for q in p]
    cube = 0.044715
    root = np.sqrt(2 / np.pi)

    def gelu(z):
        t = np.tanh(root * (z + cube * z**3))
        return 0.5 * z * (1 + t), 0.5 * (1 + t) + 0.5 * z * (1 - t * t) * root * (1 + 3 * cube * z * z)

    for step in range(1, steps + 1):
        a, da = gelu(x @ p[0] + p[1])
        c, dc = gelu(a @ p[2] + p[3])
        g = np.clip((c @ p[4])[:, 0] + p[5] - y, -delta, delta)[:, None] * 1e3 / len(y)
        gc = g @ p[4].T * dc
        ga = gc @ p[2].T * da
        for q, m, v, s in zip(
            p, first, second, (x.T @ ga, ga.sum(0), a.T @ gc, gc.sum(0), c.T @ g, g.sum(0)), strict=True
        ):
            m += 0.1 * (s - m)
            v += 0.001 * (s * s - v)
            q *= 1 - rate * decay
            q -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return (gelu(gelu(at @ p[0] + p[1])[0] @ p[2] + p[3])[0] @ p[4])[:, 0] + p[5][0]


# ---- the frontier -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_the_network_frontier_of_the_window(runs, seed):
    found = surface(runs, members=8, seed=seed).frontier(budgets=WINDOW)
    assert (found.table["clipped"] == "").all()
    assert found.a.value == pytest.approx(0.482, abs=0.01)
    # print: b .504, which with a does not sum to one; found twice here, along sizes and along tokens, it does
    assert found.b.value == pytest.approx(1 - found.a.value, abs=2e-3)
    assert found.disagreement < 0.02
    assert found.gamma.value == pytest.approx(0.16, abs=0.012)  # printed to two digits
    assert found.loss_fit.status == "certified"


def test_the_window_is_inside_what_clipping_keeps(runs):
    found = surface(runs, members=2).frontier()
    kept = found.table[found.table["clipped"] == ""]["flops"]
    assert len(kept) < len(found.table)
    assert kept.min() < WINDOW[0]
    assert kept.max() > WINDOW[-1]


@pytest.mark.slow
def test_what_the_exponent_does_not_say(runs):
    """The scatter over seeds is a hundredth, as printed; the interval over resamples of runs is five times wider."""
    seeds = [surface(runs, members=1, seed=s).frontier(budgets=WINDOW).a.value for s in range(8)]
    found = surface(runs, members=8, boot=60).frontier(budgets=WINDOW)
    assert np.std(seeds) < 0.01
    assert found.a.width > 0.03
    assert 0.482 in found.a
    # agreement is claimed for gamma alone, and gamma of law and network are within 20%
    assert abs(np.log(found.gamma.value / 0.1785)) < 0.2


# ---- slices and offsets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tolerance", [0.01, 0.03])
def test_slices_at_fixed_size(columns, tolerance):
    """Print: mean beta .41, sd .085 after dropping two extremes, error 7.76e-5; sizes are read off a figure.

    How they were grouped is not printed; clusters in ln params give 9.5e-5 to 9.8e-5 whatever the tolerance.
    """
    log_n = np.log(columns["params"])
    order = np.argsort(log_n)
    number = np.empty(240, dtype=int)
    number[order] = np.concatenate([[0], np.cumsum(np.diff(log_n[order]) > tolerance)])
    assert 40 <= number.max() + 1 <= 41
    betas, squares, count = [], 0.0, 0
    for i in range(number.max() + 1):
        rows = number == i
        if rows.sum() < 5:
            continue
        part = {"tokens": columns["tokens"][rows], "loss": columns["loss"][rows]}
        found = fit(part, "E + B/tokens^beta", loss="squares", space="linear")
        betas.append(found.values["beta"])
        squares += np.sum((found.predict(part, noise=False)["loss"].to_numpy() - part["loss"]) ** 2)
        count += rows.sum()
    inner = np.sort(betas)[1:-1]
    assert len(betas) == 24
    assert np.mean(betas) == pytest.approx(0.405, abs=2e-3)
    assert np.mean(inner) == pytest.approx(0.40, abs=5e-3)
    assert np.std(inner) == pytest.approx(0.085, abs=3e-3)
    assert 9.3e-5 < squares / count < 1e-4


def test_the_offset_of_pythia_halves_the_error_and_doubles_the_exponent():
    """Six losses read off a figure (per token, 4.22 to 2.808), non-embedding parameters."""
    params = [18.9e6, 85.1e6, 302e6, 806e6, 1.21e9, 2.52e9]
    loss = np.array([4.22, 3.67, 3.30, 3.075, 2.985, 2.808])
    runs = read_runs({"params": params, "loss": loss})
    bare, offset = (
        fit(runs, form, loss="squares", space="linear") for form in ("A/params^alpha", "E + A/params^alpha")
    )
    assert bare.values["alpha"] == pytest.approx(0.083, abs=1e-3)  # printed
    assert offset.values["alpha"] == pytest.approx(0.147, abs=1e-3)
    assert offset.values["E"] == pytest.approx(1.50, abs=0.01)
    error = [
        np.mean((one.predict(params=params, noise=False)["loss"].to_numpy() - loss) ** 2) for one in (bare, offset)
    ]
    assert error == pytest.approx([5.3e-4, 9.65e-5], rel=0.02)
    assert 1.7 < offset.values["alpha"] / bare.values["alpha"] < 2
    assert error[0] / error[1] > 5
