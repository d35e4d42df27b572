"""Counting: which exponent of the best size comes from what is counted, Kaplan's 0.73 against Hoffmann's 0.5."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import Axis, Figure, Line, Panel, Rule, series
from scalinglens.fit.estimate import Estimate
from scalinglens.laws.catalogue import law
from scalinglens.plan.counting import CONVENTIONS, KAPLAN_SIZES, Reconciliation, reconcile
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, value_of
from scalinglens.plan.questions.own import own_source

__all__ = ["counting"]

_SHOWN = ("total", "nonembedding", "nonembedding_size", "nonembedding_compute", "attention")
# N* ~ C^a of RefinedWeb after each correction, porian2024 (secondary)
_STEPS = (
    ("as Kaplan", 0.835),
    ("FLOP of the head", 0.706),
    ("warm-up by size", 0.602),
    ("matched cosine", 0.571),
    ("tuned", 0.497),
)


def counting(
    *,
    source: Any = "besiroglu2024",
    constants: str = "",
    params_least: Amount | None = None,
    params_most: Amount | None = None,
    flops_least: Amount | None = None,
    flops_most: Amount | None = None,
    params_nonembedding: Amount | None = None,
    vocab: int = 32_000,
    aspect: float = 39.2,
    sequence_length: int = 2048,
) -> Plan:
    """Tell which exponent of the best size each way to count gives, under one law and for models of one shape.

    N* ~ C^a, N and C with or without vocabulary and attention

    Args:
        source: law of params (or params_nonembedding) and tokens, or a saved fit of one.
        constants: of the law, NAME=NUMBER with commas.
        params_least: smallest blocks, in parameters; by default 768, the smallest of Kaplan et al.
        params_most: largest blocks; by default 1.5B.
        flops_least: smallest compute, as each way counts it, in place of sizes.
        flops_most: largest compute.
        params_nonembedding: a size without embeddings, to be told with them.
        vocab: entries of the vocabulary.
        aspect: width over depth.
        sequence_length: tokens per sequence.

    Returns:
        exponent[...] of each convention, with intervals where a fit has draws; the spread holds published exponents.

    Raises:
        PlanError: a law of other inputs, half a range.

    Source: Pearce and Song 2024 (arXiv 2406.12907), Porian et al. 2024 (arXiv 2406.19146).

    >>> found = counting(flops_least=10**12.95, flops_most=10**20.7)
    >>> [round(found.answer[f"exponent[{name}]"].value, 2) for name in ("total", "nonembedding")]
    [0.51, 0.78]
    """
    given: dict[str, Any] = read(
        params_least=params_least,
        params_most=params_most,
        flops_least=flops_least,
        flops_most=flops_most,
        params_nonembedding=params_nonembedding,
    )
    own = own_source(source, constants, example="constants (NAME=NUMBER,...)")
    flops = _range(given, "flops", None)
    sizes = _range(given, "params", KAPLAN_SIZES)
    if flops is not None and ("params_least" in given or "params_most" in given):
        raise PlanError("a range of flops and one of params are given, and each determines the other; keep one")
    found = reconcile(
        own, flops=flops, params=sizes, conventions=_SHOWN, vocab=vocab, aspect=aspect, sequence_length=sequence_length
    )
    answer: dict[str, Estimate] = {f"exponent[{name}]": e for name, e in found.exponents.items()}
    laws = [own.name] if own.published else []
    if "params_nonembedding" in given:
        size = given["params_nonembedding"]
        omega = vocab * (aspect / 12) ** (1 / 3)
        answer["params"] = Estimate(value_of("pearce2024.N_total", {"omega": omega}, params_nonembedding=size))
        laws.append("pearce2024.N_total")
    steps = ", ".join(f"{exponent:g} {name}" for name, exponent in _STEPS)
    return answered(
        "counting",
        source=own.name,
        given={**given, "vocab": vocab, "aspect": aspect, "sequence_length": sequence_length},
        answer=answer,
        laws=laws,
        spread={
            "kaplan2020.N_opt": {"exponent": law("kaplan2020.N_opt").constants["pN"]},
            "porian2024.N_opt": {"exponent": law("porian2024.N_opt").constants["p"]},
        },
        assumptions=(
            *(() if own.published else own.assumptions),
            *(f"{name}: {CONVENTIONS[name].says}" for name in _SHOWN),
            f"measured on RefinedWeb, each correction on top of the last: {steps} (porian2024)",
        ),
        warnings=(
            *own.warnings,
            "counting explains part of the gap, warm-up, schedule and tuning the rest; compare exponents of one convention",
        ),
        figure=_figure(found, own.name),
        level=found.level,
    )


def _range(given: dict[str, Any], what: str, default: tuple[float, float] | None) -> tuple[float, float] | None:
    low, high = given.get(f"{what}_least"), given.get(f"{what}_most")
    if default is None and (low is None) != (high is None):
        missing = f"{what}_least" if low is None else f"{what}_most"
        raise PlanError(f"a range of {what} has two ends; give {missing} too")
    if default is None and low is None:
        return None
    ends = (low or (default or (0, 0))[0], high or (default or (0, 0))[1])
    if ends[0] >= ends[1]:
        raise PlanError(f"{what} from {ends[0]:g} to {ends[1]:g} is no range; {what}_least must be below {what}_most")
    return ends


def _figure(found: Reconciliation, name: str) -> Figure:
    lines = tuple(
        Line(found.flops[key], found.local[key], series(i), 1.6, label=key.replace("_", " "))
        for i, key in enumerate(found.exponents)
    )
    marks = (*lines, Rule(0.73, "y", label="Kaplan et al. 0.73"))
    top = max(0.8, *(float(np.max(found.local[key])) for key in found.exponents)) + 0.05
    panel = Panel(
        "Local exponent",
        Axis("counted compute (FLOP)", "log", "power"),
        Axis("exponent", limits=(0.4, top)),
        marks,
    )
    return Figure(f"Counting under {name}", (panel,))
