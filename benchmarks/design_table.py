"""The section of docs/planning.md about designed runs, from benchmarks/results/design.json.

python -m benchmarks.design_table
"""

from __future__ import annotations

import json
from typing import Any

from benchmarks.__main__ import RESULTS

__all__ = ["design_section"]

NAMES = {
    "worlds/loss/law_right": "worlds, loss, law right",
    "worlds/loss/law_wrong": "worlds, loss, law wrong",
    "worlds/size/law_right": "worlds, size, law right",
    "worlds/size/law_wrong": "worlds, size, law wrong",
    "worlds/loss/all": "worlds, loss, all",
    "worlds/size/all": "worlds, size, all",
    "tables/porian": "Porian",
    "tables/gemstones": "Gemstones",
    "tables/steplaw": "StepLaw",
}
ARMS = ("designed", "random", "largest")


def design_section() -> str:
    """Return the section as Markdown: what the study did, errors at 15% of the compute, shares needed, what it does not show."""
    record = json.loads((RESULTS / "design.json").read_text())
    at = record["shares"].index(0.15)
    found = {key: part for key in NAMES if (part := _part(record, key)) is not None}
    worlds = sum(found[key]["bend"]["experiments"] for key in found if key == "worlds/loss/all")
    lines = [
        "## Which runs to make next",
        "",
        f"`benchmarks/design.py` buys runs of a table up to a share of its compute, in {worlds} made-up worlds and three public",
        "tables, and reads every set of runs by one estimator. The error is that of the decision at the target, of ln loss or of",
        f"ln N*. `designed` chooses with `design`, in two stages; `random` is the mean of {record['settings']['random']} orders;",
        "`largest` takes the dearest runs that fit.",
        "",
        "Error (root mean square) at 15% of the compute, that of the full table beside it, and how often the designed runs have",
        "the smaller error, with its binomial standard error:",
        "",
        "| decisions | n | full | designed | random | largest | beats random | beats largest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key, part in found.items():
        arms = part["bend"]["arms"]
        cells = [f"{arms[kind]['rms'][at]:.4f}" for kind in ARMS]
        wins = [_win(arms[kind], at) for kind in ("random", "largest")]
        full = part["bend"]["error_full"]["rms"]
        lines.append(f"| {' | '.join([NAMES[key], str(part['bend']['experiments']), f'{full:.4f}', *cells, *wins])} |")
    lines += [
        "",
        "Error at 15% over that of the full table, and the share of compute from which the error is at most 1.1 times that of",
        "the full table (1 where it never is): quartiles, and how many experiments need at most 15%:",
        "",
        "| decisions | over full, designed | random | largest | share needed, designed | at most 15% | random | largest |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key, part in found.items():
        arms = part["bend"]["arms"]
        over = [_quartiles(arms[kind]["over_full_quartiles"][at]) for kind in ARMS]
        needed = " / ".join(f"{q:.0%}" for q in arms["designed"]["share_needed_quartiles"])
        within = [f"{arms[kind]['within_15_percent']:.0%}" for kind in ARMS]
        lines.append(f"| {' | '.join([NAMES[key], *over, needed, *within])} |")
    lines += [
        "",
        "The same sets of runs, read by the same prior that trusts the law everywhere (`plain`; error at 15%):",
        "",
        "| decisions | full | designed | random | largest |",
        "|---|---|---|---|---|",
    ]
    for key, part in found.items():
        full = f"{part['plain']['error_full']['rms']:.4f}"
        cells = [f"{part['plain']['arms'][kind]['rms'][at]:.4f}" for kind in ARMS]
        lines.append(f"| {' | '.join([NAMES[key], full, *cells])} |")
    lines += ["", *_verdict(found, at)]
    return "\n".join(lines) + "\n"


def _verdict(found: dict[str, Any], at: int) -> list[str]:
    """What the numbers allow to say, and what they do not: written from them."""
    clear = {kind: [] for kind in ("random", "largest")}
    unclear = {kind: [] for kind in clear}
    for key, part in found.items():
        for kind in clear:
            arm = part["bend"]["arms"][kind]
            won, sure = arm["designed_beats"][at], arm["standard_error"][at]
            (clear if won - 2 * sure > 0.5 else unclear)[kind].append(NAMES[key])
    lines = []
    for kind in clear:
        better = ", ".join(clear[kind]) or "nowhere"
        rest = f"; not clearly on: {', '.join(unclear[kind])}" if unclear[kind] else ""
        lines.append(
            f"- At equal cost the designed runs beat `{kind}` by more than two standard errors on: {better}{rest}."
        )
    met = [NAMES[k] for k, part in found.items() if part["bend"]["arms"]["designed"]["within_15_percent"] >= 0.5]
    lines.append(
        "- 15% of the compute reaches 1.1 times the error of the full table in at least half of the experiments on: "
        f"{', '.join(met) or 'none of these'}."
    )
    return lines


def _part(record: dict[str, Any], key: str) -> dict[str, Any] | None:
    where, _, name = key.partition("/")
    return record[where].get(name)


def _win(arm: dict[str, Any], at: int) -> str:
    return f"{arm['designed_beats'][at]:.0%} ± {arm['standard_error'][at]:.0%}"


def _quartiles(values: list[float]) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


if __name__ == "__main__":
    print(design_section(), end="")
