"""What the project's own runs show (data/runs.parquet): transfer of the learning rate, the floor of width, the law of data.

    python -m benchmarks.own_runs

The runs were made by `scalinglens sweep data/sweeps/NAME.toml`. A setting is its best learning rate by the mean over seeds.
Written are benchmarks/results/own_runs.json and two figures, docs/transfer.png and docs/floor.png.

transfer    the best learning rate of each width by a parabola in its logarithm, and how far it moves between widths
floor       excess = floor(d) + B D^-beta with the computed floor of logits of rank d, and two free numbers; also fitted to
            D <= 1M only, to predict the rest
data        exponent of D where width does not bind, and the excess over what a table of counts would reach
threshold   width on a sparse graph
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from benchmarks.__main__ import RESULTS, commit, machine
from scalinglens.worlds.floor import logit_floor
from scalinglens.worlds.walks import kernel, walk

HOME = Path(__file__).resolve().parents[1]
TABLE = HOME / "data" / "runs.parquet"
M = 1e6


def runs_of(frame: pd.DataFrame, world: str, parameterization: str = "mup") -> pd.DataFrame:
    """Finished runs on a world whose name begins so."""
    kept = frame[frame["world"].str.startswith(world) & (frame["parameterization"] == parameterization)]
    return kept[np.isfinite(kept["loss"])]


def best(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean over seeds, then the best learning rate of each width and horizon."""
    mean = frame.groupby(["width", "tokens", "learning_rate"], as_index=False)["excess"].mean()
    return mean.loc[mean.groupby(["width", "tokens"])["excess"].idxmin()].reset_index(drop=True)


def optimum(rates: np.ndarray, excess: np.ndarray) -> tuple[float, bool]:
    """Best learning rate by a parabola in its logarithm through the lowest three, and whether it lies inside the grid."""
    at = int(np.argmin(excess))
    if at in (0, len(rates) - 1):
        return float(rates[at]), False
    x, y = np.log(rates[at - 1 : at + 2]), np.log(excess[at - 1 : at + 2])
    a, b, _ = np.polyfit(x, y, 2)
    return float(np.exp(np.clip(-b / (2 * a), x[0], x[2]))), True


def transfer(frame: pd.DataFrame) -> dict[str, Any]:
    """Where the best learning rate lies at each width, for each parameterization."""
    found: dict[str, Any] = {}
    for how in ("mup", "matched", "standard"):
        runs = runs_of(frame, "walk er 64/256", how)
        runs = runs[(runs["tokens"] // 1000 == 499) & ~runs["learning_rate"].isin([0.015, 0.03])]
        widths: dict[str, Any] = {}
        for width, part in runs.groupby("width"):
            mean = part.groupby("learning_rate")["excess"].mean()
            rate, inside = optimum(mean.index.to_numpy(), mean.to_numpy())
            widths[str(int(width))] = {
                "best": rate,
                "inside": inside,
                "excess": float(mean.min()),
                "curve": {str(k): float(v) for k, v in mean.items()},
            }
        rates = [each["best"] for each in widths.values()]
        found[how] = {"widths": widths, "drift": max(rates) / min(rates)}
    return found


def law_of_floor(floors: np.ndarray, tokens: np.ndarray, excess: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Fit ln excess = ln(floor + B (D/1M)^-beta) and return B, beta and the residuals."""
    away = lambda p: np.log((floors + np.exp(p[0]) * (tokens / M) ** -p[1]) / excess)  # noqa: E731
    end = least_squares(away, [np.log(0.04), 0.75], xtol=1e-12)
    return float(np.exp(end.x[0])), float(end.x[1]), away(end.x)


def floor(frame: pd.DataFrame) -> dict[str, Any]:
    """Width and data together on the kernel of 256 nodes."""
    points = best(runs_of(frame, "kernel 256"))
    widths = sorted(int(w) for w in points["width"].unique())
    floors = {f.width: f for f in logit_floor(kernel(nodes=256), widths, starts=2, iterations=1500)}
    points["floor"] = [floors[int(w)].excess for w in points["width"]]
    all_of = [points[name].to_numpy(float) for name in ("floor", "tokens", "excess")]
    B, beta, away = law_of_floor(*all_of)
    small = points["tokens"] <= 1.01 * M
    part = [values[small] for values in all_of]
    B1, beta1, _ = law_of_floor(*part)
    far = points[~small]
    predicted = far["floor"] + B1 * (far["tokens"] / M) ** -beta1
    return {
        "floors": {
            str(w): {"excess": f.excess, "scatter": f.scatter, "converged": f.converged} for w, f in floors.items()
        },
        "points": points.to_dict("list"),
        "B": B,
        "beta": beta,
        "rms": float(np.sqrt(np.mean(away**2))),
        "worst": float(np.abs(away).max()),
        "fitted_to_1M": {
            "B": B1,
            "beta": beta1,
            "points": len(far),
            "relative_errors": (predicted / far["excess"] - 1).tolist(),
            "worst": float((predicted / far["excess"] - 1).abs().max()),
        },
        "below_floor": int((points["excess"] < points["floor"]).sum()),
        "entropy_rate": kernel(nodes=256).entropy_rate,
    }


def data_law(frame: pd.DataFrame) -> dict[str, Any]:
    """The exponent of data on the small graph, and the table of counts."""
    runs = runs_of(frame, "walk er 64/256")
    points = best(runs[runs["learning_rate"].isin([0.015, 0.03])])
    wide = points[(points["width"] >= 32) & (points["tokens"] <= 2.01 * M)]
    slopes = {
        str(width): float(-np.polyfit(np.log(part["tokens"]), np.log(part["excess"]), 1)[0])
        for width, part in wide.groupby("width")
    }
    x, y = np.log(wide["tokens"]), np.log(wide["excess"])
    x = x - x.groupby(wide["width"]).transform("mean")
    y = y - y.groupby(wide["width"]).transform("mean")
    return {
        "points": points.to_dict("list"),
        "exponent_to_2M": float(-(x @ y) / (x @ x)),
        "by_width": slopes,
    }


def baselines(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The excess at the largest size and data of every walk world, over the table of counts."""
    worlds = {
        "walk er 64/256": walk(nodes=64, edges=256),
        "walk er 128/640": walk(nodes=128, edges=640),
        "walk er 1024/5120": walk(nodes=1024, edges=5120),
        "walk ba 1024/5": walk(graph="ba", nodes=1024, attach=5),
        "kernel 256": kernel(nodes=256),
    }
    found = []
    for name, world in worlds.items():
        runs = runs_of(frame, name)
        if not len(runs):
            continue
        most = runs[runs["tokens"] == runs["tokens"].max()]
        most = most[most["width"] == most["width"].max()]
        row = most.loc[most["excess"].idxmin()]
        counted = world.counting_coefficient / row["tokens"]
        found.append(
            {
                "world": name,
                "width": int(row["width"]),
                "tokens": int(row["tokens"]),
                "entropy_rate": world.entropy_rate,
                "excess": float(row["excess"]),
                "excess_of_counts": counted,
                "ratio": float(row["excess"] / counted),
            }
        )
    return found


def threshold(frame: pd.DataFrame) -> dict[str, Any]:
    """Width on a sparse graph of 128 nodes."""
    return best(runs_of(frame, "walk er 128/640")).to_dict("list")


def language(frame: pd.DataFrame) -> dict[str, Any]:
    """Text against its table of pairs: the best loss of each width and horizon."""
    found = {}
    for name, world in (("text", "text "), ("pairs", "ngram 2 ")):
        runs = runs_of(frame, world)
        if len(runs):
            low = runs.loc[runs.groupby(["width", "tokens"])["loss"].idxmin()]
            known = ["excess"] if low["excess"].notna().all() else []  # nobody knows the entropy of a text
            found[name] = low[["width", "tokens", "loss", *known, "learning_rate"]].to_dict("list")
    return found


def draw_transfer(found: dict[str, Any]) -> None:
    """Three panels: excess against the learning rate, a line per width."""
    figure, axes = plt.subplots(1, 3, figsize=(10, 3.4), sharey=True, layout="constrained")
    titles = {"mup": "muP", "matched": "muP's multipliers, no rule for width", "standard": "standard, tied"}
    for axis, (how, part) in zip(axes, found.items(), strict=True):
        for shade, (width, each) in zip(np.linspace(0.25, 0.9, 4), part["widths"].items(), strict=True):
            rates = [float(rate) for rate in each["curve"]]
            color = plt.get_cmap("viridis")(1 - shade)
            axis.loglog(rates, each["curve"].values(), "o-", ms=3.5, color=color, label=f"width {width}")
            axis.plot(each["best"], each["excess"], "*", ms=11, color=color, mec="white", mew=0.6)
        axis.set(title=f"{titles[how]}\nbest rate moves {part['drift']:.1f}x", xlabel="learning rate", ylim=(0.01, 2))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("excess over the entropy [nats/token]")
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(HOME / "docs" / "transfer.png", dpi=150)


def draw_floor(found: dict[str, Any]) -> None:
    """Excess against data, a line per width: measured, the law, and its floors."""
    points = pd.DataFrame(found["points"])
    figure, axis = plt.subplots(figsize=(5.6, 4), layout="constrained")
    grid = np.geomspace(2e5, 6e6, 60)
    widths = sorted(points["width"].unique())
    for shade, width in zip(np.linspace(0.1, 0.9, len(widths)), widths, strict=True):
        color, part = plt.get_cmap("viridis")(1 - shade), points[points["width"] == width]
        low = found["floors"][str(int(width))]["excess"]
        axis.loglog(part["tokens"], part["excess"], "o", ms=4.5, color=color, label=f"width {int(width)}")
        axis.plot(grid, low + found["B"] * (grid / M) ** -found["beta"], "-", lw=1, color=color)
        axis.axhline(low, ls=":", lw=0.8, color=color)
    axis.set(xlabel="training tokens", ylabel="excess over the entropy [nats/token]")
    axis.set(xlim=(grid[0], 1.1e7), ylim=(8e-3, 0.3))
    axis.set_xticks([2.5e5, 5e5, 1e6, 2e6, 4e6], ["250k", "500k", "1M", "2M", "4M"])
    axis.set_xticks([], minor=True)
    axis.set_title("floor(d) computed (dotted), two numbers fitted", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8, loc="right")
    figure.savefig(HOME / "docs" / "floor.png", dpi=150)


def main() -> None:
    frame = pd.read_parquet(TABLE)
    found = {
        "runs": len(frame),
        "diverged": int((~np.isfinite(frame["loss"])).sum()),
        "transfer": transfer(frame),
        "floor": floor(frame),
        "data": data_law(frame),
        "threshold": threshold(frame),
        "counting": baselines(frame),
        "language": language(frame),
        "commit": commit(),
        "machine": machine(),
    }
    (RESULTS / "own_runs.json").write_text(json.dumps(found, indent=1) + "\n")
    draw_transfer(found["transfer"])
    draw_floor(found["floor"])
    for how, part in found["transfer"].items():
        says = ", ".join(
            f"{w}: {each['best']:.4f}{'' if each['inside'] else ' (edge)'}" for w, each in part["widths"].items()
        )
        print(f"transfer {how:<9} best rate by width {says}; moves {part['drift']:.2f}x")
    law = found["floor"]
    print(
        f"floor + B D^-beta: B(1M) {law['B']:.4f}, beta {law['beta']:.3f}, rms {law['rms']:.1%}, worst {law['worst']:.1%}"
    )
    ahead = law["fitted_to_1M"]
    print(
        f"  fitted to 1M: beta {ahead['beta']:.3f}; {ahead['points']} larger points predicted, worst {ahead['worst']:.1%}"
    )
    print(f"data exponent on ER 64/256 up to 2M: {found['data']['exponent_to_2M']:.3f}; {found['data']['by_width']}")
    for row in found["counting"]:
        print(
            f"{row['world']:<20} width {row['width']}, {row['tokens']:,} tokens: "
            f"excess {row['excess']:.4f}, {row['ratio']:.0f} x counting"
        )
    for name, part in found["language"].items():
        for width, tokens, loss in zip(part["width"], part["tokens"], part["loss"], strict=True):
            print(f"{name:<6} width {width:.0f}, {tokens:,.0f} tokens: {loss:.4f} nats a character")


if __name__ == "__main__":
    main()
