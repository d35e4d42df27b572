"""The picture of a fit, for laws of one, two and three inputs, with and without draws, from a stand-in for the fit."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scalinglens.figures.figure import Band, Line, Points, Rule
from scalinglens.figures.matplotlib import draw
from scalinglens.fit.estimate import Estimate
from scalinglens.fit.figures import fit_figure, law_text
from scalinglens.laws.catalogue import law, laws


class StandIn:
    """The public face of a fit with known constants; draws are the constants jittered by one percent."""

    def __init__(self, formula, constants, points, value, *, draws=50, status="certified", name=None, noise=0.01):
        rng = np.random.default_rng(7)
        self.law = SimpleNamespace(name=name or formula, formula=formula, inputs=tuple(points), between=(), derived={})
        self.status = status
        self.refusal = "no intervals" if status in ("not_identified", "not_converged") else ""
        self.certificate = SimpleNamespace(bounds={})
        self.interval_method = "percentile"
        self.target, self.level, self.table = "loss", 0.9, {}
        self.points = {key: np.asarray(column, dtype=float) for key, column in points.items()}
        self.value, self.constants = value, np.array(list(constants.values()))
        prediction = value(self.constants, self.points)
        self.observed = prediction * np.exp(noise * rng.standard_normal(prediction.shape))
        self.ratios = bool((self.observed > 0).all())
        self.residuals = np.log(prediction / self.observed) if self.ratios else prediction - self.observed
        self.draws = self.constants * (1 + 0.01 * rng.standard_normal((draws, len(constants))))
        ends = np.quantile(self.draws, [0.05, 0.95], axis=0) if draws else [[None] * len(constants)] * 2
        self.parameters = {
            key: SimpleNamespace(value=constant, low=ends[0][i], high=ends[1][i])
            for i, (key, constant) in enumerate(constants.items())
        }

    def interval(self, name, level=None):
        if level in (None, self.level):
            return self.parameters[name]
        ends = np.quantile(self.draws[:, list(self.parameters).index(name)], [(1 - level) / 2, (1 + level) / 2])
        return Estimate(self.parameters[name].value, *ends, level)

    def predict(self, points, level=0.9, noise=True):
        frame = pd.DataFrame(points)
        frame["loss"] = self.value(self.constants, points)
        frame["low"], frame["high"] = np.nan, np.nan
        if len(self.draws):
            losses = np.array([self.value(draw, points) for draw in self.draws])
            frame["low"], frame["high"] = np.quantile(losses, [(1 - level) / 2, (1 + level) / 2], axis=0)
        return frame


def one_input(**words):
    return StandIn(
        "E + A*(flops/1e18)^-alpha",
        {"E": 1.7, "A": 1.9, "alpha": 0.16},
        {"flops": np.geomspace(1e18, 1e21, 12)},
        lambda c, p: c[0] + c[1] * (p["flops"] / 1e18) ** -c[2],
        **words,
    )


def two_inputs(sizes=12, **words):
    params, tokens = np.meshgrid(np.geomspace(1e7, 1e10, sizes), np.geomspace(1e9, 1e11, 6))
    return StandIn(
        "E + A/params^alpha + B/tokens^beta",
        {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37},
        {"params": params.ravel(), "tokens": tokens.ravel()},
        lambda c, p: c[0] + c[1] * p["params"] ** -c[3] + c[2] * p["tokens"] ** -c[4],
        name="hoffmann2022",
        **words,
    )


def three_inputs(**words):
    rng = np.random.default_rng(3)
    return StandIn(
        "E + A/params^alpha + B/tokens^beta + c*epochs",
        {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37, "c": 0.01},
        {"params": 10 ** rng.uniform(7, 10, 40), "tokens": 10 ** rng.uniform(9, 11, 40), "epochs": np.ones(40)},
        lambda c, p: c[0] + c[1] * p["params"] ** -c[3] + c[2] * p["tokens"] ** -c[4] + c[5] * p["epochs"],
        **words,
    )


def marks(panel, kind):
    return [mark for mark in panel.marks if isinstance(mark, kind)]


@pytest.mark.parametrize("make", [one_input, two_inputs, three_inputs])
@pytest.mark.parametrize("draws", [0, 50])
@pytest.mark.parametrize("status", ["certified", "at_bound", "not_identified", "not_converged"])
def test_every_kind_of_fit_has_a_figure_that_names_its_status(make, draws, status):
    figure = fit_figure(make(draws=draws, status=status))
    assert status.replace("_", " ") in figure.subtitle
    assert bool(figure.flag) == (status != "certified")
    assert ("no intervals" in figure.subtitle) == (draws == 0) == (figure.note == "")
    assert ("refused" in figure.subtitle) == (draws > 0 and status.startswith("not"))
    assert len(figure.panels) == 2


@pytest.mark.parametrize("make", [one_input, two_inputs, three_inputs])
def test_the_figure_can_be_drawn(make, tmp_path):
    draw(fit_figure(make(status="at_bound"))).savefig(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").stat().st_size > 20_000


def test_the_title_is_the_law_with_its_numbers():
    assert law_text(two_inputs(draws=0)) == "loss = 1.8 + 480 / params^{0.35} + 2100 / tokens^{0.37}"
    assert law_text(one_input(draws=0)) == "loss = 1.7 + 1.9 × (flops / 10^{18})^{−0.16}"


def title(formula, *, derived=None, bounds=None, **constants):
    fit = SimpleNamespace(
        law=SimpleNamespace(formula=formula, between=(), derived=derived or {}),
        target="loss",
        certificate=SimpleNamespace(bounds=bounds or {}),
        parameters={key: SimpleNamespace(value=value, low=None, high=None) for key, value in constants.items()},
    )
    return law_text(fit)


def test_negative_and_tiny_numbers_read_well_in_the_title():
    assert title("E + A*x^-b", E=1.0, A=-2.5e-7, b=-0.5) == "loss = 1 − 2.5×10^{−7} × x^{0.5}"
    assert title("E - A*log(x)", E=1.0, A=-2.0) == "loss = 1 + 2 × log(x)"
    assert title("exp1 + 1e18*e18", exp1=3.0, e18=4.0) == "loss = 3 + 10^{18} × 4"
    assert title("(E)^(a*b)", E=2.0, a=0.5, b=3.0) == "loss = (2)^{0.5×3}"
    assert title("A*x", A=-2.0) == "loss = −2 × x"


def test_exponents_of_a_broken_law_are_raised():
    formula = "a + b*x^(-c0)*(1 + (x/d1)^(1/f1))^(-c1*f1)"
    shown = title(formula, a=0.4, b=2.3, c0=0.055, d1=611.0, f1=0.0587, c1=5.5)
    assert shown == "loss = 0.4 + 2.3 × x^{−0.055} × (1 + (x / 611)^{1/0.0587})^{−5.5×0.0587}"
    assert title(formula, a=0.4, b=2.3, c0=-0.055, d1=611.0, f1=0.0587, c1=-5.5).endswith("^{5.5×0.0587}")


def test_a_power_that_cannot_be_raised_twice_stays_readable():
    assert title("(x/d)^(a^2)", d=1e20, a=3.0) == "loss = (x / 10^{20})^(3^{2})"
    assert title("d^x + x^e", d=1e20, e=1e-7) == "loss = (10^{20})^{x} + x^(10^{−7})"


def test_derived_parameters_and_ties_are_shown_by_value():
    shown = title("A/params^alpha + B/tokens^beta + G", derived={"beta": "alpha", "G": "(A/B)^(1/alpha)"},
                  A=500.0, B=1000.0, alpha=0.5)  # fmt: skip
    assert shown == "loss = 500 / params^{0.5} + 1000 / tokens^{0.5} + 0.25"


def test_every_law_of_the_catalogue_has_a_title_without_names_of_parameters():
    seen = 0
    for name in laws():
        if "{" in name:
            continue
        one = law(name)
        if not one.parameters:
            continue
        shown = title(one.formula, derived=one.derived, **dict.fromkeys(one.parameters, 0.5))
        words = set(re.findall(r"(?<![\w.])[A-Za-z_]\w*", shown.partition(" = ")[2]))
        assert not words & {*one.parameters, *one.derived}, shown
        assert "e-" not in shown, shown
        seen += 1
    assert seen > 50


def test_a_parameter_at_a_zero_bound_is_zero():
    assert title("E + A/x", E=1.545e-19, A=2.0, bounds={"E": 0.0}) == "loss = 0 + 2 / x"
    fit = two_inputs()
    fit.parameters["E"].value, fit.certificate.bounds = 1.545e-19, {"E": 0.0}
    figure = fit_figure(fit)
    assert "10^" not in figure.title + figure.note


def test_an_interval_that_starts_at_a_vanished_number_starts_at_zero():
    fit = two_inputs()
    fit.parameters["E"].low = 2.47e-11
    assert "(0 to " in fit_figure(fit).note


def test_the_subtitle_names_the_method():
    fit = two_inputs(draws=0)
    fit.interval_method = "profile"
    for estimate in fit.parameters.values():
        estimate.low, estimate.high = 0.9 * estimate.value, 1.1 * estimate.value
    fit.parameters["E"].low = None
    figure = fit_figure(fit)
    assert "90% profile likelihood intervals" in figure.subtitle
    assert "no intervals" not in figure.subtitle
    assert re.search(r"E 1\.8 \(open to 1\.980\)", figure.note)
    fit = two_inputs()
    assert "90% percentile intervals from 50 draws" in fit_figure(fit).subtitle
    fit.interval_method = "bca"
    assert "80% BCa intervals from 50 draws" in fit_figure(fit, level=0.8).subtitle


def test_a_title_that_may_be_cut_has_its_numbers_in_the_note():
    fit = two_inputs(draws=0)
    fit.law.formula += " + 0*(" + "*".join(["params"] * 30) + ")"
    assert "alpha 0.35" in fit_figure(fit).note


def test_intervals_stand_in_the_note():
    # a half width of 0.005 earns two digits of itself: four decimals
    assert re.search(r"alpha 0\.3500 \(0\.34\d\d to 0\.35\d\d\)", fit_figure(two_inputs()).note)


def test_curves_carry_the_law_and_the_band_is_the_predicted_interval():
    fit = two_inputs()
    main = fit_figure(fit, level=0.8).panels[0]
    (band,) = marks(main, Band)
    largest = np.full(len(band.x), fit.points["params"].max())
    expected = fit.predict({"tokens": np.array(band.x), "params": largest}, level=0.8)
    np.testing.assert_allclose(band.low, expected["low"], rtol=1e-12)
    np.testing.assert_allclose(band.high, expected["high"], rtol=1e-12)
    assert band.x[0] == fit.points["tokens"].max()
    assert band.x[-1] == pytest.approx(10 * fit.points["tokens"].max(), rel=1e-12)
    for line in marks(main, Line):
        curve = fit.predict({"tokens": np.array(line.x), "params": np.full(len(line.x), line.colour.value)})
        np.testing.assert_allclose(line.y, curve["loss"], rtol=1e-12)
    assert main.x.label == "tokens"
    assert main.colours.label == "params"


@pytest.mark.parametrize(("sizes", "curves"), [(1, 1), (8, 8), (9, 6), (40, 6)])
def test_many_sizes_are_thinned_to_six_curves_but_all_points_stay(sizes, curves):
    fit = two_inputs(sizes=sizes)
    main = fit_figure(fit).panels[0]
    solid = [line for line in marks(main, Line) if line.dash == "solid"]
    assert len(solid) == curves
    (points,) = marks(main, Points)
    assert len(points.x) == len(fit.observed)
    if main.colours is not None:
        shown = [line.colour.value for line in solid]
        assert min(shown) == fit.points["params"].min()
        assert max(shown) == fit.points["params"].max()


def test_without_params_the_wider_input_is_horizontal():
    fit = StandIn(
        "A/width^a + B/steps^b",
        {"A": 1.0, "B": 2.0, "a": 0.5, "b": 0.4},
        {"width": [8, 8, 16, 16], "steps": [10, 1000, 10, 1000]},
        lambda c, p: c[0] * p["width"] ** -c[2] + c[1] * p["steps"] ** -c[3],
    )
    assert fit_figure(fit).panels[0].x.label == "steps"


def with_misses(factors, **words):
    """Two inputs with the losses at some rows multiplied."""
    fit = two_inputs(**words)
    fit.observed = fit.observed.copy()
    for row, factor in factors.items():
        fit.observed[row] *= factor
    fit.residuals = np.log(fit.value(fit.constants, fit.points)) - np.log(fit.observed)
    return fit


def test_residuals_are_percent_and_outliers_are_ringed():
    fit = with_misses({5: 1.08})
    panel = fit_figure(fit).panels[1]
    points, rings = marks(panel, Points)
    predicted = fit.value(fit.constants, fit.points)
    np.testing.assert_allclose(points.x, predicted, rtol=1e-12)
    np.testing.assert_allclose(points.y, 100 * (fit.observed / predicted - 1), rtol=1e-9)
    assert len(rings.x) == 1
    assert rings.y[0] > 5
    assert [rule.at for rule in marks(panel, Rule)] == [0.0]
    (band,) = marks(panel, Band)
    # the noise was one percent: the robust spread of 72 draws is within a third of it
    assert band.high[0] == pytest.approx(1.0, rel=0.33)


def test_far_residuals_stand_at_the_edge_and_are_counted():
    fit = with_misses({5: 3.0, 6: 2.0, 9: 0.5})
    panel = fit_figure(fit).panels[1]
    low, high = panel.y.limits
    assert -10 < low < -2 < 2 < high < 10
    points, up, down = marks(panel, Points)
    assert len(points.x) == len(points.levels) == len(fit.observed) - 3
    assert (up.symbol, len(up.x), down.symbol, len(down.x)) == ("up", 2, "down", 1)
    assert re.fullmatch(r"2 off axis, to \+(20|19|21)\d%", up.label)
    assert re.fullmatch(r"1 off axis, to −(49|50|51)%", down.label)
    assert all(0.9 * high < y < high for y in up.y)
    assert all(low < y < 0.9 * low for y in down.y)


def test_a_law_that_misses_much_is_not_clipped_and_no_axis_goes_below_minus_hundred_percent():
    rows = {row: 4.0 if row % 2 else 0.02 for row in range(24)}  # a third of all: no outliers
    panel = fit_figure(with_misses(rows)).panels[1]
    assert all(points.symbol in ("dot", "ring") for points in marks(panel, Points))
    assert panel.y.limits[0] == -100.0
    assert panel.y.limits[1] > 300
    one_sided = fit_figure(with_misses(dict.fromkeys(range(24), 1.5))).panels[1]
    low, high = one_sided.y.limits
    assert high > 50
    assert low > -20  # what the data need, not the mirror image of the other side


def test_a_perfect_fit_of_few_points_still_draws():
    fit = StandIn(
        "A*x^-b", {"A": 3.0, "b": 0.2}, {"x": [10, 20]}, lambda c, p: c[0] * p["x"] ** -c[1], noise=0, draws=0
    )
    draw(fit_figure(fit))


def test_an_input_that_reaches_zero_gets_a_linear_axis():
    fit = StandIn("A*exp(-b*x)", {"A": 3.0, "b": 0.2}, {"x": [0, 1, 2, 3]}, lambda c, p: c[0] * np.exp(-c[1] * p["x"]))
    panel = fit_figure(fit).panels[0]
    assert panel.x.scale == "linear"
    draw(fit_figure(fit))


def test_units_come_from_the_table_unless_the_name_says_them():
    fit = two_inputs()
    fit.table = {
        "columns": {"loss": "loss <- column 'Loss' [nats/token]", "tokens": "tokens <- column 'D' [tokens]", "x": "x"}
    }
    panel = fit_figure(fit).panels[0]
    assert (panel.x.label, panel.y.label) == ("tokens", "loss (nats/token)")


def test_an_output_that_can_be_negative_gets_differences_and_linear_axes():
    fit = StandIn(
        "a - b*log(x)", {"a": 1.0, "b": 0.5}, {"x": [1, 5, 20, 80]}, lambda c, p: c[0] - c[1] * np.log(p["x"])
    )
    fit.target = "score"
    fit.observed = fit.value(fit.constants, fit.points) + np.array([0.01, -0.02, 0.01, 0.0])
    fit.residuals, fit.ratios = fit.value(fit.constants, fit.points) - fit.observed, False
    figure = fit_figure(fit)
    assert figure.title.startswith("score = ")
    main, right = figure.panels
    assert (main.y.scale, main.y.label) == ("linear", "score")
    assert right.y.label == "observed minus predicted score"
    np.testing.assert_allclose(marks(right, Points)[0].y, [0.01, -0.02, 0.01, 0.0], atol=1e-12)
    draw(figure)


def refuse_intervals(fit):
    fit.predict = lambda points, level=0.9, noise=True: pd.DataFrame(points).assign(
        loss=fit.value(fit.constants, points), low=np.nan, high=np.nan
    )


def test_failed_refits_are_not_counted_as_draws():
    fit = two_inputs()
    fit.draws = np.vstack([fit.draws, np.full((3, 5), np.nan)])
    refuse_intervals(fit)
    assert "from 50 draws" in fit_figure(fit).subtitle


def test_refused_intervals_are_said_and_no_band_is_drawn():
    fit = two_inputs(status="not_identified")
    for estimate in fit.parameters.values():
        estimate.low = estimate.high = None
    refuse_intervals(fit)
    assert "intervals refused" in fit_figure(fit).subtitle
    assert not marks(fit_figure(fit).panels[0], Band)
