"""Write docs/trust.md from the recorded results, so that no number in it was typed by hand.

python -m benchmarks.tables
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from benchmarks.__main__ import RESULTS
from benchmarks.worlds import MISSPECIFIED, WELL_SPECIFIED

PAGE = Path(__file__).parents[1] / "docs" / "trust.md"


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written to {PAGE}")


def page() -> str:
    """Return the page as Markdown."""
    return (
        "\n\n".join(
            [
                "# How far to trust it",
                "Written by `python -m benchmarks.tables` from `benchmarks/results/*.json`; each section names the command that "
                "made the numbers.",
                *_coverage(_read("coverage")),
                *_curves(_read("curves")),
                *_long_range(_read("long_range")),
                *_breaks(_read("breaks")),
                *_live(_read("live")),
                *_extrapolation(_read("extrapolation")),
            ]
        )
        + "\n"
    )


def _read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _coverage(found: dict[str, Any]) -> list[str]:
    rows = {(row["kind"], row["method"]): row for row in found["rows"]}
    methods = list(dict.fromkeys(method for _, method in rows))

    def cell(kind: str, method: str) -> str:
        row = rows.get((kind, method))
        return "-" if row is None else f"{row['10x']['new_run']:.1%} / {row['100x']['new_run']:.1%}"

    def wrong(kind: str, method: str) -> list[str]:
        row = rows[kind, method]
        parts = [(row[f]["new_run"], row[f]["median_width"], row[f]["mean_score"]) for f in ("10x", "100x")]
        return [f"{a:.1%}, {w:.3f}, {s:.3f}" for a, w, s in parts]

    worlds = max(row["worlds"] for row in found["rows"])
    single = "parametric (default)"
    both = [kind for kind in MISSPECIFIED if {(kind, "auto"), (kind, single)} <= set(rows)]
    fewest = min((rows[kind, "auto"]["worlds"] for kind in both), default=0)
    return [
        "## Intervals of a new run",
        f"`python -m benchmarks.coverage`: up to {worlds} synthetic worlds of each kind (`benchmarks/worlds.py`), each with a "
        "law, a grid of runs and a noise of its own. Share of worlds whose 90% interval held a new compute-optimal run at 10 "
        f"and at 100 times the largest compute of the table, law `{found['law']}`:",
        _table(
            ["worlds", *[method for method in methods if method != "auto"]],
            ([kind, *(cell(kind, method) for method in methods if method != "auto")] for kind in WELL_SPECIFIED),
        ),
        "The default makes up noise as large as it finds it, growing with the loss and shared within groups where that is so. "
        f"Where the law is wrong ({fewest} worlds or more): coverage, median width and mean interval score (smaller "
        "is better), the last two relative to the loss:",
        _table(
            ["truth", "one law, 10x", "one law, 100x", "`auto`, 10x", "`auto`, 100x"],
            ([kind, *wrong(kind, single), *wrong(kind, "auto")] for kind in both),
        ),
    ]


def _curves(found: dict[str, Any]) -> list[str]:
    laws = list(found["all"]["mean"])
    number = lambda value: f"{value:.5f}"  # noqa: E731
    wins = found["auto_wins_of_92"]
    held = found["coverage_of_90_percent"]
    rows = [[domain, *(number(scores[law]) for law in laws)] for domain, scores in found["rmsle"].items()]
    rows += [[f"all 92, {kind}", *(number(found["all"][kind][law]) for law in laws)] for kind in ("mean", "median")]
    rows += [["90% intervals held", *(f"{held[law]:.0%}" for law in laws)]]
    lost = [
        f"{domain} (against {', '.join(law for law in ('M4', 'BNSL') if scores[law] < scores['auto'])})"
        for domain, scores in found["rmsle"].items()
        if min(scores["M4"], scores["BNSL"]) < scores["auto"]
    ]
    said = (
        f"`auto` has the lowest mean of all laws but in {' and '.join(lost)}. "
        if lost
        else "`auto` beats M4 and BNSL in the mean of every domain. "
    )
    return [
        "## 92 learning curves",
        "`python -m benchmarks.curves`: the benchmark of Alabdulmohsin et al. (2022), duplicates dropped, each law fitted to "
        "the first part of a curve and scored by RMSLE on the rest, about one doubling further; every curve is in "
        "[curves.csv](../benchmarks/results/curves.csv).",
        _table(["domain means", *laws], rows),
        said
        + _told_apart()
        + f" It wins against M4 on {wins['M4']} curves and against BNSL on {wins['BNSL']} of 92. Its rule was fixed on "
        "earlier origins, on other curves and on synthetic ones, and these targets were scored with it afterwards "
        "(`fit/curves/rule.py` says what was looked at when).",
    ]


def _told_apart() -> str:
    """Where `auto` can be told from M4 and the broken law, domain by domain, by a paired test over curves."""
    scores = pd.read_csv(RESULTS / "curves.csv")
    words = []
    for domain, rows in scores.groupby("domain"):
        for law in ("M4", "BNSL"):
            p = float(wilcoxon(np.log(rows["auto"]), np.log(rows[law])).pvalue)
            wins = int((rows["auto"] < rows[law]).sum())
            worst = rows["auto"].sub(rows[law]).idxmax()
            lost = rows["auto"].mean() > rows[law].mean()
            rest = rows.drop(index=worst)
            turned = rest["auto"].mean() <= rest[law].mean()
            words.append(
                f"{domain} against {law} {wins} of {len(rows)}, p = {p:.2g}"
                + (" (behind in the mean" + (", because of one curve)" if turned else ")") if lost else "")
            )
    return "Curves won and the paired Wilcoxon test of the logarithms of the errors: " + "; ".join(words) + "."


def _long_range(found: dict[str, Any]) -> list[str]:
    laws = [*found["by_kind"]["made"]["error"]]
    head = ["curves", "forecasts", *laws, "to best law", "to M4", "to BNSL", "90% intervals held"]

    def row(name: str, part: dict[str, Any]) -> list[str]:
        errors = [f"{part['error'][law]:.4f}" for law in laws]
        ratios = [f"{part[key]:.2f}" for key in ("to_best_law", "to_M4", "to_BNSL")]
        return [name, str(part["forecasts"]), *errors, *ratios, f"{part['held_by_90_percent']:.0%}"]

    spread = ", ".join(
        f"{kind}: "
        + " / ".join(f"{part['to_best_of_each'][q]:.2f}" for q in ("0.5", "0.75", "0.9"))
        + f", ahead of M4 in {part['wins_against_M4']:.0%} and of BNSL in {part['wins_against_BNSL']:.0%}"
        for kind, part in found["by_kind"].items()
    )
    key = lambda item: (item[0].split(", ")[:-1], float(item[0].split(", ")[-1][:-1]))  # noqa: E731
    return [
        "## Long forecasts of curves",
        "`python -m benchmarks.long_range`: made curves of eleven families with and without noise, 7 to 40 rows, 2 to 16 times "
        "beyond them (other draws than those the rule was developed on; of the families marked new it was developed on none), "
        "and public training curves cut at a quarter or a sixteenth (none it was developed on). Geometric means of the errors of "
        "the logarithm; below 1e-4 counts as 1e-4. The ratios are those of `auto` to the law that is best in the row, which "
        "nobody knows beforehand, and to M4 and the broken law:",
        _table(head, (row(name, part) for name, part in sorted(found["by_factor"].items(), key=key))),
        "By family, all distances:",
        _table(head, (row(name, part) for name, part in found["by_family"].items())),
        "Ratio to the law that is best for that very curve and distance, median / upper quartile / upper tenth: "
        + spread
        + ".",
    ]


def _breaks(found: dict[str, Any]) -> list[str]:
    alarms, power = (found[kind]["breaks_found"] for kind in ("unbroken", "broken"))
    return [
        "## Breaks",
        f"`python -m benchmarks.breaks`: a break is reported in {alarms:.1%} of {found['unbroken']['worlds']} unbroken power "
        f"laws with a floor, and in {power:.1%} of {found['broken']['worlds']} curves with a planted one.",
    ]


def _live(found: dict[str, Any]) -> list[str]:
    return [
        "## Forecasts of running jobs",
        "`python -m benchmarks.live`: `scalinglens watch` on public training curves, stopped early; 90% intervals of the final "
        "loss.",
        _table(
            ["curves", "share of the run seen", "forecasts", "held", "median error", "half width"],
            (
                [
                    p["part"],
                    f"{p['stop']:.0%}",
                    str(p["curves"]),
                    *(f"{p[name]:.1%}" for name in ("inside", "error", "half_width")),
                ]
                for p in found["parts"]
            ),
        ),
    ]


def _extrapolation(found: dict[str, Any]) -> list[str]:
    rows = []
    for task in found["tasks"].values():
        chosen = task["chosen"]
        rows.append([task["name"], task["split"], f"{task['train']} / {task['test']}", chosen["form"]])
        rows[-1].append(f"{chosen['test_r2']:.4f}")
    return [
        "## Extrapolation tasks",
        "`python -m benchmarks.extrapolation`: tasks in the manner of SLDBench. The law is chosen by its R2 at origins inside "
        "the training part among certified fits; the lists of candidates were written with some test scores known.",
        _table(["task", "split", "rows", "law chosen", "R2 of the test rows"], rows),
    ]


if __name__ == "__main__":
    main()
