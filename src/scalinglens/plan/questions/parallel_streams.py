"""Parallel streams: one set of weights run several times, or a bigger model of the same loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, MUTED, Axis, Figure, Line, Panel, Rule
from scalinglens.numerics.roots import bracketed_root
from scalinglens.plan.architecture.shapes import shaped
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, one_of, read
from scalinglens.plan.questions.draws import under_draws
from scalinglens.plan.questions.ranges import decades
from scalinglens.plan.source import Source, as_source

__all__ = ["parallel_streams"]

_BYTES = 2.0  # per weight and per value of the cache: bf16
_GROUP = 8  # query heads that share keys and values
_LARGEST = 1e6  # times the size up to which an equivalent model is looked for
_STREAMS = 1e4


def parallel_streams(
    *,
    params_nonembedding: Amount,
    streams: Amount | None = None,
    equivalent: Amount | None = None,
    batch: Amount = 1,
    context: Amount = 2048,
    source: Any = "parscale2025.stack",
) -> Plan:
    """Compare parallel streams with a bigger model of the same loss, in size, memory and compute.

    L(N, P) = L(N (k ln P + 1), 1): P streams are worth a factor k ln P + 1 in size

    Args:
        params_nonembedding: parameters of the model that is run several times, without embeddings.
        streams: P.
        equivalent: size of the bigger model to be matched, in place of streams.
        batch: sequences served at once.
        context: tokens of each that are held.
        source: a law of params_nonembedding and streams, or a saved fit: "parscale2025.pile" for general text.

    Returns:
        streams, params_equivalent and their factor; loss, loss_single; bytes read for a token (weights and caches) of the
        streams and of the bigger model; flops_per_token of both; batch_break_even: sequences from which on the streams read
        more than the bigger model.

    Raises:
        PlanError: less than one stream, or a size that no number of streams reaches.

    Cost: milliseconds.

    Source: the released fits of "Parallel Scaling Law" (Qwen, 2025).

    >>> found = parallel_streams(params_nonembedding="1.6B", streams=8)
    >>> f"{found.answer['size_factor'].value:.3f}"
    '1.818'
    """
    law = as_source(source)
    size = next((name for name in law.inputs if name.startswith("params")), "")
    if set(law.inputs) != {size, "streams"}:
        raise PlanError(
            f"streams are compared by a law of a size and streams, and {law.name} has {', '.join(law.inputs)}; "
            'take "parscale2025.stack" or "parscale2025.pile"'
        )
    one_of(streams=streams, equivalent=equivalent)
    given = read(
        params_nonembedding=params_nonembedding, streams=streams, equivalent=equivalent, batch=batch, context=context
    )
    if given.get("streams", 1.0) < 1:
        raise PlanError(f"streams is {given['streams']:g}; one stream is the plain model, so it is 1 or more")
    found, doubts = under_draws(law, lambda one: _matched(one, size, given))
    values = {name: e.value for name, e in found.items()}
    own, bigger = (_bytes(n, given) for n in (given["params_nonembedding"], values["params_equivalent"]))
    p = values["streams"]
    read_streams = own[0] + p * given["batch"] * own[1]
    read_bigger = bigger[0] + given["batch"] * bigger[1]
    slope = p * own[1] - bigger[1]
    answer: dict[str, Any] = {
        **found,
        "bytes_weights": own[0],
        "bytes_weights_equivalent": bigger[0],
        "bytes_read": read_streams,
        "bytes_read_equivalent": read_bigger,
        "flops_per_token": 2 * p * given["params_nonembedding"],
        "flops_per_token_equivalent": 2 * values["params_equivalent"],
        "batch_break_even": (bigger[0] - own[0]) / slope if slope > 0 else np.inf,
    }
    others = ("parscale2025.stack", "parscale2025.pile")
    spread = {}
    for name in others if law.published and streams is not None else ():
        if name != law.name:
            said = _matched(as_source(name), "params_nonembedding", given)
            spread[name] = {"size_factor": said["size_factor"], "params_equivalent": said["params_equivalent"]}
    return answered(
        "parallel_streams",
        source=law.name,
        given=given,
        answer=answer,
        laws=(law.name,) if law.published else (),
        spread=spread,
        extrapolation_decades=decades(law, **{size: given["params_nonembedding"], "streams": p}),
        assumptions=(
            *(() if law.published else law.assumptions),
            "both train on as many tokens; training the streams costs as much more as running them",
            f"weights and caches of {_BYTES:g} bytes, usual shapes of both sizes with {_GROUP} query heads to "
            "one of keys and values; each stream has its own cache",
        ),
        warnings=[
            *(() if law.published else law.warnings),
            *doubts,
            "fitted at one number of tokens and less than a decade of sizes: exponent and prefactor trade off, so trust the "
            "factor k ln P + 1 more than the loss",
            f"streams pay where reading weights is the bottleneck (small batches); they compute {p:.3g} forward passes per "
            f"token, the bigger model {values['size_factor']:.3g}",
        ],
        figure=_figure(law, size, given["params_nonembedding"], p),
        level=law.level,
    )


def _matched(law: Source, size: str, given: dict[str, float]) -> dict[str, float]:
    n = given["params_nonembedding"]
    single = float(law.value({size: n, "streams": 1.0}))
    if "equivalent" in given:
        bigger = given["equivalent"]
        if bigger < n:
            raise PlanError(f"equivalent is {bigger:g}, less than the model itself; it is a bigger model")
        aim = float(law.value({size: bigger, "streams": 1.0}))
        if float(law.value({size: n, "streams": _STREAMS})) > aim:
            raise PlanError(
                f"not even {_STREAMS:g} streams of that model are worth {bigger:g} parameters; take a larger one"
            )
        p = _root(lambda t: aim - law.value({size: n, "streams": np.exp(t)}), 0.0, np.log(_STREAMS))
    else:
        p = given["streams"]
        aim = float(law.value({size: n, "streams": p}))
        bigger = n if p == 1 else n * _root(
            lambda t: law.value({size: n * np.exp(-t), "streams": 1.0}) - aim, -np.log(_LARGEST), 0.0, inverted=True
        )  # fmt: skip
    return {"streams": p, "params_equivalent": bigger, "size_factor": bigger / n, "loss": aim, "loss_single": single}


def _root(excess: Any, low: float, high: float, *, inverted: bool = False) -> float:
    """exp of the root of a rising function; of its negative for an inverted one."""
    t = float(bracketed_root(lambda a: excess(np.asarray(a)), np.array([low]), np.array([high]))[0])
    return float(np.exp(-t if inverted else t))


def _bytes(params: float, given: dict[str, float]) -> tuple[float, float]:
    """Bytes of the weights without embeddings, and of one sequence's cache, in a usual shape of the size."""
    shape = shaped(params, count="params_nonembedding", group=_GROUP, tolerance=0.5)
    return _BYTES * params, shape.kv_cache_bytes(round(given["context"]), bytes_per_value=_BYTES)


def _figure(law: Source, size: str, n: float, p: float) -> Figure:
    x = np.geomspace(1, max(16.0, 2 * p), 41)
    y = [_matched(law, size, {"params_nonembedding": n, "streams": float(one)})["size_factor"] for one in x]
    marks = (Line(x, y, ACCENT, 1.8), Rule(p, "x", MUTED, "dotted", f"{p:.3g} streams"))
    axes = Axis("parallel streams", "log", "engineering"), Axis("worth as a factor in size")
    return Figure(title="Parallel streams or a bigger model", panels=(Panel("Equivalent size", *axes, marks),))
