"""`scalinglens laws`: the catalogue, or everything known about one law."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated

from tyro.conf import Positional, arg

from scalinglens.cli.options import parsed
from scalinglens.errors import OptionError

__all__ = ["Laws", "parse"]

Flag = Annotated[bool, arg(help_behavior_hint="")]
FORMULA_WIDTH, SOURCE_WIDTH = 44, 28


@dataclass(frozen=True)
class Laws:
    """List the published laws, or show everything known about one.

    scalinglens laws besiroglu2024

    scalinglens laws "E + A/params^alpha" --latex
    """

    name: Annotated[Positional[str], arg(metavar="[NAME|FORMULA]", help_behavior_hint="")] = ""
    """Law to show, by name or as a formula; without it all are listed."""

    unverified: Flag = False
    """Show published constants of weak evidence, too."""

    latex: Flag = False
    """Print the formula in LaTeX and nothing else."""

    javascript: Flag = False
    """Print the formula as a JavaScript function and nothing else."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        chosen = [option for option in ("latex", "javascript", "json") if getattr(self, option)]
        if len(chosen) > 1:
            raise OptionError(f"--{' and --'.join(chosen)} exclude each other; choose one")
        if not self.name.strip():
            if chosen and not self.json:
                raise OptionError(f"--{chosen[0]} needs a law, as in scalinglens laws besiroglu2024 --{chosen[0]}")
            print(_list_json() if self.json else _list())
            return 0
        from scalinglens.laws.card import card, card_dict
        from scalinglens.laws.catalogue import law

        found = law(self.name, unverified=self.unverified)
        if self.latex:
            print(found.latex())
        elif self.javascript:
            print(found.javascript())
        elif self.json:
            words = card_dict(found, unverified=self.unverified)
            print(json.dumps({"schema": words.pop("schema"), "laws": [words]}, indent=1))
        else:
            print(card(found, unverified=self.unverified))
        return 0


def parse(words: Sequence[str]) -> Laws:
    """Read the words after `scalinglens laws`."""
    return parsed(Laws, "laws", words)


def _list_json() -> str:
    from scalinglens.laws.card import laws_dict

    return json.dumps(laws_dict(), indent=1)


def _list() -> str:
    from scalinglens.cli.table import aligned, shortened
    from scalinglens.laws.card import laws_dict

    words = laws_dict()
    entries = words["laws"]
    rows = [
        [entry["name"], shortened(entry["formula"], FORMULA_WIDTH), shortened(entry["source"], SOURCE_WIDTH)]
        for entry in entries
    ]
    lines = iter(aligned(rows).splitlines())
    blocks = []
    for _, family in groupby(entries, key=lambda entry: entry["name"].partition(".")[0]):
        members = list(family)
        blocks.append("\n".join([members[0]["title"], *(next(lines) for _ in members)]))
    blocks.append(
        f"{len(entries)} laws; scalinglens laws NAME shows all about one, and any formula can stand for a name. "
        f"{len(words['open'])} more are no closed formula (see --json)."
    )
    return "\n\n".join(blocks)
