"""Over-training: what a model smaller than the compute-optimal one costs more to train, and when serving pays it back."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError, ScalingLensError
from scalinglens.figures.figure import ACCENT, MUTED, Axis, Figure, Line, Panel, Rule
from scalinglens.figures.typeset import typeset
from scalinglens.numerics.roots import bracketed_root
from scalinglens.plan.inverse import least_costs
from scalinglens.plan.optimum.problem import default_cost, state
from scalinglens.plan.optimum.solutions import Solver
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, one_of, read
from scalinglens.plan.questions.draws import under_draws
from scalinglens.plan.questions.ranges import decades
from scalinglens.plan.source import Source, as_source
from scalinglens.quantities import format_quantity

__all__ = ["over_training"]

_TESTED = 1e3  # tokens per parameter up to which laws were tested
_OTHERS = ("besiroglu2024", "hoffmann2022.a3_tex", "sardana2023.all", "gadre2024.redpajama", "gadre2024.c4")
_SHOWN = ("tokens", "flops_training", "flops_extra", "served_break_even")
_REACH = 15.0  # of ln size, below which no size is looked for


def over_training(
    *,
    flops: Amount | None = None,
    target_loss: Amount | None = None,
    params: Amount | None = None,
    tokens_per_param: Amount | None = None,
    inference_tokens: Amount | None = None,
    source: Any = "besiroglu2024",
) -> Plan:
    """Price a model smaller than compute-optimal, trained longer to the same loss.

    L(N, D) = L(N*, D*), extra = N D/(N* D*) - 1, break-even D_inf = 3 (N D - N* D*)/(N* - N),
    N is the best size where D_inf = 3 D (e_N/e_D - 1), e_x = dL/d ln x

    Args:
        flops: of the compute-optimal model whose loss is to be reached.
        target_loss: to be reached, in place of flops.
        params: size of the small model.
        tokens_per_param: of the small model, in place of its size.
        inference_tokens: served over the lifetime; alone they choose the size with the least compute in all.
        source: of the loss: a law of size and tokens, or a saved fit.

    Returns:
        params, tokens, tokens_per_param, flops_training of the small model; params_optimal, tokens_optimal; flops_extra as
        a share; loss, and loss_penalty: what it loses at the compute of the optimal one; served_break_even: tokens from
        which on it is cheaper in all; served_best: tokens for which it is the best size; with inference_tokens also
        flops_lifetime and saving.

    Raises:
        PlanError: a size that is not smaller than the optimal one, or that never reaches the loss.

    Cost: milliseconds for a law; with a fit up to 200 times that.

    Source: Sardana et al. 2023 (arXiv 2401.00448), Gadre et al. 2024 (arXiv 2403.08540).

    >>> found = over_training(source="hoffmann2022.a3_hybrid", target_loss=2.04528, inference_tokens="2T")
    >>> f"{found.answer['params'].value:.3g} {found.answer['saving'].value:.3f}"
    '6.97e+09 0.174'
    """
    law = as_source(source)
    size, data = _names(law)
    budget = one_of(flops=flops, target_loss=target_loss)
    given = read(
        flops=flops,
        target_loss=target_loss,
        params=params,
        tokens_per_param=tokens_per_param,
        inference_tokens=inference_tokens,
    )
    if params is not None or tokens_per_param is not None or inference_tokens is None:
        one_of(params=params, tokens_per_param=tokens_per_param)  # without either, served tokens choose
    found, doubts = under_draws(law, lambda one: _priced(one, size, data, given))
    ratio = found["tokens_per_param"].value
    warnings = [*law.warnings, *doubts]
    if ratio > _TESTED:
        warnings.append(f"{ratio:.0f} tokens per parameter are beyond what laws were tested on (about 1,000)")
    warnings.append(
        "the price of long training follows from the exponents, which move with the longest runs of a fit (Sardana et al.: "
        "0.08 and 0.13 with up to 100 tokens per parameter, 0.18 and 0.24 with all)"
    )
    values = {name: e.value for name, e in found.items()}
    far = decades(law, **{size: values["params"], data: values["tokens"], "flops": values["flops_training"]})
    far |= {name: d for name, d in decades("gadre2024", tokens_per_param=ratio).items() if d > 0}
    return answered(
        "over_training",
        source=law.name,
        given=given,
        answer=found,
        laws=(law.name,) if law.published else (),
        spread=_others(law, budget, given) if law.published else {},
        extrapolation_decades=far,
        assumptions=(
            *(() if law.published else law.assumptions),
            "training costs 6 FLOP and serving 2 FLOP per parameter and token; utilisation is the same in both",
        ),
        warnings=warnings,
        figure=_figure(law, size, data, values),
        level=law.level,
    )


def _names(law: Source) -> tuple[str, str]:
    """The inputs that are size and data."""
    size = next((name for name in law.inputs if name.startswith("params")), "")
    if not size or set(law.inputs) != {size, "tokens"} or law.link:
        raise PlanError(
            f"over-training is told by a law of size and tokens, and {law.name} has {', '.join(law.inputs)} -> {law.target}; "
            'take for example "besiroglu2024" or a fit of "E + A/params^alpha + B/tokens^beta"'
        )
    return size, "tokens"


def _priced(law: Source, size: str, data: str, given: dict[str, float]) -> dict[str, float]:
    cost = default_cost(law)
    stated = state(law, cost)
    log = np.log([given["flops"]]) if "flops" in given else _cost_of(law, {}, given["target_loss"])
    best = Solver(stated).estimate(log)
    n_best, d_best = (float(np.exp(best.logs[name][0])) for name in (size, data))
    if not (np.isfinite(n_best) and np.isfinite(d_best)):
        raise PlanError(f"{law.name} has no compute-optimal model there, so there is nothing to compare with")
    loss = float(law.value({size: n_best, data: d_best}))
    spent = float(np.exp(log[0]))
    if "params" in given:
        n = given["params"]
    elif "tokens_per_param" in given:
        n = _size_at(law, size, data, given["tokens_per_param"], loss, n_best, d_best)
    else:
        n = _served_best_size(law, size, given["inference_tokens"], loss)
    if not n < n_best:
        raise PlanError(
            f"the compute-optimal model has {format_quantity(n_best)} parameters and {d_best / n_best:.3g} tokens per "
            f"parameter, and {format_quantity(n)} are not fewer; over-training is of smaller models, so ask for fewer "
            "parameters or more tokens per parameter"
        )
    d = float(np.exp(_cost_of(law, {size: n}, loss)[0])) / (6 * n)
    slopes = law.elasticities({size: n, data: d})
    found = {
        "params": n,
        "tokens": d,
        "tokens_per_param": d / n,
        "flops_training": 6 * n * d,
        "params_optimal": n_best,
        "tokens_optimal": d_best,
        "flops_optimal": spent,
        "flops_extra": n * d / (n_best * d_best) - 1,
        "loss": loss,
        "loss_penalty": float(law.value({size: n, data: spent / (6 * n)})) - loss,
        "served_break_even": 3 * (n * d - n_best * d_best) / (n_best - n),
        "served_best": 3 * d * (float(slopes[size] / slopes[data]) - 1),
    }
    if "inference_tokens" in given:
        served = given["inference_tokens"]
        found["flops_lifetime"] = 6 * n * d + 2 * n * served
        found["saving"] = 1 - found["flops_lifetime"] / (spent + 2 * n_best * served)
    return found


def _cost_of(law: Source, fix: dict[str, float], loss: float) -> np.ndarray:
    """ln of the least training compute of a loss [1]."""
    logs, _, mark = least_costs(state(law, default_cost(law), fix), np.array([loss]), draws=False)
    if not np.isfinite(logs[0]) or np.isneginf(mark[0]):
        who = f"a model of {format_quantity(next(iter(fix.values())))} parameters" if fix else law.name
        why = (
            "even with endless tokens; take a larger one, or fewer tokens per parameter"
            if fix
            else "it is below its floor"
        )
        raise PlanError(f"{who} never reaches a loss of {loss:.4g}, {why}")
    return logs


def _size_at(law: Source, size: str, data: str, ratio: float, loss: float, n_best: float, d_best: float) -> float:
    """The size that reaches the loss with so many tokens per parameter."""
    if ratio <= d_best / n_best:
        raise PlanError(
            f"the compute-optimal model has {d_best / n_best:.3g} tokens per parameter, and {ratio:g} are not more; "
            "over-training begins above"
        )

    def excess(t: np.ndarray) -> np.ndarray:
        return loss - law.value({size: np.exp(t), data: ratio * np.exp(t)})

    low, high = np.array([np.log(n_best / ratio) - _REACH]), np.array([np.log(n_best)])
    return float(np.exp(bracketed_root(excess, low, high)[0]))


def _served_best_size(law: Source, size: str, served: float, loss: float) -> float:
    """The size of the least compute in all (Sardana et al. 2023)."""
    stated = state(law, default_cost(law).with_inference(), {"tokens_inference": served})
    logs, _, _ = least_costs(stated, np.array([loss]), draws=False)
    return float(np.exp(Solver(stated).estimate(logs).logs[size][0]))


def _others(law: Source, budget: str, given: dict[str, float]) -> dict[str, dict[str, float]]:
    """What other published laws say at the same compute; a target loss is of one law's data and says nothing to others."""
    found: dict[str, dict[str, float]] = {}
    if budget != "flops":
        return found
    for name in _OTHERS:
        if name == law.name:
            continue
        other = as_source(name)
        try:
            values = _priced(other, *_names(other), given)
        except ScalingLensError:
            continue  # a size that is compute-optimal or larger under that law
        found[name] = {key: values[key] for key in _SHOWN}
    return found


def _figure(law: Source, size: str, data: str, values: dict[str, float]) -> Figure:
    """The extra compute against tokens per parameter."""
    start = values["tokens_optimal"] / values["params_optimal"]
    ratios = np.geomspace(start * 1.05, max(_TESTED, 2 * values["tokens_per_param"]), 41)
    extra = []
    for ratio in ratios:
        n = _size_at(law, size, data, float(ratio), values["loss"], values["params_optimal"], values["tokens_optimal"])
        extra.append(100 * (6 * n * n * ratio / values["flops_optimal"] - 1))
    marks = (
        Line(ratios, extra, ACCENT, 1.8),
        Rule(values["tokens_per_param"], "x", MUTED, "dotted", f"{format_quantity(values['params'])} parameters"),
    )
    panel = Panel(
        f"Price of the loss {values['loss']:.4g}",
        Axis("tokens per parameter", "log", "engineering"),
        Axis("extra training compute", "linear", "percent"),
        marks,
    )
    return Figure(title=f"Training longer than compute-optimal: {typeset(law.name)}", panels=(panel,))
