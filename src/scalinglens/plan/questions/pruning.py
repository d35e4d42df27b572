"""Pruning: what weight sparsity is worth, and how much of it is best for a size and a compute."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, MUTED, Axis, Figure, Line, Panel, Rule
from scalinglens.laws.catalogue import law as find_law
from scalinglens.numerics.roots import bracketed_root
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, share
from scalinglens.plan.questions.draws import under_draws
from scalinglens.plan.source import Source, as_source

__all__ = ["pruning", "training_density"]

_MOST = 0.95  # sparsity up to which the best is looked for
_GRID = np.linspace(0.0, _MOST, 381)


def training_density(sparsity: Any) -> Any:
    """Return the mean share of weights there during gradual pruning: dense to 25%, cubic to 75%, sparse to the end.

    0.25 + 0.5 (1 - 3S/4) + 0.25 (1 - S) = 1 - 5S/8

    Source: the schedule of Frantar et al. 2023 (Zhu and Gupta 2017), integrated.

    >>> training_density(0.8)
    0.5
    """
    return 1 - 0.625 * sparsity


def pruning(
    *,
    params_nonzero: Amount,
    tokens: Amount | None = None,
    flops: Amount | None = None,
    sparsity: Amount | None = None,
    source: Any = "frantar2023.t5",
) -> Plan:
    """Say what pruning is worth for a number of weights that stay, and how far to prune.

    L = (aS (1-S)^bS + cS) N^-bN + (aD/D)^bD + c, N the weights that stay; C = 6 N D (1 - 5S/8)/(1 - S)

    Args:
        params_nonzero: weights that are not zero at the end: what serving pays.
        tokens: of training. Without flops the sparsity must be given.
        flops: of training with gradual pruning; the best sparsity is answered, or tokens follow from the sparsity.
        sparsity: share of the weights that are zero.
        source: a law of sparsity, params_nonzero and tokens, or a saved fit.

    Returns:
        sparsity, params of the dense start, tokens, flops, loss; params_equivalent: a dense model of that loss and those
        tokens, its gain in size, gain_limit of endless sparsity; loss_dense: of a dense model of params_nonzero at the
        same compute.

    Raises:
        PlanError: a sparsity outside 0 to 1, or nothing that determines the tokens.

    Cost: milliseconds.

    Source: Frantar et al. 2023 (arXiv 2309.08520).

    >>> found = pruning(params_nonzero="100M", tokens="10B", sparsity=0.5)
    >>> f"{found.answer['loss'].value:.4f} {found.answer['gain'].value:.2f}"
    '1.8372 1.59'
    """
    law = _law(source)
    given = read(params_nonzero=params_nonzero, tokens=tokens, flops=flops)
    if sparsity is not None:
        given["sparsity"] = share("sparsity", sparsity)
    if tokens is not None and flops is not None:
        raise PlanError(
            "tokens and flops are given, and with the size and the sparsity one follows from the other; keep one"
        )
    if flops is None and (tokens is None or sparsity is None):
        raise PlanError("give flops, and the best sparsity is answered, or tokens and sparsity, and their worth is")
    data = next(name for name in law.inputs if name in ("tokens", "examples"))
    found, doubts = under_draws(law, lambda one: _pruned(one, data, given))
    values = {name: e.value for name, e in found.items()}
    near: dict[str, Any] = {}
    warnings = [*(() if law.published else law.warnings), *doubts]
    if sparsity is None:
        near = {"tolerance": 1e-3, "sparsity": _near(law, data, given, values["loss"])}
        if values["sparsity"] > _MOST - 0.004:
            warnings.append(f"the best sparsity lies beyond {_MOST:g}, which is as far as is looked")
        elif values["sparsity"] < 1e-3:
            warnings.append(
                "pruning does not pay at this compute: the dense start costs more than it brings; train longer"
            )
    warnings.append(
        "sparse weights save time only where the hardware skips zeros (2:4 patterns, special kernels), and training rarely is"
    )
    return answered(
        "pruning",
        source=law.name,
        given=given,
        answer=found,
        laws=(law.name,) if law.published else (),
        spread={
            "frantar2023.vit": {
                "gain": _gain(as_source(find_law("frantar2023.vit", unverified=True)), values["sparsity"])
            }
        }
        if law.name == "frantar2023.t5"
        else {},
        near_optimal=near,
        extrapolation_decades={}
        if law.published
        else law.beyond({"params_nonzero": given["params_nonzero"], data: values["tokens"]}),
        assumptions=(
            *(() if law.published else law.assumptions),
            "gradual pruning from 25% to 75% of the training; FLOP are counted for weights that are there, as if zeros were "
            "skipped (training that does not skip them costs 6 N D/(1 - S))",
        ),
        warnings=warnings,
        figure=_figure(law, values["sparsity"]),
        level=law.level,
    )


def _law(source: Any) -> Source:
    found = as_source(find_law(source, unverified=True)) if str(source).startswith("frantar2023") else as_source(source)
    if len(found.inputs) != 3 or not {"sparsity", "params_nonzero"} < set(found.inputs) or found.link:
        raise PlanError(
            f"pruning is told by a law of sparsity, params_nonzero and tokens, and {found.name} has "
            f'{", ".join(found.inputs)}; take "frantar2023.t5" or "frantar2023.vit"'
        )
    return found


def _tokens(n: float, flops: float, sparsity: Any) -> Any:
    return flops * (1 - sparsity) / (6 * n * training_density(sparsity))


def _pruned(law: Source, data: str, given: dict[str, float]) -> dict[str, float]:
    n = given["params_nonzero"]

    def loss(s: Any, d: Any) -> Any:
        return law.value({"sparsity": s, "params_nonzero": n, data: d})

    if "sparsity" in given:
        s = given["sparsity"]
    else:
        values = loss(_GRID, _tokens(n, given["flops"], _GRID))
        i = int(np.argmin(values))
        low, high = _GRID[max(i - 1, 0)], _GRID[min(i + 1, len(_GRID) - 1)]
        for _ in range(4):  # the loss is smooth and has one minimum between neighbours
            fine = np.linspace(low, high, 41)
            i = int(np.argmin(loss(fine, _tokens(n, given["flops"], fine))))
            s = float(fine[i])
            low, high = fine[max(i - 1, 0)], fine[min(i + 1, 40)]
    d = given["tokens"] if "tokens" in given else float(_tokens(n, given["flops"], s))
    spent = 6 * n * d * training_density(s) / (1 - s)
    here = float(loss(s, d))
    gain = _gain(law, s, n, d)
    return {
        "sparsity": s,
        "params_nonzero": n,
        "params": n / (1 - s),
        "tokens": d,
        "flops": spent,
        "loss": here,
        "loss_dense": float(loss(0.0, spent / (6 * n))),
        "params_equivalent": gain * n,
        "gain": gain,
        "gain_limit": _gain(law, 1 - 1e-9, n, d),
    }


def _gain(law: Source, sparsity: float, n: float = 1e8, d: float = 1e10) -> float:
    """How many times larger a dense model of the same loss and data is."""
    data = next(name for name in law.inputs if name in ("tokens", "examples"))
    aim = float(law.value({"sparsity": sparsity, "params_nonzero": n, data: d}))
    if sparsity == 0:
        return 1.0

    def excess(t: np.ndarray) -> np.ndarray:
        return aim - law.value({"sparsity": 0.0, "params_nonzero": n * np.exp(t), data: d})

    return float(np.exp(bracketed_root(excess, np.array([-5.0]), np.array([15.0]))[0]))


def _near(law: Source, data: str, given: dict[str, float], best: float) -> tuple[float, float]:
    n = given["params_nonzero"]
    fine = np.linspace(0.0, _MOST, 3801)
    values = law.value({"sparsity": fine, "params_nonzero": n, data: _tokens(n, given["flops"], fine)})
    good = fine[values <= best * (1 + 1e-3)]
    return float(good[0]), float(good[-1])


def _figure(law: Source, sparsity: float) -> Figure:
    x = np.linspace(0, _MOST, 39)
    y = [_gain(law, float(s)) for s in x]
    marks = (Line(100 * x, y, ACCENT, 1.8), Rule(100 * sparsity, "x", MUTED, "dotted", f"{sparsity:.1%}"))
    axes = Axis("sparsity (% of weights that are zero)"), Axis("equivalent dense size / weights that stay")
    return Figure(title="Worth of weight sparsity", panels=(Panel("At equal tokens", *axes, marks),))
