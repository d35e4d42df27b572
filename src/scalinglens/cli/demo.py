"""`scalinglens demo`: the whole idea in half a minute, on networks that are really trained."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

from scalinglens.cli.options import parsed
from scalinglens.cli.progress import bar
from scalinglens.cli.table import aligned
from scalinglens.errors import OutputError
from scalinglens.files import check_writable, written_whole

if TYPE_CHECKING:
    import pandas as pd

    from scalinglens.fit import Fit
    from scalinglens.theory.random_features.problem import RandomFeatures

__all__ = ["Demo", "parse"]

LAW = "E + A/params^alpha + B/steps^beta"
# (params, steps) beyond the ladder, which ends at 320 params and 2048 steps: up to 6.4 times its largest training
LARGER = ((320, 4096), (320, 8192), (403, 2048), (403, 4096), (403, 8192), (512, 2048), (512, 4096), (512, 8192))
COPIES = 2  # trainings of each larger setting, with features of their own
BOOT = 1000
LEVEL = 0.9


@dataclass(frozen=True)
class Demo:
    """Train a ladder of small models, fit a law to it, and predict larger runs that the fit has not seen.

    The models are random-feature networks trained by gradient descent (Bordelon, Atanasov and Pehlevan 2024), small
    enough for half a minute on two cores; what the law should find is known, because the limits can be solved.
    """

    out: Annotated[str, arg(metavar="FOLDER")] = "scalinglens-demo"
    """Folder for runs.csv, fit.json and fit.png."""

    seed: int = 0
    """Seed of the trainings and of the bootstrap; the same seed gives the same numbers."""

    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        folder = _folder(self.out)
        screen = sys.stderr if self.json else sys.stdout

        from scalinglens.fit import fit
        from scalinglens.runs import read_runs
        from scalinglens.theory.ladder import default_problem, train_ladder, train_runs

        problem = default_problem()
        print("training the ladder, then larger models to be predicted ...", file=screen, flush=True)
        with bar("training the ladder") as progress:
            ladder = train_ladder(problem, seed=self.seed, progress=progress)
        plan = [(params, steps, copy) for params, steps in LARGER for copy in range(COPIES)]
        with bar("training larger models") as progress:
            larger = train_runs(problem, plan, seed=self.seed, progress=progress)
        _write_runs(folder / "runs.csv", ladder, larger)

        runs = read_runs(folder / "runs.csv", where="held_out == 0")
        # that 320 parameters are few and that settings repeat is the plan here, not a sign of a misread table
        with bar("fitting") as progress:
            result = fit(replace(runs, warnings=()), LAW, boot=BOOT, level=LEVEL, seed=self.seed, progress=progress)
        result.save(folder / "fit.json")
        with bar("drawing"):
            result.plot(folder / "fit.png")

        ahead = result.predict(larger, noise=True)
        table = larger[["params", "steps", "loss"]].assign(predicted=ahead.loss, low=ahead.low, high=ahead.high)
        words = _verdict(result, table, problem)
        files = {name: str(folder / name) for name in ("runs.csv", "fit.json", "fit.png")}
        if self.json:
            print(json.dumps({"schema": 1, "fit": result.to_dict(), **words, "files": files}, indent=1))
            return 0
        print(f"\n{result}\n\n{_known(result, words)}\n\n{_rows(words)}\n\n{_says(result, words)}\n")
        print(f"Files: {', '.join(files.values())}. Do it again by hand:")
        print(f'  scalinglens fit {files["runs.csv"]} --law "{LAW}" --where "held_out == 0" --boot {BOOT}')
        print(f"  scalinglens predict {files['fit.json']} --params 512 --steps 8192")
        return 0


def parse(words: Sequence[str]) -> Demo:
    """Read the words after `scalinglens demo`."""
    return parsed(Demo, "demo", words)


def _folder(name: str) -> Path:
    folder = Path(name).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OutputError(f"cannot make the folder {name}: {problem.strerror}; choose another with --out") from None
    for file in ("runs.csv", "fit.json", "fit.png"):
        check_writable(folder / file)
    return folder


def _write_runs(path: Path, ladder: pd.DataFrame, larger: pd.DataFrame) -> None:
    import pandas as pd

    with written_whole(path) as part:
        pd.concat([ladder.assign(held_out=0), larger.assign(held_out=1)]).to_csv(part, index=False)


def _verdict(fit: Fit, table: pd.DataFrame, problem: RandomFeatures) -> dict[str, Any]:
    """Compare what was predicted with what training gave, and what was fitted with what theory says."""
    inside = (table.low <= table.loss) & (table.loss <= table.high)
    error = (table.predicted - table.loss).abs()
    rows = [
        {
            "params": int(row["params"]),
            "steps": int(row["steps"]),
            "measured": row["loss"],
            "loss": {"value": row["predicted"], "low": _plain(row["low"]), "high": _plain(row["high"])},
        }
        for row in table.to_dict("records")
    ]
    return {
        "held_out": rows,
        "verdict": {
            "level": fit.level,
            "inside": int(inside.sum()),
            "runs": len(table),
            "mean_relative_error": float((error / table.loss).mean()),
            "mean_relative_error_above_floor": float((error / (table.loss - float(problem.noise))).mean()),
            "mean_half_width": _plain(float(((table.high - table.low) / 2 / table.predicted).mean())),
        },
        "theory": {"E": float(problem.noise), "alpha": problem.width_exponent, "beta": problem.time_exponent},
    }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _known(fit: Fit, words: dict[str, Any]) -> str:
    rows = []
    for name, value in words["theory"].items():
        low, high = fit.parameters[name].low, fit.parameters[name].high
        where = "" if low is None or high is None else "inside" if low <= value <= high else "outside"
        rows.append([name, f"{value:g}", f"{where} the fitted interval" if where else ""])
    return f"Theory, in the limit of large models and long training:\n{aligned(rows)}"


def _rows(words: dict[str, Any]) -> str:
    from scalinglens.quantities import format_number

    rows = [["params", "steps", "measured", "predicted", f"{LEVEL:.0%} interval of one run", ""]]
    for row in words["held_out"][::COPIES]:
        value, low, high = (row["loss"][key] for key in ("value", "low", "high"))
        shown = [format_number(end, low, high) for end in (row["measured"], value, low, high) if end is not None]
        verdict = "" if low is None else "inside" if low <= row["measured"] <= high else "outside"
        rows.append([str(row["params"]), str(row["steps"]), *shown[:2], " to ".join(shown[2:]) or "-", verdict])
    return f"Larger runs, which the fit has not seen (one of {COPIES} each):\n" + aligned(rows)


def _says(fit: Fit, words: dict[str, Any]) -> str:
    v = words["verdict"]
    error = (
        f"On average the predicted loss is {v['mean_relative_error']:.2%} off, which is "
        f"{v['mean_relative_error_above_floor']:.1%} of what lies above the floor"
    )
    if v["mean_half_width"] is None:
        return f"Verdict: {fit.refusal or 'no intervals'}.\n{error}."
    share = v["inside"] / v["runs"]
    chance = math.sqrt(v["level"] * (1 - v["level"]) / v["runs"])
    says = (
        f"Verdict: {v['inside']} of {v['runs']} larger runs lie in their {v['level']:.0%} interval ({share:.0%}).\n"
        f"{error}; the intervals reach {v['mean_half_width']:.1%} either way.\n"
    )
    if share < v["level"] - 2 * chance:
        return says + "That is fewer than promised: the law is not exact, and its intervals do not know that."
    if share == 1 and v["mean_half_width"] > 3 * v["mean_relative_error"]:
        return says + (
            "The intervals are wider than these runs need: they carry the scatter of the whole ladder, whose small models\n"
            "differ from each other far more than large ones do."
        )
    return says + "That is what was promised, within chance."
