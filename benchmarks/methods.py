"""The methods compared, each a function that measures itself; `python -m benchmarks.methods NAME` prints one JSON object.

A method runs in a process of its own, so that its peak memory is its own and no cache is shared. All see the same 240 rows:
the digitised runs of Hoffmann et al. 2022 with loss below 3.44, tokens = flops/(6 params).
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Result = dict[str, Any]

STARTS = 4500  # of the textbook grid
SAMPLED = 150  # of them that are timed
DRAWS = 4000
DELTA = 1e-3


def table() -> Path:
    folder = Path(os.environ.get("SCALINGLENS_DATA", Path(__file__).parents[2] / "shared" / "data"))
    return folder / "epoch-chinchilla" / "svg_extracted_data.csv"


def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ln N, ln D, ln L of the 240 rows, read without our own reader."""
    raw = np.genfromtxt(table(), delimiter=",", names=True, dtype=None, encoding="utf-8", comments=None)
    raw = raw[raw["loss"] < 3.44]
    n, c = raw["Model_Size"], raw["Training_FLOP"]
    return np.log(n), np.log(c / (6 * n)), np.log(raw["loss"])


def objective(theta: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, w: Any = 1.0) -> tuple[float, np.ndarray]:
    """Summed Huber loss of the log residuals and its gradient, in a = ln A, b = ln B, e = ln E, alpha, beta."""
    a, b, e, alpha, beta = theta
    terms = np.stack([a - alpha * x, b - beta * y, np.full_like(x, e)])
    top = terms.max(axis=0)
    shares = np.exp(terms - top)
    total = shares.sum(axis=0)
    shares /= total
    r = top + np.log(total) - z
    size = np.abs(r)
    small = size <= DELTA
    value = np.sum(w * np.where(small, 0.5 * r * r, DELTA * (size - 0.5 * DELTA)))
    g = w * np.clip(r, -DELTA, DELTA)
    slopes = (g @ shares[0], g @ shares[1], g @ shares[2], -(g * x) @ shares[0], -(g * y) @ shares[1])
    return float(value), np.array(slopes)


def scalinglens_fit() -> Result:
    import scalinglens as sl

    runs = sl.read_runs(table(), where="loss < 3.44")
    began = time.perf_counter()
    sl.fit(runs, "hoffmann2022", seed=99)
    first = time.perf_counter() - began
    times = []
    for seed in range(21):
        began = time.perf_counter()
        found = sl.fit(runs, "hoffmann2022", seed=seed)
        times.append(time.perf_counter() - began)
    return {
        "seconds": float(np.median(times)),
        "first_call_seconds": first,
        "objective": found.value,
        "status": found.status,
        "starts": found.certificate.starts,
        "starts_agree": found.certificate.starts_agree,
        "parameters": dict(found.values),
    }


def textbook_fit() -> Result:
    """The 5 x 5 x 5 x 6 x 6 grid of Hoffmann et al. 2022 with L-BFGS-B and analytic gradients, every 30th start timed."""
    from itertools import product

    from scipy.optimize import minimize

    x, y, z = data()
    grid = list(
        product(range(0, 30, 5), range(0, 30, 5), (-1, -0.5, 0, 0.5, 1), (0, 0.5, 1, 1.5, 2), (0, 0.5, 1, 1.5, 2))
    )
    assert len(grid) == STARTS
    chosen = [grid[i] for i in np.random.default_rng(0).choice(STARTS, SAMPLED, replace=False)]
    began = time.perf_counter()
    found = [minimize(objective, start, args=(x, y, z), jac=True, method="L-BFGS-B") for start in chosen]
    spent = time.perf_counter() - began
    values = np.array([result.fun for result in found])
    return {
        "seconds": spent * STARTS / SAMPLED,
        "measured_seconds": spent,
        "starts_timed": SAMPLED,
        "extrapolated_to": STARTS,
        "objective": float(values.min()),
        "starts_within_1_percent": float(np.mean(values <= 1.01 * 0.0010182740)),
        "starts_reporting_success": float(np.mean([result.success for result in found])),
    }


def scalinglens_bootstrap() -> Result:
    import scalinglens as sl

    runs = sl.read_runs(table(), where="loss < 3.44")
    sl.fit(runs, "hoffmann2022", boot=500, resample="rows")
    began = time.perf_counter()
    found = sl.fit(runs, "hoffmann2022", boot=DRAWS, resample="rows")
    spent = time.perf_counter() - began
    return {"seconds": spent, "draws": DRAWS, "sd": _spread(found.draws, found.law.parameters), "includes": "point fit"}


def scalinglens_bootstrap_one_core() -> Result:
    os.environ["SCALINGLENS_PROCESSES"] = "1"
    return scalinglens_bootstrap()


def scipy_bootstrap(every: int = 10) -> Result:
    """SciPy BFGS, analytic gradient, started at the optimum; every tenth resample is timed and the time scaled."""
    from scipy.optimize import minimize

    x, y, z = data()
    rng = np.random.default_rng(42)
    best = minimize(objective, (6.17, 7.67, 0.597, 0.347, 0.367), args=(x, y, z), jac=True, method="BFGS").x
    ends = []
    spent = 0.0
    for _ in range(DRAWS // every):
        w = np.bincount(rng.integers(0, len(x), len(x)), minlength=len(x)).astype(float)
        began = time.perf_counter()
        ends.append(minimize(objective, best, args=(x, y, z, w), jac=True, method="BFGS").x)
        spent += time.perf_counter() - began
    natural = np.array(ends)
    natural[:, :3] = np.exp(natural[:, :3])
    return {
        "seconds": spent * every,
        "measured_seconds": spent,
        "draws_timed": DRAWS // every,
        "extrapolated_to": DRAWS,
        "sd": _spread(natural, ("A", "B", "E", "alpha", "beta")),
    }


def _package(loss: Callable[[Any, Any], Any] | None, grid: dict[str, Any]) -> Result:
    import chinchilla
    import pandas as pd

    x, y, z = data()
    with tempfile.TemporaryDirectory() as folder:
        frame = pd.DataFrame({"C": 6 * np.exp(x + y), "N": np.exp(x), "D": np.exp(y), "loss": np.exp(z)})
        frame.to_csv(Path(folder) / "df.csv", index=False)
        options = {} if loss is None else {"loss_fn": loss}
        made = chinchilla.Chinchilla(folder, param_grid=grid, log_level=50, **options)
        made.visualizer.optim = lambda *_, **__: None  # its plot of the fit is not part of fitting
        began = time.perf_counter()
        made.fit()
        spent = time.perf_counter() - began
        found = {name: float(value) for name, value in made.params.items()}
    theta = np.array([np.log(found["A"]), np.log(found["B"]), np.log(found["E"]), found["alpha"], found["beta"]])
    starts = int(np.prod([len(values) for values in grid.values()]))
    return {"seconds": spent, "starts": starts, "objective": objective(theta, x, y, z)[0], "parameters": found}


def package_default() -> Result:
    """chinchilla 0.2.0 as documented: its default loss, the ends of the grid of its documentation."""
    ends = {"E": [1, 2], "a": [1, 10], "b": [1, 10], "alpha": [0.1, 0.7], "beta": [0.1, 0.7]}
    return _package(None, {name: np.array(values, dtype=float) for name, values in ends.items()})


def package_huber() -> Result:
    """chinchilla 0.2.0 given the objective of the papers, three grid values per parameter over the papers' range."""

    def log_huber(true: Any, predicted: Any) -> Any:
        size = np.abs(np.log(predicted) - np.log(true))
        return np.where(size <= DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA))

    grid = {"e": [-1, 0, 1], "a": [0, 12.5, 25], "b": [0, 12.5, 25], "alpha": [0, 1, 2], "beta": [0, 1, 2]}
    return _package(log_huber, {name: np.array(values, dtype=float) for name, values in grid.items()})


def _wall(*command: str) -> Result:
    times = []
    for _ in range(5):
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return {"seconds": float(np.median(times))}


def import_package() -> Result:
    return _wall("-c", "import scalinglens")


def show_help() -> Result:
    return _wall("-m", "scalinglens", "--help")


def bare_python() -> Result:
    return _wall("-c", "pass")


def import_numpy() -> Result:
    return _wall("-c", "import numpy")


def _spread(draws: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    return {name: float(np.nanstd(draws[:, i])) for i, name in enumerate(names)}


if __name__ == "__main__":
    outcome = globals()[sys.argv[1]]()
    # own and children's memory: methods that work in several processes hold it there
    own, children = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    outcome["peak_megabytes"] = {"process": own / 1024, "largest_child": children / 1024}
    print(json.dumps(outcome))
