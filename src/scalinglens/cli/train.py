"""`scalinglens train`: one experiment from a file, here and now."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from scalinglens.cli.options import pairs, parsed
from scalinglens.cli.progress import bar
from scalinglens.errors import OptionError

__all__ = ["Train", "parse"]

Flag = Annotated[bool, arg(help_behavior_hint="")]
File = Annotated[str, arg(metavar="FILE", help_behavior_hint="")]
FAILED = 3  # exit status of a training that diverged or could not be made


@dataclass(frozen=True)
class Train:
    """Train one model on one world and show its learning curve.

    scalinglens train experiment.toml

    scalinglens train experiment.toml --set width=64 --set learning_rate=0.01 --store runs
    """

    experiment: Annotated[Positional[str], arg(metavar="EXPERIMENT.toml")]
    """What to train: [world], [model], [parameterization], [training] and seed; what is left out has its default."""

    changes: Annotated[UseAppendAction[tuple[str, ...]], arg(name="set", metavar="NAME=VALUE")] = ()
    """Another value for a word of the experiment, short or dotted: --set width=64 --set world.seed=1."""

    store: Annotated[str, arg(metavar="DIR", help_behavior_hint="")] = ""
    """Keep the run in this store, go on from its checkpoint, and do nothing if it is there."""

    device: Annotated[str, arg(metavar="cpu|cuda", help_behavior_hint="")] = "cpu"
    """Where to train, a device of PyTorch."""

    threads: int = 0
    """Threads of the processor; 0 leaves it to PyTorch. The last bits of a run depend on it."""

    compile: Flag = False
    """Let PyTorch compile the model first."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        from scalinglens.sweep.experiment import read_experiment

        one = read_experiment(self.experiment)
        one = one.having(pairs("set", self.changes, "width=64")) if self.changes else one
        if self.threads < 0:
            raise OptionError(f"--threads is a whole number from 0 on, got {self.threads}")
        check_device(self.device)
        found = self._stored(one) if self.store else self._made(one)
        if isinstance(found, int):
            return found
        status, curve, summary = found
        if self.json:
            from scalinglens.documents import plain

            document = {"schema": 1, "run": one.hash, "status": status, "summary": summary, "experiment": one.to_dict()}
            print(json.dumps(plain({**document, "curve": curve.to_dict("list")}), indent=1))
        else:
            print(_shown(one, status, curve, summary))
        return 0 if status == "finished" else FAILED

    def _made(self, one: Any) -> Any:
        from scalinglens.train.loop import train_runs

        self._pin()
        with bar("training") as progress:
            outcome, *_ = train_runs(
                one.world.build(), [one.settings], device=self.device, compile=self.compile,
                progress=lambda step, steps, losses: progress(step, steps),
            )  # fmt: skip
        return outcome.status, outcome.curve, outcome.summary

    def _stored(self, one: Any) -> Any:
        from scalinglens.runs.record import read_record
        from scalinglens.sweep.job import ENDS, job_of, run_job
        from scalinglens.sweep.store import open_store
        from scalinglens.sweep.sweep import Group

        store = open_store(self.store)
        self._pin()
        with bar("training") as progress:
            job = job_of(Group((one,)), store, device=self.device, compile=self.compile, threads=self._threads())
            answer = run_job(job, progress)
        if answer["end"] != "done":
            print(f"scalinglens: {ENDS[answer['end']]}: {answer['error']}", file=sys.stderr)
            return 2 if answer["end"] == "wrong" else FAILED
        record = read_record(store.place, one.hash)
        return record.status, record.curve, dict(record.summary)

    def _threads(self) -> int:
        from scalinglens.numerics.processes import available_processors

        return self.threads or available_processors()

    def _pin(self) -> None:
        import torch

        torch.set_num_threads(self._threads())


def parse(words: Sequence[str]) -> Train:
    """Read the words after `scalinglens train`."""
    return parsed(Train, "train", words)


def check_device(name: str) -> None:
    """Refuse a device that PyTorch does not know or this machine does not have, before any work.

    Raises:
        ExperimentError: with those that are there.
    """
    from scalinglens.errors import ExperimentError, did_you_mean

    kind, _, number = name.partition(":")
    known = ("cpu", "cuda", "mps")
    if kind not in known or (number and not number.isdigit()):
        raise ExperimentError(
            f'device = "{name}" is not known{did_you_mean(kind, known)}; write cpu, cuda, or cuda:N for one of several'
        )
    if kind == "cpu":
        return
    import torch

    there = torch.cuda.device_count() if kind == "cuda" else int(torch.backends.mps.is_available())
    if int(number or 0) >= there:
        says = f"cuda:0 to cuda:{there - 1}" if kind == "cuda" and there else "cpu"
        raise ExperimentError(f'device = "{name}" is not to be had on this machine; there is {says}')


def _shown(one: Any, status: str, curve: Any, summary: Any) -> str:
    from scalinglens.cli.table import aligned
    from scalinglens.quantities import format_quantity

    floor = summary.get("entropy_rate")
    rows = [["step", "tokens", "loss", *(["excess"] if floor is not None else [])]]
    for row in curve.to_dict("records"):
        cells = [f"{row['step']:,.0f}", format_quantity(row["tokens"]), f"{row['loss']:.4f}"]
        rows.append(cells + ([f"{row['excess']:.4f}"] if floor is not None else []))
    lines = [
        f"run {one.hash}: {status}",
        f"  {summary.get('world', one.world.kind)}; {format_quantity(summary['params'])} parameters, "
        f"{format_quantity(summary['tokens'])} tokens, {format_quantity(summary['flops'])} FLOP",
        "",
        aligned(rows),
        "",
    ]
    if status == "diverged":
        lines.append("  the loss became infinite or no number: it has none; lower the learning rate")
    else:
        known = f", {summary['excess']:.4f} above the entropy rate {floor:.4f}" if floor is not None else ""
        lines.append(f"  loss {summary['loss']:.4f} nats/token{known}")
    lines.append(f"  {summary['seconds']:.1f} s, {summary['tokens'] / max(summary['seconds'], 1e-9):,.0f} tokens/s")
    return "\n".join(lines)
