"""How often the intervals of `scalinglens watch` hold the final loss, on public curves stopped at 30%, 50% and 70%.

330 curves: 27 with known schedules (Luo et al. 2025), the rest without (Choshen et al. 2024; Li et al. 2025). The weights in
`fit/curves/outlook.py` were fitted on the half of the curves called "calibration" here (by the parity of a hash of the name);
"held out" is the other half. The form of the rule (its members, the trend of a rising loss, the growth with distance) was
chosen with both halves in sight, and the prior on the effect of a decay after looking at all curves with known schedules,
so "held out" is a check of the weights alone. A final loss is the mean over the last 2% of a run.

    python -m benchmarks.live [FOLDER OF THE TABLES]
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scalinglens.fit.curves.live import forecast_run
from scalinglens.laws.schedule import Schedule

ROOT = Path(__file__).resolve().parents[1]
STOPS = (0.3, 0.5, 0.7)
RUN = {"peak": 3e-4, "warmup": 2160}
SCHEDULES = {
    **{f"cosine_{n}": Schedule.cosine(end=3e-5, steps=n, **RUN) for n in (24_000, 72_000)},
    **{f"constant_{n}": Schedule.constant(steps=n, **RUN) for n in (24_000, 72_000)},
    **{f"wsdcon_{x}": Schedule.two_stage(second=x * 1e-5, switch=8000, steps=16_000, **RUN) for x in (3, 9, 18)},
    "wsd_20000_24000": Schedule.wsd(end=3e-5, steps=24_000, decay_from=20_000, **RUN),
    "wsdld_20000_24000": Schedule.wsd(end=3e-5, steps=24_000, decay_from=20_000, shape="linear", **RUN),
}


@dataclass(frozen=True)
class Curve:
    """One run: its family, its name, progress and loss of each row, and its schedule where that is known."""

    family: str
    name: str
    at: np.ndarray
    loss: np.ndarray
    schedule: Schedule | None = None

    @property
    def part(self) -> str:
        """Which half of the curves it belongs to."""
        return "calibration" if int(hashlib.sha256(self.name.encode()).hexdigest(), 16) % 2 else "held out"


def curves(folder: Path) -> Iterator[Curve]:
    """Yield all curves of at least 12 rows."""
    frame = pd.read_csv(folder / "multi-power-law/loss_curves.csv.gz")
    for (size, name), rows in frame.groupby(["model_size_M", "curve"]):
        at, loss = rows["step"].to_numpy(float), rows["loss"].to_numpy()
        one = SCHEDULES[str(name)]
        yield Curve("known schedule", f"{size}-{name}", at, loss, one.cut(int(at[-1]) + 1))
    frame = pd.read_csv(folder / "hitchhiker-colpret/loss_curves_192.csv.gz")
    for name, rows in frame.groupby("model"):
        rows = rows.dropna().drop_duplicates("tokens", keep="last").sort_values("tokens")
        loss = rows["loss"].to_numpy()
        loss = np.log(loss) if "OPT" in str(name) and loss.max() > 12 else loss  # perplexities
        if len(rows) >= 12:
            yield Curve("hitchhiker", str(name), rows["tokens"].to_numpy(float), loss)
    frame = pd.read_csv(folder / "misfitting-survey/scaling_results.csv")
    for key, rows in frame.groupby(["sweep", "peak_lr", "model", "total_steps"]):
        rows = rows.sort_values("current_steps")
        if len(rows) >= 12 and not rows["current_steps"].duplicated().any():  # else several runs share a name
            yield Curve("misfitting", str(key), rows["current_steps"].to_numpy(float), rows["loss"].to_numpy())


def measure(folder: Path) -> pd.DataFrame:
    """Return one row per forecast: what was said and what came."""
    rows = []
    for curve in curves(folder):
        end = float(curve.at[-1])
        truth = float(curve.loss[curve.at >= 0.98 * end].mean())
        for stop in STOPS:
            seen = curve.at <= stop * end
            if seen.sum() < 8 or curve.at[0] > 0.25 * stop * end:
                continue
            begin = time.perf_counter()
            final = end if curve.schedule is None else curve.schedule.steps
            found = forecast_run(curve.at[seen], curve.loss[seen], final=final, schedule=curve.schedule)
            spent = time.perf_counter() - begin
            if found.final is None or found.final.low is None or found.final.high is None:
                continue
            half = (found.final.low, found.final.high)
            rows.append(
                {
                    "family": curve.family, "part": curve.part, "stop": stop, "seconds": spent,
                    "error": abs(found.final.value / truth - 1), "inside": half[0] <= truth <= half[1],
                    "half_width": 0.5 * (half[1] - half[0]) / truth,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SCALINGLENS_DATA", ROOT.parent / "shared/data"))
    found = measure(folder)
    numbers = {"inside": ("inside", "mean"), "error": ("error", "median"), "half_width": ("half_width", "median")}
    parts = {"curves": ("inside", "size"), **numbers}
    by_family = found[found["part"] == "held out"].groupby(["family", "stop"]).agg(**parts)
    by_part = found.groupby(["part", "stop"]).agg(**parts)
    print(by_part.round(4).to_string(), by_family.round(4).to_string(), sep="\n\n")
    result = {
        "level": 0.9,
        "seconds_per_forecast": float(found["seconds"].median()),
        "parts": by_part.round(4).reset_index().to_dict("records"),
        "held_out_families": by_family.round(4).reset_index().to_dict("records"),
    }
    (Path(__file__).parent / "results" / "live.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
