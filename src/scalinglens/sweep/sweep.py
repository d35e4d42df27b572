"""`Sweep`: experiments that belong together, read from one file, in groups that train side by side.

    members = 8                    at most so many runs in one program
    [base.world]
    kind = "walk"
    [base.training]
    tokens = "1M"
    [[grid]]
    width = [16, 32, 64]
    learning_rate = [0.01, 0.02, 0.04]
    [[run]]
    width = 128
    seed = 3

The groups follow from the sweep alone: the bits of a run depend on who trains beside it, and must not depend on what was
interrupted when.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scalinglens.errors import ExperimentError, ScalingLensError, did_you_mean
from scalinglens.sweep.experiment import TABLES, Experiment, flattened, read_experiment, read_toml
from scalinglens.sweep.grids import expanded, sized

__all__ = ["MEMBERS", "Group", "Sweep", "read_sweep"]

MEMBERS = 8
TOP = ("schema", "cost", "unit", "members", "base", "grid", "run")
ASIDE = ("stage", "cost")  # words of a design that say nothing about the run itself


@dataclass(frozen=True)
class Group:
    """Experiments of one shape that train in one program; they differ in seed, learning rate and weight decay."""

    experiments: tuple[Experiment, ...]

    @functools.cached_property
    def name(self) -> str:
        """Hash of its members, in order."""
        return hashlib.sha256(" ".join(one.hash for one in self.experiments).encode()).hexdigest()[:16]

    @property
    def runs(self) -> tuple[str, ...]:
        """Names of the members' runs."""
        return tuple(one.hash for one in self.experiments)


@dataclass(frozen=True)
class Sweep:
    """Experiments that belong together.

    Attributes:
        experiments: each once, in the order of the file. members: most that train side by side.
        notes: what was decided in reading. origin: the file.

    >>> from scalinglens.sweep.experiment import WorldWords
    >>> base = Experiment(WorldWords("walk", {"nodes": 16, "edges": 32}))
    >>> sweep = Sweep(tuple(base.having({"seed": s, "width": w}) for w in (16, 32) for s in (0, 1, 2)), members=2)
    >>> [len(group.experiments) for group in sweep.groups]
    [2, 1, 2, 1]
    """

    experiments: tuple[Experiment, ...]
    members: int = MEMBERS
    notes: tuple[str, ...] = ()
    origin: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.members, bool) or not isinstance(self.members, int) or self.members < 1:
            raise ExperimentError(f"members = {self.members!r} must be a whole number from 1 on")
        object.__setattr__(self, "experiments", tuple({one.hash: one for one in self.experiments}.values()))
        if not self.experiments:
            raise ExperimentError(f"{self.origin or 'the sweep'} has no run; add a [[grid]] or a [[run]]")

    def __len__(self) -> int:
        return len(self.experiments)

    @functools.cached_property
    def groups(self) -> tuple[Group, ...]:
        """Groups in the order of their first member."""
        shapes: dict[str, list[Experiment]] = {}
        for one in self.experiments:
            training = replace(one.training, learning_rate=1.0, weight_decay=0.0)
            shapes.setdefault(replace(one, seed=0, training=training).hash, []).append(one)
        parts = [
            Group(tuple(alike[first : first + self.members]))
            for alike in shapes.values()
            for first in range(0, len(alike), self.members)
        ]
        order = {one.hash: place for place, one in enumerate(self.experiments)}
        return tuple(sorted(parts, key=lambda group: order[group.runs[0]]))


def read_sweep(
    path: str | os.PathLike[str], *, base: str | os.PathLike[str] | None = None, values: Mapping[str, Any] | None = None
) -> Sweep:
    """Read a sweep file, such as `scalinglens design --out` writes.

    Args:
        path: TOML with [base] tables, [[grid]] and [[run]]. base: an experiment file in place of [base].
        values: over the base, by dotted or short name.

    Raises:
        ExperimentError, WorldError: with file, block, key, value and what would do.
    """
    name = os.fspath(path)
    tables = read_toml(path)
    for key in tables:
        if key not in TOP:
            where = "; words of the experiment stand in [base]" if key in (*TABLES, "world", "seed") else ""
            raise ExperimentError(f"{name}: {key} is not known{did_you_mean(key, TOP)}{where}; it has {', '.join(TOP)}")
    if tables.get("schema", 1) != 1:
        raise ExperimentError(f"{name}: schema = {tables['schema']!r} is not known; this version reads 1")
    start = _base(tables, base, name)
    start = start.having(values) if values else start
    found: list[Experiment] = []
    notes: list[str] = []
    for number, block in enumerate(_blocks(tables, "grid", name), 1):
        more, said = expanded(block, start, f"{name}, grid {number}")
        found += more
        notes += said
    for number, block in enumerate(_blocks(tables, "run", name), 1):
        one, said = _run(block, start, f"{name}, run {number}")
        found.append(one)
        notes += said
    count = len({one.hash for one in found})
    if count < len(found):
        notes.append(f"{len(found) - count} of {len(found)} runs are asked for more than once; each is made once")
    return Sweep(tuple(found), tables.get("members", MEMBERS), tuple(dict.fromkeys(notes)), name)


def _base(tables: Mapping[str, Any], base: Any, name: str) -> Experiment:
    own = tables.get("base")
    if base is not None and own is not None:
        raise ExperimentError(f"{name} has a [base] of its own; leave out {os.fspath(base)}, or that")
    if base is not None:
        return read_experiment(base)
    if not isinstance(own, Mapping):
        raise ExperimentError(
            f"{name} has no [base]: say what its runs share, at least [base.world] with kind = ...; or give an experiment "
            "file, as in --base experiment.toml"
        )
    return Experiment.from_dict(own, origin=f"{name}, base")


def _blocks(tables: Mapping[str, Any], key: str, name: str) -> Sequence[Mapping[str, Any]]:
    blocks = tables.get(key, [])
    if not isinstance(blocks, list) or not all(isinstance(block, Mapping) for block in blocks):
        raise ExperimentError(f"{name}: write [[{key}]] in double brackets, once for each")
    return blocks


def _run(block: Mapping[str, Any], base: Experiment, origin: str) -> tuple[Experiment, list[str]]:
    words = {key: value for key, value in flattened(block).items() if key not in ASIDE}
    for key, value in words.items():
        if isinstance(value, list):
            raise ExperimentError(f"{origin}: {key} = {value!r} is a list; a run has one value, a [[grid]] has lists")
    try:
        one, said = sized(base, words)
    except ScalingLensError as problem:
        raise type(problem)(f"{origin}: {problem}") from None
    return one, [f"{origin}: {said}"] if said else []
