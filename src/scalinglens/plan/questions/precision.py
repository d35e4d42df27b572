"""Precision: bits to train with at a compute, and what quantisation after training damages."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, INK, MUTED, Axis, Figure, Line, Panel, Rule
from scalinglens.laws.catalogue import law as find_law
from scalinglens.numerics.roots import bracketed_root
from scalinglens.plan.frontier import Frontier, frontier
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read
from scalinglens.plan.questions.draws import Drawn, together
from scalinglens.plan.questions.ranges import decades
from scalinglens.plan.questions.valley import lowest, lowest_of_two
from scalinglens.plan.source import Source, as_source

__all__ = ["precision"]

_PARTS = ("bits_weights", "bits_activations", "bits_kv")
_RANGE = (3.2, 32.0)  # bits; below 3.11 a factor of the law is negative
_HARDWARE = (4, 8, 16)
_SIZES = (1e5, 1e15)
_COST = "6/16*{size}*tokens*bits"


def precision(
    *,
    flops: Amount | None = None,
    params_nonembedding: Amount | None = None,
    tokens: Amount | None = None,
    bits: Amount | None = None,
    bits_post: Amount = 4,
    source: Any = "kumar2024.train_offset",
) -> Plan:
    """Recommend the precision of training at a compute, and tell the damage of quantisation after it.

    L = A N_eff^-alpha + B D^-beta + E, N_eff = N prod(1 - exp(-P/gamma + n)), C = 6 N D P/16;
    damage = C_T D^gD N^-gN exp(-P_post/g), smallest total where beta B D^-beta = gD damage

    Args:
        flops: of training, counted at 16 bits: half the bits cost half.
        params_nonembedding: a size that is settled, without embeddings.
        tokens: in place of flops, with the size: a trained model, of which only the damage is told.
        bits: of weights, activations and cache alike that are settled.
        bits_post: of the weights after training.
        source: of the loss in training: a law with bits, or a saved fit.

    Returns:
        bits, params_nonembedding, tokens, loss; loss_4_bits, loss_8_bits, loss_16_bits at the same compute;
        loss_increase by quantisation to bits_post; tokens_critical, beyond which more training harms the quantised model.

    Raises:
        PlanError: nothing that determines size and tokens, or fewer bits than the law knows.

    Cost: some ten milliseconds; with a fit a second or so.

    Source: Kumar et al. 2024 (arXiv 2411.04330).

    >>> found = precision(flops=1e21)
    >>> f"{found.answer['bits'].value:.2f}"
    '7.00'
    """
    given = read(flops=flops, params_nonembedding=params_nonembedding, tokens=tokens, bits=bits, bits_post=bits_post)
    law = _tied(as_source(source))
    size = next((name for name in law.inputs if name.startswith("params")), "")
    if set(law.inputs) != {size, "tokens", "bits"}:
        raise PlanError(
            f"precision is told by a law of a size, tokens and bits, and {law.name} has {', '.join(law.inputs)}; "
            'take "kumar2024.train_offset"'
        )
    if flops is None and (params_nonembedding is None or tokens is None):
        raise PlanError(
            "give flops, and the best bits are answered, or params_nonembedding and tokens of a trained model"
        )
    if flops is not None and tokens is not None:
        raise PlanError("flops and tokens are given; with the bits one follows from the other, so keep one")
    if not _RANGE[0] <= given.get("bits", 8.0) <= _RANGE[1]:
        raise PlanError(
            f"bits is {given['bits']:g}; the law holds from {_RANGE[0]:g} to {_RANGE[1]:g}: below, a factor is negative"
        )
    found, doubts = together(law, lambda one: _worked(one, size, given))
    values = {name: e.value for name, e in found.items()}
    near: dict[str, Any] = {}
    figure = None
    if flops is not None and bits is None:
        front = _front(law, size, given)
        near = {"tolerance": front.tolerance}
        names = {size: "params_nonembedding", "tokens": "tokens", "bits": "bits"}
        near |= {names[k]: (float(v[0, 0]), float(v[0, 1])) for k, v in front.near_optimal.items()}
        figure = _figure(law, size, given, values["bits"], near["bits"])
    warnings = [*(() if law.published else law.warnings), *doubts]
    ratio = values["tokens"] / values["params_nonembedding"]
    if values["tokens"] > values["tokens_critical"]:
        warnings.append(
            f"at {bits_post} bits after training more than {values['tokens_critical']:.2g} tokens harm: the damage grows "
            "faster than the loss falls"
        )
    warnings.append(
        f"the longer a model is trained the more quantisation damages it: twice the tokens, 1.42 times the damage; here "
        f"{ratio:.3g} tokens per parameter"
    )
    warnings.append(
        "the authors advise against using the numbers outside their setting; take 7 to 8 bits as the message"
    )
    own = law.name.startswith("kumar2024")
    return answered(
        "precision",
        source=law.name,
        given=given,
        answer=found,
        laws=[*([law.name] if law.published and own else []), "kumar2024.ptq"],
        near_optimal=near,
        extrapolation_decades=decades(
            law, **{size: values["params_nonembedding"], "tokens": values["tokens"], "flops": given.get("flops", 1.0)}
        )
        if law.published
        else law.beyond({size: values["params_nonembedding"], "tokens": values["tokens"]}),
        assumptions=(
            *(() if law.published else law.assumptions),
            "weights, activations and cache have the same bits, and compute is proportional to them (16 bits: 6 N D)",
            "the damage is that of a model trained in high precision; one trained in few bits suffers less (form unverified)",
            "N is without embeddings; integer types",
        ),
        warnings=warnings,
        figure=figure,
        level=law.level,
    )


def _tied(source: Source) -> Source:
    """The source with one number of bits in place of three."""
    law = source.law
    if law is None or "bits" in source.inputs or not set(_PARTS) & set(source.inputs):
        return source
    return source.rewritten(re.sub(rf"\b({'|'.join(_PARTS)})\b", "bits", law.formula), name=law.name)


def _front(law: Source, size: str, given: dict[str, float]) -> Frontier:
    fix: dict[str, Any] = {size: given["params_nonembedding"]} if "params_nonembedding" in given else {}
    cost = _COST.format(size=size)
    return frontier(law, given["flops"], cost=cost, fix=fix, bounds={"bits": _RANGE})


def _best_size(law: Source | Drawn, size: str, given: dict[str, float], bits: Any) -> tuple[Any, Any]:
    """The best size at a compute and bits [..., draws], and its loss; the size given where there is one."""
    bits = np.asarray(bits, dtype=float)

    def loss(n: Any) -> Any:
        return law.value({size: n, "tokens": given["flops"] * 16 / (6 * n * bits), "bits": bits})

    if "params_nonembedding" in given:
        n = np.full(bits.shape, given["params_nonembedding"])
        return n, loss(n)
    return lowest(loss, np.full(bits.shape, _SIZES[0]), _SIZES[1])


def _best_bits(law: Drawn, size: str, given: dict[str, float]) -> np.ndarray:
    """The best bits [draws], the size at its best for each."""
    low, high = (np.full(law.count, end) for end in _RANGE)
    if "params_nonembedding" in given:
        return lowest(lambda q: _best_size(law, size, given, q)[1], low, high, points=33)[0]

    def loss(n: np.ndarray, q: np.ndarray) -> np.ndarray:
        return law.value({size: n, "tokens": given["flops"] * 16 / (6 * n * q), "bits": q})

    return lowest_of_two(loss, (_SIZES[0], _SIZES[1]), _RANGE, law.count)[1]


def _worked(law: Drawn, size: str, given: dict[str, float]) -> dict[str, Any]:
    """The answers under every draw [draws]."""
    found: dict[str, Any] = {}
    if "flops" not in given:
        n, d, p = (
            np.full(law.count, x) for x in (given["params_nonembedding"], given["tokens"], given.get("bits", 16.0))
        )
    else:
        p = np.full(law.count, given["bits"]) if "bits" in given else _best_bits(law, size, given)
        n = _best_size(law, size, given, p)[0]
        d = given["flops"] * 16 / (6 * n * p)
    found |= {"bits": p, "params_nonembedding": n, "tokens": d}
    found["loss"] = law.value({size: n, "tokens": d, "bits": p})
    if "flops" in given:
        for one in _HARDWARE:
            found[f"loss_{one}_bits"] = _best_size(law, size, given, np.full(law.count, float(one)))[1]
    post = {"params_nonembedding": n, "bits_post": np.full(law.count, given["bits_post"])}
    found["loss_increase"] = np.asarray(find_law("kumar2024.ptq").value(tokens=d, **post))
    found["loss_quantised"] = found["loss"] + found["loss_increase"]
    found["tokens_critical"] = _critical(law, size, n, p, post)
    return found


def _critical(law: Drawn, size: str, n: np.ndarray, bits: np.ndarray, post: dict[str, np.ndarray]) -> np.ndarray:
    """Tokens [draws] at which the quantised loss is least: its slope by ln tokens is zero."""
    damage = find_law("kumar2024.ptq")
    grows = float(damage.constants["gD"])

    def slope(t: np.ndarray) -> np.ndarray:
        falls = law.elasticities({size: n, "tokens": np.exp(t), "bits": bits})["tokens"]
        return falls + grows * np.asarray(damage.value(points={"tokens": np.exp(t), **post}))

    low, high = np.full((2, law.count), np.log([[1e6], [1e20]]))
    return np.exp(bracketed_root(slope, low, high))


def _figure(law: Source, size: str, given: dict[str, float], best: float, near: tuple[float, float]) -> Figure:
    x = np.geomspace(4, 20, 81)
    y = _best_size(law, size, given, x)[1]
    inside = (x >= near[0]) & (x <= near[1])
    marks = (
        Line(x, y, ACCENT, 1.8),
        Line(x[inside], y[inside], INK, 3.0),
        Rule(best, "x", MUTED, "dotted", f"{best:.1f} bits"),
    )
    panel = Panel("Loss at equal compute", Axis("bits of training"), Axis("loss (nats/token)"), marks)
    return Figure(title="Precision of training", panels=(panel,))
