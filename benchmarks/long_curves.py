"""Curves for the study of long forecasts: made ones with a known truth, and public ones cut short.

None is one of the 92 curves of `curves.py` beyond its fitting part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.curves import curves
from benchmarks.methods import table

__all__ = ["CHECK", "DEVELOP", "LongCurve", "made_curves", "public_curves", "short_benchmark"]

Truth = Callable[[np.ndarray], np.ndarray]
MOST_ROWS = 60  # of a public training curve, thinned to a geometric grid
FACTORS = (2.0, 4.0, 8.0, 16.0)


@dataclass(frozen=True, eq=False)
class LongCurve:
    """A curve to fit and what came of it.

    Attributes:
        family: what it is scored with.
        x, y: the rows to fit.
        x_ahead, y_ahead: later rows; for made curves without noise, at the four factors.
    """

    family: str
    x: np.ndarray
    y: np.ndarray
    x_ahead: np.ndarray
    y_ahead: np.ndarray


# ---- made ------------------------------------------------------------------------------------------------------------


def _power(r: np.random.Generator) -> Truth:
    c = r.uniform(0.05, 0.6)
    return lambda x: x**-c


def _floor(r: np.random.Generator) -> Truth:
    c, e = r.uniform(0.15, 0.7), r.uniform(0.05, 0.8)
    return lambda x: e + x**-c


def _bounded_power(r: np.random.Generator) -> Truth:
    """M3: a power law that starts to saturate within or beyond the rows."""
    c, g = r.uniform(0.15, 0.6), 10 ** r.uniform(-4.5, -2.0)
    return lambda x: (1 / x + g) ** c


def _sigmoid_power(r: np.random.Generator) -> Truth:
    """M4: from chance level down to a floor."""
    c, a, e0, e = r.uniform(0.3, 0.8), r.uniform(0.3, 2.0), r.uniform(1.05, 2.0), r.uniform(0.02, 0.4)
    t = np.linspace(-40, 40, 20001)
    y = e + (e0 - e) / (1 + np.exp(-t))
    lx = -(np.log(y - e) - a * np.log(np.maximum(e0 - y, 1e-300))) / c  # falls with t
    shift = r.uniform(0.0, 2.0)
    return lambda x: np.interp(np.log(x) - shift, lx[::-1], y[::-1])


def _broken(r: np.random.Generator) -> Truth:
    a, c0, c1, d, f = (
        r.uniform(0.0, 0.3),
        r.uniform(0.0, 0.2),
        r.uniform(0.1, 0.6),
        10 ** r.uniform(0.5, 1.8),
        r.uniform(0.2, 0.8),
    )
    return lambda x: a + x**-c0 * (1 + (x / d) ** (1 / f)) ** (-c1 * f)


def _exponential(r: np.random.Generator) -> Truth:
    e, tau = r.uniform(0.1, 0.5), r.uniform(40.0, 400.0)
    return lambda x: e + (1 - e) * np.exp(-x / tau)


def _double(r: np.random.Generator) -> Truth:
    e, b, c, d = r.uniform(0.0, 0.4), r.uniform(0.5, 4.0), r.uniform(0.1, 0.3), r.uniform(0.5, 1.0)
    return lambda x: e + x**-c + b * x**-d


def _stretched(r: np.random.Generator) -> Truth:
    e, tau, s = r.uniform(0.1, 0.5), r.uniform(20.0, 400.0), r.uniform(0.3, 0.7)
    return lambda x: e + (1 - e) * np.exp(-((x / tau) ** s))


def _logarithm(r: np.random.Generator) -> Truth:
    e, s = r.uniform(0.0, 0.4), r.uniform(1.0, 4.0)
    return lambda x: e + 1 / (s + np.log(x))


def _late_bend(r: np.random.Generator) -> Truth:
    """An exponent that falls slowly with scale."""
    e, c, b = r.uniform(0.0, 0.3), r.uniform(0.25, 0.5), r.uniform(0.005, 0.015)
    return lambda x: e + np.exp(-c * np.log(x) + b * np.log(x) ** 2)


def _lack_of_accuracy(r: np.random.Generator) -> Truth:
    """One less an accuracy that rises as a sigmoid of the logarithm; what `auto` fits to an accuracy."""
    top, middle, steep = r.uniform(0.6, 0.95), r.uniform(1.0, 5.0), r.uniform(0.3, 0.8)
    return lambda x: 1 - top / (1 + np.exp(-steep * (np.log(x) - middle)))


DEVELOP: dict[str, Callable[[np.random.Generator], Truth]] = {
    "power law": _power,
    "power law and floor": _floor,
    "M3": _bounded_power,
    "M4": _sigmoid_power,
    "broken": _broken,
    "exponential": _exponential,
    "two powers": _double,
}
CHECK: dict[str, Callable[[np.random.Generator], Truth]] = {
    "stretched exponential": _stretched,
    "logarithm": _logarithm,
    "falling exponent": _late_bend,
    "accuracy": _lack_of_accuracy,
}
NOISES = (0.0, 0.001, 0.004, 0.015)
ROWS = (7, 12, 40)


def made_curves(
    families: dict[str, Callable[[np.random.Generator], Truth]], repeats: int, seed: int = 0
) -> Iterator[LongCurve]:
    """Curves over one to three decades of x, `repeats` of each family, noise and number of rows."""
    for number, (family, make) in enumerate(families.items()):
        for repeat in range(repeats):
            for i, noise in enumerate(NOISES):
                for j, rows in enumerate(ROWS):
                    rng = np.random.default_rng([seed, number, repeat, i, j, len(family)])
                    truth = make(rng)
                    top = 10 ** rng.uniform(1.3, 3.0)
                    x = np.geomspace(1.0, top, rows) if rng.random() < 0.7 else np.linspace(top / rows, top, rows)
                    ahead = top * np.array(FACTORS)
                    y = truth(x) * np.exp(noise * rng.normal(size=rows))
                    yield LongCurve(f"{family}|{noise:g}|{rows}", x, y, ahead, truth(ahead))


# ---- public ----------------------------------------------------------------------------------------------------------


def _thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows nearest to a geometric grid; repeated x averaged."""
    frame = pd.DataFrame({"x": x, "y": y}).dropna()
    frame = frame[(frame.x > 0) & (frame.y > 0)].groupby("x", as_index=False).mean()
    x, y = frame.x.to_numpy(), frame.y.to_numpy()
    if len(x) <= MOST_ROWS:
        return x, y
    pick = np.unique(np.searchsorted(x, np.geomspace(x[0], x[-1], MOST_ROWS)).clip(0, len(x) - 1))
    return x[pick], y[pick]


def _whole_curves(part: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    folder = table().parents[1]
    many = pd.read_csv(folder / "hitchhiker-colpret/loss_curves_192.csv.gz")
    for name, rows in list(many.groupby("model"))[part::3]:
        loss = np.log(rows.loss) if str(name).startswith("OPT") else rows.loss
        yield f"training|{name}", rows.tokens.to_numpy(float), np.asarray(loss, float)
    routed = pd.read_csv(folder / "routed-lm/curves.csv.gz")
    for name, rows in list(routed[routed.step > 0].groupby("hyper_id"))[part * 4 :: 9]:
        yield f"experts|{name}", rows.step.to_numpy(float), rows.loss_validation.to_numpy(float)
    gem = pd.read_json(folder / "gemstones/fit_hot_100b+.jsonl", lines=True)
    for name, rows in list(gem.groupby("run_name"))[part::2]:
        yield f"gemstones|{name}", rows.tokens.to_numpy(float), rows.final_loss.to_numpy(float)
    if part:  # too few curves to divide
        return
    power = pd.read_csv(folder / "multi-power-law/loss_curves.csv.gz")
    for name, rows in power[power.curve.str.startswith("constant")].groupby(["model_size_M", "curve"]):
        yield f"constant rate|{name}", rows.step.to_numpy(float), rows.loss.to_numpy(float)
    pairs = pd.read_csv(folder / "porian-resolving/published_optimal_pairs.csv")
    names = ["dataset", "hparams", "warmup", "decay", "param_count", "loss_type"]
    for name, rows in pairs.groupby(names):
        yield f"optimal|{name}", rows.flops.to_numpy(float), rows.loss.to_numpy(float)
    ladder = pd.read_csv(folder / "olmo-ladder/ladder_runs.csv.gz", low_memory=False)
    for name, rows in ladder[ladder.run.str.match(r"^\d+[MB]-\d")].groupby("run"):
        part = rows[["throughput/total_tokens", "eval/c4_en-validation/CrossEntropyLoss"]].dropna().to_numpy(float)
        yield f"ladder|{name}", part[:, 0], part[:, 1]


def public_curves(
    cuts: tuple[float, ...] = (4.0, 8.0, 16.0), *, skip: float = 0.01, part: int = 0
) -> Iterator[LongCurve]:
    """Public curves outside the benchmark, fitted up to a fraction 1/cut of their range of x.

    Part 0 is what the rule of `auto` was developed on, part 1 was not looked at before it was fixed.

    Rows below `skip` of the largest x are left out where enough others remain: warm-up is another law.
    """
    for name, x, y in _whole_curves(part):
        x, y = _thinned(x, y)
        if np.sum(x >= skip * x.max()) >= 20:
            x, y = x[x >= skip * x.max()], y[x >= skip * x.max()]
        for cut in cuts:
            seen = x <= x.max() / cut * (1 + 1e-9)
            if seen.sum() >= 6 and np.sum(~seen) >= 1 and np.ptp(np.log(y[seen])) > 0:
                yield LongCurve(f"{name.split('|')[0]}|{cut:g}", x[seen], y[seen], x[~seen], y[~seen])


def short_benchmark(cuts: tuple[float, ...] = (2.0, 4.0, 8.0)) -> Iterator[LongCurve]:
    """The fitting parts of the 92 curves, cut short; their held-out ends are not touched."""
    for curve in curves():
        x, y = curve["x"], curve["y"]
        for cut in cuts:
            seen = x <= x.max() / cut * (1 + 1e-9)
            if len(np.unique(x[seen])) >= 6 and np.any(~seen):
                yield LongCurve(f"{curve['domain']}|{cut:g}", x[seen], y[seen], x[~seen], y[~seen])
