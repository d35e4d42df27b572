"""Coordinate check: whether what a network computes keeps its size as the network grows wider.

Under muP every entry of every activation, and of its change by training, stays of order one as the width d grows. A few steps of
training at several widths show whether a parameterization does so:

    size(place, d) = rms of the entries of what a place adds to the residual stream, or of the logits, after the steps
    slope(place)   = d ln size / d ln d, by least squares over the widths;   0 under muP

Source: Yang and others, arXiv 2203.03466, appendix D.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from scalinglens.documents import plain
from scalinglens.errors import ExperimentError
from scalinglens.files import PICTURES, written_whole
from scalinglens.train.optimizer import Optimizer
from scalinglens.train.settings import Settings
from scalinglens.train.transformer import Transformer
from scalinglens.worlds.world import World

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Picture

__all__ = ["TOLERANCE", "CoordinateCheck", "coordinate_check"]

TOLERANCE = 0.1  # of a slope that counts as none
_WATCHED = 16  # held-out sequences whose activations are measured


@dataclass(frozen=True, eq=False)
class CoordinateCheck:
    """Sizes of activations against width.

    Attributes:
        settings: those of the narrowest network. world: what it learned. widths: [W]. steps: of training.
        sizes: by place, [W, seeds]. changes: size of what training has changed there, [W, seeds].
    """

    settings: Settings
    world: str
    widths: tuple[int, ...]
    steps: int
    sizes: Mapping[str, np.ndarray]
    changes: Mapping[str, np.ndarray]

    @property
    def slopes(self) -> dict[str, float]:
        """d ln size/d ln width, by place; NaN where a size is zero or infinite."""
        return {place: _slope(self.widths, sizes) for place, sizes in self.sizes.items()}

    @property
    def change_slopes(self) -> dict[str, float]:
        """d ln change/d ln width, by place."""
        return {place: _slope(self.widths, sizes) for place, sizes in self.changes.items()}

    @property
    def passed(self) -> bool:
        """Whether no size has a slope beyond the tolerance."""
        return all(abs(slope) <= TOLERANCE for slope in self.slopes.values())  # a NaN fails

    def to_frame(self) -> pd.DataFrame:
        """Return a row per place and width: size and change, means over the seeds."""
        return pd.DataFrame(
            [
                {"place": place, "width": width, "size": _mean(sizes[i]), "change": _mean(self.changes[place][i])}
                for place, sizes in self.sizes.items()
                for i, width in enumerate(self.widths)
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return plain(
            {
                "schema": 1,
                "parameterization": self.settings.parameterization.name,
                "learning_rate": self.settings.training.learning_rate,
                "world": self.world,
                "steps": self.steps,
                "widths": self.widths,
                "tolerance": TOLERANCE,
                "passed": self.passed,
                "places": [
                    {
                        "place": place,
                        "slope": self.slopes[place],
                        "change_slope": self.change_slopes[place],
                        "size": [_mean(row) for row in sizes],
                        "change": [_mean(row) for row in self.changes[place]],
                    }
                    for place, sizes in self.sizes.items()
                ],
                "citations": ["arXiv 2203.03466"],
            }
        )

    def plot(self, path: str | Path | None = None) -> Picture:
        """Draw sizes and changes against width; write the picture where a path is given."""
        from scalinglens.figures.matplotlib import draw
        from scalinglens.train.figures import coordinate_figure

        picture = draw(coordinate_figure([self]))
        if path is not None:
            with written_whole(path, PICTURES) as part:
                picture.savefig(part, format=Path(path).suffix[1:].lower())
        return picture

    def __str__(self) -> str:
        slopes, changes = self.slopes, self.change_slopes
        rows = [("place", *map(str, self.widths), "slope", "of change")]
        for place, sizes in self.sizes.items():
            shown = [f"{_mean(row):.3g}" for row in sizes]
            rows.append((place, *shown, f"{slopes[place]:+.2f}", f"{changes[place]:+.2f}"))
        wide = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        how = self.settings.parameterization.name
        lines = [
            f"{how}, learning rate {self.settings.training.learning_rate:g}: rms after {self.steps} steps, by width"
        ]
        lines += [
            "  " + row[0].ljust(wide[0]) + "".join("  " + c.rjust(w) for c, w in zip(row[1:], wide[1:], strict=True))
            for row in rows
        ]
        worst = max(slopes, key=lambda place: abs(slopes[place]) if slopes[place] == slopes[place] else np.inf)
        if self.passed:
            lines.append(f"  flat in width: no slope beyond {TOLERANCE:g} (largest {slopes[worst]:+.2f}, {worst})")
        else:
            lines.append(f"  not flat in width: {worst} has slope {slopes[worst]:+.2f}, beyond {TOLERANCE:g}")
        return "\n".join(lines)


def coordinate_check(
    world: World,
    settings: Settings,
    *,
    widths: Sequence[int] = (32, 64, 128, 256, 512),
    steps: int = 5,
    seeds: int = 2,
) -> CoordinateCheck:
    """Train networks of several widths for a few steps and measure what is inside.

    Args:
        world: what they learn. settings: all but width, seed and length of the training; the learning rate is constant.
        widths: of the networks, two or more. steps: of training. seeds: networks per width.

    Returns:
        The `CoordinateCheck`.

    Raises:
        ExperimentError: fewer than two widths, or one that the heads do not divide.

    Cost: 6 params tokens per step; under half a minute up to width 512 on one processor.
    """
    if len(set(widths)) < 2 or steps < 1 or seeds < 1:
        raise ExperimentError(
            f"widths {', '.join(map(str, widths))}, steps {steps}, seeds {seeds}: a slope needs two widths, a step and a seed"
        )
    at_width = [replace(settings, model=replace(settings.model, width=width)) for width in sorted(set(widths))]
    found = [_measured(world, each, steps, seeds) for each in at_width]
    places = list(found[0][0])
    sizes, changes = ({place: np.stack([pair[k][place] for pair in found]) for place in places} for k in (0, 1))
    return CoordinateCheck(at_width[0], world.name, tuple(each.model.width for each in at_width), steps, sizes, changes)


def _measured(
    world: World, settings: Settings, steps: int, seeds: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Sizes and changes by place, [seeds] each."""
    how = settings.training
    length = how.sequence_length
    members = tuple(range(settings.seed, settings.seed + seeds))
    model = Transformer(settings.model, settings.parameterization, vocab=world.vocab, length=length, seeds=members)
    optimizer = Optimizer(model, [how] * seeds)
    probe = torch.from_numpy(world.sample(_WATCHED, length=length, held_out=True).astype(np.int64))
    before = _inside(model, probe)
    for step in range(steps):
        drawn = [world.sample(how.batch, length=length + 1, seed=seed, first=step * how.batch) for seed in members]
        tokens = torch.from_numpy(np.stack(drawn).astype(np.int64))
        losses = model.losses(tokens[..., :-1], tokens[..., 1:])
        optimizer.step(torch.autograd.grad(losses.sum(), optimizer.weights), 1.0)
    after = _inside(model, probe)
    return {p: _rms(x) for p, x in after.items()}, {p: _rms(x - before[p]) for p, x in after.items()}


def _inside(model: Transformer, probe: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each place adds to the residual stream, and the logits: [M, N, ...] by place."""
    seen: dict[str, torch.Tensor] = {}
    model.watch = lambda place, x: seen.update({place: x})
    with torch.no_grad():
        model(probe.expand(len(model.weights["embedding"]), *probe.shape))
    model.watch = None
    stream = torch.zeros(1)
    added = {}
    for place, x in seen.items():
        added[place] = x if place == "logits" else x - stream
        stream = x
    return added


def _rms(x: torch.Tensor) -> np.ndarray:
    return x.double().square().mean((1, 2)).sqrt().numpy()


def _mean(sizes: np.ndarray) -> float:
    """Geometric mean over seeds."""
    with np.errstate(divide="ignore"):
        return float(np.exp(np.log(sizes).mean()))


def _slope(widths: Sequence[int], sizes: np.ndarray) -> float:
    if not np.all(np.isfinite(sizes) & (sizes > 0)):
        return float("nan")
    return float(np.polyfit(np.log(widths), np.log(sizes).mean(axis=1), 1)[0])
