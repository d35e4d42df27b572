"""IsoFLOP methods: exact where mathematics says so, biased where it says that, and refused with a type where nothing is known."""

import math

import numpy as np
import pytest
from scipy.interpolate import Akima1DInterpolator

from scalinglens.errors import FitError, PredictionError, RunsError
from scalinglens.fit import fit
from scalinglens.fit.isoflop import STATUSES, isoflop
from scalinglens.runs import read_runs

E, A, B = 1.69, 406.4, 410.7


def world(alpha=0.34, beta=0.34, *, offset=0.0, half=1.5, drift=0.0, sizes=9, noise=0.0, seed=0, budgets=7):
    """Runs of a law at equal compute: sizes around the best one, off it by `offset + drift (i - middle)` in ln size."""
    rng = np.random.default_rng(seed)
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    parts = []
    for i, flops in enumerate(np.geomspace(1e18, 1e21, budgets)):
        best = G * (flops / 6) ** (beta / (alpha + beta))
        n = best * np.exp(np.linspace(-half, half, sizes) + offset + drift * (i - (budgets - 1) / 2))
        d = flops / 6 / n
        loss = (E + A / n**alpha + B / d**beta) * np.exp(noise * rng.normal(size=sizes))
        parts.append(np.stack([n, d, np.full(sizes, flops), loss]))
    n, d, flops, loss = np.concatenate(parts, axis=1)
    truth = {"a": beta / (alpha + beta), "size": lambda c: G * (c / 6) ** (beta / (alpha + beta))}
    return {"params": n, "tokens": d, "flops": flops, "loss": loss}, truth


# ---- the two interpolations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["akima", "parabola"])
def test_equal_exponents_on_centred_sizes_are_exact(method):
    data, truth = world()
    found = isoflop(data, method, draws=0)
    assert found.status == "ok"
    assert [o.status for o in found.optima] == ["ok"] * 7
    assert found.a.value == pytest.approx(truth["a"], abs=1e-9)
    assert found.b.value == pytest.approx(1 - truth["a"], abs=1e-9)
    for o in found.optima:
        # half a grid step of akima, nothing of a parabola: the loss is even in ln size
        assert o.size.value == pytest.approx(truth["size"](o.flops), rel=0.01 if method == "akima" else 1e-9)
        assert 6 * o.size.value * o.tokens.value == pytest.approx(o.flops, rel=1e-9)


def test_akima_is_scipys_on_a_fine_grid():
    data, _ = world(0.34, 0.28, noise=0.002, budgets=3)
    found = isoflop(data, draws=0)
    for o in found.optima:
        rows = data["flops"] == o.flops
        x, y = np.log(data["params"][rows]), np.log(data["loss"][rows])
        fine = np.linspace(x[0], x[-1], 25 * 8)
        curve = Akima1DInterpolator(x, y)(fine)
        assert o.size.value == pytest.approx(np.exp(fine[curve.argmin()]), rel=1e-12)
        assert o.loss.value == pytest.approx(np.exp(curve.min()), rel=1e-12)
        within = np.exp(fine[curve <= curve.min() + math.log1p(1e-3)])
        assert o.near == pytest.approx((within[0], within[-1]), rel=1e-12)


def test_a_parabola_is_numpys():
    data, _ = world(0.34, 0.28, noise=0.002)
    found = isoflop(data, "parabola", draws=0, near=2e-3)
    slopes = []
    for o in found.optima:
        rows = data["flops"] == o.flops
        c2, c1, c0 = np.polyfit(np.log(data["params"][rows]), data["loss"][rows], 2)
        vertex, least = -c1 / (2 * c2), c0 - c1**2 / (4 * c2)
        assert math.log(o.size.value) == pytest.approx(vertex, abs=1e-6)
        assert o.loss.value == pytest.approx(least, rel=1e-9)
        half = math.sqrt(2e-3 * least / c2)
        assert np.log(o.near) == pytest.approx((vertex - half, vertex + half), abs=1e-6)
        slopes.append(vertex)
    assert found.a.value == pytest.approx(np.polyfit(np.log([o.flops for o in found.optima]), slopes, 1)[0], abs=1e-7)


def test_a_parabola_is_biased_where_a_law_is_not():
    """Sizes off centre by a drifting amount, exponents unequal: all of it without noise."""
    bias = {}
    for name, (alpha, beta, options) in {
        "kind": (0.34, 0.34, {}),
        "equal": (0.34, 0.34, {"half": 2.3, "offset": 0.8, "drift": 0.3}),
        "unequal": (0.46, 0.15, {"half": 2.3, "offset": 0.8, "drift": 0.3}),
        "centred": (0.46, 0.15, {"half": 2.3}),
    }.items():
        data, truth = world(alpha, beta, **options)
        parabola, akima, law = isoflop(data, "parabola", draws=0), isoflop(data, draws=0), fit(data, "hoffmann2022")
        far = parabola.predict(1e24)["params"].iloc[0] / truth["size"](1e24) - 1
        bias[name] = (parabola.a.value - truth["a"], far)
        assert law.derived["a"].value == pytest.approx(truth["a"], abs=1e-6)
        assert akima.a.value == pytest.approx(truth["a"], abs=2e-3)
        warned = any("a parabola is biased there" in w for w in parabola.warnings)
        assert warned == ("offset" in options)
    assert bias["kind"] == pytest.approx((0, 0), abs=1e-6)
    assert bias["equal"] == pytest.approx((0.0175, 0.24), abs=0.005)
    assert bias["unequal"] == pytest.approx((-0.049, -0.35), abs=0.005)
    # centred: the exponent is right, because the bias is the same everywhere, and the size is a fifth too large
    assert bias["centred"] == pytest.approx((0, 0.22), abs=0.005)


# ---- noise ------------------------------------------------------------------------------------------------------------


def test_the_noise_is_told_from_the_runs():
    data, _ = world(sizes=12, noise=0.005, budgets=12)
    found = isoflop(data)
    assert found.noise == pytest.approx(0.005 * np.mean(data["loss"]), rel=0.25)
    stray = {**data, "loss": data["loss"] * np.where(np.isin(np.arange(144), (5, 80)), 1.3, 1.0)}
    assert isoflop(stray).noise < 1.5 * found.noise


@pytest.mark.parametrize(("method", "least"), [("akima", 0.8), ("parabola", 0.8)])
def test_intervals_hold_the_truth(method, least):
    hits = []
    for seed in range(40):
        data, truth = world(noise=0.003, seed=seed)
        found = isoflop(data, method, noise=0.003 * 2.7, draws=200, seed=seed)
        hits.append(found.a.low < truth["a"] < found.a.high)
    # 90% nominal, forty worlds: a standard error of 5%; akima's argmin adds noise to noise and so covers more
    assert np.mean(hits) >= least


def test_a_column_of_noise_is_that_noise():
    data, _ = world(noise=0.003)
    constant = isoflop(data, noise=0.01, seed=4)
    column = isoflop(data | {"loss_sd": np.full(63, 0.01)}, noise="loss_sd", seed=4)
    assert column.a == constant.a
    assert isoflop(data, noise=0.02).a.width > 1.3 * isoflop(data, noise=0.005).a.width
    assert isoflop(data, draws=0).a.low is None
    assert isoflop(data, noise=0.0).a.low is None


def test_without_spare_runs_the_noise_is_unknown_and_said():
    data, _ = world(sizes=5)
    found = isoflop(data)
    assert math.isnan(found.noise)
    assert found.a.low is None
    assert any("give noise=" in w for w in found.warnings)
    assert found.to_dict()["noise"] is None


# ---- refusals ---------------------------------------------------------------------------------------------------------


def three(method, sizes, losses, **options):
    """The status of one budget among three good ones."""
    data, _ = world(budgets=3)
    extra = {"params": np.array(sizes, dtype=float), "loss": np.array(losses, dtype=float)}
    extra |= {"flops": np.full(len(sizes), 1e22), "tokens": 1e22 / 6 / extra["params"]}
    found = isoflop({k: np.concatenate([data[k], extra[k]]) for k in data}, method, **options)
    return found.optima[-1].status


@pytest.mark.parametrize(("method", "sizes", "losses", "status"), [
    ("akima", [1e9, 2e9], [3, 2.9], "too_few_sizes"),
    ("parabola", [1e9, 2e9], [3, 2.9], "too_few_sizes"),
    ("akima", [1e9, 2e9, 4e9, 8e9], [3, 2.9, 2.8, 2.7], "no_interior_minimum"),
    ("akima", [1e9, 2e9, 4e9, 8e9], [2.7, 2.8, 2.9, 3.0], "no_interior_minimum"),
    ("parabola", [1e9, 2e9, 4e9, 8e9], [3, 2.8, 2.7, 2.65], "no_interior_minimum"),
    ("parabola", [1e9, 2e9, 4e9, 8e9], [2.7, 2.9, 2.9, 2.7], "inverted_parabola"),
    ("akima", [1e9, 2e9, 4e9], [2.9, 2.8, 2.9], "ok"),
    ("parabola", [1e9, 2e9, 4e9], [2.9, 2.8, 2.9], "ok"),
])  # fmt: skip
def test_each_reason_has_its_type(method, sizes, losses, status):
    assert three(method, sizes, losses, draws=0) == status
    assert status in STATUSES


@pytest.mark.parametrize("method", ["akima", "parabola"])
def test_a_minimum_that_noise_moves_out_is_unstable(method):
    sizes, losses = [1e9, 2e9, 4e9], [2.8, 2.7999, 2.8]
    assert three(method, sizes, losses, noise=1e-5) == "ok"
    assert three(method, sizes, losses, noise=0.1) == "unstable_minimum"


def test_a_curve_that_dips_below_all_runs_is_erratic():
    sizes, losses = [1e9, 1.06e9, 1.12e9, 8e9, 1.6e10], [3.0, 2.9, 2.8, 2.85, 3.1]
    assert three("akima", sizes, losses, draws=0) == "erratic_losses"
    assert three("akima", sizes[1:], losses[1:], draws=0) != "erratic_losses"


def test_fewer_than_three_budgets_give_no_exponents():
    data, _ = world(budgets=2)
    found = isoflop(data)
    assert (found.status, found.a, found.b) == ("too_few_budgets", None, None)
    with pytest.raises(PredictionError, match="2 of 2 budgets have an optimum"):
        found.predict(1e24)
    assert "no exponents" in repr(found)
    assert found.optima[0].size is not None


@pytest.mark.parametrize("method", ["akima", "parabola"])
def test_noise_has_no_exponents(method):
    """Negative control: losses without any dependence on size; sixty tables at one in 700 each."""
    data, _ = world(sizes=10)
    refused = []
    for seed in range(60):
        found = isoflop(data | {"loss": 3 + 0.01 * np.random.default_rng(seed).normal(size=70)}, method, draws=20)
        refused.append(found.a is None)
        assert found.a is not None or "no exponents" in found.refusal
    assert sum(refused) >= 58
    assert isoflop(world(sizes=10, noise=0.01)[0], method).status == "ok"


def test_budgets_are_found_or_named():
    data, _ = world()
    jitter = np.exp(np.random.default_rng(0).uniform(-0.01, 0.01, 63))
    blurred = data | {"flops": data["flops"] * jitter, "tokens": data["tokens"] * jitter}
    assert len(isoflop(blurred).optima) == 7
    named = isoflop(blurred, budgets=[1e18, 1e20, 1e21], draws=0)
    assert [o.flops for o in named.optima] == [1e18, 1e20, 1e21]
    assert any("left out" in w for w in named.warnings)
    renamed = {("budget" if name == "flops" else name): values for name, values in data.items()}
    assert isoflop(renamed, budgets="budget", draws=0).a == isoflop(data, draws=0).a
    assert isoflop(read_runs(renamed, flops="budget"), draws=0).a == isoflop(data, draws=0).a


def test_equal_sizes_keep_their_best_run():
    data, _ = world()
    worse = {name: np.concatenate([values, values]) for name, values in data.items()}
    worse["loss"][:63] *= 1.05
    worse["params"][:63] *= 1.004  # read off a figure
    assert isoflop(worse, draws=0).a == isoflop(data, draws=0).a


def test_runs_without_common_compute_are_refused():
    rng = np.random.default_rng(0)
    n, d = 10 ** rng.uniform(6, 9, 9), 10 ** rng.uniform(8, 11, 9)
    with pytest.raises(FitError, match="no two runs of frame share a budget"):
        isoflop({"params": n, "tokens": d, "flops": 6 * n * d, "loss": E + A / n**0.34}, tolerance=1e-3)


@pytest.mark.parametrize(("options", "words"), [
    ({"method": "parabolas"}, 'did you mean "parabola"'),
    ({"noise": -1.0}, "noise is a standard deviation"),
    ({"noise": math.nan}, "noise is a standard deviation"),
    ({"draws": 5}, "do not show the ends"),
    ({"draws": True}, "draws is a whole number"),
    ({"near": 0.0}, "near is a fraction"),
    ({"tolerance": 5}, "tolerance is a fraction"),
    ({"budgets": [1e18, -1]}, "budgets are positive"),
    ({"budgets": ["many"]}, "budgets is a column or FLOPs"),
    ({"level": 95}, "write 0.95"),
])  # fmt: skip
def test_options_that_cannot_be(options, words):
    with pytest.raises(FitError, match=words):
        isoflop(world()[0], **options)


def test_missing_columns_and_values():
    data, _ = world()
    with pytest.raises(RunsError, match="no column 'width'"):
        isoflop(data, size="width")
    holes = data | {"loss": np.where(np.arange(63) == 4, np.nan, data["loss"])}
    assert isoflop(holes, draws=0).table["used"] == 62


# ---- the frontier -----------------------------------------------------------------------------------------------------


def test_predictions_say_how_far_they_go():
    data, truth = world(noise=0.002)
    found = isoflop(data, noise=0.005)
    p = found.predict([1e17, 1e20, 1e24])
    assert p["decades"].tolist() == pytest.approx([1, 0, 3])
    assert (p["params_low"] < p["params"]).all()
    assert (p["params"] < p["params_high"]).all()
    assert p["params"].iloc[2] == pytest.approx(truth["size"](1e24), rel=0.3)
    np.testing.assert_allclose(6 * p["params"] * p["tokens"], p["flops"], rtol=1e-6)
    # the exponent's interval is what opens the fan: three decades beyond, its ends are that far apart
    wide = found.predict("1e24", level=0.5)
    assert wide["params_low"].iloc[0] > p["params_low"].iloc[2]
    for bad in (0.0, math.nan):
        with pytest.raises(PredictionError, match="positive and finite"):
            found.predict(bad)


def test_near_optimal_ranges_that_leave_the_sizes_are_open():
    data, _ = world(half=0.05, sizes=5)
    for method in ("akima", "parabola"):
        assert all(o.near == (None, None) for o in isoflop(data, method, draws=0).optima)
        assert "beyond to beyond" in repr(isoflop(data, method, draws=0))


def test_text_frame_and_dictionary_agree():
    found = isoflop(world(noise=0.003)[0], "parabola")
    frame, plain = found.to_frame(), found.to_dict()
    assert len(frame) == len(plain["budgets"]) == 7
    assert frame["params"].tolist() == [row["params"]["value"] for row in plain["budgets"]]
    assert plain["exponents"]["a"] == {"value": found.a.value, "low": found.a.low, "high": found.a.high}
    assert "params ~ flops^a" in repr(found)
    assert "within 0.1%" in repr(found)


# ---- training curves --------------------------------------------------------------------------------------------------


def curves(sizes=40, beta=0.34):
    n = np.geomspace(1e7, 1e10, sizes)
    n, d = (part.ravel() for part in np.meshgrid(n, np.geomspace(1e8, 1e12, 120), indexing="ij"))
    return {"params": n, "tokens": d, "flops": 6 * n * d, "loss": E + A / n**0.34 + B / d**beta}


@pytest.mark.parametrize("beta", [0.34, 0.28])
def test_the_envelope_of_training_curves_is_the_frontier(beta):
    found = isoflop(curves(beta=beta), "envelope", draws=100)
    truth = beta / (0.34 + beta)
    # sizes are a factor of 1.19 apart over three decades
    assert found.a.value == pytest.approx(truth, abs=0.01)
    assert found.b.value == pytest.approx(1 - truth, abs=0.01)
    assert found.a.low < truth < found.a.high
    G = (0.34 * A / (beta * B)) ** (1 / (0.34 + beta))
    for o in found.optima:
        if o.size is None:
            assert o.status == "no_interior_minimum"
        else:
            assert abs(math.log(o.size.value / (G * (o.flops / 6) ** truth))) < 0.5 * math.log(1000) / 39 * 1.3


def test_an_envelope_needs_three_curves():
    data = curves(sizes=2)
    with pytest.raises(FitError, match="only 2 sizes"):
        isoflop(data, "envelope")
    few = isoflop(curves(sizes=6), "envelope", draws=0)
    assert any("sizes are best anywhere" in w for w in few.warnings)
    rng = np.random.default_rng(0)
    single = {
        "params": 10 ** rng.uniform(6, 9, 20),
        "tokens": 10 ** rng.uniform(8, 11, 20),
        "loss": rng.uniform(2, 3, 20),
    }
    with pytest.raises(FitError, match="have a curve of two points"):
        isoflop(single, "envelope")
