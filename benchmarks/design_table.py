"""The section of docs/planning.md about designed runs, from benchmarks/results/design.json.

python -m benchmarks.design_table
"""

from __future__ import annotations

from typing import Any

from benchmarks.design_summary import ARMS, CLOSE
from benchmarks.tables import _read, _table

__all__ = ["design_section"]

NAMES = {
    "worlds/loss/law_right": "worlds, loss, law right",
    "worlds/loss/law_wrong": "worlds, loss, law wrong",
    "worlds/loss/all": "worlds, loss, all",
    "worlds/size/law_right": "worlds, size, law right",
    "worlds/size/law_wrong": "worlds, size, law wrong",
    "worlds/size/all": "worlds, size, all",
    "tables/porian": "Porian, loss",
    "tables/porian_size": "Porian, size",
    "tables/gemstones": "Gemstones, loss",
    "tables/steplaw": "StepLaw, loss",
    "tables/steplaw_last": "StepLaw, loss of the last step",
}
AT = 0.15
SURE = 2.0  # standard errors


def design_section() -> str:
    """Return the section as Markdown: what the study did, errors at 15% of the compute, shares needed, what it does not show."""
    record = _read("design")
    at, orders, spent = record["shares"].index(AT), record["settings"]["random"], record["settings"]["spent"]
    found = {key: part for key in NAMES if (part := _part(record, key)) is not None}
    worlds = found["worlds/loss/all"]["experiments"] if "worlds/loss/all" in found else 0
    public = sum(part["experiments"] for key, part in found.items() if key.startswith("tables/"))
    return "\n".join(
        [
            "## Which runs to make next",
            "",
            f"`benchmarks/design.py` buys runs of a table up to a share of its compute, in {worlds} made-up worlds and",
            f"{public} experiments with three public tables, and reads every set of runs by one estimator, which weighs how",
            "wrong the law is by the runs themselves. The error is that of the decision at the target, of ln loss or of ln N*.",
            "`designed` plans with the criterion of `design`, makes the cheapest runs of the plan first and plans again, in",
            f"three stages. `random` draws runs until the next does not fit, if {spent:.0%} of the share are spent by then;",
            "`filled` goes on with every run that still fits, so that it has nearly all cheap runs, as the designed choice",
            f"has, and only the dear ones are left to chance; both are the mean of {orders}. `largest` takes the dearest runs",
            "that fit.",
            "",
            *_errors(found, at),
            "",
            *_pairs(found, record["shares"]),
            "",
            *_shares(found, at, record["shares"]),
            "",
            *_verdict(found, at, record["shares"]),
            "",
        ]
    )


def _errors(found: dict[str, Any], at: int) -> list[str]:
    rows = []
    for key, part in found.items():
        full = f"{part['full']['rms']:.4f} ({part['full']['median']:.4f})"
        cells = [f"{part['arms'][k]['rms'][at]:.4f} ({part['arms'][k]['median'][at]:.4f})" for k in ARMS]
        rows.append([NAMES[key], str(part["experiments"]), full, *cells])
    return [
        "Error at 15% of the compute, root mean square (median), that of the full table beside it:",
        "",
        _table(["decisions", "n", "full table", *ARMS], rows),
    ]


def _pairs(found: dict[str, Any], shares: list[float]) -> list[str]:
    lines = [
        "Pair by pair at equal cost, at every share: the mean of ln error, designed minus other, ± its standard error, clusters",
        "of dependent experiments counted as one; in brackets how often the designed runs have the smaller error (ties half).",
    ]
    for kind in ARMS[1:]:
        rows = []
        for key, part in found.items():
            pair = part["arms"][kind]["against"]
            cells = [
                f"{mean:+.2f} ± {error:.2f} ({won:.0%})"
                for (mean, error), (won, _) in zip(pair["ln_ratio"], pair["won"], strict=True)
            ]
            rows.append([NAMES[key], str(part["clusters"]), *cells])
        lines += ["", _table([f"against {kind}", "clusters", *(f"{share:.0%}" for share in shares)], rows)]
    return lines


def _shares(found: dict[str, Any], at: int, shares: list[float]) -> list[str]:
    keys, rows = [*(f"{s:g}" for s in shares), "1"], []
    for key, part in found.items():
        arms = part["arms"]
        low, high = arms["designed"]["over_full_interval"][at]
        over = [f"{arms['designed']['over_full'][at]:.2f} ({low:.2f} to {high:.2f})"]
        over += [f"{arms[kind]['over_full'][at]:.2f}" for kind in ARMS[1:]]
        needed = [f"{arms[kind]['share']:.0%}" for kind in ARMS]
        spread = [
            " / ".join(f"{100 * arms['designed'][name][k]:.0f}" for k in keys)
            for name in ("share_resampled", "share_single")
        ]
        rows.append([NAMES[key], *over, *needed, *spread])
    head = ["decisions", f"over full: {ARMS[0]}", *ARMS[1:], f"share: {ARMS[0]}", *ARMS[1:], "redrawn", "single"]
    return [
        "What the full table's error costs. Root mean square at 15% over that of the full table (90% interval, clusters",
        f"drawn anew); the smallest share of compute at which it is at most {CLOSE:g}; how that share is distributed when",
        f"clusters are drawn anew, and over single experiments ({' / '.join(f'{float(k):.0%}' for k in keys)}):",
        "",
        _table(head, rows),
    ]


def _verdict(found: dict[str, Any], at: int, shares: list[float]) -> list[str]:
    """What the numbers allow to say, and what they do not: written from them."""
    lines = [
        f"- Against `{kind}` at equal cost, by more than two standard errors of the mean logarithm, the error of designed "
        f"runs is smaller on: {_decided(found, kind, shares, -1)}. "
        f"Larger on: {_decided(found, kind, shares, 1)}. Elsewhere it is not decided."
        for kind in ARMS[1:]
    ]
    met = {key: part["arms"]["designed"] for key, part in found.items()}
    reached = [NAMES[k] for k, arm in met.items() if arm["over_full"][at] <= CLOSE]
    missed = [f"{NAMES[k]} ({arm['share']:.0%})" for k, arm in met.items() if arm["over_full"][at] > CLOSE]
    lines.append(
        f"- 15% of the compute gives at most {CLOSE:g} times the error of the full table on: {'; '.join(reached) or 'none'}. "
        f"Not on (share that does): {'; '.join(missed) or 'none'}."
    )
    lines.append(
        "- The standard errors of Gemstones and StepLaw hold for other targets of these tables, not for other tables, and rest "
        f"on few clusters. Of {len(found) * len(shares) * len(ARMS[1:])} comparisons one in twenty would look decided by chance."
    )
    return lines


def _decided(found: dict[str, Any], kind: str, shares: list[float], sign: int) -> str:
    """Decisions, and shares, at which the mean of ln error has this sign beyond doubt."""
    said = []
    for key, part in found.items():
        pairs = zip(shares, part["arms"][kind]["against"]["ln_ratio"], strict=True)
        if where := [f"{share:.0%}" for share, (mean, error) in pairs if sign * mean > SURE * error]:
            said.append(f"{NAMES[key]} ({', '.join(where)})")
    return "; ".join(said) or "nothing"


def _part(record: dict[str, Any], key: str) -> dict[str, Any] | None:
    where, _, name = key.partition("/")
    return record[where].get(name)


if __name__ == "__main__":
    print(design_section(), end="")
