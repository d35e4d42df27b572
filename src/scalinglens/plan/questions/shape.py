"""Shape: width, depth and width of the MLP of a transformer, for language or for images."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.plan.architecture.shapes import shaped
from scalinglens.plan.frontier import frontier
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, one_of, read, value_of
from scalinglens.plan.source import as_source

__all__ = ["shape"]

_KINDS = ("language", "vision")
_ASPECTS = (32.0, 128.0)  # width/depth from GPT-2's smallest to Llama's and GPT-3's largest
_SEED = {"width0": 1152.0, "depth0": 27.0, "ffw0": 4304.0, "flops0": 9e21}  # SoViT-400m/14 at 9e12 GFLOP
_LAWS = {"width": "scale", "depth": "scale_depth", "ffw_size": "scale_mlp"}
_CAPTIONING = {"width": "captioning_width", "depth": "captioning_depth", "ffw_size": "captioning_mlp"}


def shape(
    *,
    kind: str = "language",
    params: Amount | None = None,
    flops: Amount | None = None,
    vocab: Amount = 50_304,
    width0: Amount | None = None,
    depth0: Amount | None = None,
    ffw0: Amount | None = None,
    flops0: Amount | None = None,
    source: Any = "besiroglu2024",
) -> Plan:
    """Recommend the dimensions of a transformer for a size or a compute.

    vision: x = x0 (C/C0)^(s/3), s = 0.22 width, 0.45 depth, 0.6 MLP; language: width/depth between 32 and 128 at the size

    Args:
        kind: "language" (decoder) or "vision" (ViT).
        params: size, for language; or flops.
        flops: of training; for language the size is the compute-optimal one.
        vocab: entries of the vocabulary, for language.
        width0, depth0, ffw0, flops0: a shape of yours that is good at a compute, for vision; by default SoViT-400m/14.
        source: of the compute-optimal size, for language.

    Returns:
        width, depth, ffw_size, params; for language also heads and key_size, and the range of shapes that are about as good.

    Raises:
        PlanError: an unknown kind, a seed shape that is not complete, or what belongs to the other kind.

    Cost: milliseconds.

    Source: Alabdulmohsin et al. 2023 (arXiv 2305.13035); Kaplan et al. 2020, figure 5.

    >>> found = shape(kind="vision", flops=9e22)
    >>> [round(found.answer[name].value) for name in ("width", "depth", "ffw_size")]
    [1364, 38, 6821]
    """
    if kind not in _KINDS:
        raise PlanError(f'there is no kind "{kind}"{did_you_mean(str(kind), _KINDS)}; there are {", ".join(_KINDS)}')
    seed = {"width0": width0, "depth0": depth0, "ffw0": ffw0, "flops0": flops0}
    if kind == "vision":
        return _vision(flops, params, seed)
    foreign = [name for name, value in seed.items() if value is not None]
    if foreign:
        raise PlanError(f"{foreign[0]} is of a seed shape for vision; leave it out, or ask for kind vision")
    one_of(params=params, flops=flops)
    given: dict[str, Any] = {"shapes": kind, **read(params=params, flops=flops, vocab=vocab)}
    said, warnings, law = [], [], None
    if "params" in given:
        size = given["params"]
    else:
        law = as_source(source)
        front = frontier(law, given["flops"])
        if "params" not in front.optimum:
            raise PlanError(f'{law.name} has no input params; take "besiroglu2024" or a fit of params and tokens')
        size = float(front.optimum["params"].value[0])
        said += [*law.assumptions, f"{size:.3g} parameters are compute-optimal"]
        warnings += law.warnings
    entries = round(given["vocab"])
    best = shaped(size, vocab=entries)
    wide, deep = (shaped(size, vocab=entries, aspect=aspect) for aspect in (_ASPECTS[1], _ASPECTS[0]))
    near = {name: tuple(sorted((getattr(deep, name), getattr(wide, name)))) for name in ("width", "depth")}
    return answered(
        "shape",
        source="usual shapes" if law is None else law.name,
        given=given,
        answer={
            "width": best.width,
            "depth": best.depth,
            "heads": best.heads,
            "key_size": best.key,
            "ffw_size": best.mlp_width,
            "params": best.params,
            "params_nonembedding": best.params_nonembedding,
            "width_per_depth": best.width / best.depth,
        },
        laws=(law.name,) if law is not None and law.published else (),
        near_optimal=near,
        assumptions=(
            *said,
            "width/depth 64 at 1e8 parameters, growing as their power 0.15; gated MLP, whole heads",
            f"the range has width/depth {_ASPECTS[0]:g} to {_ASPECTS[1]:g} at the same size: loss hardly depends on it "
            "(Kaplan et al. 2020, figure 5)",
        ),
        warnings=[
            *warnings,
            "no law says which of these is best: take what the hardware likes; deeper is slower to run",
        ],
    )


def _vision(flops: Amount | None, params: Amount | None, seed: dict[str, Any]) -> Plan:
    if params is not None:
        raise PlanError("the shape of a ViT follows from the compute; give flops in place of params")
    if flops is None:
        raise PlanError("give flops: the shape of a ViT follows from the compute")
    given = read(flops=flops, **seed)
    missing = [name for name, value in seed.items() if value is None]
    if missing and len(missing) < len(seed):
        raise PlanError(
            f"the seed shape is not complete: {', '.join(missing)} is missing; give all of {', '.join(seed)}"
        )
    start = {**_SEED, **{name: value for name, value in given.items() if name in seed}}
    firsts = {"width": start["width0"], "depth": start["depth0"], "ffw_size": start["ffw0"]}

    def scaled(laws: dict[str, str]) -> dict[str, float]:
        found = {
            name: value_of(
                f"alabdulmohsin2023.{laws[name]}",
                {"x0": first, "flops0": start["flops0"]},
                flops=given["flops"],
            )
            for name, first in firsts.items()
        }
        w, d, m = found["width"], found["depth"], found["ffw_size"]
        return {**found, "params_blocks": d * (4 * w * w + 2 * w * m)}

    answer = scaled(_LAWS)
    far = abs(float(np.log10(given["flops"] / start["flops0"])))
    named = "the seed shape given" if not missing else "SoViT-400m/14 (1152, 27, 4304) at 9e21 FLOP"
    return answered(
        "shape",
        source="alabdulmohsin2023",
        given={"shapes": "vision", **given},
        answer=answer,
        laws=[f"alabdulmohsin2023.{name}" for name in _LAWS.values()],
        spread={"alabdulmohsin2023.captioning": {k: v for k, v in scaled(_CAPTIONING).items() if k in firsts}},
        extrapolation_decades={"flops": far},
        assumptions=(
            f"scaled from {named}; all three dimensions grow together, each with a third of its exponent",
            "exponents of few-shot classification on ImageNet; captioning has its own, which the spread shows",
        ),
        warnings=[
            "only the exponents are published: the seed shape decides the level, so give one of your own (width0, depth0, "
            "ffw0, flops0) where you have one",
        ],
    )
