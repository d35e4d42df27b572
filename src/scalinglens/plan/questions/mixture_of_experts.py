"""Mixture of experts: how sparse and how finely split, against a dense model of the same compute and memory.

Each law compares its own mixture with its own dense model: losses of different studies are of different data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, MUTED, Axis, Figure, Line, Panel, Rule
from scalinglens.numerics.roots import bracketed_root
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, share, value_of
from scalinglens.plan.questions.draws import Drawn, together
from scalinglens.plan.questions.ranges import decades
from scalinglens.plan.questions.valley import lowest, lowest_of_two
from scalinglens.plan.source import Source, as_source

__all__ = ["granular", "mixture_of_experts"]

_MOST = 0.95  # sparsity beyond which abnar2025 predicts badly (held-out R2 68%)
_GRANULARITIES = (1, 2, 4, 8, 16, 32, 64)
_EXPERTS = (1, 2, 4, 8, 16, 32, 64)
_FIXED_TOKENS = 130e9  # of clark2022
_COPIES = 64  # experts of krajewski2024
_SIZES = (1e5, 1e15)
_GRANULAR = "krajewski2024.moe: 64 experts, one of them active, split by the granularity; router included"


def mixture_of_experts(
    *,
    flops: Amount,
    memory_bytes: Amount | None = None,
    sparsity: Amount | None = None,
    bytes_per_param: Amount = 2,
    source: Any = "abnar2025",
) -> Plan:
    """Recommend a mixture of experts at a compute, and compare it with the best dense model.

    min L(N, D, S) with 6 N (1 - S) D = C, N bytes <= memory; gain = C_dense/C with L_dense(C_dense) = L

    Args:
        flops: of training.
        memory_bytes: that all weights may take; both models keep to it.
        sparsity: share of the weights that a token does not meet, where it is settled.
        bytes_per_param: of the weights in memory: 2 for bf16.
        source: a law of params, tokens and sparsity, a saved fit of one, or of params_active, tokens and experts (the form of
            ludziejewski2025, whose constants are not published).

    Returns:
        sparsity (or experts), params, params_active, tokens, loss; loss_dense, params_dense of the best dense model under
        the same law, compute and memory; loss_dense_same_size: a dense model of as many weights; gain: how many times the
        compute the dense one needs for that loss. The spread holds the same of other laws, with granularity.

    Raises:
        PlanError: a sparsity outside 0 to 0.98, a law of other inputs, or a memory too small.

    Cost: a tenth of a second; with a fit a second or two.

    Source: Abnar et al. 2025 (arXiv 2501.12370), Krajewski et al. 2024 (arXiv 2402.07871), Clark et al. 2022 (arXiv 2202.01169).

    >>> found = mixture_of_experts(flops=1e21, sparsity=0.9)
    >>> found.answer["loss"].value < found.answer["loss_dense"].value
    True
    """
    law = as_source(source)
    kind = _kind(law)
    given = read(flops=flops, memory_bytes=memory_bytes, bytes_per_param=bytes_per_param)
    if sparsity is not None:
        given["sparsity"] = share("sparsity", sparsity)
        if kind == "experts":
            raise PlanError(f"{law.name} counts experts, so its sparsity is theirs; leave sparsity out")
    most = given["memory_bytes"] / given["bytes_per_param"] if memory_bytes is not None else np.inf
    if most <= _SIZES[0]:
        raise PlanError(
            f"memory_bytes holds {most:.3g} parameters, which is no language model; it is in bytes, such as 80e9"
        )
    work = _sparse if kind == "sparsity" else _expert
    found, doubts = together(law, lambda one: work(one, given, most))
    values = {name: e.value for name, e in found.items()}
    warnings = [*(() if law.published else law.warnings), *doubts]
    if kind == "sparsity":
        if values["sparsity"] > _MOST:
            warnings.append("beyond a sparsity of 0.95 the law explains 68% of held-out runs: do not rely on it there")
        elif sparsity is None and values["sparsity"] > _MOST - 1e-3:
            warnings.append(
                "the best sparsity is the largest that the law was tested to, 0.95; more experts may be better"
            )
    if np.isfinite(most) and values["params"] > 0.99 * most:
        warnings.append("the memory binds: with more of it more experts would be better")
    elif not np.isfinite(most):
        warnings.append(
            "without memory_bytes all weights are free, which favours experts; give the memory of the servers"
        )
    warnings.append(
        "communication, load balance and the router's cost are not in the first law; the spread's router is"
    )
    near = _near(law, given, most, values) if kind == "sparsity" and sparsity is None else {}
    spread = _others(given["flops"], most) if law.published else {}
    laws = (law.name, *spread) if law.published else ()
    return answered(
        "mixture_of_experts",
        source=law.name,
        given=given,
        answer=found,
        laws=tuple("abnar2025" if name == "abnar2025.main" else name for name in laws),
        spread=spread,
        near_optimal=near,
        extrapolation_decades=decades("abnar2025", flops=given["flops"])
        if law.published
        else law.beyond({k: values[k] for k in ("params", "params_active", "tokens") if k in law.inputs}),
        assumptions=(
            *(() if law.published else law.assumptions),
            "training costs 6 FLOP per token and active parameter, and active parameters are params (1 - sparsity)"
            if kind == "sparsity"
            else "training costs 6 FLOP per token and active parameter; params are params_active (8 experts + 4)/12",
            *((_GRANULAR,) if spread else ()),
        ),
        warnings=[*warnings, *_cautions(spread)],
        figure=_figure(law, given, most) if kind == "sparsity" else None,
        level=law.level,
    )


def _kind(law: Source) -> str:
    if set(law.inputs) == {"params", "tokens", "sparsity"}:
        return "sparsity"
    if set(law.inputs) == {"params_active", "tokens", "experts"}:
        return "experts"
    raise PlanError(
        f"a mixture is planned with a law of params, tokens and sparsity, or of params_active, tokens and experts, and "
        f'{law.name} has {", ".join(law.inputs)}; take "abnar2025", or a fit of runs of yours'
    )


def _sparse(law: Drawn, given: Mapping[str, float], most: float) -> dict[str, Any]:
    """The answers under every draw [draws]."""
    flops, top, zero = given["flops"], min(most, _SIZES[1]), np.zeros(law.count)

    def loss(n: Any, s: Any, c: Any = flops) -> Any:
        return law.value({"params": n, "tokens": c / (6 * n * (1 - s)), "sparsity": s})

    def best(s: np.ndarray, c: Any = flops) -> tuple[np.ndarray, np.ndarray]:
        return lowest(lambda n: loss(n, s, c), np.full(law.count, _SIZES[0]), top)

    if "sparsity" in given:
        s = np.full(law.count, given["sparsity"])
    else:
        # the density in place of the sparsity: its logarithm is the natural scale
        s = 1 - lowest_of_two(lambda n, q: loss(n, 1 - q), (_SIZES[0], top), (1 - _MOST, 1.0), law.count)[1]
    n, here = best(s)
    dense, dense_loss = best(zero)
    return {
        "sparsity": s,
        "params": n,
        "params_active": n * (1 - s),
        "tokens": flops / (6 * n * (1 - s)),
        "loss": here,
        "loss_dense": dense_loss,
        "params_dense": dense,
        "loss_dense_same_size": loss(n, zero),
        "gain": _gain(lambda c: best(zero, c)[1], flops, here),
    }


def _expert(law: Drawn, given: Mapping[str, float], most: float) -> dict[str, Any]:
    """The answers under every draw [draws]."""
    flops = given["flops"]

    def best(experts: float, c: Any = flops) -> tuple[np.ndarray, np.ndarray]:
        held = min(most / ((8 * experts + 4) / 12), _SIZES[1])
        return lowest(
            lambda n: law.value({"params_active": n, "tokens": c / (6 * n), "experts": experts}),
            np.full(law.count, _SIZES[0]),
            held,
        )

    options = [best(float(e)) for e in _EXPERTS]
    sizes, losses = (np.stack([option[i] for option in options]) for i in (0, 1))
    which = np.argmin(losses, axis=0)
    e = np.array(_EXPERTS, dtype=float)[which]
    n, here = (np.take_along_axis(array, which[None], axis=0)[0] for array in (sizes, losses))
    return {
        "experts": e,
        "params": n * (8 * e + 4) / 12,
        "params_active": n,
        "tokens": flops / (6 * n),
        "loss": here,
        "loss_dense": losses[0],
        "params_dense": sizes[0],
        "gain": _gain(lambda c: best(1.0, c)[1], flops, here),
    }


def granular(flops: float, granularity: float, most: float = np.inf) -> dict[str, float]:
    """Return the best size and data of a mixture of 64 experts at a compute and a granularity.

    N = d^2 (8E + 4) n, d = 64 n, C = (12 d^2 c_f + d E G c_r) D n; n layers are chosen

    Source: Krajewski et al. 2024, arXiv 2402.07871.

    >>> found = granular(1.93e20, 16)  # the published optimum: 28.94B tokens, loss 2.491
    >>> f"{found['tokens']:.3g} {found['loss']:.3f}"
    '2.83e+10 2.472'
    """

    def parts(depth: Any) -> dict[str, Any]:
        width = 64 * depth
        each = value_of(
            "krajewski2024.flops", width=width, depth=depth, experts=np.full(np.shape(depth), float(_COPIES)),
            granularity=np.full(np.shape(depth), float(granularity)), tokens=np.ones(np.shape(depth)),
        )  # fmt: skip
        return {"params": width**2 * (8 * _COPIES + 4) * depth, "active": 12 * width**2 * depth, "tokens": flops / each}

    def loss(depth: Any) -> Any:
        at = parts(depth)
        points = {"params_nonembedding": at["params"], "tokens": at["tokens"]}
        return value_of("krajewski2024.moe", **points, granularity=np.full(np.shape(depth), float(granularity)))

    top = min((most / (64**2 * (8 * _COPIES + 4))) ** (1 / 3), 1e5)
    depth, here = lowest(loss, min(0.5, top / 2), top)
    at = {name: float(np.squeeze(value)) for name, value in parts(np.array([depth])).items()}
    return {
        "granularity": float(granularity),
        "experts": float(_COPIES),
        "params": at["params"],
        "params_active": at["active"],
        "tokens": at["tokens"],
        "loss": here,
    }


def _krajewski(flops: float, most: float) -> dict[str, float]:
    options = [granular(flops, g, most) for g in _GRANULARITIES]
    best = min(options, key=lambda found: found["loss"])

    def dense(c: np.ndarray) -> np.ndarray:
        return lowest(
            lambda n: value_of("krajewski2024.dense", params_nonembedding=n, tokens=c / (6 * n)),
            np.full(c.shape, _SIZES[0]), min(most, _SIZES[1]),
        )[1]  # fmt: skip

    return {**best, "gain": float(_gain(dense, flops, np.array([best["loss"]]))[0])}


def _clark(flops: float, most: float) -> dict[str, float]:
    """At 130B tokens the compute decides the active size; experts are as many as the memory holds, up to 64."""
    n = flops / (6 * _FIXED_TOKENS)
    held = [e for e in _EXPERTS if n * (1 + (e - 1) / 3) <= most]  # every other layer routed, MLP two thirds of a layer
    if not held:
        return {}
    losses = {e: value_of("clark2022.sbase_refit", params_dense=n, experts=float(e)) for e in held}
    e = min(losses, key=losses.__getitem__)

    def excess(t: np.ndarray) -> np.ndarray:
        return losses[e] - value_of("clark2022.sbase_refit", params_dense=np.exp(t), experts=np.ones(np.shape(t)))

    size = np.log([n])
    bigger = float(np.exp(bracketed_root(excess, size - 1e-9, size + 20.0)[0])) if e > 1 else n
    return {"experts": float(e), "params_active": n, "tokens": _FIXED_TOKENS, "gain": bigger / n}


def _others(flops: float, most: float) -> dict[str, dict[str, float]]:
    """What other laws say, without their losses, which are of their data."""
    keep = ("granularity", "experts", "params", "params_active", "tokens", "gain")
    found = {"krajewski2024.moe": _krajewski(flops, most), "clark2022.sbase_refit": _clark(flops, most)}
    return {law: {k: said[k] for k in keep if k in said} for law, said in found.items() if said}


def _cautions(spread: Mapping[str, Any]) -> list[str]:
    said = {
        "krajewski2024.moe": "krajewski2024 fitted granularities 1 to 16 with 64 experts; its offset and exponents trade off",
        "clark2022.sbase_refit": "clark2022 holds at 130B tokens only: its gain is one of size at that number, and that routing "
        "stops helping large models vanishes where tokens are chosen",
    }
    return [text for law, text in said.items() if law in spread]


def _gain(dense: Callable[[np.ndarray], np.ndarray], flops: float, aim: np.ndarray) -> np.ndarray:
    """How many times the compute a dense model needs for each loss [m]; infinite where it never gets there."""

    def at(t: np.ndarray) -> np.ndarray:
        return dense(flops * np.exp(t))

    better = at(np.zeros(aim.shape)) <= aim * (1 + 1e-12)
    low, high = np.where(better, -12.0, 0.0), np.where(better, 0.0, 25.0)
    never = ~better & (at(high) > aim)
    return np.where(never, np.inf, np.exp(bracketed_root(lambda t: aim - at(t), low, high, tight=1e-10)))


def _along(law: Source, given: Mapping[str, float], s: np.ndarray, most: float) -> np.ndarray:
    """The least loss at the compute for each sparsity."""
    return lowest(
        lambda n: law.value({"params": n, "tokens": given["flops"] / (6 * n * (1 - s)), "sparsity": s}),
        np.full(s.shape, _SIZES[0]),
        min(most, _SIZES[1]),
    )[1]


def _near(law: Source, given: Mapping[str, float], most: float, values: Mapping[str, float]) -> dict[str, Any]:
    tolerance = 1e-3
    s = 1 - np.geomspace(1 - _MOST, 1.0, 401)
    least = _along(law, given, s, most)
    good = s[least <= values["loss"] * (1 + tolerance)]
    return {"tolerance": tolerance, "sparsity": (float(good.min()), float(good.max()))} if len(good) else {}


def _figure(law: Source, given: Mapping[str, float], most: float) -> Figure:
    x = 1 - np.geomspace(1.0, 1 - _MOST, 81)
    free, held = (_along(law, given, x, bound) for bound in (np.inf, most))
    marks: list[Any] = [Line(100 * x, held, ACCENT, 1.8, label="within the memory" if np.isfinite(most) else "")]
    if np.isfinite(most):
        marks.insert(0, Line(100 * x, free, MUTED, 1.2, "dashed", "any memory"))
    marks.append(Rule(float(held[0]), "y", MUTED, "dotted", "dense"))
    axes = Axis("sparsity (% of weights a token does not meet)"), Axis("loss (nats/token)")
    return Figure(
        title="Mixture of experts or dense", panels=(Panel("Best loss at equal compute", *axes, tuple(marks)),)
    )
