"""Learning curves of a Zipf tail: brute sums, draws of data, published exponents, and the limits that tie the two models."""

import numpy as np
import pytest
from scipy.special import zeta

from scalinglens.errors import TheoryError
from scalinglens.theory.models import model
from scalinglens.theory.quanta import hutter, hutter_curve, quanta, quanta_curve


def slopes(x, y):
    return np.diff(np.log(y)) / np.diff(np.log(x))


def test_recorded_values_of_the_memoriser():
    found = hutter_curve(1.0, [1e2, 1e3, 1e4])
    np.testing.assert_allclose(found.mean, [0.06884, 0.02184, 0.00691], atol=6e-6)
    np.testing.assert_allclose(found.asymptotic, [0.06910, 0.02185, 0.00691], atol=6e-6)
    assert found.exponent == 0.5


@pytest.mark.parametrize("a", [0.3, 1.0, 2.5])
def test_quadrature_against_the_plain_sum(a):
    k = np.arange(1.0, 1e6)
    p, n = k ** -(1 + a) / zeta(1 + a), np.array([1.0, 30.0, 1000.0])
    rest = zeta(1 + a, 1e6) / zeta(1 + a)
    expected = np.array([np.sum(p * (1 - p) ** m) for m in n]) + rest * (1 - p[-1]) ** n
    np.testing.assert_allclose(hutter_curve(a, n).mean, expected, rtol=2e-5)


def test_mean_and_deviation_against_draws():
    """Recorded: 0.02225, deviation 0.00265 at n = 1000 with 1e5 items."""
    rng = np.random.default_rng(0)
    p = np.arange(1.0, 1e5 + 1) ** -2.0
    p /= p.sum()
    edges = np.cumsum(p)
    edges[-1] = 1.0
    missed = []
    for _ in range(600):
        seen = np.zeros(len(p), bool)
        seen[np.searchsorted(edges, rng.random(1000))] = True
        missed.append(p[~seen].sum())
    found = hutter_curve(1.0, 1000.0, modes=1e5)
    assert abs(np.mean(missed) - found.mean) < 4 * np.std(missed) / np.sqrt(600)
    assert float(found.sd) == pytest.approx(0.00265, abs=1e-5)
    assert np.std(missed) == pytest.approx(0.00265, rel=0.1)


def test_exponents_of_the_quanta():
    """Recorded for a = 0.4: -0.388 to -0.3996 in n, -0.284 to -0.2857 in D."""
    capacity = np.array([16.0, 32, 128, 512, 2048])
    found = slopes(capacity, quanta_curve(0.4, capacity=capacity).loss)
    assert np.all((found > -0.4) & (found < -0.388))
    assert found[-1] == pytest.approx(-0.4, abs=5e-4)
    data = np.geomspace(1e5, 1e12, 8)
    found = slopes(data, quanta_curve(0.4, data=data).loss)
    assert found[-1] == pytest.approx(-0.4 / 1.4, abs=1e-3)
    assert np.all(np.abs(found + 0.4 / 1.4) < 0.01)
    smooth = slopes(data, quanta_curve(0.4, data=data, counting="drawn").loss)
    assert np.all(np.diff(smooth) < 1e-6)
    assert smooth[-1] == pytest.approx(-0.4 / 1.4, abs=2e-4)


def test_expected_counts_against_the_plain_sum():
    k = np.arange(1.0, 2e6)
    p = k**-1.5 / zeta(1.5)
    for data, tau in ((50.0, 1.0), (3e4, 5.0)):
        known = data * p >= tau
        found = quanta_curve(0.5, data=data, tau=tau)
        assert found.learned == known.sum()
        assert found.loss == pytest.approx(p[~known].sum() + zeta(1.5, 2e6) / zeta(1.5), rel=1e-9)
        both = quanta_curve(0.5, data=data, tau=tau, capacity=3.7)
        assert both.learned == min(3, known.sum())


@pytest.mark.parametrize(("capacity", "tau"), [(np.inf, 1), (40.0, 2), (7000.0, 3)])
def test_drawn_counts_against_draws(capacity, tau):
    rng = np.random.default_rng(1)
    k = np.arange(1.0, 2e5)
    p, data = k**-1.5 / zeta(1.5), 2e4
    losses = []
    for _ in range(60):
        known = (rng.poisson(data * p) >= tau) & (k <= capacity)
        losses.append(1 - p[known].sum())
    found = quanta_curve(0.5, data=data, tau=tau, capacity=capacity, counting="drawn")
    # items beyond the 2e5 drawn here are hardly ever met: what they remove is below 1e-5
    assert abs(np.mean(losses) - found.loss) < 4 * np.std(losses) / np.sqrt(60) + 1e-5


def test_a_memoriser_is_a_network_that_learns_at_once():
    n = np.array([1e3, 1e5])
    drawn = quanta_curve(0.7, data=n, counting="drawn").loss
    np.testing.assert_allclose(drawn, hutter_curve(0.7, n).mean, rtol=2e-3)


def test_limits():
    assert quanta_curve(0.5).loss == 0
    assert quanta_curve(0.5, data=0.0).loss == pytest.approx(1.0)
    assert quanta_curve(0.5, capacity=0.0, counting="drawn").loss == pytest.approx(1.0)
    assert quanta_curve(0.5, capacity=9.0, data=np.inf, counting="drawn").loss == pytest.approx(
        float(quanta_curve(0.5, capacity=9.0).loss), rel=1e-12
    )
    assert hutter_curve(1.0, 0.0).mean == pytest.approx(1.0)


def test_answers_and_their_pictures(tmp_path):
    found = model("hutter")(a=0.5, samples="1e2:1e6:5")
    assert found.to_dict()["exponent"] == pytest.approx(1 / 3)
    assert "memoriser" in repr(found)
    found.plot(tmp_path / "hutter.png")
    grid = model("quanta")(a=0.4, capacity="100,1000", data="1e4,1e5,inf")
    assert len(grid.to_frame()) == 6
    assert grid.to_dict()["data"][2] == "inf"
    grid.plot(tmp_path / "quanta.png")
    assert quanta(a=0.4, capacity="inf", data="inf").figure is None


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda: hutter_curve(0.0, 10.0), "a is 0.0; it is the exponent of the tail"),
        (lambda: hutter_curve(1.0, [5.0, -1.0]), "samples has 1 values below 0, the first is -1"),
        (lambda: quanta_curve(0.5, data=10.0, counting="draw"), 'did you mean "drawn"'),
        (lambda: quanta_curve(0.5, data=10.0, tau=1.5, counting="drawn"), "with drawn counts it is a whole number"),
        (lambda: quanta_curve(0.5, data=10.0, tau=0.0), "tau is 0.0"),
        (lambda: hutter(a=1, samples="1:2"), "write LOW:HIGH:COUNT"),
        (lambda: hutter(a=1, samples="many"), "samples is 'many', which is no number"),
    ],
)
def test_bad_input(ask, message):
    with pytest.raises(TheoryError, match=message):
        ask()
