"""When to stop: against the law of Marchenko and Pastur, the best ridge in closed form, and a search on other losses."""

import json

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from scalinglens.cli.main import main
from scalinglens.theory.random_features.early_stopping import early_stopping, ridge_loss
from scalinglens.theory.random_features.optimizers import WeightDecay
from scalinglens.theory.random_features.problem import RandomFeatures
from scalinglens.theory.random_features.solve import solve
from scalinglens.theory.random_features.static import static_loss
from scalinglens.worlds.spectra import Spectrum, power_law


def white(M, P, noise):
    return RandomFeatures(Spectrum(np.ones(M), np.full(M, 1 / M)), samples=P, noise=noise)


@pytest.mark.parametrize(("M", "P"), [(200, 400), (300, 150), (100, 100)])
def test_white_data_have_the_best_time_of_the_law_and_the_best_ridge_of_dobriban_and_wager(M, P):
    noise, ratio = 0.4, M / P
    low, high = (1 - ratio**0.5) ** 2, (1 + ratio**0.5) ** 2

    def loss(t):
        """Signal left, and noise learned, (1 - e^-xt)^2/x of each direction that the samples span."""

        def part(angle):
            x = (low + high) / 2 + (high - low) / 2 * np.cos(angle)
            density = ((high - low) / 2 * np.sin(angle)) ** 2 / (2 * np.pi * ratio * x)
            return density * (np.exp(-2 * x * t) + ratio * noise * np.expm1(-x * t) ** 2 / x)

        unseen = max(1 - 1 / ratio, 0.0)  # directions without samples keep their signal
        return unseen + quad(part, 0, np.pi, epsabs=1e-13, epsrel=1e-12, limit=400)[0]

    best = minimize_scalar(lambda x: loss(np.exp(x)), bounds=(-3, 5), method="bounded", options={"xatol": 1e-9})
    found = early_stopping(white(M, P, noise))
    assert float(found.loss) == pytest.approx(best.fun, rel=1e-8)
    assert float(found.time) == pytest.approx(np.exp(best.x), rel=1e-4)  # a least value is known to half the digits
    assert float(found.decay) == pytest.approx(ratio * noise, rel=1e-4)


PROBLEMS = [
    RandomFeatures(power_law(1.5, 1.25), 512, 128),
    RandomFeatures(power_law(1.5, 1.25), 512, 1024, 0.3),
    RandomFeatures(power_law(3.0, 2.0), np.inf, 256, 0.1),
    RandomFeatures(power_law(2.0, 1.5, 300), 64, 90, 1.0),
]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_best_time_and_decay_are_those_of_a_plain_search(problem):
    found = early_stopping(problem)
    x = np.log(float(found.time)) + np.linspace(-12, 12, 2401)
    losses = solve(problem, np.exp(x), digits=11).test
    i = int(np.argmin(losses))
    fit = np.polyfit(x[i - 2 : i + 3] - x[i], losses[i - 2 : i + 3], 2)
    assert np.log(float(found.time)) == pytest.approx(x[i] - fit[1] / (2 * fit[0]), abs=1e-4)
    assert float(found.loss) == pytest.approx(losses[i], rel=1e-6)
    decays = float(found.decay) * np.exp(np.linspace(-3, 3, 31))
    late = [float(solve(problem, np.inf, WeightDecay(rho)).test[0]) for rho in decays]
    assert float(found.decayed) == pytest.approx(min(late), rel=1e-7)
    assert int(np.argmin(late)) == 15
    assert ridge_loss(problem, decays) == pytest.approx(late, rel=1e-7)


def test_published_losses_at_the_best_time():
    """Of a grid of 25 times; between them the loss is less than one in a hundred lower."""
    problem = RandomFeatures(power_law(1.5, 1.25), 512, [128, 256, 1024])
    found = early_stopping(problem)
    assert found.late == pytest.approx([0.516952, 0.591718, 0.478655], abs=2e-6)
    grid = np.array([0.473941, 0.393217, 0.302607])
    assert solve(problem, np.geomspace(1, 1e6, 25)).test.min(axis=1) == pytest.approx(grid, abs=2e-6)
    assert np.all((found.loss <= grid + 1e-6) & (found.loss > grid * 0.99))
    assert np.all((found.time > 50) & (found.time < 300))
    assert found.ratio == pytest.approx(found.loss / found.late, rel=1e-12)
    assert len(found.to_frame()) == 3


def test_where_it_never_pays_and_where_it_always_does():
    spectrum = power_law(1.5, 1.25)
    found = early_stopping(RandomFeatures(spectrum, [128, np.inf, np.inf], [np.inf, 128, np.inf]))
    assert (
        found.time.tolist() == [np.inf] * 3
    )  # endless data, a kernel without noise on a hard task, nothing in the way
    assert found.ratio.tolist() == [1.0] * 3
    assert found.loss.tolist() == static_loss(found.problem)[0].tolist()
    assert found.decay.tolist() == [0.0] * 3
    peak = early_stopping(RandomFeatures(spectrum, 200, 200, 0.1))
    assert np.isfinite(peak.time)
    assert np.isinf(peak.late)
    assert float(peak.ratio) == 0.0
    assert float(peak.loss) < float(peak.decayed) * 1.1
    # only noise to learn: best not to begin
    nothing = early_stopping(RandomFeatures(Spectrum(np.ones(50), np.zeros(50)), samples=100, noise=1.0))
    assert (float(nothing.time), float(nothing.loss), float(nothing.decay)) == (0.0, 0.0, np.inf)


def test_the_command(capsys, tmp_path):
    words = ["early-stopping", "--a", "1.5", "--b", "1.25", "--features", "512", "--samples", "128,512,1024"]
    assert main(["theory", *words, "--json", "--plot", str(tmp_path / "stop.png")]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows["late"][1] == "inf"
    assert rows["ratio"][0] == pytest.approx(0.9159, abs=1e-4)
    assert (tmp_path / "stop.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--optimizer", "scheduled-gd", "--schedule", "cosine(0.3, steps=100)"], None),
        (["--optimizer", "momentum-flow", "--inertia", "3"], None),
        (["--optimizer", "scheduled-gd"], "give --schedule"),
        (["--optimizer", "gd", "--lr", "0.1", "--inertia", "3"], "gd has no inertia"),
    ],
)
def test_optimizers_on_the_command_line(words, told, capsys, tmp_path):
    picture = tmp_path / "curves.png"
    problem = ["--a", "1.5", "--b", "1.25", "--features", "64", "--samples", "96", "--times", "1,10,100"]
    code = main(["theory", "random-features", *problem, *words, "--json", "--plot", str(picture)])
    out = capsys.readouterr()
    if told:
        assert code != 0
        assert told in out.err + out.out
    else:
        assert code == 0
        assert len(json.loads(out.out)["test_loss"]) == 3  # the picture has more
        assert picture.stat().st_size > 10_000
