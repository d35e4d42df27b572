"""`scalinglens coordcheck`: is what a network computes of the same size at every width?"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from scalinglens.cli.options import parsed
from scalinglens.errors import OptionError
from scalinglens.files import PICTURES, check_writable, written_whole

__all__ = ["Coordcheck", "parse"]

Flag = Annotated[bool, arg(help_behavior_hint="")]


@dataclass(frozen=True)
class Coordcheck:
    """Train networks of several widths for a few steps, and show how the size of what they compute follows the width.

    scalinglens coordcheck

    scalinglens coordcheck --parameterization mup,matched,standard --widths 32,128,512 --plot check.png
    """

    parameterization: Annotated[str, arg(metavar="NAME,NAME,...", help_behavior_hint="")] = "mup,standard"
    """Which rules: mup, mup-absolute, matched, standard."""

    widths: Annotated[str, arg(metavar="D,D,...", help_behavior_hint="")] = "32,64,128,256,512"
    """Widths of the networks."""

    learning_rate: Annotated[float, arg(metavar="NUMBER")] = 0.02
    """Peak learning rate, as an experiment states it; that of mup-absolute is taken as many times as the base width."""

    steps: int = 5
    """Steps of training."""

    seeds: int = 2
    """Networks per width."""

    batch: int = 16
    """Sequences per step."""

    depth: int = 2
    """Layers."""

    heads: int = 4
    """Heads of attention."""

    tied: Flag = False
    """Let the head be the embedding."""

    no_qk_norm: Flag = False
    """Leave queries and keys as they are."""

    nodes: int = 64
    """Of the graph whose walks are learned."""

    edges: int = 256
    """Of the graph."""

    seed: int = 0
    """First seed of the networks, and seed of the graph."""

    plot: Annotated[str, arg(metavar="FILE", help_behavior_hint="")] = ""
    """Draw sizes against width here: .png, .pdf or .svg."""

    json: Flag = False
    """Print JSON and nothing else on stdout."""

    def run(self) -> int:
        """Do what the options say and return the exit status."""
        from scalinglens.train.requirements import require_torch
        from scalinglens.train.settings import Model, Parameterization, Settings, Training

        require_torch()
        if self.plot:
            check_writable(self.plot, PICTURES)
        model = Model(depth=self.depth, heads=self.heads, tied=self.tied, qk_norm=not self.no_qk_norm)
        widths = _whole_numbers(self.widths)
        for width in widths:
            Model(width=width, heads=self.heads)
        asked = []
        for name in self.parameterization.split(","):
            how = Parameterization(name.strip())
            rate = self.learning_rate * (how.base_width if how.name == "mup-absolute" else 1)
            training = Training(learning_rate=rate, batch=self.batch, tokens=self.batch * 50 * max(self.steps, 1))
            asked.append(Settings(model, how, training, seed=self.seed))

        from scalinglens.train.coordinate_check import coordinate_check
        from scalinglens.worlds.walks import walk

        world = walk(nodes=self.nodes, edges=self.edges, seed=self.seed)
        checks = []
        for settings in asked:
            checks.append(coordinate_check(world, settings, widths=widths, steps=self.steps, seeds=self.seeds))
            if not self.json:
                print(checks[-1], end="\n\n", flush=True)
        if self.json:
            print(json.dumps({"schema": 1, "checks": [check.to_dict() for check in checks]}, indent=1))
        if self.plot:
            from scalinglens.figures.matplotlib import draw
            from scalinglens.train.figures import coordinate_figure

            with written_whole(self.plot, PICTURES) as part:
                draw(coordinate_figure(checks)).savefig(part, format=Path(self.plot).suffix[1:].lower())
            print(f"picture written to {self.plot}", file=sys.stderr if self.json else sys.stdout)
        return 0


def parse(words: Sequence[str]) -> Coordcheck:
    """Read the words after `scalinglens coordcheck`."""
    return parsed(Coordcheck, "coordcheck", words)


def _whole_numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError:
        raise OptionError(f"--widths {text}: widths are whole numbers with commas between, such as 32,64,128") from None
