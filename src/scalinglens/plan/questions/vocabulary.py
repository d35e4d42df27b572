"""Vocabulary: how many entries it should have, by the three approaches of one study."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, INK, MUTED, Axis, Figure, Line, Panel, Rule
from scalinglens.plan.architecture.shapes import shaped
from scalinglens.plan.optimum.best import best_inputs
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, value_of
from scalinglens.plan.source import as_source

__all__ = ["vocabulary"]

_RANGE = (1e3, 2e6)
_CAPPED = 2e5  # entries up to which the compression was measured
_STEP = 128  # multiples that accelerators like


def vocabulary(
    *,
    params_nonvocab: Amount,
    width: Amount | None = None,
    flops: Amount | None = None,
    vocab: Amount | None = None,
    source: Any = "tao2024.approach3",
) -> Plan:
    """Recommend a size of the vocabulary for a model and its training compute.

    V* = argmin -E + A1 N^-a1 + A2 (V d)^-a2 + B (C/(6 (N + V d)))^-a1; by power laws V d ~ C^0.42 and V d ~ N^0.84

    Args:
        params_nonvocab: parameters without those of the vocabulary.
        width: of the embedding; by default that of a usual shape of the size.
        flops: of training; by default what is compute-optimal for the size.
        vocab: entries of a vocabulary that is thought of, to be told what it loses.
        source: a law of params_nonvocab, vocab, width and flops, or a saved fit of one.

    Returns:
        vocab (the first approach that knows the compute: the loss), vocab_rounded to a multiple of 128, params_vocab and
        their share, tokens_per_character; with vocab also loss_excess. The spread holds the two power laws.

    Raises:
        PlanError: an amount that is not positive.

    Cost: milliseconds.

    Source: Tao et al. 2024 (arXiv 2407.13623), approaches 1 to 3.

    >>> found = vocabulary(params_nonvocab="7B", width=4096)
    >>> round(found.answer["vocab"].value), {k: round(v["vocab"]) for k, v in found.spread.items()}
    (59548, {'tao2024.approach1_vocab': 62281, 'tao2024.approach2_vocab': 67450})
    """
    given = read(params_nonvocab=params_nonvocab, width=width, flops=flops, vocab=vocab)
    size = given["params_nonvocab"]
    law = as_source(source)
    if set(law.inputs) != {"params_nonvocab", "vocab", "width", "flops"}:
        raise PlanError(
            f"the vocabulary is chosen by a law of params_nonvocab, vocab, width and flops, and {law.name} has "
            f'{", ".join(law.inputs)}; take "tao2024.approach3"'
        )
    said = []
    if width is None:
        shape = shaped(size, count="params_nonembedding")
        given["width"] = float(shape.width)
        said.append(f"width {shape.width} of a usual shape with {shape.depth} layers")
    optimal = value_of("tao2024.approach1_flops", params_nonvocab=size)
    if flops is None:
        given["flops"] = optimal
        said.append(f"{optimal:.3g} FLOP are compute-optimal for the size (tao2024.approach1_flops)")
    at = {name: given[name] for name in ("params_nonvocab", "width", "flops")}
    best = best_inputs(law, {"vocab": _RANGE}, at)
    chosen = best.optimum["vocab"].at(0)
    table = chosen.value * at["width"]
    answer: dict[str, Any] = {
        "vocab": chosen,
        "vocab_rounded": _STEP * round(chosen.value / _STEP),
        "params_vocab": table,
        "vocab_share": table / (table + size),
        "tokens_per_character": value_of("tao2024.compression", vocab=chosen.value),
        "loss_normalised": best.value.at(0),
    }
    laws = ["tao2024.approach3"] if law.published else []
    laws += ["tao2024.approach1_vocab", "tao2024.approach2_vocab", "tao2024.compression"]
    warnings = []
    if vocab is not None:
        there = float(law.value({**at, "vocab": given["vocab"]}))
        answer["loss_excess"] = there - float(best.value.value[0])
    if chosen.value > _CAPPED:
        warnings.append("compression was measured up to 200,000 entries; beyond, the optimum is extrapolated")
    if best.status[0] != "inside":
        warnings.append(f"the optimum lies at the end of what is searched, {_RANGE[0]:g} to {_RANGE[1]:g} entries")
    off = abs(np.log10(at["flops"] / optimal))
    if off > np.log10(2):
        warnings.append(
            f"the compute is {at['flops'] / optimal:.2g} times what is compute-optimal for the size, which approaches 1 and 2 "
            "assume: only the first value is for this compute"
        )
    spread = {
        "tao2024.approach1_vocab": {"vocab": value_of("tao2024.approach1_vocab", flops=at["flops"], width=at["width"])},
        "tao2024.approach2_vocab": {
            "vocab": value_of("tao2024.approach2_vocab", params_nonvocab=size, width=at["width"])
        },
    }
    low, high = (float(end) for end in best.near_optimal["vocab"][0])
    return answered(
        "vocabulary",
        source=law.name,
        given=given,
        answer=answer,
        laws=laws,
        spread=spread,
        near_optimal={"tolerance": best.tolerance, "vocab": (low, high)},
        extrapolation_decades={} if law.published else law.beyond({**at, "vocab": chosen.value}),
        assumptions=(
            *said,
            "the loss is normalised by the unigram frequencies, so that vocabularies compare; it is negative",
            "byte-pair encoding of English text (SlimPajama)",
        ),
        warnings=[*(() if law.published else law.warnings), *warnings],
        figure=_figure(law, at, chosen.value, (low, high)),
        level=law.level,
    )


def _figure(law: Any, at: dict[str, float], best: float, near: tuple[float, float]) -> Figure:
    x = np.geomspace(max(best / 12, 500), best * 12, 81)
    y = law.value({**at, "vocab": x})
    inside = (x >= near[0]) & (x <= near[1])
    marks = (
        Line(x, y, ACCENT, 1.8),
        Line(x[inside], y[inside], INK, 3.0),
        Rule(best, "x", MUTED, "dotted", f"{best:,.0f}"),
    )
    axes = Axis("vocabulary (entries)", "log", "engineering"), Axis("unigram-normalised loss")
    return Figure(title="Size of the vocabulary", panels=(Panel("Loss by vocabulary", *axes, marks),))
