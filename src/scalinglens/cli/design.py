"""`scalinglens design`: which runs to make next, what they cost, and the interval they will buy."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from scalinglens.cli.options import number_pairs, parsed, values
from scalinglens.errors import OptionError

__all__ = ["Design", "parse"]

Flag = Annotated[bool, arg(help_behavior_hint="")]
File = Annotated[str, arg(metavar="FILE", help_behavior_hint="")]
Number = Annotated[str, arg(metavar="QUANTITY", help_behavior_hint="")]


@dataclass(frozen=True)
class Design:
    """Choose the runs that most reduce the uncertainty of a decision: a forecast, the best size, or which recipe is better.

    scalinglens design fit.json --target-flops 1e24 --budget 1e20 --out sweep.toml

    scalinglens design prior --target-flops 1e22 --budget 1e19 --grid "params=10M:1B:8,tokens_per_param=5:320:7"
    """

    sources: Annotated[Positional[tuple[str, ...]], arg(metavar="FIT.json|LAW|prior")]
    """A fit that was saved with draws, a published law, or `prior` where there are no runs yet; two of them for a difference."""

    budget: Number
    """What the new runs may cost together, 1e20 FLOP."""

    target_flops: Number = ""
    """Compute of the run that is planned; the decision is taken at its best size."""

    target: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="NAME=VALUE")] = ()
    """Input of the law at the target, in place of a compute: --target params=70B --target tokens=1.4T."""

    goal: Annotated[str, arg(metavar="loss|size|difference|FORMULA")] = "loss"
    """What is to be decided; a formula is in the parameters of the law."""

    grid: Annotated[str, arg(metavar="NAME=VALUES,...", help_behavior_hint="")] = ""
    """Runs that could be made: ranges LOW:HIGH:COUNT or values A/B/C of each input, and tokens_per_param for the tokens."""

    candidates: File = ""
    """Table of the runs that could be made, in place of a grid; a column cost counts as their cost."""

    made: File = ""
    """Table of runs that are made already, beyond those of the fit; with losses they bring a prior up to date."""

    cost: Annotated[str, arg(metavar="FORMULA", help_behavior_hint="")] = ""
    """Cost of one run; 6*params*tokens if not given."""

    shared: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="PARAMETER")] = ()
    """Parameter that two recipes have in common."""

    batch: Annotated[int | None, arg(metavar="INT", help_behavior_hint="")] = None
    """How many runs are made at a time."""

    most: int = 30
    """At most so many runs."""

    copies: int = 1
    """How often a run may be made, with another seed."""

    noise: Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="")] = None
    """Relative scatter of a run where there is no fit; 0.005 if not given."""

    bend: float = 0.01
    """What the law may get wrong a decade away from the target, relative; 0 trusts it everywhere."""

    level: float = 0.9
    """Probability of the intervals."""

    seed: int = 0
    """Seed of the draws, and the first seed of the runs."""

    out: File = ""
    """Write the runs as a sweep file (.toml) for the experiment runner."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        from scalinglens.files import check_writable
        from scalinglens.plan.design.design import design
        from scalinglens.plan.design.result import SWEEPS

        target = self._target()
        source = self.sources[0] if len(self.sources) == 1 else self.sources
        if self.grid and self.candidates:
            raise OptionError("--grid and --candidates both say which runs could be made; give one")
        if self.out:
            check_writable(self.out, SWEEPS)
        found = design(
            source,
            target=target,
            budget=self.budget,
            candidates=_table(self.candidates) if self.candidates else _grid(self.grid) if self.grid else None,
            goal=self.goal,
            made=_table(self.made) if self.made else None,
            batch=self.batch,
            cost=self.cost or None,
            shared=self.shared,
            copies=self.copies,
            most=self.most,
            noise=self.noise,
            bend=self.bend,
            seed=self.seed,
            level=self.level,
        )
        if self.out:
            found.to_toml(self.out)
        print(json.dumps(found.to_dict(), indent=1) if self.json else found)
        if self.out:
            print(f"\n{len(found)} runs written to {self.out}", file=sys.stderr if self.json else sys.stdout)
        return 0

    def _target(self) -> dict[str, Any]:
        target: dict[str, Any] = dict(number_pairs("target", self.target, "params=70B"))
        if self.target_flops:
            target["flops"] = self.target_flops
        if not target:
            raise OptionError(
                "there is no target; say what is planned: --target-flops 1e24, or --target params=70B tokens=1.4T"
            )
        return target


def parse(words: Sequence[str]) -> Design:
    """Read the words after `scalinglens design`."""
    return parsed(Design, "design", words)


def _grid(text: str) -> dict[str, list[float]]:
    """Read a grid: NAME=VALUES, separated by commas; values A/B/C or LOW:HIGH:COUNT.

    >>> _grid("params=10M:1B:3,tokens_per_param=5/20")
    {'params': [10000000.0, 100000000.0, 1000000000.0], 'tokens_per_param': [5.0, 20.0]}
    """
    found: dict[str, list[float]] = {}
    for part in text.split(","):
        name, sign, written = (word.strip() for word in part.partition("="))
        if not sign or not name or not written:
            raise OptionError(
                f'--grid {part!r} is not NAME=VALUES; write it as in --grid "params=10M:1B:8,tokens=1e9/1e10"'
            )
        if name in found:
            raise OptionError(f"--grid names {name} twice; write its values as A/B/C")
        found[name] = values(name, written.replace("/", ","))
    return found


def _table(path: str) -> Any:
    from scalinglens.runs import read_runs

    return read_runs(path)
