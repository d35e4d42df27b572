"""The picture of a fit, for laws of one, two and three inputs, with and without draws, from a stand-in for the fit."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from scalinglens.figures.figure import Band, Line, Points, Rule
from scalinglens.figures.matplotlib import draw
from scalinglens.fit.figures import fit_figure, law_text


class StandIn:
    """The public face of a fit with known constants; draws are the constants jittered by one percent."""

    def __init__(self, formula, constants, points, value, *, draws=50, status="certified", name=None, noise=0.01):
        rng = np.random.default_rng(7)
        self.law = SimpleNamespace(name=name or formula, formula=formula, inputs=tuple(points), between=())
        self.status = status
        self.target, self.level, self.table = "loss", 0.9, {}
        self.points = {key: np.asarray(column, dtype=float) for key, column in points.items()}
        self.value, self.constants = value, np.array(list(constants.values()))
        prediction = value(self.constants, self.points)
        self.observed = prediction * np.exp(noise * rng.standard_normal(prediction.shape))
        positive = (self.observed > 0).all()
        self.residuals = np.log(prediction / self.observed) if positive else prediction - self.observed
        self.draws = self.constants * (1 + 0.01 * rng.standard_normal((draws, len(constants))))
        ends = np.quantile(self.draws, [0.05, 0.95], axis=0) if draws else [[None] * len(constants)] * 2
        self.parameters = {
            key: SimpleNamespace(value=constant, low=ends[0][i], high=ends[1][i])
            for i, (key, constant) in enumerate(constants.items())
        }

    def predict(self, points, level=0.9):
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
    assert len(figure.panels) == 2


@pytest.mark.parametrize("make", [one_input, two_inputs, three_inputs])
def test_the_figure_can_be_drawn(make, tmp_path):
    draw(fit_figure(make(status="at_bound"))).savefig(tmp_path / "fit.png")
    assert (tmp_path / "fit.png").stat().st_size > 20_000


def test_the_title_is_the_law_with_its_numbers():
    assert law_text(two_inputs(draws=0)) == "loss = 1.8 + 480 / params^{0.35} + 2100 / tokens^{0.37}"
    assert law_text(one_input(draws=0)) == "loss = 1.7 + 1.9 × (flops / 10^{18})^{−0.16}"


def test_negative_and_tiny_numbers_read_well_in_the_title():
    def title(formula, **constants):
        fit = SimpleNamespace(
            law=SimpleNamespace(formula=formula, between=()),
            target="loss",
            parameters={key: SimpleNamespace(value=value, low=None, high=None) for key, value in constants.items()},
        )
        return law_text(fit)

    assert title("E + A*x^-b", E=1.0, A=-2.5e-7, b=-0.5) == "loss = 1 − 2.5×10^{−7} × x^{0.5}"
    assert title("E - A*log(x)", E=1.0, A=-2.0) == "loss = 1 + 2 × log(x)"
    assert title("exp1 + 1e18*e18", exp1=3.0, e18=4.0) == "loss = 3 + 10^{18} × 4"
    assert title("(E)^(a*b)", E=2.0, a=0.5, b=3.0) == "loss = (2)^(0.5 × 3)"


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


def test_residuals_are_percent_and_outliers_are_ringed():
    fit = two_inputs()
    fit.observed = fit.observed.copy()
    fit.observed[5] *= 1.3
    fit.residuals = np.log(fit.value(fit.constants, fit.points)) - np.log(fit.observed)
    panel = fit_figure(fit).panels[1]
    points, rings = marks(panel, Points)
    predicted = fit.value(fit.constants, fit.points)
    np.testing.assert_allclose(points.x, predicted, rtol=1e-12)
    np.testing.assert_allclose(points.y, 100 * (fit.observed / predicted - 1), rtol=1e-9)
    assert len(rings.x) == 1
    assert rings.y[0] > 25
    assert [rule.at for rule in marks(panel, Rule)] == [0.0]
    (band,) = marks(panel, Band)
    # the noise was one percent: the robust spread of 72 draws is within a third of it
    assert band.high[0] == pytest.approx(1.0, rel=0.33)


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
    fit.residuals = fit.value(fit.constants, fit.points) - fit.observed
    figure = fit_figure(fit)
    assert figure.title.startswith("score = ")
    main, right = figure.panels
    assert (main.y.scale, main.y.label) == ("linear", "score")
    assert right.y.label == "observed minus predicted score"
    np.testing.assert_allclose(marks(right, Points)[0].y, [0.01, -0.02, 0.01, 0.0], atol=1e-12)
    draw(figure)


def refuse_intervals(fit):
    fit.predict = lambda points, level=0.9: pd.DataFrame(points).assign(
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
