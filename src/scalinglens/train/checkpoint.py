"""A training that was interrupted goes on from its last checkpoint, to the same bits; a damaged checkpoint is never used.

A checkpoint is one safetensors file with a checksum of its numbers and the name of the training it belongs to, written under
another name first. What cannot be read, or belongs to another training, is set aside and the training begins anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scalinglens.files import written_whole

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]


@dataclass(frozen=True)
class Checkpoint:
    """What a training needs to go on: tensors, and facts such as the number of steps taken."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


def write_checkpoint(path: Path, owner: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: of the file. owner: the training, such as its hash. tensors, facts: to be read back.

    Raises:
        OutputError: the disk refuses.
    """
    from safetensors.torch import save

    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    words = {"owner": owner, "facts": json.dumps(facts), "sum": _sum(kept)}
    with written_whole(path) as part:
        part.write_bytes(save(kept, metadata=words))


def read_checkpoint(path: Path, owner: str) -> tuple[Checkpoint | None, str]:
    """Return the checkpoint of a training, or None and why there is none; a damaged file is renamed to *.damaged."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None, "there is no checkpoint"
    try:
        with safe_open(str(path), framework="pt") as file:
            words = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if words.get("owner") != owner:
            why = "it belongs to another training"
        elif words.get("sum") != _sum(tensors):
            why = "its numbers are not those that were written"
        else:
            return Checkpoint(tensors, json.loads(words["facts"])), ""
    except (SafetensorError, OSError, ValueError, KeyError) as problem:
        why = f"it cannot be read ({problem})"
    aside = path.with_name(path.name + ".damaged")
    os.replace(path, aside)
    return (
        None,
        f"the checkpoint {path.name} is not used, for {why}; it is kept as {aside.name} and the training begins anew",
    )


def _sum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
