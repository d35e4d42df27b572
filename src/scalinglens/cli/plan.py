"""`scalinglens plan`: how big, how long and how much, from a fit or a law; and the questions beyond size and data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from scalinglens.cli.asked import Listed, Query, asked, listed, shown
from scalinglens.cli.options import number_pairs, pairs, parsed, values
from scalinglens.errors import OptionError
from scalinglens.files import PICTURES, check_writable
from scalinglens.plan.questions import QUESTIONS, question

__all__ = ["Plan", "parse"]

Flag = Annotated[bool, arg(help_behavior_hint="")]
File = Annotated[str, arg(metavar="FILE", help_behavior_hint="")]
Number = Annotated[str, arg(metavar="QUANTITY", help_behavior_hint="")]
Words = UseAppendAction[tuple[str, ...]]


@dataclass(frozen=True)
class Plan:
    """Plan a run: the best size and data at a budget, or the least cost of a target, with intervals and near-optimal range.

    scalinglens plan fit.json --flops 5.76e23 --hardware h200:64

    scalinglens plan besiroglu2024 --target-loss 2.0 --inference-tokens 2T

    scalinglens plan questions         # what else can be asked: learning-rate, ...

    scalinglens plan learning-rate --help
    """

    source: Annotated[Positional[str], arg(metavar="FIT.json|LAW|QUESTION")]
    """A saved fit, a law with constants, or the name of a question."""

    flops: Number = ""
    """Budget of compute: 5.76e23 or "3 PF-day"; a list A,B,C or a range LOW:HIGH:COUNT gives a frontier."""

    budget: Number = ""
    """Budget in the unit of --cost, where that is not FLOP."""

    days: Number = ""
    """Budget as days of the hardware."""

    dollars: Number = ""
    """Budget as rent of the hardware, USD."""

    target_loss: Number = ""
    """Loss to reach, in place of a budget."""

    tokens_unique: Number = ""
    """Distinct tokens there are; more are repetitions, worth less."""

    inference_tokens: Number = ""
    """Tokens served over the lifetime of the model."""

    fix: Annotated[Words, arg(metavar="NAME=VALUE")] = ()
    """Input that is given: --fix params=7B."""

    bounds: Annotated[Words, arg(metavar="NAME=LOW:HIGH")] = ()
    """Range of an input: --bounds params=1B:70B; either end may be left out."""

    instead: Annotated[Words, arg(metavar="NAME=VALUE")] = ()
    """Another allocation, to be told what it loses: --instead params=280B."""

    hardware: Annotated[str, arg(metavar="CHIP:COUNT", help_behavior_hint="")] = ""
    """Cluster, such as h200:64: days, dollars and energy."""

    mfu: float = 0.4
    """Share of the peak rate of the hardware that is reached."""

    precision: Annotated[str, arg(metavar="bf16|fp8")] = "bf16"
    """Whose peak rate counts."""

    price: Number = ""
    """USD per chip and hour; that of the table if not given."""

    cost: Annotated[str, arg(metavar="FORMULA", help_behavior_hint="")] = ""
    """What a run costs: a formula or a name, by default 6*params*tokens."""

    tolerance: float = 1e-3
    """Of the near-optimal range, relative to the best loss."""

    methods: Annotated[str, arg(metavar="all|NAME,NAME,...", help_behavior_hint="")] = ""
    """Compare methods on a table of runs in place of the fit: scalinglens plan runs.csv --methods all --flops 1e24."""

    boot: int = 200
    """Refits for the intervals of --methods."""

    seed: int = 0
    """Seed of the refits of --methods."""

    level: Annotated[float | None, arg(metavar="FLOAT", help_behavior_hint="")] = None
    """Probability of the intervals; that of the fit if not given."""

    plot: File = ""
    """Draw the plan here: .png, .pdf or .svg."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        if self.plot:
            check_writable(self.plot, PICTURES)
        return shown(self._found(), self.plot, self.json)

    def _found(self) -> Any:
        if self.methods:
            return self._methods()
        shared: dict[str, Any] = {
            "fix": pairs("fix", self.fix, "params=7B"),
            "bounds": {name: _ends(name, text) for name, text in pairs("bounds", self.bounds, "params=1B:70B").items()},
            "cost": self.cost or None,
            "tolerance": self.tolerance,
            "level": self.level,
        }
        if "," in self.flops or ":" in self.flops:
            return self._frontier(shared)
        from scalinglens.plan.plan import plan

        return plan(
            self.source,
            flops=self.flops or None,
            budget=self.budget or None,
            days=self.days or None,
            dollars=self.dollars or None,
            target_loss=self.target_loss or None,
            tokens_unique=self.tokens_unique or None,
            inference_tokens=self.inference_tokens or None,
            hardware=self.hardware or None,
            mfu=self.mfu,
            precision=self.precision,
            price=self.price or None,
            instead=number_pairs("instead", self.instead, "params=280B") or None,
            **shared,
        )

    def _frontier(self, shared: dict[str, Any]) -> Any:
        single = (
            "budget",
            "days",
            "dollars",
            "target_loss",
            "tokens_unique",
            "inference_tokens",
            "hardware",
            "instead",
        )
        for name in single:
            if getattr(self, name):
                option = f"--{name.replace('_', '-')}"
                raise OptionError(
                    f"{option} is answered for one budget at a time; give one value to --flops, got {self.flops}"
                )
        from scalinglens.plan.frontier import frontier

        return frontier(self.source, values("flops", self.flops), **shared)

    def _methods(self) -> Any:
        from scalinglens.plan.methods import compare_methods

        return compare_methods(
            self.source,
            flops=self.flops or None,
            methods=self.methods,
            boot=self.boot,
            seed=self.seed,
            level=0.9 if self.level is None else self.level,
            cost=self.cost or None,
        )


def parse(words: Sequence[str]) -> Plan | Query | Listed:
    """Read the words after `scalinglens plan`; a question is asked at once, since its options are those of its function."""
    first = words[0] if words else ""
    if first == "questions":
        names = {name: known.asks for name, known in QUESTIONS.items()}
        return parsed(listed("plan", names), "plan questions", words[1:])
    if first in QUESTIONS:
        return parsed(asked(question(first)), f"plan {first}", words[1:])
    return parsed(Plan, "plan", words)


def _ends(name: str, text: str) -> tuple[str | None, str | None]:
    """Read LOW:HIGH, either of which may be empty.

    >>> _ends("params", "1B:")
    ('1B', None)
    """
    low, colon, high = text.partition(":")
    if not colon or not (low or high):
        raise OptionError(
            f"--bounds {name}={text} is not LOW:HIGH; write it as in --bounds {name}=1B:70B or {name}=:70B"
        )
    return low.strip() or None, high.strip() or None
