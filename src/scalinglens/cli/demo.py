"""`scalinglens demo`: the whole idea in a minute, on transformers that are really trained."""

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
from scalinglens.errors import OptionError, OutputError
from scalinglens.files import check_writable, written_whole

if TYPE_CHECKING:
    import pandas as pd

    from scalinglens.fit import Fit

__all__ = ["Demo", "own_runs", "parse"]

LAW = "A/params^alpha + B/tokens^beta"
RATE = 0.02
WHERE = f"`world.kind` == 'kernel' and status == 'finished' and learning_rate == {RATE}"
LADDER = (
    (40, 200_000),
    (56, 200_000),
    (40, 400_000),
    (56, 400_000),
    (80, 300_000),
)  # (width, tokens), none in the table
COLUMNS = ("params", "tokens", "loss", "width", "learning_rate", "seed", "run")  # of runs.csv
BOOT = 1000
LEVEL = 0.9


@dataclass(frozen=True)
class Demo:
    """Fit a law to the project's own runs, predict transformers that nobody has trained yet, then train them here and compare.

    The models learn walks on a graph whose entropy is exact, so that what is left to learn is known: the loss is what they
    lose beyond that entropy. Needs PyTorch; half a minute on two cores.
    """

    out: Annotated[str, arg(metavar="FOLDER")] = "scalinglens-demo"
    """Folder for runs.csv, new.csv, fit.json and fit.png."""

    seed: int = 0
    """Seed of the trainings and of the bootstrap; the same seed gives the same numbers."""

    json: Annotated[bool, arg(help_behavior_hint="")] = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        from scalinglens.train.requirements import require_torch

        require_torch()
        folder = _folder(self.out)
        screen = sys.stderr if self.json else sys.stdout

        from scalinglens.fit import fit
        from scalinglens.runs import read_runs

        runs = read_runs(own_runs(), loss="excess", where=WHERE)
        with bar("fitting") as progress:
            # that one horizon of a width has several seeds is the plan here, not a sign of a misread table
            result = fit(replace(runs, warnings=()), LAW, boot=BOOT, level=LEVEL, seed=self.seed, progress=progress)
        _write(folder / "runs.csv", runs.frame.filter(items=COLUMNS))
        result.save(folder / "fit.json")
        with bar("drawing"):
            result.plot(folder / "fit.png")

        print(f"training {len(LADDER)} transformers that the table does not hold ...", file=screen, flush=True)
        trained = _trained(self.seed)
        ahead = result.predict(trained, noise=True)
        table = trained.assign(predicted=ahead.loss, low=ahead.low, high=ahead.high)
        _write(folder / "new.csv", table)
        words = _verdict(result, table)
        files = {name: str(folder / name) for name in ("runs.csv", "new.csv", "fit.json", "fit.png")}
        if self.json:
            print(json.dumps({"schema": 1, "fit": result.to_dict(), **words, "files": files}, indent=1))
            return 0
        print(f"\n{result}\n\n{_rows(words)}\n\n{_says(result, words)}\n")
        print(f"Files: {', '.join(files.values())}. Do it again by hand:")
        print(f'  scalinglens fit {files["runs.csv"]} --law "{LAW}" --boot {BOOT}')
        print(f"  scalinglens predict {files['fit.json']} --params 120k --tokens 4M")
        return 0


def parse(words: Sequence[str]) -> Demo:
    """Read the words after `scalinglens demo`."""
    return parsed(Demo, "demo", words)


def own_runs() -> Path:
    """Return the table of the project's own runs: in the installed package, or in the repository.

    Raises:
        OptionError: it is in neither.
    """
    package = Path(__file__).resolve().parents[1]
    for place in (package / "data" / "runs.parquet", package.parents[1] / "data" / "runs.parquet"):
        if place.is_file():
            return place
    raise OptionError(
        "the project's own runs (data/runs.parquet) are not there; install the package again, or use a checkout"
    )


def _trained(seed: int) -> pd.DataFrame:
    """Train the ladder, one model per process, with a seed that the table does not hold."""
    import pandas as pd

    from scalinglens.numerics.processes import parallel_map

    rows = []
    with bar("training") as progress:
        for row in parallel_map(lambda size: _one(*size, 1000 + seed), sorted(LADDER, key=lambda s: -s[0] * s[1])):
            rows.append(row)
            progress(len(rows), len(LADDER))
    return pd.DataFrame(rows)


def _one(width: int, tokens: int, seed: int) -> dict[str, Any]:
    import torch

    from scalinglens.train.loop import train_runs
    from scalinglens.train.settings import Model, Settings, Training
    from scalinglens.worlds.walks import kernel

    torch.set_num_threads(1)
    training = Training(tokens=tokens, learning_rate=RATE, evaluations=1)
    (outcome,) = train_runs(kernel(nodes=256), [Settings(Model(width=width), training=training, seed=seed)])
    kept = {name: outcome.summary[name] for name in ("params", "tokens", "width", "learning_rate", "seed")}
    return {**kept, "loss": outcome.summary["excess"]}


def _folder(name: str) -> Path:
    folder = Path(name).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OutputError(f"cannot make the folder {name}: {problem.strerror}; choose another with --out") from None
    for file in ("runs.csv", "new.csv", "fit.json", "fit.png"):
        check_writable(folder / file)
    return folder


def _write(path: Path, frame: pd.DataFrame) -> None:
    with written_whole(path) as part:
        frame.to_csv(part, index=False)


def _verdict(fit: Fit, table: pd.DataFrame) -> dict[str, Any]:
    """Compare what was predicted with what training gave."""
    inside = (table.low <= table.loss) & (table.loss <= table.high)
    rows = [
        {
            "width": int(row["width"]),
            "params": int(row["params"]),
            "tokens": int(row["tokens"]),
            "measured": row["loss"],
            "loss": {"value": row["predicted"], "low": _plain(row["low"]), "high": _plain(row["high"])},
        }
        for row in table.to_dict("records")
    ]
    return {
        "new": rows,
        "verdict": {
            "level": fit.level,
            "inside": int(inside.sum()),
            "runs": len(table),
            "mean_relative_error": float(((table.predicted - table.loss).abs() / table.loss).mean()),
            "mean_half_width": _plain(float(((table.high - table.low) / 2 / table.predicted).mean())),
        },
    }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _rows(words: dict[str, Any]) -> str:
    from scalinglens.quantities import format_number, format_quantity

    rows = [["width", "params", "tokens", "trained", "predicted", f"{LEVEL:.0%} interval of one run", ""]]
    for row in words["new"]:
        value, low, high = (row["loss"][key] for key in ("value", "low", "high"))
        shown = [format_number(end, low, high) for end in (row["measured"], value, low, high) if end is not None]
        verdict = "" if low is None else "inside" if low <= row["measured"] <= high else "outside"
        sizes = [str(row["width"]), format_quantity(row["params"]), format_quantity(row["tokens"])]
        rows.append([*sizes, *shown[:2], " to ".join(shown[2:]) or "-", verdict])
    return "Trained here, after they were predicted (nats per token beyond the entropy):\n" + aligned(rows)


def _says(fit: Fit, words: dict[str, Any]) -> str:
    v = words["verdict"]
    error = f"On average the prediction is {v['mean_relative_error']:.1%} off"
    if v["mean_half_width"] is None:
        return f"Verdict: {fit.refusal or 'no intervals'}.\n{error}."
    says = (
        f"Verdict: {v['inside']} of {v['runs']} new models lie in their {v['level']:.0%} interval.\n"
        f"{error}; the intervals reach {v['mean_half_width']:.1%} either way.\n"
    )
    chance = math.sqrt(v["level"] * (1 - v["level"]) / v["runs"])
    if v["inside"] / v["runs"] < v["level"] - 2 * chance:
        return says + "That is fewer than promised: the law is not exact, and its intervals do not know that."
    return says + "That is what was promised, within chance."
