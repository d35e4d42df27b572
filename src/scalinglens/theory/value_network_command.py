"""Value networks as a question with a file or plain numbers: how much of fine-tuning goes over to bases of other sizes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scalinglens.errors import TheoryError
from scalinglens.figures.figure import Axis, Figure, Line, Panel, series
from scalinglens.theory.answer import Answer
from scalinglens.theory.numbers import amounts, counts
from scalinglens.theory.softmax_models import FEATURES, VOCAB, draw_labels, made_language
from scalinglens.theory.value_network import Base, fit_value, transfer_report

__all__ = ["value_network"]

Amount = float | str
_LU = "Lu et al. 2024, Transferable Post-training via Inverse Value Learning, arXiv 2410.21027"
_TEXT, _TEST, _SKILL = 2000, 2000, 8  # examples of text and of the test, features that hold the skill
_ARRAYS = ("base_logits", "features", "labels", "test_features", "test_labels")


@dataclass(frozen=True, eq=False)
class _Transfer:
    """A base and what V sees of the demonstrations, and the bases to be tested."""

    logits: np.ndarray
    features: np.ndarray
    labels: np.ndarray
    test_features: np.ndarray
    test_labels: np.ndarray
    bases: Mapping[str, Base]


def value_network(
    *,
    data: str = "",
    sizes: str = "8,16,32",
    source: int = 8,
    seen: int = 32,
    demonstrations: int = 700,
    penalties: Amount = "0,0.1,1",
    ridge: float = 1e-4,
    seed: int = 0,
) -> Answer:
    """What one base model learned from demonstrations, put on top of bases of other sizes: the share of the gap it closes.

    Args:
        data: file .npz of base_logits, features, labels, test_features, test_labels, and NAME_logits, NAME_tuned for each base,
            both on the test data; without it softmax models of a made language are trained here.
        sizes: features of 32 that the trained bases see, a list A,B,C.
        source: the size of the base that V is trained on, one of the sizes.
        seen: features that V sees; more than its base sees, and it learns to repair that base too.
        demonstrations: examples of the new skill.
        penalties: weights of the mean absolute logit of V, a list or a range.
        ridge: weight of the squared weights, for a unique optimum.
        seed: of the made language.

    Returns:
        For each penalty and base: cross-entropy in nats of the base, with V, and fine-tuned; share of the gap that V closes.

    Raises:
        TheoryError: an unreadable file, arrays that are absent or do not fit, sizes that are not possible, no convergence.

    Source: Lu et al. 2024 (arXiv 2410.21027); here V and the bases are softmax models.

    >>> found = value_network(sizes="8,16", seen=8, penalties=0, demonstrations=300)
    >>> found.table["gap_closed"][0].round(3).item()    # on its own base V is fine-tuning
    1.0
    """
    strengths = amounts("penalties", penalties).tolist()
    if data:
        task, title = _read(data), f"value network in {Path(data).name}"
        problem: dict[str, Any] = {"source": None, "seen": task.features.shape[1]}
    else:
        task = _made(counts("sizes", sizes, most=FEATURES), source, seen, demonstrations, ridge, seed)
        problem = {"source": source, "seen": seen}
        title = f"value network of {seen} features on the base of {source}, {demonstrations} demonstrations"
    parts = []
    for penalty in strengths:
        value = fit_value(task.logits, task.features, task.labels, penalty=penalty, ridge=ridge)
        part = transfer_report(task.bases, value, task.test_features, task.test_labels)
        part.insert(0, "penalty", penalty)
        parts.append(part)
    frame = pd.concat(parts, ignore_index=True)
    table = {str(name): frame[name].to_numpy() for name in frame}
    document = {**problem, "made": not data, "demonstrations": len(task.labels), "ridge": ridge, "rows": table}
    notes = [
        "gap_closed: (base - with V)/(base - fine-tuned) of the losses; above 1 V is better than fine-tuning that base"
    ]
    if len(strengths) > 1:
        for name, part in frame.dropna().groupby("base", sort=False):
            best = part.loc[part["gap_closed"].idxmax()]
            notes.append(f"base {name}: most at penalty {best['penalty']:g}, {best['gap_closed']:.1%} of the gap")
    warnings = []
    flat = frame.loc[frame["gap_closed"].isna(), "base"].drop_duplicates()
    if len(flat):
        warnings.append(f"fine-tuning gains nothing on the test data of {', '.join(flat)}: there is no gap to close")
    return Answer(title, table, document, notes, warnings, (_LU,), _figure(frame, title))


def _made(sizes: list[int], source: int, seen: int, demonstrations: int, ridge: float, seed: int) -> _Transfer:
    """Bases that see the first features of a language, fine-tuned on a skill that sits in the first eight."""
    if source not in sizes:
        raise TheoryError(f"source is {source}; it is one of the sizes, {', '.join(map(str, sizes))}")
    if not 1 <= seen <= FEATURES:
        raise TheoryError(f"seen is {seen}; V sees from 1 to {FEATURES} features")
    if demonstrations < 1:
        raise TheoryError(f"demonstrations is {demonstrations}; it is a whole number of at least 1")
    if not 0 < ridge < np.inf:
        raise TheoryError(f"ridge is {ridge!r}; it is positive here: logits are unique only up to a constant")
    rng = np.random.default_rng(seed)
    language, skill = made_language(rng), np.zeros((FEATURES, VOCAB))
    skill[:_SKILL] = rng.normal(size=(_SKILL, VOCAB))
    text, known, new = (rng.normal(size=(count, FEATURES)) for count in (_TEXT, demonstrations, _TEST))
    tokens = draw_labels(rng, text, language)
    labels, new_labels = (draw_labels(rng, x, language + skill) for x in (known, new))
    logits, bases = {}, {}
    for size in sizes:
        weights = fit_value(np.zeros((_TEXT, VOCAB)), text[:, :size], tokens, ridge=ridge).weights
        logits[size] = known[:, :size] @ weights
        shift = fit_value(logits[size], known[:, :size], labels, ridge=ridge).weights
        bases[str(size)] = Base(new[:, :size] @ weights, new[:, :size] @ (weights + shift))
    return _Transfer(logits[source], known[:, :seen], labels, new[:, :seen], new_labels, bases)


def _read(path: str) -> _Transfer:
    try:
        opened: Any = np.load(path, allow_pickle=False)
        arrays = dict(opened) if hasattr(opened, "files") else None
    except FileNotFoundError:
        raise TheoryError(f"--data {path}: there is no such file") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        raise TheoryError(f"--data {path} is no .npz file of numbers; write it with numpy.savez") from None
    if arrays is None:
        raise TheoryError(f"--data {path} holds one array; write several by name with numpy.savez")
    names = [name.removesuffix("_tuned") for name in arrays if name.endswith("_tuned")]
    if not names:
        raise TheoryError(f"--data {path} has no base to test: give NAME_logits and NAME_tuned of each")
    absent = [name for name in (*_ARRAYS, *(f"{name}_logits" for name in names)) if name not in arrays]
    if absent:
        raise TheoryError(f"--data {path} lacks {', '.join(absent)}; it has {', '.join(arrays)}")
    wrong = [name for name, array in arrays.items() if array.dtype.kind not in "fiub"]
    if wrong:
        raise TheoryError(f"--data {path}: {', '.join(wrong)} hold no real numbers")
    bases = {name: Base(arrays[f"{name}_logits"], arrays[f"{name}_tuned"]) for name in names}
    return _Transfer(*(arrays[name] for name in _ARRAYS), bases=bases)


def _figure(frame: pd.DataFrame, title: str) -> Figure | None:
    """The share of the gap closed on each base, along the penalty; a penalty of zero is drawn at a small one."""
    strengths = np.unique(frame["penalty"])
    if len(strengths) < 2:
        return None
    zero = strengths[strengths > 0][0] / 10
    lines = []
    for k, (name, part) in enumerate(frame.dropna().sort_values("penalty").groupby("base", sort=False)):
        x = np.maximum(part["penalty"].to_numpy(), zero)
        lines.append(Line(x, part["gap_closed"].to_numpy(), series(k), label=f"base {name}"))
    label = f"penalty (0 at {zero:g})" if strengths[0] == 0 else "penalty"
    panel = Panel("Share of the gap closed", Axis(label, "log"), Axis("share"), tuple(lines))
    return Figure("Value network", (panel,), title) if lines else None
