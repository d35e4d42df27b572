"""A training that was interrupted goes on from its last checkpoint, to the same bits; a damaged checkpoint is never used.

A checkpoint is one safetensors file with a checksum of its content and the name of the training it belongs to, written under
another name first. What cannot be read, or belongs to another training, is set aside and the training begins anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scalinglens.files import written_whole
from scalinglens.train.optimizer import Optimizer

__all__ = ["Checkpoint", "Journal", "read_checkpoint", "write_checkpoint"]


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
    text = json.dumps(facts)
    words = {"owner": owner, "facts": text, "sum": _sum(kept, text)}
    with written_whole(path) as part:
        part.write_bytes(save(kept, metadata=words))


def read_checkpoint(path: Path, owner: str, *, keep: bool = False) -> tuple[Checkpoint | None, str]:
    """Return the checkpoint of a training, or None and why there is none.

    Args:
        path: of the file. owner: the training.
        keep: leave a file that cannot be used where it is; else it is renamed to *.damaged.
    """
    if not path.is_file():
        return None, "there is no such file"
    found = _opened(path, owner)
    if isinstance(found, Checkpoint):
        return found, ""
    if keep:
        return None, found
    aside = path.with_name(path.name + ".damaged")
    os.replace(path, aside)
    return (
        None,
        f"the checkpoint {path.name} is not used, for {found}; it is kept as {aside.name} and the training begins anew",
    )


class Journal:
    """What a training has done so far, and its file: evaluations, steps and time, from which it goes on if it is interrupted.

    Args:
        path: of the checkpoint; None keeps nothing. owner: the training. every: seconds between two writings.

    Attributes:
        begin: steps that were taken before. rows: evaluations, to be appended to.
    """

    def __init__(self, path: Path | None, owner: str, every: float) -> None:
        self.path, self.owner, self.every = path, owner, every
        self.begin = 0
        self.rows: list[dict[str, Any]] = []
        self._spent = 0.0
        self._started = self._saved = time.monotonic()

    def resume(self, optimizer: Optimizer, *, keep: bool = False) -> None:
        """Go on from the file if there is one, and start the clock; `keep` as in `read_checkpoint`."""
        found = read_checkpoint(self.path, self.owner, keep=keep)[0] if self.path is not None else None
        if found is not None:
            self.begin, self._spent, self.rows = (found.facts[name] for name in ("steps", "seconds", "rows"))
            optimizer.load(found.tensors, self.begin)
        self._started = self._saved = time.monotonic()

    def save(self, optimizer: Optimizer, step: int) -> None:
        """Write the file if it is time to, after so many steps."""
        if self.path is not None and time.monotonic() - self._saved > self.every:
            facts = {"steps": step, "seconds": self.seconds, "rows": self.rows}
            write_checkpoint(self.path, self.owner, optimizer.state(), facts)
            self._saved = time.monotonic()

    def end(self) -> None:
        """Remove the file: there is nothing left to go on with."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    @property
    def seconds(self) -> float:
        """Spent on the training, interruptions not counted."""
        return self._spent + time.monotonic() - self._started


def _opened(path: Path, owner: str) -> Checkpoint | str:
    """The checkpoint, or why it cannot be used."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            words = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        if words.get("owner") != owner:
            return "it belongs to another training"
        if words["sum"] != _sum(tensors, words["facts"]):
            return "its content is not what was written"
        return Checkpoint(tensors, json.loads(words["facts"]))
    except (SafetensorError, OSError, ValueError, KeyError) as problem:
        return f"it cannot be read ({problem})"


def _sum(tensors: Mapping[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
