"""Write docs/planning.md and its pictures from the recorded results, so that no number in it was typed by hand.

python -m benchmarks.planning_tables

One function per section; a new one joins the list in `page`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.design_table import design_section
from benchmarks.tables import _read, _table
from scalinglens.figures.figure import INK, MUTED, Axis, Figure, Line, Mark, Panel, Points, Rule, series

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "planning.md"
ABOUT = {
    "approach1": "envelope of training curves (Hoffmann et al. 2022)",
    "approach2": "parabola in ln size per budget (Hoffmann et al. 2022)",
    "akima": "Akima interpolation per budget (Porian et al. 2024)",
    "approach3": "certified Huber fit of the Chinchilla law",
    "varpro": "the same law by variable projection, squares of the loss (Czech et al. 2026)",
    "kaplan": "coupled law without a floor (Kaplan et al. 2020)",
    "network": "network over size and data, searched both ways (Barkeshli et al. 2026)",
    "kernel": "kernel regression, searched in the same way",
}


def main() -> None:
    bias_picture(_read("bias"))
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written to {PAGE}")


def page() -> str:
    """Return the page as Markdown."""
    return (
        "\n\n".join(
            [
                "# Planning",
                "Written by `python -m benchmarks.planning_tables` from `benchmarks/results/*.json`; each section names the "
                "command that made the numbers.",
                *_bias(_read("bias")),
                *_coverage(_read("plan_coverage")),
                design_section(),
                *_speed(_read("frontier")),
            ]
        )
        + "\n"
    )


# ---- methods compared ---------------------------------------------------------------------------------------------------


def _bias(found: dict[str, Any]) -> list[str]:
    rows = {(r["truth"], r["grid"], r["method"]): r for r in found["rows"]}
    grids = list(found["grids"])
    truths = [t for t in found["truths"] if all((t, g, "approach3") in rows for g in grids)]
    methods = list(dict.fromkeys(method for *_, method in rows))

    def clean(truth: str, grid: str, method: str) -> str:
        part = rows[truth, grid, method]["noise_free"]
        return _percent(part["10x"]["median"]) if "10x" in part else "no answer"

    def noisy(truth: str, grid: str, method: str) -> str:
        part = rows[truth, grid, method]["noisy"]
        if "100x" not in part or part["answered"] < 0.5:
            return f"answers {part['answered']:.0%}"
        at = part["100x"]
        share = "" if part["answered"] > 0.99 else f", answers {part['answered']:.0%}"
        return f"{_percent(at['median'])} ± {100 * np.expm1(at['spread']):.0f}%, {at['waste']:.1%}{share}"

    def mean(method: str, what: str, factor: str, of: Any) -> float:
        parts = [rows[truth, grid, method][what] for truth in truths for grid in grids]
        return float(np.median([of(part) for part in parts if factor in part]))

    law, parabola = (
        max(
            abs(np.expm1(rows[t, g, m]["noise_free"][f]["median"]))
            for t in truths
            for g in grids
            for f in ("1x", "10x", "100x")
        )
        for m in ("approach3", "approach2")
    )
    widths = {name: np.exp(grid["half_width"]) for name, grid in found["grids"].items()}
    described = (
        f"narrow: sizes up to {widths['narrow']:.0f} times above and below the best one; wide: up to {widths['wide']:.0f} "
        f"times; off centre: the wide grid around {np.exp(found['grids']['off centre']['offset']):.0f} times the best size; "
        f"drifting: the wide grid, its centre moving by a factor of {np.exp(found['grids']['drifting']['drift']):.0f} from the "
        "first budget to the last"
    )
    laws = "; ".join(
        f"{name}: alpha {t['alpha']}, beta {t['beta']}, {t['reducible']} nats above the floor at 1e20 FLOP"
        for name, t in found["truths"].items()
        if name in truths
    )
    summary = [
        [
            method,
            ABOUT[method],
            f"{100 * mean(method, 'noise_free', '10x', lambda p: abs(np.expm1(p['10x']['median']))):.2g}%",
            f"{100 * mean(method, 'noisy', '100x', lambda p: abs(np.expm1(p['100x']['median']))):.2g}%",
            f"{100 * mean(method, 'noisy', '100x', lambda p: np.expm1(p['100x']['spread'])):.2g}%",
            f"{mean(method, 'noisy', '100x', lambda p: p['a']['median']):+.3f} ± "
            f"{mean(method, 'noisy', '100x', lambda p: p['a']['spread']):.3f}",
            f"{mean(method, 'noisy', '100x', lambda p: p['100x']['waste']):.1%}",
        ]
        for method in methods
    ]
    return [
        "## Methods compared: bias and spread",
        "`scalinglens plan RUNS --methods all --flops 1e24` puts every method on one table. Which to believe? "
        f"`python -m benchmarks.bias`: {len(truths)} true laws, {len(grids)} grids of runs at equal compute "
        f"({len(found['budgets'])} budgets from {found['budgets'][0]:.0e} to {found['budgets'][-1]:.0e} FLOP, {found['sizes']} "
        f"sizes each), once without noise and in {found['worlds']} tables with {found['noise']:.1%} noise each. Approach 1 gets "
        "training curves over the same sizes and compute.",
        "![Bias of the methods](bias.png)",
        f"Without noise the certified law finds the best size to within {law:.0e} everywhere; approach 2 is off by up to "
        f"{parabola:.0%}, by its geometry alone. To leading order its ln size is off by (beta - alpha)(d²/2 - m/6), where d is "
        "how far the grid is centred off the best size and m the ratio of the mean fourth and second powers of its deviations, "
        "in ln size: centred grids give too large a size where alpha > beta. The column `bias here` of the comparison is this "
        "bias on the user's own runs. Medians over all laws and grids (size: relative error; waste: share of compute):",
        _table(
            ["method", "", "error of size, no noise, 10x", "with noise, 100x", "spread", "error of a", "waste, 100x"],
            summary,
        ),
        f"Laws: {laws}. Grids: {described}.",
        "Error of the best size at 10 times the largest budget, without noise:",
        _table(
            ["truth", "grid", *methods],
            ([t, g, *(clean(t, g, m) for m in methods)] for t in truths for g in grids),
        ),
        "With noise, at 100 times the largest budget: median error of the size ± half of its middle 68%, median waste:",
        _table(
            ["truth", "grid", *methods],
            ([t, g, *(noisy(t, g, m) for m in methods)] for t in truths for g in grids),
        ),
        *_reading(rows, truths, grids, methods),
    ]


def _reading(rows: dict[Any, Any], truths: list[str], grids: list[str], methods: list[str]) -> list[str]:
    """What the tables say, counted."""
    kinds = [(t, g) for t in truths for g in grids]

    def wins(of: str) -> dict[str, int]:
        best = []
        for t, g in kinds:
            parts = {m: rows[t, g, m]["noisy"] for m in methods}
            known = {m: p["100x"][of] for m, p in parts.items() if "100x" in p and p["answered"] > 0.9}
            best.append(min(known, key=lambda m: known[m]))
        return {m: best.count(m) for m in methods if m in best}

    least = ", ".join(f"{m} {n}" for m, n in sorted(wins("waste").items(), key=lambda item: -item[1]))
    ratio = np.median(
        [
            rows[t, g, "approach3"]["noisy"]["100x"]["spread"] / rows[t, g, "varpro"]["noisy"]["100x"]["spread"]
            for t, g in kinds
        ]
    )
    silent = {m: min(rows[t, g, m]["noisy"]["answered"] for t, g in kinds) for m in methods}
    often = ", ".join(f"{m} {share:.0%}" for m, share in silent.items() if share < 0.99)
    return [
        f"Least waste in the {len(kinds)} kinds: {least}."
        + (
            f" Methods that refuse some tables, with the lowest share of answers in any kind: {often}." if often else ""
        ),
        f"The noise here is Gaussian and of one size, where least squares are the best there is; Huber's loss of approach 3 has "
        f"{ratio:.2f} times the spread of variable projection and pays that for stray runs, of which these tables have none.",
    ]


def _percent(log: float) -> str:
    value = 100 * float(np.expm1(log))
    return f"{0.0 if abs(value) < 0.005 else value:+.{2 if abs(value) < 1 else 1}f}%"


def bias_picture(found: dict[str, Any]) -> None:
    """Bias of approach 2 over width and centre without noise, and bias against spread of all methods with noise."""
    from scalinglens.figures.matplotlib import draw

    draw(bias_figure(found)).savefig(DOCS / "bias.png", format="png")


def bias_figure(found: dict[str, Any]) -> Figure:
    """Return the picture as data."""
    shown = ("equal exponents", "Chinchilla", "unequal exponents")
    panels = []
    for over, title, label in (
        ("half_width", "Approach 2, wider grids", "largest size over the best one"),
        ("offset", "Approach 2, grids off centre", "centre of the grid over the best size"),
    ):
        marks: list[Mark] = [Rule(0.0, "y", MUTED, "dotted")]
        for part in found["sweeps"]:
            if part["over"] != over:
                continue
            x, y = np.exp(part["x"]), 100 * np.expm1(part["error"])
            if part["method"] == "approach2" and part["truth"] in shown:
                marks.append(Line(x, y, series(shown.index(part["truth"])), 1.8, label=part["truth"]))
            if part["method"] == "approach3" and part["truth"] == "unequal exponents":
                marks.append(Line(x, y, INK, 1.8, "dashed", label="the law, all of them"))
        panels.append(Panel(title, Axis(label, "log"), Axis("error of the best size (%)"), tuple(marks)))
    methods = list(dict.fromkeys(row["method"] for row in found["rows"]))
    marks = []
    for i, method in enumerate(methods):
        parts = [r["noisy"] for r in found["rows"] if r["method"] == method and "100x" in r["noisy"]]
        bias = np.array([100 * abs(np.expm1(p["100x"]["median"])) for p in parts])
        spread = np.array([100 * np.expm1(p["100x"]["spread"]) for p in parts])
        middle = max(float(np.median(bias)), 0.1), float(np.median(spread))
        marks.append(Points(np.maximum(bias, 0.1), spread, series(i), symbol="ring", size=2.5))
        marks.append(Points(middle[:1], middle[1:], series(i), size=7))
        marks.append(Line((middle[0], middle[0] * 1.001), (middle[1],) * 2, series(i), label=method))
    panels.append(
        Panel(
            "All methods with noise, 100 times the budget",
            Axis("bias of the size, absolute (%)", "log"),
            Axis("spread of the size (%)", "log"),
            tuple(marks),
            weight=1.3,
        )
    )
    noise, worlds = found["noise"], found["worlds"]
    return Figure(
        "What methods of planning get wrong",
        tuple(panels),
        subtitle=f"left and middle: no noise at all; right: {noise:.1%} noise, {worlds} tables of each of "
        f"{len({(row['truth'], row['grid']) for row in found['rows']})} kinds (small rings), medians (dots)",
    )


# ---- intervals of the best size -----------------------------------------------------------------------------------------


def _coverage(found: dict[str, Any]) -> list[str]:
    rows = []
    for row in found["rows"]:
        held = [f"{row[k]['held']:.0%}" for k in ("10x", "100x")]
        widths = [f"{row[k]['median_width']:.1f}" for k in ("10x", "100x")]
        rows.append([row["kind"], f"{row['answered']} of {row['worlds']}", *held, " / ".join(widths)])
    well = found["well_specified"]
    said = " and ".join(f"{well[k]['held']:.1%} at {k}" for k in ("10x", "100x"))
    return [
        "## Intervals of the best size",
        f"`python -m benchmarks.plan_coverage`: share of worlds whose {found['level']:.0%} interval of N* holds that of the true "
        f"law, at 10 and 100 times the largest compute of the table, law `{found['law']}`. Where the law is right, over all "
        f"kinds: {said}. The last kinds are of another law, and there an interval of one law is none of the truth.",
        _table(["worlds", "answered", "held, 10x", "held, 100x", "high end over low end, median"], rows),
    ]


# ---- speed --------------------------------------------------------------------------------------------------------------


def _speed(found: dict[str, Any]) -> list[str]:
    rows = [
        [name, case["how"], f"{case['processor_seconds']:.2f}", f"{case['seconds']:.2f}"]
        for name, case in found["cases"].items()
    ]
    return [
        "## Speed",
        f"`python -m benchmarks.frontier`: {found['budgets']:,} budgets with intervals from {found['draws']:,} draws, seconds of "
        "one processor and on the clock (medians of three, on whatever else the machine was doing):",
        _table(["question", "how", "processor", "clock"], rows),
    ]


if __name__ == "__main__":
    main()
