"""A command made from a function: options from its signature, help from its docstring, and --plot and --json besides."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from tyro.conf import arg

from scalinglens.cli.options import parsed
from scalinglens.errors import OptionError, did_you_mean
from scalinglens.files import PICTURES, check_writable

__all__ = ["Listed", "Query", "asked", "chosen", "listed", "shown", "signed"]

Flag = Annotated[bool, arg(help_behavior_hint="")]


@dataclass(frozen=True)
class Query:
    """What was asked on the command line, with its answer."""

    answer: Any
    plot: str = ""
    json: bool = False

    def run(self) -> int:
        """Print the answer and return the exit status."""
        return shown(self.answer, self.plot, self.json)


@dataclass(frozen=True)
class Listed:
    """What can be asked."""

    command: str
    names: Mapping[str, str]
    json: bool = False

    def run(self) -> int:
        """Print the list and return the exit status."""
        if self.json:
            print(json.dumps({"schema": 1, "names": dict(self.names)}, indent=1))
            return 0
        width = max(map(len, self.names))
        print(f"scalinglens {self.command} NAME [options]; --help after a name lists what it needs\n")
        for name, says in self.names.items():
            print(f"  {name:<{width}}  {says}")
        return 0


def listed(command: str, names: Mapping[str, str]) -> Callable[..., Listed]:
    """Return the command that lists what can be asked."""

    def names_of(*, json: Flag = False) -> Listed:
        """List what can be asked.

        Args:
            json: Print JSON and nothing else on stdout.
        """
        return Listed(command, names, json)

    return names_of


def chosen(command: str, noun: str, names: Mapping[str, str], words: Sequence[str]) -> str | Listed:
    """Return the name that the words after a command begin with, or the list of names where they ask for it.

    Raises:
        OptionError: no such name.
    """
    first = words[0] if words else f"{noun}s"
    if first in (f"{noun}s", "-h", "--help", "--json"):
        return parsed(listed(command, names), command, words if first == "--json" else words[1:])
    if first not in names:
        raise OptionError(f'there is no {noun} "{first}"{did_you_mean(first, names)}; scalinglens {command} lists them')
    return first


def asked(function: Callable[..., Any]) -> Callable[..., Query]:
    """Return a function with two more options, plot and json, for the command line to read."""
    signature = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def command(**given: Any) -> Query:
        plot, as_json = given.pop("plot"), given.pop("json")
        if plot:
            check_writable(plot, PICTURES)
        return Query(function(**given), plot, as_json)

    own = [
        p.replace(annotation=Annotated[_typed(p), arg(metavar=_metavar(p), help_behavior_hint="")])
        for p in signature.parameters.values()
    ]
    drawn = arg(metavar="FILE", help_behavior_hint="", help="Draw the answer here: .png, .pdf or .svg.")
    printed = arg(help_behavior_hint="", help="Print JSON and nothing else on stdout.")
    keyword = inspect.Parameter.KEYWORD_ONLY
    own += [
        inspect.Parameter("plot", keyword, default="", annotation=Annotated[str, drawn]),
        inspect.Parameter("json", keyword, default=False, annotation=Annotated[bool, printed]),
    ]
    return signed(command, signature.replace(parameters=own, return_annotation=Query))


def signed(command: Callable[..., Any], signature: inspect.Signature) -> Callable[..., Any]:
    """Return a wrapped function with a signature of its own, which the command line reads."""
    command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    vars(command)["__signature__"] = signature
    del vars(command)["__wrapped__"]  # or its signature would be read
    return command


def shown(found: Any, plot: str, as_json: bool) -> int:
    """Print an answer, draw it where asked for, and return the exit status."""
    print(json.dumps(found.to_dict(), indent=1) if as_json else found)
    if plot:
        found.plot(plot)
        print(f"\npicture written to {plot}", file=sys.stderr if as_json else sys.stdout)
    return 0


def _typed(parameter: inspect.Parameter) -> Any:
    """What the command line reads; a source, of any type in Python, is a name or a file there."""
    if parameter.annotation is Any:
        return str | None if parameter.default is None else str
    return parameter.annotation


def _metavar(parameter: inspect.Parameter) -> str:
    if parameter.annotation is Any:
        return "FIT.json|LAW"
    kind = str(parameter.annotation)
    return "QUANTITY" if "float" in kind and "str" in kind else "TEXT" if "str" in kind else "NUMBER"
