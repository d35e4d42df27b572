"""Limited data: how many passes over the distinct tokens are worth their compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, MUTED, Axis, Figure, Line, Panel, Rule
from scalinglens.laws.catalogue import law as find_law
from scalinglens.numerics.roots import bracketed_root
from scalinglens.plan.optimum.problem import state
from scalinglens.plan.other_laws import other_laws
from scalinglens.plan.plan import Plan
from scalinglens.plan.plan import plan as planned
from scalinglens.plan.questions.answer import Amount, answered, read
from scalinglens.plan.questions.draws import Drawn, together
from scalinglens.plan.questions.ranges import decades
from scalinglens.plan.questions.valley import lowest
from scalinglens.plan.repetition import with_repetition
from scalinglens.plan.source import Source, as_source

__all__ = ["epochs"]

_FREE = 4  # epochs that cost next to nothing (Muennighoff et al. 2023)
_HARM = 16  # beyond which repetitions may harm, which a law that only saturates cannot show
_SIZES = (1e5, 1e15)
_LESS = 25.0  # ln of how much less compute may do with fresh tokens
_NOTHING = 40  # beyond which nothing is gained


def epochs(
    *,
    tokens_unique: Amount,
    flops: Amount | None = None,
    epochs: Amount | None = None,
    languages: Amount | None = None,
    source: Any = "muennighoff2023",
) -> Plan:
    """Say how often limited data should be repeated, and what the repetitions are worth.

    D' = U (1 + R (1 - exp(-(D/U - 1)/R))), R = 15.39; a token of the last epoch is worth exp(-(D/U - 1)/R) fresh ones

    Args:
        tokens_unique: distinct tokens there are.
        flops: of training. Without it only the worth of the repetitions is told.
        epochs: passes that are settled; by default the best number at the compute.
        languages: over which the model is to spread, of one; what equal loss then takes is told by the law of Longpre et
            al. 2025.
        source: of the loss; a law without repetition is given that of Muennighoff et al. 2023.

    Returns:
        epochs, tokens, tokens_effective (fresh tokens worth as much), worth_mean and worth_last of a repeated token in
        fresh ones; with flops also params, loss, and, with as many fresh tokens as wanted, loss_unlimited and waste: the
        share of the compute that these would save.

    Raises:
        PlanError: neither flops nor epochs, or less than one epoch.

    Cost: some ten milliseconds; with a fit a second or so.

    Source: Muennighoff et al. 2023 (arXiv 2305.16264).

    >>> found = epochs(tokens_unique="100B", epochs=4)
    >>> f"{found.answer['tokens_effective'].value:.5g} {found.answer['worth_last'].value:.3f}"
    '3.7257e+11 0.823'
    """
    given = read(tokens_unique=tokens_unique, flops=flops, epochs=epochs, languages=languages)
    if flops is None and epochs is None:
        raise PlanError("give flops, and the best number of epochs is answered, or epochs, and what they are worth")
    if given.get("epochs", 1.0) < 1:
        raise PlanError(
            f"epochs is {given['epochs']:g}; a pass over all distinct tokens is 1, and less repeats nothing"
        )
    if given.get("languages", 1.0) < 1:
        raise PlanError(f"languages is {given['languages']:g}; it is a number of languages, 1 or more")
    law = as_source(source)
    if "tokens_unique" not in law.inputs:
        law = with_repetition(law)
    if set(law.inputs) != {"params", "tokens", "tokens_unique"} or law.link:
        raise PlanError(
            f"epochs are told by a law of params and tokens, and {law.name} has {', '.join(law.inputs)} -> {law.target}; "
            'take for example "muennighoff2023"'
        )
    found, doubts = together(law, lambda one: _worked(one, given))
    near: dict[str, Any] = {}
    if flops is not None and epochs is None:
        best = planned(law, flops=given["flops"], tokens_unique=given["tokens_unique"], spread=False)
        low, high = best.near_optimal["tokens"]
        unique = given["tokens_unique"]
        near = {
            "tolerance": best.near_optimal["tolerance"],
            "tokens": (low, high),
            "epochs": (low / unique, high / unique),
        }
        near["params"] = best.near_optimal["params"]
    warnings = list(doubts)
    passes = found["epochs"].value
    if passes <= 1:
        warnings.append("the distinct tokens last: the best model at this compute does not repeat them")
    elif passes > _NOTHING:
        warnings.append(f"nothing is gained after about {_NOTHING} epochs; larger models or more data are")
    elif passes > _HARM:
        warnings.append(
            f"beyond {_HARM} epochs or so repetitions may harm, which a law that only saturates cannot show"
        )
    warnings.append(
        f"up to {_FREE} epochs are nearly free; the law cannot show that repetition harms, and its constant depends on "
        "regularisation"
    )
    values = {name: e.value for name, e in found.items()}
    laws = ["muennighoff2023" if law.name == "muennighoff2023" else "muennighoff2023.D_eff"]
    if languages is not None:
        laws.append("atlas2025.multilingual")
    spread: dict[str, dict[str, float]] = {}
    if near and law.published:
        stated = state(law, None, {"tokens_unique": given["tokens_unique"]})
        for name, said in other_laws(stated, given["flops"]).items():
            spread[name] = {**said, "epochs": said["tokens"] / given["tokens_unique"]}
    return answered(
        "epochs",
        source=law.name,
        given=given,
        answer=found,
        laws=laws,
        spread=spread,
        near_optimal=near,
        extrapolation_decades=decades(law, **{k: v for k, v in values.items() if k in ("params", "tokens", "epochs")}),
        assumptions=() if law.name == "muennighoff2023" else law.assumptions,
        warnings=[*(law.warnings if flops is not None else ()), *warnings],
        figure=_figure(_constant(law), passes),
        level=law.level,
    )


def _constant(law: Source | Drawn) -> Any:
    """R: that of the user's fit where it has one, else the published one."""
    return law.values.get("RD", float(find_law("muennighoff2023.D_eff").constants["RD"]))


def _worked(law: Drawn, given: dict[str, float]) -> dict[str, Any]:
    """The answers under every draw [draws]."""
    unique, held = given["tokens_unique"], {"tokens_unique": given["tokens_unique"]}
    found: dict[str, Any] = {}
    if "epochs" in given:
        tokens = np.full(law.count, given["epochs"] * unique)
    else:
        tokens = given["flops"] / (6 * _best(law, given["flops"], unique)[0])
    repeated, scale = np.maximum(tokens / unique - 1, 0.0), _constant(law)
    more = unique * scale * -np.expm1(-repeated / scale)
    found["epochs"] = tokens / unique
    found["tokens"] = tokens
    found["tokens_effective"] = np.minimum(tokens, unique) + more
    found["worth_mean"] = np.where(repeated > 0, more / (unique * np.where(repeated > 0, repeated, 1.0)), 1.0)
    found["worth_last"] = np.exp(-repeated / scale)
    if "flops" in given:
        params = given["flops"] / (6 * tokens)
        loss = law.value({"params": params, "tokens": tokens, **held})
        # as many fresh tokens as wanted: distinct tokens far beyond any compute
        endless = 1e6 * max(given["flops"] / unique, unique)
        saved = _compute_of(law, loss, endless, given["flops"])
        found |= {
            "params": params,
            "flops": given["flops"],
            "loss": loss,
            "loss_unlimited": _best(law, given["flops"], endless)[1],
            "waste": np.maximum(1 - saved / given["flops"], 0.0),
        }
    if "languages" in given:
        c = find_law("atlas2025.multilingual").constants
        r = given["languages"]
        found["params_factor"] = r ** (c["phi"] / c["alpha"])
        found["tokens_factor"] = r ** (1 + c["psi"] / c["beta"])
        found["flops_factor"] = found["params_factor"] * found["tokens_factor"]
    return found


def _best(law: Drawn, flops: Any, unique: float) -> tuple[np.ndarray, np.ndarray]:
    """The best size at computes [draws] and its loss."""
    flops = np.broadcast_to(np.asarray(flops, dtype=float), (law.count,))

    def loss(n: Any) -> Any:
        return law.value({"params": n, "tokens": flops / (6 * n), "tokens_unique": unique})

    return lowest(loss, np.full(flops.shape, _SIZES[0]), _SIZES[1])


def _compute_of(law: Drawn, loss: np.ndarray, unique: float, most: float) -> np.ndarray:
    """The compute that reaches a loss [draws], at most so much; the least loss falls with the compute."""
    high = np.full(loss.shape, np.log(most))
    return np.exp(bracketed_root(lambda t: _best(law, np.exp(t), unique)[1] - loss, high, high - _LESS, tight=1e-9))


def _figure(scale: float, passes: float) -> Figure:
    """Effective against seen tokens, in units of the distinct ones."""
    x = np.geomspace(1, max(100.0, 2 * passes), 81)
    y = 1 + scale * -np.expm1(-(x - 1) / scale)
    marks = (
        Line(x, x, MUTED, 1.2, "dashed", "fresh tokens"),
        Line(x, y, ACCENT, 1.8),
        Rule(passes, "x", MUTED, "dotted", f"{passes:.3g} epochs"),
    )
    panel = Panel(
        "Worth of repeated tokens",
        Axis("epochs", "log", "engineering"),
        Axis("effective tokens / distinct tokens", "log", "engineering", limits=(0.9, 2 * y[-1])),
        marks,
    )
    return Figure(title="Limited data", panels=(panel,))
