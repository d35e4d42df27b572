"""`scalinglens watch`: the log of a running job in, a forecast of its final loss and a verdict out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, UseAppendAction, arg

from scalinglens.cli.options import pairs, parsed
from scalinglens.errors import OptionError, QuantityError

if TYPE_CHECKING:
    import numpy as np

    from scalinglens.fit.curves.live import LiveForecast
    from scalinglens.fit.curves.metrics import MetricsLog

__all__ = ["Watch", "parse"]

Flag = Annotated[bool, arg(help_behavior_hint="")]
Text = Annotated[str, arg(metavar="TEXT", help_behavior_hint="")]
Count = Annotated[str, arg(metavar="QUANTITY", help_behavior_hint="")]


@dataclass(frozen=True)
class Watch:
    """Forecast the final loss of a job that is still running, and say whether it is worth continuing.

    scalinglens watch metrics.csv --final-steps 100k --target 2.5

    scalinglens watch metrics.jsonl --final-tokens 300B --against earlier.csv --follow --every 60
    """

    metrics: Annotated[Positional[str], arg(metavar="METRICS")]
    """Log of the job: CSV with a header or JSON lines, one row per logged step; it may still grow, or not be there yet."""

    final_steps: Count = ""
    """Steps of the whole run, as in 100k."""

    final_tokens: Count = ""
    """Tokens of the whole run, as in 300B, where the log counts tokens."""

    target: Annotated[float | None, arg(metavar="LOSS", help_behavior_hint="")] = None
    """Loss that the run must reach to be worth it."""

    against: Annotated[str, arg(metavar="FILE", help_behavior_hint="")] = ""
    """Log of an earlier run that this one must beat."""

    schedule: Text = ""
    """Planned learning rate, as in "cosine(peak=3e-4, end=3e-5, steps=100k, warmup=2k)"; else only what is logged counts."""

    map: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=COLUMN")] = ()
    """Column of a quantity (steps, tokens, loss, learning_rate) where its name does not tell: --map loss=eval/loss."""

    level: float = 0.9
    """Probability of the interval."""

    follow: Flag = False
    """Go on reading until the run has ended or Ctrl-C."""

    every: Annotated[float, arg(metavar="SECONDS")] = 10.0
    """Seconds between two looks at the file with --follow."""

    json: Flag = False
    """Print JSON and nothing else on stdout, with --follow one object per line."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        unit, final = self._end()
        if self.follow and not 0.05 <= self.every <= 86_400:
            raise OptionError(f"--every {self.every:g}: seconds between two looks lie between 0.05 and 86400")
        if self.target is not None and self.against:
            raise OptionError(f"--target {self.target:g} and --against {self.against} both say what to beat; keep one")

        from scalinglens.errors import RunsError
        from scalinglens.fit.curves.metrics import MetricsLog
        from scalinglens.laws.schedule import Schedule

        columns = pairs("map", self.map, "loss=eval/loss")
        schedule = Schedule.from_text(self.schedule) if self.schedule else None
        log, earlier = MetricsLog(self.metrics, columns), None
        if self.against:
            earlier = MetricsLog(self.against, columns)
            if not earlier.read() or not len(earlier):
                raise RunsError(f"the earlier run {self.against} has no rows to compare with; give its metrics file")
        if not self.follow and not log.exists:
            raise RunsError(f"there is no file {self.metrics}; check the path, or wait for it with --follow")
        try:
            return self._look(log, earlier, schedule, unit, final)
        except KeyboardInterrupt:
            if not self.follow:
                raise
            print("scalinglens: stopped following", file=sys.stderr)
            return 0

    def _look(self, log: MetricsLog, earlier: MetricsLog | None, schedule: object, unit: str, final: float) -> int:
        waiting = False
        first = True
        while True:
            if log.read() or (first and not self.follow):
                found = self._forecast(log, earlier, schedule, unit, final)
                self._show(found)
                if not self.follow or _ended(log.column(unit), final):
                    return 0
            elif not waiting and not len(log):
                waiting = True
                print(f"waiting for rows in {self.metrics}", file=sys.stderr, flush=True)
            first = False
            time.sleep(self.every)

    def _forecast(
        self, log: MetricsLog, earlier: MetricsLog | None, schedule: object, unit: str, final: float
    ) -> LiveForecast:
        from scalinglens.errors import RunsError
        from scalinglens.fit.curves.live import forecast_run

        at = log.column(unit)
        if at is None and len(log):
            raise RunsError(
                f"{self.metrics} has no column of {unit}, but the end of the run is given in {unit}; map it "
                f"(--map {unit}=COLUMN), or give --final-{'tokens' if unit == 'steps' else 'steps'}"
            )
        before = None
        if earlier is not None:
            place, loss = earlier.column(unit), earlier.column("loss")
            if place is None or loss is None:
                raise RunsError(f"the earlier run {self.against} has no column of {unit}; map it (--map {unit}=COLUMN)")
            before = (place, loss)
        return forecast_run(
            [] if at is None else at,
            [] if at is None else log.column("loss"),
            final=final,
            unit=unit,
            learning_rate=None if at is None else log.column("learning_rate"),
            schedule=schedule,  # type: ignore[arg-type]
            target=self.target,
            against=before,
            against_name=self.against or "earlier run",
            level=self.level,
            diverged=log.diverged,
            warnings=_oddities(log),
        )

    def _show(self, found: LiveForecast) -> None:
        if self.json:
            text = json.dumps(found.to_dict(), indent=None if self.follow else 1)
        else:
            text = f"{found}\n" if self.follow else str(found)
        print(text, flush=True)

    def _end(self) -> tuple[str, float]:
        from scalinglens.quantities import parse_quantity

        if bool(self.final_steps) == bool(self.final_tokens):
            raise OptionError("say how long the run is with one of --final-steps 100k and --final-tokens 300B")
        unit, text = ("steps", self.final_steps) if self.final_steps else ("tokens", self.final_tokens)
        try:
            final = parse_quantity(text, expect=unit)
        except QuantityError as problem:
            raise OptionError(f"--final-{unit} {text}: {problem}") from None
        if final <= 0:
            raise OptionError(f"--final-{unit} {text}: a run has at least one of its {unit}")
        return unit, final


def parse(words: Sequence[str]) -> Watch:
    """Read the words after `scalinglens watch`."""
    return parsed(Watch, "watch", words)


def _ended(at: np.ndarray | None, final: float) -> bool:
    """Whether the next row would lie beyond the end of the run."""
    if at is None or len(at) < 2:
        return False
    last = at[-11:]
    return bool(last[-1] + (last[-1] - last[0]) / (len(last) - 1) > final - 0.5)


def _oddities(log: MetricsLog) -> tuple[str, ...]:
    """What is odd about a log, in sentences."""
    said = []
    if log.resumes:
        said.append(f"the step went back {log.resumes} times, as after resuming: later rows replace earlier ones")
    if log.not_numbers:
        said.append(f"{log.not_numbers} losses are no finite numbers and are left out")
    if log.unread:
        said.append(f"{log.unread} lines could not be read and are left out")
    if log.restarts:
        said.append(f"the file was truncated or replaced {log.restarts} times and was read anew")
    return tuple(said)
