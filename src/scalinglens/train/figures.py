"""Pictures of training: sizes of activations against width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scalinglens.figures.figure import Axis, Figure, Line, Mark, Panel, Points, Text, series

if TYPE_CHECKING:
    from scalinglens.train.coordinate_check import CoordinateCheck

__all__ = ["coordinate_figure"]


def coordinate_figure(checks: Sequence[CoordinateCheck]) -> Figure:
    """Show one panel per check, all on the same axes: a line per place, flat where the parameterization follows the width."""
    frames = [check.to_frame() for check in checks]
    sizes = [size for frame in frames for size in frame["size"] if 0 < size < float("inf")]
    limits = (0.5 * min(sizes), 2 * max(sizes)) if sizes else None
    panels = []
    for check, frame in zip(checks, frames, strict=True):
        marks: list[Mark] = []
        for number, (place, rows) in enumerate(frame.groupby("place", sort=False)):
            x, y = rows["width"].to_numpy(), rows["size"].to_numpy()
            marks += [Line(x, y, series(number), label=str(place)), Points(x, y, series(number))]
        slopes = check.slopes.values()
        marks.append(Text(f"slopes {min(slopes):+.2f} to {max(slopes):+.2f}", "top left"))
        name = f"{check.settings.parameterization.name}, learning rate {check.settings.training.learning_rate:g}"
        panels.append(Panel(name, Axis("width", "log"), Axis("rms of entries", "log", limits=limits), tuple(marks)))
    first = checks[0]
    return Figure(
        title="Coordinate check: what each part adds to the residual stream, by width",
        panels=tuple(panels),
        subtitle=f"after {first.steps} steps on {first.world}",
        note="flat lines: the size of what is computed does not depend on width",
    )
