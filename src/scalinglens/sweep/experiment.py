"""`Experiment`: all that determines one training run, its seed included. The hash of it is the name of the run.

    seed = 0
    [world]
    kind = "walk"
    nodes = 64
    [model]
    width = 32
    [training]
    tokens = "1M"

What is left out has its default; a word that is not known, or a value of another type, is an error. Where a run happens
(device, threads) is no part of it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from scalinglens.errors import ExperimentError, QuantityError, WorldError, did_you_mean
from scalinglens.quantities import parse_quantity
from scalinglens.train.settings import Model, Parameterization, Settings, Training
from scalinglens.worlds.catalogue import WORLDS, build, completed, words_of

__all__ = ["TABLES", "Experiment", "WorldWords", "dotted", "flattened", "read_experiment", "read_toml"]

SCHEMA = 1
TABLES: Mapping[str, Any] = {"model": Model, "parameterization": Parameterization, "training": Training}
_PLACE = ("device", "threads", "compile", "workers")  # of a run, not of an experiment


@dataclass(frozen=True)
class WorldWords:
    """A world as it is written: its kind, and all its words with their defaults filled in.

    >>> WorldWords("kernel", {"nodes": "1k"}).to_dict()
    {'kind': 'kernel', 'nodes': 1000, 'spread': 1.5, 'seed': 0}
    """

    kind: str = "walk"
    words: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", completed(self.kind, self.words))

    def __hash__(self) -> int:
        return hash((self.kind, json.dumps(self.words, sort_keys=True)))

    def to_dict(self) -> dict[str, Any]:
        """Return the kind and the words."""
        return {"kind": self.kind, **self.words}

    def build(self) -> Any:
        """Return the world; the last two are kept, because a sweep asks for the same ones again and again."""
        return _built(self)


@functools.lru_cache(maxsize=2)
def _built(words: WorldWords) -> Any:
    return build(words.kind, **words.words)


@dataclass(frozen=True)
class Experiment:
    """A configuration that determines one training run completely.

    >>> one = Experiment(WorldWords("walk", {"nodes": 64, "edges": 256}))
    >>> one.hash == Experiment.from_dict(one.to_dict()).hash, one.having({"width": 64}).model.width
    (True, 64)
    """

    world: WorldWords = field(default_factory=WorldWords)
    model: Model = field(default_factory=Model)
    parameterization: Parameterization = field(default_factory=Parameterization)
    training: Training = field(default_factory=Training)
    seed: int = 0

    def __post_init__(self) -> None:
        Settings(self.model, self.parameterization, self.training, self.seed)  # checks the seed

    @property
    def settings(self) -> Settings:
        """What the trainer takes."""
        return Settings(self.model, self.parameterization, self.training, self.seed)

    @functools.cached_property
    def hash(self) -> str:
        """Name of the run: the first 16 hex digits of the SHA-256 of its canonical JSON, which no default is left out of."""
        text = json.dumps(
            {"schema": SCHEMA, **self.to_dict()}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
        )
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Return the tables as plain data; `from_dict` reads them back."""
        tables = {name: asdict(getattr(self, name)) for name in TABLES}
        return {"seed": self.seed, "world": self.world.to_dict(), **tables}

    def to_toml(self) -> str:
        """Return the experiment as TOML, complete; `read_experiment` reads it back."""
        lines = [f"seed = {self.seed}"]
        for name, table in self.to_dict().items():
            if name != "seed":
                lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
        return "\n".join(lines) + "\n"

    def flat(self) -> dict[str, Any]:
        """Return every word under its dotted name, such as "training.tokens"."""
        return flattened(self.to_dict())

    def having(self, values: Mapping[str, Any]) -> Experiment:
        """Return the experiment with other values.

        Args:
            values: by dotted name, or by a short one such as "width" where it is clear; text is read as what it must be.

        Raises:
            ExperimentError, WorldError: an unknown key or an impossible value; with the nearest one.
        """
        tables = self.to_dict()
        given = {dotted(name, value, self.world.kind): value for name, value in values.items()}
        if given.get("world.kind", self.world.kind) != self.world.kind:
            tables["world"] = {}  # words of another kind of world mean nothing to this one
        for name, value in given.items():
            table, _, key = name.rpartition(".")
            target = tables[table] if table else tables
            target[key] = _as(value, target.get(key))
        return Experiment.from_dict(tables)

    @staticmethod
    def from_dict(tables: Mapping[str, Any], *, origin: str = "") -> Experiment:
        """Check tables as TOML or JSON gives them.

        Args:
            tables: [world], [model], [parameterization], [training] and seed. origin: begins every message, such as a file.

        Raises:
            ExperimentError: an unknown key or table, a wrong type, an impossible value; with the key, the value, and what
                would do. WorldError: the same of the world.
        """
        try:
            return _checked(tables)
        except (ExperimentError, WorldError) as problem:
            if not origin:
                raise
            raise type(problem)(f"{origin}: {problem}") from None


def read_experiment(path: str | os.PathLike[str]) -> Experiment:
    """Read an experiment from a TOML file.

    Raises:
        ExperimentError: no such file, no TOML, or not an experiment; with file, key, value and remedy.
    """
    return Experiment.from_dict(read_toml(path), origin=os.fspath(path))


def read_toml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ExperimentError: no such file, or no TOML.
    """
    name = os.fspath(path)
    try:
        return tomllib.loads(Path(name).expanduser().read_text(encoding="utf-8"))
    except FileNotFoundError:
        folder = Path(name).parent
        near = did_you_mean(Path(name).name, os.listdir(folder) if folder.is_dir() else ())
        raise ExperimentError(f"{name} does not exist{near}; check the path") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise ExperimentError(f"{name} cannot be read: {getattr(problem, 'strerror', None) or problem}") from None
    except tomllib.TOMLDecodeError as problem:
        raise ExperimentError(f"{name} is not TOML: {problem}; texts stand in quotes, tables in [brackets]") from None


def dotted(name: str, value: Any, kind: str) -> str:
    """Return the dotted name of a word that may be written short.

    Args:
        name: such as "width" or "model.width". value: for the message. kind: of the world, whose words count too.

    >>> dotted("width", 64, "walk"), dotted("nodes", 64, "walk"), dotted("seed", 1, "walk")
    ('model.width', 'world.nodes', 'seed')
    """
    known = _known(kind)
    if name in known or name.startswith("world."):  # a world's own words are checked when its kind is known
        return name
    homes = [full for full in known if full.rpartition(".")[2] == name]
    settings = [full for full in homes if not full.startswith("world.")]
    if name != "kind" and (settings or homes):
        return (settings or homes)[0]
    if name == "kind":
        raise ExperimentError(f"kind = {value!r} could be world.kind or model.kind; write one of them")
    raise ExperimentError(_unknown(name, value, known))


def flattened(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Return nested tables as one of dotted names.

    >>> flattened({"seed": 0, "model": {"width": 32}})
    {'seed': 0, 'model.width': 32}
    """
    found: dict[str, Any] = {}
    for key, value in table.items():
        inner = flattened(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
        found.update(inner)
    return found


def _known(kind: str) -> list[str]:
    of_world = words_of(kind) if kind in WORLDS else ()
    settings = [f"{table}.{each.name}" for table, part in TABLES.items() for each in fields(part)]
    return ["seed", *settings, "world.kind", *(f"world.{word}" for word in of_world)]


def _unknown(name: str, value: Any, known: list[str]) -> str:
    table, _, key = name.rpartition(".")
    if key in _PLACE:
        return (
            f"{name} = {value!r} says where a run happens, which is no part of an experiment; give it to the command, as in "
            f"--{key} {value}"
        )
    short = {full.rpartition(".")[2]: full for full in known}
    if name in short:
        home = short[name].rpartition(".")[0]
        return f"{name} = {value!r} stands outside of its table; write it below [{home}], as {short[name]}"
    near = did_you_mean(name, known) if table else did_you_mean(key, short)
    near = near or did_you_mean(key, short)
    inside = [full.rpartition(".")[2] for full in known if full.startswith(f"{table}.")] if table else []
    listed = f"; [{table}] has {', '.join(inside)}" if inside else "" if near else f"; known are {', '.join(short)}"
    return f"{name} = {value!r} is not known{near}{listed}"


def _checked(tables: Mapping[str, Any]) -> Experiment:
    known = ("seed", "world", *TABLES)
    for name, value in tables.items():
        if name not in known:
            raise ExperimentError(
                _unknown(name, value, _known("walk")) if not isinstance(value, Mapping)
                else f"[{name}] is no table of an experiment{did_you_mean(name, known)}; it has {', '.join(known[1:])}"
            )  # fmt: skip
        if name != "seed" and not isinstance(value, Mapping):
            raise ExperimentError(f"{name} = {value!r} must be a table: [{name}], with its words below")
    if "world" not in tables or "kind" not in tables["world"]:
        raise ExperimentError(
            f"an experiment needs a world: [world] with kind = one of {', '.join(WORLDS)}, and its words below"
        )
    world = dict(tables["world"])
    kind = world.pop("kind")
    parts: dict[str, Any] = {}
    for table, part in TABLES.items():
        defaults = {each.name: each.default for each in fields(part)}
        words = dict(tables.get(table, {}))
        for key, value in words.items():
            if key not in defaults:
                raise ExperimentError(_unknown(f"{table}.{key}", value, _known("")))
            words[key] = _amount(f"{table}.{key}", value, type(defaults[key]))
        parts[table] = part(**words)
    return Experiment(WorldWords(kind, world), **parts, seed=_amount("seed", tables.get("seed", 0), int))


def _amount(name: str, value: Any, kind: type) -> Any:
    """A number may be written as text, such as "1M"; a count as 1e6. Other types are for the settings to refuse."""
    if kind in (int, float) and isinstance(value, str):
        try:
            value = parse_quantity(value)
        except QuantityError as problem:
            raise ExperimentError(f"{name} = {value!r} must be a number: {problem}") from None
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _as(value: Any, before: Any) -> Any:
    """Read a text from the command line where true or false must be."""
    return value == "true" if isinstance(before, bool) and value in ("true", "false") else value


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
