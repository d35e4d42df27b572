"""Trained models as files: the weights of all members with the settings that made them, in one safetensors file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from scalinglens.errors import ExperimentError
from scalinglens.train.checkpoint import read_checkpoint, write_checkpoint
from scalinglens.train.perceptron import Perceptron
from scalinglens.train.settings import Model, Parameterization, Settings, Training
from scalinglens.train.transformer import Transformer
from scalinglens.worlds.world import Task, World

__all__ = ["read_model", "write_model"]

_MARK = "scalinglens model 1"


def write_model(
    path: str | Path, model: Transformer | Perceptron, settings: Sequence[Settings], world: World | Task
) -> None:
    """Write trained weights, whole or not at all.

    Args:
        path: of the file. model, settings: of all members. world: what they learned.

    Raises:
        OutputError: the disk refuses.
    """
    facts: dict[str, Any] = {"settings": [asdict(each) for each in settings], "world": world.name}
    facts |= {"inputs": world.inputs, "outputs": world.outputs, "kind": world.kind} if isinstance(world, Task) else {}
    facts |= {} if isinstance(world, Task) else {"vocab": world.vocab}
    write_checkpoint(Path(path), _MARK, dict(model.weights.items()), facts)


def read_model(path: str | Path) -> tuple[Transformer | Perceptron, dict[str, Any]]:
    """Return the model of a file, all members, and its facts: settings, world, vocab.

    Raises:
        ExperimentError: no such file, or not one that `write_model` wrote.
    """
    found, why = read_checkpoint(Path(path), _MARK, keep=True)
    if found is None:
        raise ExperimentError(f"{path} is no trained model: {why}; write one with train_runs(..., weights=FILE)")
    facts = found.facts
    settings = [
        Settings(Model(**s["model"]), Parameterization(**s["parameterization"]), Training(**s["training"]), s["seed"])
        for s in facts["settings"]
    ]
    how, seeds = settings[0], tuple(each.seed for each in settings)
    model: Transformer | Perceptron
    if how.model.kind == "mlp":
        words = {name: facts[name] for name in ("inputs", "outputs", "kind")}
        model = Perceptron(how.model, how.parameterization, seeds=seeds, **words)
    else:
        length = how.training.sequence_length
        model = Transformer(how.model, how.parameterization, vocab=facts["vocab"], length=length, seeds=seeds)
    model.weights.load_state_dict(dict(found.tensors))
    return model, {**facts, "settings": settings}
