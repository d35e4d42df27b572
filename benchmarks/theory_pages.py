"""Write digits.md, digits.png, fitting.md and exponents.md in docs/theory from the recorded results: no number typed by hand.

python -m benchmarks.theory_pages
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tables import _read, _table
from scalinglens.figures.figure import Axis, ColourScale, Figure, Line, Panel, Points, level, series
from scalinglens.figures.matplotlib import draw

DOCS = Path(__file__).parents[1] / "docs" / "theory"
HIDDEN = 64  # inputs of the networks


def main() -> None:
    names = ("digits", "theory_fit", "exponents")
    digits, fitting, measured = (_read(name) for name in names)
    picture = draw(digits_figure(digits))
    picture.savefig(DOCS / "digits.png", dpi=110)
    (DOCS / "digits.md").write_text(digits_page(digits), encoding="utf-8")
    (DOCS / "fitting.md").write_text(fitting_page(fitting), encoding="utf-8")
    (DOCS / "exponents.md").write_text(exponents_page(measured), encoding="utf-8")
    print(f"written to {DOCS}")


def digits_figure(found: dict[str, Any]) -> Figure:
    """Predicted losses as lines, those of students as points."""
    times, predicted = found["times"], np.array(found["predicted"])
    real = np.array(found["students"]["gaussian"]["loss"])
    j = len(found["samples"]) - 1
    finite = [i for i, N in enumerate(found["features"]) if N is not None]
    sizes = [found["features"][i] for i in finite]
    scale = ColourScale("features N", min(sizes), max(sizes))
    marks = [Line(times, predicted[i, j], level(N), 1.6) for i, N in zip(finite, sizes, strict=True)]
    dots = [Points(times, real[i, j], level(N)) for i, N in zip(finite, sizes, strict=True)]
    first = Panel(
        f"P = {found['samples'][j]}",
        Axis("time", "log", "power"),
        Axis("test loss", "log"),
        (*marks, *dots),
        scale,
    )
    kernel = found["features"].index(None)
    P = found["samples"]
    shown = ColourScale("samples P", min(P), max(P))
    second = Panel(
        "N = ∞, the kernel",
        Axis("time", "log", "power"),
        Axis("test loss", "log"),
        (
            *(Line(times, predicted[kernel, k], level(p), 1.6) for k, p in enumerate(P)),
            *(Points(times, real[kernel, k], level(p)) for k, p in enumerate(P)),
        ),
        shown,
    )
    net = found["networks"]
    lazy, trained = np.array(net["predicted"]), np.array(net["loss"])
    last = len(net["samples"]) - 1
    third = Panel(
        f"Networks, P = {net['samples'][last]}",
        Axis("time", "log", "power"),
        Axis("test loss", "log"),
        (
            *(
                Line(net["times"], lazy[i, last], series(i), 1.6, label=f"width {width}")
                for i, width in enumerate(net["widths"])
            ),
            *(Points(net["times"], trained[i, last], series(i)) for i in range(len(net["widths"]))),
        ),
    )
    return Figure("Handwritten digits: predicted (lines) and trained (points)", (first, second, third))


def digits_page(found: dict[str, Any]) -> str:
    """The page on real data."""
    measured, students, net = found["measured"], found["students"], found["networks"]
    names = {"gaussian": "random combinations of the kernel's features", "relu": "random ReLU units"}
    rows = []
    for kind, name in names.items():
        for says, key in (("measured spectrum", "errors"), ("matrix as it is", "errors_as_it_is")):
            rows.append([name, says, *_errors(students[kind][key])])
    rows.append(["networks, both layers trained", "lazy, measured spectrum", *_errors(net["errors"])])
    sizes = ["inf" if N is None else f"{N:g}" for N in found["features"]]
    by_size = [[names[kind], *(f"{value:.1%}" for value in students[kind]["by_features"])] for kind in names]
    by_width = [
        [f"{width}", f"{all_['median']:.1%}", f"{last['mean_signed']:+.1%}"]
        for width, all_, last in zip(net["widths"], net["by_width"], net["last"], strict=True)
    ]
    worst = max(net["last"], key=lambda row: abs(row["mean_signed"]))["mean_signed"]
    direction = (
        "above"
        if all(row["mean_signed"] > 0 for row in net["last"])
        else "below"
        if all(row["mean_signed"] < 0 for row in net["last"])
        else "on both sides of"
    )
    a, b = measured["source"], measured["capacity"]
    low, high = measured["window"]
    parts = [
        "# Real data: the digits of scikit-learn",
        "Written by `python -m benchmarks.theory_pages` from `benchmarks/results/digits.json`, which `python -m "
        "benchmarks.digits` makes.",
        "Can the loss of a student be told from the data alone, before anything is trained? One half of the images measures the "
        "spectrum of the kernel (`scalinglens.worlds.measured`), `predict_learning_curve` turns it into losses over model size "
        "N, training images P and time t, and students trained on images of the other half say what is true.",
        "![predicted and trained losses](digits.png)",
        "## The spectrum",
        f"{measured['samples']} images, arc-cosine kernel: a = {a['value']:.3f} ({a['low']:.3f} to {a['high']:.3f}), "
        f"b = {b['value']:.3f} ({b['low']:.3f} to {b['high']:.3f}), least squares over ranks {low:g} to {high:.0f}; "
        f"{a['level']:.0%} intervals from half-samples. They carry the luck of the samples, not the curvature of a spectrum that "
        f"is no exact power law. Noise and what the samples do not resolve: {measured['noise']:.3g} of a loss of "
        f"{measured['signal'] + measured['noise']:.3g}. The spectrum misses the sums that were measured by "
        f"{measured['misfit'][0]:.1g} (ranks) and {measured['misfit'][1]:.1g} (powers), relative.",
        "## How far off",
        f"Relative error of the loss over N = {', '.join(sizes)}, P = {', '.join(map(str, found['samples']))} and "
        f"{len(found['times'])} times from {found['times'][0]:g} to {found['times'][-1]:g}; students are means of "
        f"{found['draws']} draws, networks of {net['draws']} on widths {', '.join(map(str, net['widths']))}, "
        f"P = {', '.join(map(str, net['samples']))}, times to {net['times'][-1]:g}.",
        _table(["students", "prediction from", "median", "mean", "90% below", "largest"], rows),
        "Median by size:",
        _table(["students", *(f"N = {size}" for size in sizes)], by_size),
        "The matrix as it is has too few fine modes and counts chance as signal, so its predictions come out too low (mean "
        f"{students['gaussian']['errors_as_it_is']['mean_signed']:+.1%} against "
        f"{students['gaussian']['errors']['mean_signed']:+.1%}). ReLU units are no Gaussian combinations: few of them represent "
        "the kernel worse than the theory says.",
        "## Small networks",
        "One hidden layer, both layers trained, predicted as a lazy student of the tangent kernel with N = "
        f"{HIDDEN + 1} x width. By width: median error over all P and times, and mean of predicted over trained loss less one "
        f"at t = {net['times'][-1]:g}.",
        _table(["width", "median error", "at the end"], by_width),
        f"At the end the predictions lie {direction} the losses of the networks, by up to {abs(worst):.0%}, and less so the "
        "wider the network. The weights of a narrow network are not that many independent features, and its features move. "
        "This is a report, not a claim that the theory holds for networks.",
        "## What it does not do",
        "- The spectrum below the resolution of the samples is not known: N and P beyond the number of measured images are "
        "extrapolated, and `predict_learning_curve` warns of it.\n"
        "- The samples must be independent; duplicates show as modes that are not there.\n"
        "- Losses are means over draws of features and of training sets; a single draw scatters around them.",
    ]
    return "\n\n".join(parts) + "\n"


def _errors(row: dict[str, float]) -> list[str]:
    return [f"{row[name]:.1%}" for name in ("median", "mean", "ninety_percent", "largest")]


def fitting_page(found: dict[str, Any]) -> str:
    """The page on fits of exact losses."""
    head = [
        "a",
        "b",
        "grid",
        "status",
        "alpha (true)",
        "beta (true)",
        "E",
        "rms error",
        "compute (true)",
        "N*(C) (true)",
    ]
    head += ["size x true best, x100", "loss / least, x100"]
    free = [row for row in found["by_time"] if not row["pinned"]]

    def pair(row: dict[str, Any], name: str) -> str:
        return f"{row['fitted'][name]:.3f} ({row['true'][name]:.3f})"

    rows = []
    for row in free:
        inside, beyond = row["allocation"]
        rows.append(
            [
                f"{row['source']:g}", f"{row['capacity']:g}", row["window"], row["status"],
                pair(row, "alpha"), pair(row, "beta"),
                f"{row['fitted']['E']:.2g}", f"{row['misfit']:.1%}", pair(row, "compute"), pair(row, "compute_features"),
                f"{inside['size_ratio']:.2f}, {beyond['size_ratio']:.2f}",
                f"{inside['loss_ratio']:.3f}, {beyond['loss_ratio']:.3f}",
            ]
        )  # fmt: skip
    samples = [
        [
            f"{row['source']:g}", f"{row['capacity']:g}", row["status"], pair(row, "alpha"), pair(row, "beta"),
            f"{row['fitted']['E']:.2g}", f"{row['misfit']:.1%}",
        ]
        for row in found["by_samples"]
    ]  # fmt: skip
    hard, easy = ([row for row in free if _regime(row) == regime] for regime in ("hard", "easy"))
    edge = [row for row in free if _regime(row) == "near"]
    pinned = [row for row in found["by_time"] if row["pinned"] and _regime(row) == "hard"]

    def off(rows: list[dict[str, Any]], name: str) -> list[float]:
        return [row["fitted"][name] - row["true"][name] for row in rows]

    def share(rows: list[dict[str, Any]], name: str) -> list[float]:
        return [row["fitted"][name] / row["true"][name] - 1 for row in rows]

    def far(rows: list[dict[str, Any]], name: str) -> list[float]:
        return [row["allocation"][1][name] for row in rows]

    below = [row["joint"] for row in found["joint"] if _regime(row) == "hard"]
    above = [row["joint"] for row in found["joint"] if _regime(row) == "easy"]
    parts = [
        "# What a Chinchilla fit makes of exact losses",
        "Written by `python -m benchmarks.theory_pages` from `benchmarks/results/theory_fit.json`, which `python -m "
        "benchmarks.theory_fit` makes. `Curves.runs()`, `TheoryFrontier.runs()`, `OnePass.runs()` and `LearningCurve.runs()` "
        "give solved losses as tables of runs, so `fit`, `compare` and `plan` work on them as on any others "
        '(`plan(fit, budget=1e6, cost="params*steps")`).',
        "The losses of the dynamical model are known without noise, and so are its exponents and its best allocations. What "
        "does the usual fit, E + A/N^alpha + B/t^beta, say about them? Whatever is wrong below is wrong with the law or with "
        "the reach of the grid, never with the data. The true floor is zero.",
        "## L(N, t), data without end",
        "Grids of 9 x 9 runs: small, N from 32 to 2,048; large, N from 4,096 to 262,144; times from a tenth of N^b of the "
        "smallest to N^b of the largest. Compute is C = N t; true values are those of the theory in its limit. The last two "
        "columns: the size that the fit chooses over the true best, and the loss there over the least loss, at the largest "
        "budget whose best run is inside the grid, and at 100 times that.",
        _table(head, rows),
        "## L(N, P), each run stopped at its best time",
        _table(["a", "b", "status", "alpha (true)", "beta (true)", "E", "rms error"], samples),
        "## What it gets wrong",
        "- **The loss is not a sum.** For hard tasks (a - 1 well below b) the exact loss is down to "
        f"{min(min(values) for values in below):.2f} of L(N, inf) + L(inf, t), least where t is near N^b: what is short hides "
        "what is less short. The fit answers with a time exponent that is too steep by "
        f"{_range(off(hard, 'beta'), '.2f')}, on the large grid as on the small one, because either holds runs on both sides of "
        f"t = N^b. The compute exponent comes out {_range(share(hard, 'compute'), '.0%')} too large, and the model at 100 times "
        f"the compute {_range(far(hard, 'size_ratio'), '.1f')} times too big.",
        f"- **Floors that are not there.** For hard tasks the fit finds E from "
        f"{_range([row['fitted']['E'] for row in hard], '.2g')}, certified, though E is zero. "
        "With E held at zero the loss it forecasts for its own choice at 100 times the compute is "
        f"{_range([1 - value for value in far(pinned, 'forecast_ratio')], '.0%')} too low; with the free floor "
        f"{_range([1 - value for value in far(hard, 'forecast_ratio')], '.0%')}: the floor makes up for exponents that are too "
        "steep.",
        "- **Past the crossover a - 1 > b the law lacks a term.** The exact loss is up to "
        f"{max(max(values) for values in above):.2f} times L(N, inf) + L(inf, t): the early variance of the features, "
        "N^-1 t^(-1+1/b), is a product of powers, and the optimum balances it with t^-(a-1)/b. No sum of one-variable terms "
        f"holds it. The time exponent is off by {_range(off(easy, 'beta'), '+.2f')}, more on the large grid; the compute "
        f"exponent by {_range(share(easy, 'compute'), '+.0%')}; at 100 times the compute the chosen model has "
        f"{_range(far(easy, 'size_ratio'), '.2f')} of the best size. The width exponent of one model is b there, not the printed "
        "min(a - 1, 2b) (random_features.md, section 6).",
        "- **Near the crossover** (a = 2, b = 1.25) the two errors cancel in part: the compute exponent is off by "
        f"{_range(share(edge, 'compute'), '+.0%')}, while alpha is off by {_range(off(edge, 'alpha'), '+.2f')} and beta by "
        f"{_range(off(edge, 'beta'), '+.2f')}. A compute exponent that is right proves nothing about its parts.",
        f"- **Losses forgive, mostly.** Inside the grid the chosen size costs "
        f"{_range([row['allocation'][0]['loss_ratio'] - 1 for row in free], '.1%')} in loss, at 100 times the compute "
        f"{_range([value - 1 for value in far(free, 'loss_ratio')], '.1%')}.",
        "- **A certificate is not a proof.** The fits miss the losses by "
        f"{_range([row['misfit'] for row in free], '.1%')} (root mean square of the logarithm) without any noise; "
        f"{sum(row['status'] == 'certified' for row in free)} of {len(free)} are certified. A certificate says that the optimum "
        "of the fit was found, not that the law is true.",
    ]
    return "\n\n".join(parts) + "\n"


def exponents_page(found: dict[str, Any]) -> str:
    """The page of measured exponents."""
    named = {
        "time": "L(t)",
        "features": "L(N), one model",
        "bias_features": "L(N), endless ensemble",
        "samples": "L(P)",
        "early_features": "1/N term",
        "early_samples": "1/P term",
        "gap": "test - train",
        "compute": "L*(C)",
        "compute_features": "N*(C)",
        "compute_time": "t*(C)",
    }
    rows = []
    for row in found["rows"]:
        pairs = [f"{row['measured'][name]:.4f} ({row['predicted'][name]:.4f})" for name in named]
        rows.append([f"{row['source']:g}", f"{row['capacity']:g}", row["regime"], *pairs])
    off = {name: max(abs(row["measured"][name] - row["predicted"][name]) for row in found["rows"]) for name in named}
    worst = max(off, key=lambda name: off[name])
    beyond = [row for row in found["rows"] if row["regime"] != "hard"]
    published = [
        [
            f"{row['source']:g}", f"{row['capacity']:g}", f"{row['measured']['compute']:.4f}",
            f"{row['predicted']['compute']:.4f}", f"{row['published_compute']:.4f}",
            f"{row['measured']['features']:.4f}", f"{row['predicted']['features']:.4f}",
            f"{row['predicted']['bias_features']:.4f}",
        ]
        for row in beyond
    ]  # fmt: skip

    def short(place: float) -> str:
        return f"{place:.0e}".replace("e+0", "e").replace("e+", "e")

    def between(places: Sequence[float]) -> str:
        return f"{short(places[0])} and {short(places[1])}"

    parts = [
        "# Exponents, measured and predicted",
        "Written by `python -m benchmarks.theory_pages` from `benchmarks/results/exponents.json`, which `python -m "
        "benchmarks.exponents` makes.",
        "Which exponent rules when? The losses of the dynamical model with endless modes are solved to many digits, so that a "
        "local slope is an exponent, up to what is left of the terms that fall faster. Measured, and predicted in brackets "
        "(`exponents(a, b)`, random_features.md section 6); positive where a loss falls, or where a term or an optimum grows.",
        _table(["a", "b", "task", *named.values()], rows),
        f"Losses between t = {between(found['late'])} (N = P = inf) and between sizes {between(found['sizes'])} (late times); "
        f"the terms in 1/N and 1/P from derivatives between t = {between(found['early'])} at N or P = {short(found['ample'])}; "
        f"test - train between t = {between(found['gap']['times'])} at P = {short(found['gap']['samples'])}; the optimum at "
        f"C = N t = {short(found['budget'])}.",
        f"The largest distance, {off[worst]:.3f}, is in the column {named[worst]}: near a - 1 = b two terms of nearly the same "
        "power compete, and the slope is still on its way from one to the other.",
        "## Where the published exponents fail",
        "Past a - 1 = b the loss of one model falls as N^-b. The paper prints min(a - 1, 2b), which is that of the bias, the "
        "loss of an endless ensemble, and with it a compute exponent that is too steep.",
        _table(
            [
                "a", "b", "L*(C), measured", "predicted", "as published", "L(N), measured", "predicted", "as published",
            ],
            published,
        ),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _regime(row: dict[str, Any]) -> str:
    """Hard, easy, or near the crossover a - 1 = b."""
    ratio = (row["source"] - 1) / row["capacity"]
    return "hard" if ratio < 0.75 else "easy" if ratio > 1.1 else "near"


def _range(values: Iterable[float], form: str) -> str:
    known = list(values)
    return f"{min(known):{form}} to {max(known):{form}}"


if __name__ == "__main__":
    main()
