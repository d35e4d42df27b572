"""`scalinglens sweep`: many experiments into one store, and how far they are."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from scalinglens.cli.options import pairs, parsed
from scalinglens.errors import OptionError

__all__ = ["Status", "Sweep", "parse"]

Flag = Annotated[bool, arg(help_behavior_hint="")]
File = Annotated[str, arg(metavar="FILE", help_behavior_hint="")]
FAILED = 3  # exit status of a sweep that is not complete


@dataclass(frozen=True)
class Sweep:
    """Make the runs of a sweep that are not in the store yet; interrupted, the same command goes on.

    scalinglens sweep sweep.toml --store runs --workers 2

    scalinglens sweep status runs
    """

    sweep: Annotated[Positional[str], arg(metavar="SWEEP.toml|status")]
    """The runs: [base] tables, [[grid]] and [[run]] entries, such as scalinglens design --out writes; or the word status."""

    store: Annotated[str, arg(metavar="DIR", help_behavior_hint="")]
    """Where the runs go: a folder, or an address of fsspec such as s3://bucket/sweep. Several sweeps may share it."""

    base: File = ""
    """Experiment file in the place of the [base] tables."""

    changes: Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="NAME=VALUE")] = ()
    """Another value over the base, short or dotted: --set tokens=1M."""

    executor: Annotated[str, arg(metavar="local|ray|slurm", help_behavior_hint="")] = "local"
    """Where the runs are made: processes of this machine, tasks of Ray, or jobs of SLURM."""

    workers: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """How many groups of runs at once; by default as many as there are processors (slurm: 16 jobs)."""

    options: Annotated[UseAppendAction[tuple[str, ...]], arg(name="option", metavar="NAME=VALUE")] = ()
    """Of the executor: memory=8G, threads=2 (local); address=auto, gpus=1 (ray); slurm_partition=..., cluster=debug (slurm)."""

    members: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """At most so many runs of one shape in one program, in place of what the file says."""

    device: Annotated[str, arg(metavar="cpu|cuda", help_behavior_hint="")] = "cpu"
    """Where the workers train, a device of PyTorch."""

    retries: int = 1
    """How often what failed is tried again."""

    dry: Flag = False
    """Say what would be made, and make nothing."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        from dataclasses import replace

        from scalinglens.cli.train import check_device
        from scalinglens.sweep.driver import run_sweep
        from scalinglens.sweep.executors import executor
        from scalinglens.sweep.store import open_store
        from scalinglens.sweep.sweep import read_sweep

        for name, value, least in (
            ("workers", self.workers, 1),
            ("members", self.members, 1),
            ("retries", self.retries, 0),
        ):
            if value is not None and value < least:
                raise OptionError(f"--{name} is a whole number from {least} on, got {value}")
        values = pairs("set", self.changes, "width=64")
        found = read_sweep(self.sweep, base=self.base or None, values=values)
        found = replace(found, members=self.members) if self.members else found
        store = open_store(self.store)
        if self.executor == "local":
            check_device(self.device)
        say = sys.stderr if self.json else sys.stdout
        for note in found.notes:
            print(f"note: {note}", file=say)
        if self.dry:
            return self._dry(found, store)
        words: dict[str, Any] = {
            name: _typed(value) for name, value in pairs("option", self.options, "memory=8G").items()
        }
        if self.executor == "slurm":
            words["folder"] = Path(self.store) / "slurm"
        try:
            engine = executor(self.executor, workers=self.workers, **words)
        except TypeError as problem:
            raise OptionError(f"--option: the executor {self.executor} does not know that ({problem})") from None
        with _shown(found.origin) as show:
            report = run_sweep(found, store, executor=engine, device=self.device, retries=self.retries, show=show)
        print(json.dumps(report.to_dict(), indent=1) if self.json else report)
        if not self.json and report.complete:
            print(f"  read them with scalinglens runs {self.store}, or scalinglens fit {self.store} LAW")
        return 0 if report.complete else FAILED

    def _dry(self, found: Any, store: Any) -> int:
        there = store.finished()
        missing = [one for one in found.experiments if one.hash not in there]
        if self.json:
            runs = [
                {"run": one.hash, "made": one.hash in there, "experiment": one.to_dict()} for one in found.experiments
            ]
            print(json.dumps({"schema": 1, "groups": len(found.groups), "runs": runs}, indent=1))
            return 0
        print(f"{len(found)} runs in {len(found.groups)} groups; {len(missing)} of them are to be made")
        for one in missing[:20]:
            how = one.training
            print(
                f"  {one.hash}  {one.world.kind}  width {one.model.width}  depth {one.model.depth}  tokens {how.tokens:,}  "
                f"learning rate {how.learning_rate:g}  seed {one.seed}"
            )
        if len(missing) > 20:
            print(f"  and {len(missing) - 20} more")
        return 0


@dataclass(frozen=True)
class Status:
    """Say what is in a store, who works on it, and what failed."""

    store: Annotated[Positional[str], arg(metavar="DIR")]
    """The store."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Print the state and return the exit status."""
        from scalinglens.runs.record import is_store
        from scalinglens.sweep.driver import sweep_status
        from scalinglens.sweep.store import open_store

        if not is_store(self.store) and not (Path(self.store) / "beats").is_dir():
            raise OptionError(f"{self.store} is no store of runs: it holds no folder runs; check the path")
        found = sweep_status(open_store(self.store))
        if self.json:
            print(json.dumps(found, indent=1))
            return 0
        from scalinglens.quantities import format_quantity

        print(
            f"{found['store']}: {found['finished']} finished, {found['diverged']} diverged, {found['running']} running, "
            f"{len(found['failures'])} failed; {format_quantity(found['flops'])} FLOP"
        )
        for beat in found["at_work"]:
            print(f"  {beat['name']}  {len(beat['runs'])} runs, step {beat['step']:,} of {beat['steps']:,}")
        for run, words in found["failures"].items():
            print(f"  {run}  {words['status']} after {words['attempts']} attempts: {words['error']}")
        return 0


def parse(words: Sequence[str]) -> Sweep | Status:
    """Read the words after `scalinglens sweep`."""
    if words and words[0] == "status":
        return parsed(Status, "sweep status", words[1:])
    return parsed(Sweep, "sweep", words)


def _typed(text: str) -> Any:
    """A number where it is one."""
    from scalinglens.errors import QuantityError
    from scalinglens.quantities import parse_quantity

    try:
        value = parse_quantity(text)
    except QuantityError:
        return text
    return int(value) if value.is_integer() else value


class _shown:
    """A live table on a terminal; elsewhere a line every half minute."""

    def __init__(self, title: str) -> None:
        self.title, self.live, self.told = title, None, 0.0

    def __enter__(self) -> Any:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self.live = Live(console=Console(stderr=True), auto_refresh=False, transient=True)
            self.live.start()
        return self.show

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def show(self, progress: Any) -> None:
        if self.live is not None:
            self.live.update(live_table(self.title, progress), refresh=True)
        elif progress.seconds - self.told >= 30:
            self.told = progress.seconds
            print(in_a_line(progress), file=sys.stderr, flush=True)


def in_a_line(progress: Any) -> str:
    """Return a progress as one line of text."""
    parts = [f"{progress.finished + progress.diverged} of {progress.total} runs done"]
    for count, says in (
        (progress.running, "running"),
        (progress.elsewhere, "running elsewhere"),
        (progress.waiting, "waiting"),
        (progress.diverged, "of the done diverged"),
        (progress.failed, "failed"),
    ):
        parts += [f"{count} {says}"] if count else []
    parts.append(f"{_clock(progress.left)} left" if progress.left is not None else f"{_clock(progress.seconds)} so far")
    if progress.flops and progress.seconds:
        parts.append(f"{progress.flops / progress.seconds:.3g} FLOP/s")
    return ", ".join(parts)


def live_table(title: str, progress: Any) -> Any:
    """Return a progress as a table of rich: counts, a bar, and one line per worker."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_row(ProgressBar(total=progress.total, completed=progress.finished + progress.diverged, width=40), title)
    workers = Table(box=None, padding=(0, 2), show_header=bool(progress.at_work))
    for name in ("worker", "runs", "step", ""):
        workers.add_column(name, style="dim")
    for beat in progress.at_work[:12]:
        share = beat["step"] / beat["steps"] if beat.get("steps") else 0.0
        workers.add_row(
            beat["name"].rsplit("-", 1)[0], str(len(beat["runs"])), f"{beat['step']:,} of {beat['steps']:,}",
            ProgressBar(total=1.0, completed=share, width=20),
        )  # fmt: skip
    return Group(grid, Text(in_a_line(progress)), workers)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
