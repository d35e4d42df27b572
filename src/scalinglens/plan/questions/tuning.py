"""Fine-tuning: what pretraining is worth in data, and whether more data or a bigger model helps more."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.figures.figure import ACCENT, INK, MUTED, Axis, Figure, Line, Panel, Points
from scalinglens.fit.estimate import Estimate
from scalinglens.laws.catalogue import law as find_law
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, value_of
from scalinglens.plan.questions.own import estimate, lacks, own_source
from scalinglens.plan.source import Source
from scalinglens.quantities import format_quantity

__all__ = ["fine_tuning"]

_PRETRAINED = ("text", "mix")
_LOW = 0.1  # of the data that a model needs from scratch, up to which transfer follows the law


def fine_tuning(
    *,
    params_nonembedding: Amount | None = None,
    finetune_characters: Amount | None = None,
    pretrained: str = "text",
    source: Any = None,
    constants: str = "",
    params: Amount | None = None,
    tokens: Amount | None = None,
    params_peft: Amount | None = None,
    finetune_tokens: Amount | None = None,
    target_loss: Amount | None = None,
) -> Plan:
    """Tell what pretraining is worth, and trade fine-tuning data for size; or do so with a fitted fine-tuning law.

    D_T = k D_F^alpha N^beta,  D_E = D_F + D_T;  of a fitted law: L = A X^-alpha D_f^-beta + E

    Args:
        params_nonembedding: size, without embeddings.
        finetune_characters: characters of the target distribution.
        pretrained: on text, or on a mix of text and other code; both published for Python as target.
        source: zhang2024_ft.model, .pretrain or .peft with constants, or a saved fit of one, in place of transfer.
        constants: of the source, NAME=NUMBER with commas: A=30,alpha=0.1,beta=0.05,E=1.
        params: size, for a source of params.
        tokens: pretraining tokens, for a source of tokens.
        params_peft: tuned parameters, for a source of them.
        finetune_tokens: tokens of the target distribution, for a source.
        target_loss: loss to reach, for a source.

    Returns:
        characters transferred and effective, their ratio, the break-even beyond which pretraining gives less than half of
        the effective data, and the factors of size and of data that are worth the same.

    Raises:
        PlanError: size or data are missing, or a source that is no law of fine-tuning.

    Source: Hernandez et al. 2021 (arXiv 2102.01293), eq. 1.1; Zhang et al. 2024 (arXiv 2402.17193).

    >>> found = fine_tuning(params_nonembedding="100M", finetune_characters=1e5)
    >>> f"{found.answer['characters_transferred'].value:.5g} {found.answer['data_multiplier'].value:.4g}"
    '1.6548e+08 1656'
    """
    given = read(
        params_nonembedding=params_nonembedding,
        finetune_characters=finetune_characters,
        params=params,
        tokens=tokens,
        params_peft=params_peft,
        finetune_tokens=finetune_tokens,
        target_loss=target_loss,
    )
    if source is not None:
        own = own_source(source, constants, example="constants=A=30,alpha=0.1,beta=0.05,E=1")
        return _fitted(own, given)
    if pretrained not in _PRETRAINED:
        raise PlanError(f'pretrained is "{pretrained}"{did_you_mean(pretrained, _PRETRAINED)}; it is text or mix')
    for name in ("params_nonembedding", "finetune_characters"):
        if name not in given:
            raise PlanError(f"transfer needs {name}; give it, or a fitted law of fine-tuning (source=fit.json)")
    size, data = given["params_nonembedding"], given["finetune_characters"]
    name = f"hernandez2021.{pretrained}.D_T"
    c = find_law(name).constants
    moved = value_of(name, finetune_characters=data, params_nonembedding=size)
    # D_T = D_F
    even = (c["k"] * size ** c["beta"]) ** (1 / (1 - c["alpha"]))
    other = _PRETRAINED[1 - _PRETRAINED.index(pretrained)]
    elsewhere = value_of(f"hernandez2021.{other}.D_T", finetune_characters=data, params_nonembedding=size)
    answer = {
        "characters_transferred": moved,
        "characters_effective": data + moved,
        "data_multiplier": 1 + moved / data,
        "characters_break_even": even,
        "transfer_factor[10x data]": 10 ** c["alpha"],
        "transfer_factor[10x params]": 10 ** c["beta"],
        "params_factor[like 10x data]": 10 ** (c["alpha"] / c["beta"]),
    }
    warnings = []
    # the size for which 1% of the loss is lost is unknown in characters: effective data stand for it
    if data > _LOW * (data + moved):
        warnings.append(
            f"{format_quantity(data)} characters are {data / (data + moved):.0%} of the effective data; the law holds up to "
            "about 10% of what a model needs from scratch, and beyond pretraining may even harm (ossification)"
        )
    warnings.append(
        "published for Python as target; another target or corpus has constants of its own, and only the shape carries over"
    )
    return answered(
        "fine_tuning",
        source=name,
        given={"params_nonembedding": size, "finetune_characters": data, "pretrained": pretrained},
        answer=answer,
        laws=[name],
        spread={
            f"hernandez2021.{other}.D_T": {"characters_transferred": elsewhere, "data_multiplier": 1 + elsewhere / data}
        },
        assumptions=(
            f"a model of {format_quantity(size)} tuned on {format_quantity(data)} characters does as well as one from scratch on "
            "the effective characters",
            "below the break-even most of the effective data come from pretraining",
        ),
        warnings=warnings,
        figure=_figure(name, size, data, even),
    )


def _fitted(own: Source, given: dict[str, float]) -> Plan:
    law = own.law
    if law is None or not {"A", "alpha", "beta", "E"} <= set(law.parameters) or "finetune_tokens" not in law.inputs:
        raise lacks(own, ("A", "alpha", "beta", "E", "finetune_tokens"), "fine-tuning")
    size = next(name for name in law.inputs if name != "finetune_tokens")
    if size not in given:
        raise PlanError(f"{own.name} needs {size}; give it")
    if "finetune_tokens" not in given and "target_loss" not in given:
        raise PlanError("give finetune_tokens for the loss they reach, or target_loss for the tokens it needs")
    x = given[size]
    answer: dict[str, Estimate] = {}
    warnings = list(own.warnings)
    decades = own.beyond(
        {size: x, **({"finetune_tokens": given["finetune_tokens"]} if "finetune_tokens" in given else {})}
    )

    def loss(p: Any, more_x: float = 1.0, more_d: float = 1.0) -> Any:
        reached = p["A"] * (more_x * x) ** -p["alpha"] * (more_d * given["finetune_tokens"]) ** -p["beta"]
        return reached + p["E"]

    if "finetune_tokens" in given:
        answer["loss"] = estimate(own, loss)
        answer["loss[2x finetune_tokens]"] = estimate(own, lambda p: loss(p, more_d=2.0))
        answer[f"loss[2x {size}]"] = estimate(own, lambda p: loss(p, more_x=2.0))
    answer["data_factor[like 2x size]"] = estimate(own, lambda p: 2 ** (p["alpha"] / p["beta"]))
    if "target_loss" in given:
        target = given["target_loss"]
        floor = own.values["E"]
        if target <= floor:
            raise PlanError(
                f"no amount of data reaches a loss of {target:g}: the law ends at E = {floor:.4g}; ask for more"
            )

        def needed(p: Any) -> Any:
            gap = np.where(target > p["E"], target - p["E"], np.nan)
            return (p["A"] * x ** -p["alpha"] / gap) ** (1 / p["beta"])

        answer["finetune_tokens_needed"] = estimate(own, needed)
        decades |= own.beyond({"finetune_tokens": answer["finetune_tokens_needed"].value})
    better = "a bigger model" if own.values["alpha"] > own.values["beta"] else "more fine-tuning data"
    return answered(
        "fine_tuning",
        source=own.name,
        given={name: given[name] for name in (size, "finetune_tokens", "target_loss") if name in given},
        answer=answer,
        laws=[own.name] if own.published else [],
        extrapolation_decades=decades,
        assumptions=(
            *(() if own.published else own.assumptions),
            f"doubled, {better} lowers the loss more, whatever there is: the law is a product of powers",
        ),
        warnings=warnings,
        level=own.level,
    )


def _figure(name: str, size: float, data: float, even: float) -> Figure:
    low, high = min(data, even) / 100, max(data, even) * 10
    x = np.geomspace(low, high, 121)
    moved = np.asarray(value_of(name, finetune_characters=x, params_nonembedding=np.full(121, size)))
    here = data + value_of(name, finetune_characters=data, params_nonembedding=size)
    panel = Panel(
        f"Effective data of {format_quantity(size)} parameters",
        Axis("fine-tuning characters", "log", "engineering"),
        Axis("characters", "log", "engineering"),
        (
            Line(x, x + moved, ACCENT, 1.8, label="effective"),
            Line(x, x, MUTED, 1.2, "dashed", label="from scratch"),
            Points([data], [here], INK, size=6),
        ),
    )
    return Figure(f"Fine-tuning: {name}", (panel,))
