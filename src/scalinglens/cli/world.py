"""`scalinglens world`: what is to be learned, one subcommand for each world: its complexity, samples as files, its floors."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from tyro.conf import arg

from scalinglens.cli.asked import Flag, Listed, chosen, signed
from scalinglens.cli.options import parsed
from scalinglens.errors import OptionError, QuantityError
from scalinglens.files import check_writable
from scalinglens.quantities import parse_quantity
from scalinglens.worlds.catalogue import WORLDS, build, maker

__all__ = ["Shown", "parse"]


@dataclass(frozen=True)
class Shown:
    """A world, and what is wanted of it.

    Attributes:
        world: a `World` or a `Task`. sample: tokens or examples to write. output: .npy.
        length: of a sequence, in tokens. seed: of the sample.
        floor: widths whose floor is wanted. json: whether to print JSON.
    """

    world: Any
    sample: int
    output: str
    length: int
    seed: int
    floor: tuple[int, ...]
    json: bool

    def run(self) -> int:
        """Print the description, write the sample, and return the exit status."""
        told = self.world.describe()
        if self.floor:
            told = self._with_floors(told)
        written = self._write() if self.sample else ""
        if self.json:
            print(json.dumps({**told.to_dict(), **({"output": self.output} if written else {})}, indent=1))
        else:
            print(told)
            if written:
                print(f"\n{written}")
        return 0

    def _with_floors(self, told: Any) -> Any:
        from scalinglens.worlds.floor import logit_floor
        from scalinglens.worlds.walks import Walk

        if not isinstance(self.world, Walk):
            raise OptionError("--floor is known for walks only (walk, kernel); leave it out")
        found = {f"floor_{each.width}": each.excess for each in logit_floor(self.world, self.floor)}
        says = dict.fromkeys(found, "nats/token over the entropy rate: no model of that width gets below (upper bound)")
        return replace(told, values={**told.values, **found}, says={**told.says, **says})

    def _write(self) -> str:
        from scalinglens.worlds.corpus import write_sample
        from scalinglens.worlds.world import Task

        if isinstance(self.world, Task):
            raise OptionError(
                "--sample writes tokens, and this is a task of vectors; in Python, .examples(count) gives them"
            )
        many = write_sample(self.world, self.output, tokens=self.sample, length=self.length, seed=self.seed)
        return f"{many:,} sequences of {self.length} tokens written to {self.output}, and {self.output}.json"


def parse(words: Sequence[str]) -> Shown | Listed:
    """Read the words after `scalinglens world`; without a world they are listed."""
    first = chosen("world", "world", {name: known.says for name, known in WORLDS.items()}, words)
    return first if isinstance(first, Listed) else parsed(_command(first), f"world {first}", words[1:])


def _command(kind: str) -> Callable[..., Shown]:
    """The function of a world with the options of this command besides, for the command line to read."""
    function = maker(kind)
    signature = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def command(**given: Any) -> Shown:
        own = {name: given.pop(name) for name in ("sample", "output", "length", "sample_seed", "floor", "json")}
        sample = _count("--sample", own["sample"]) if own["sample"] else 0
        if bool(sample) != bool(own["output"]):
            raise OptionError("--sample COUNT and -o FILE.npy go together; give both")
        if own["output"]:
            check_writable(own["output"], (".npy",))
        widths = tuple(_count("--floor", part) for part in own["floor"].split(",")) if own["floor"] else ()
        return Shown(
            build(kind, **given), sample, own["output"], own["length"], own["sample_seed"], widths, own["json"]
        )

    # whole numbers may be written as 10k, so they are read as text and checked by the catalogue
    options = [
        p.replace(
            annotation=Annotated[bool, arg(help_behavior_hint="")]
            if p.annotation is bool
            else Annotated[str, arg(metavar=_METAVARS[p.annotation], help_behavior_hint="")],
            default=p.default if p.annotation is bool or p.default is inspect.Parameter.empty else _written(p.default),
        )
        for p in signature.parameters.values()
    ]
    keyword = inspect.Parameter.KEYWORD_ONLY
    options += [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, default, annotation in (
            ("sample", "", Annotated[str, arg(metavar="COUNT", help_behavior_hint="", help="Tokens to write, such as 1M.")]),
            ("output", "", Annotated[str, arg(metavar="FILE.npy", aliases=["-o"], help_behavior_hint="",
                                              help="Where: int32 [sequences, length], with FILE.npy.json beside it.")]),
            ("length", 50, Annotated[int, arg(metavar="NUMBER", help_behavior_hint="", help="Tokens of a sequence.")]),
            ("sample_seed", 0, Annotated[int, arg(metavar="NUMBER", help_behavior_hint="", help="Of the sample.")]),
            ("floor", "", Annotated[str, arg(metavar="WIDTHS", help_behavior_hint="",
                                             help="Of walks: the lowest excess at widths such as 16,32.")]),
            ("json", False, Annotated[Flag, arg(help="Print JSON and nothing else on stdout.")]),
        )
    ]  # fmt: skip
    return signed(command, signature.replace(parameters=options, return_annotation=Shown))


_METAVARS = {int: "NUMBER", float: "NUMBER", str: "TEXT"}


def _written(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _count(option: str, text: str) -> int:
    try:
        value = parse_quantity(text)
    except QuantityError as problem:
        raise OptionError(f"{option} {text}: {problem}; write it as in {option} 1M") from None
    if value != int(value) or value < 1:
        raise OptionError(f"{option} {text} is not a whole number from 1 on")
    return int(value)
