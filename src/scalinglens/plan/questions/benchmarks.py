"""Accuracy on benchmarks: from size and data to a loss, from the loss to an accuracy."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.figures.figure import ACCENT, INK, MUTED, Axis, Figure, Line, Mark, Panel, Points, Rule
from scalinglens.fit.downstream import TwoStep
from scalinglens.fit.downstream.predictability import BASE_RATE
from scalinglens.fit.estimate import Estimate
from scalinglens.plan.frontier import frontier
from scalinglens.plan.optimum.estimates import quantiles, value_interval
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, share, value_of
from scalinglens.plan.questions.own import lacks, own_source
from scalinglens.plan.questions.ranges import decades
from scalinglens.plan.source import RISING, Source
from scalinglens.quantities import format_quantity

__all__ = ["accuracy"]

_LINKS = {"redpajama": "gadre2024.err", "c4": "gadre2024.err.c4", "refinedweb": "gadre2024.err.refinedweb"}
_PER_PARAM = 20.0  # tokens, where only the compute is given: gadre2024 cannot locate its own optimum
_THRESHOLD = 2.2  # loss of du2024 above which metrics stay at chance


def accuracy(
    *,
    loss: Amount | None = None,
    params: Amount | None = None,
    tokens: Amount | None = None,
    flops: Amount | None = None,
    corpus: str = "redpajama",
    source: Any = None,
    constants: str = "",
    link: Any = None,
    link_constants: str = "",
    chance: float | None = None,
    answer_tokens: Amount | None = None,
) -> Plan:
    """Forecast the accuracy on benchmarks from a loss, from size and tokens, or from compute.

    loss = law(params, tokens),  error = eps - k exp(-gamma loss),  exact match of n tokens = exp(-n loss)

    Args:
        loss: of the model, in the unit of the link; in place of size and tokens.
        params: of the model.
        tokens: of training.
        flops: of training, in place of both: 20 tokens per parameter, or the best of your own source.
        corpus: of gadre2024: redpajama, c4 or refinedweb; each has a loss law and a link of its own.
        source: saved fit of the loss, a law of accuracy (ruan2024.from_compute), or in Python a `TwoStep`.
        constants: of the source, NAME=NUMBER with commas.
        link: saved fit, or law with constants, from loss to accuracy: bhagia2024.link.
        link_constants: of the link: a=0.6,b=0.85,k=10,L0=1.
        chance: accuracy of guessing, such as 0.25.
        answer_tokens: tokens of an answer that must all be right; the loss is then per token of the answer.

    Returns:
        loss and accuracy; without a link of your own that of the mean over the 17 tasks of gadre2024.

    Raises:
        PlanError: nothing or too much to start from, unknown corpus, a share outside 0 to 1, a link without loss.

    Source: Gadre et al. 2024 (arXiv 2403.08540), Bhagia et al. 2024 (arXiv 2412.04403), Schaeffer et al. 2023
        (arXiv 2304.15004), Lourie et al. 2025 (arXiv 2507.00885).

    >>> found = accuracy(loss=2.5)
    >>> round(found.answer["accuracy"].value, 5)
    0.51291
    """
    given = read(loss=loss, params=params, tokens=tokens, flops=flops, answer_tokens=answer_tokens)
    if chance is not None:
        given["chance"] = share("chance", chance)
    if corpus not in _LINKS:
        raise PlanError(f'there is no corpus "{corpus}"{did_you_mean(corpus, _LINKS)}; there are {", ".join(_LINKS)}')
    _check_start(given)
    if isinstance(source, TwoStep):
        return _by_two_steps(source, given)
    own = None if source is None else own_source(source, constants, example="constants (NAME=NUMBER,...)")
    linked = None if link is None else own_source(link, link_constants, example="link_constants=a=0.6,b=0.85,k=10,L0=1")
    if linked is not None and linked.inputs != ("loss",):
        raise lacks(linked, ("loss",), "the link of accuracy")
    warnings = [
        f"most single tasks cannot be forecast: {BASE_RATE[0]} of {BASE_RATE[1]} followed a law (lourie2025); means of many can"
    ]
    if own is not None and (own.target in RISING or own.inputs == ("flops",)):
        at = _columns(own, given)
        value = value_interval(own, at, own.level).at(0)
        return _answered(own.name, given, {"accuracy": value}, [], [own], own.beyond(at), warnings, None)
    laws: list[str] = []
    far: dict[str, float] = {}
    spread: dict[str, dict[str, float]] = {}
    losses = np.empty(0)
    if "loss" in given:
        reached = Estimate(given["loss"])
    elif own is not None:
        at = _columns(own, given)
        reached, far = value_interval(own, at, own.level).at(0), own.beyond(at)
        losses = own.sampled({name: np.array([value]) for name, value in at.items()})[:, 0] if own.draws else losses
    else:
        at = _sized(given)
        reached = Estimate(value_of(f"gadre2024.{corpus}", params=at["params"], tokens=at["tokens"]))
        laws.append(f"gadre2024.{corpus}")
        far = decades(f"gadre2024.{corpus}", params=at["params"], tokens_per_param=at["tokens"] / at["params"])
        for other in _LINKS:
            if other != corpus and linked is None:
                there = value_of(f"gadre2024.{other}", params=at["params"], tokens=at["tokens"])
                spread[f"gadre2024.{other}"] = {"loss": there, "accuracy": 1 - value_of(_LINKS[other], loss=there)}
    answer: dict[str, Estimate] = {"loss" if linked is None else "task_loss": reached}  # often in bits per byte
    if linked is not None:
        answer["accuracy"] = _linked(linked, reached, losses)
        level = linked.level
    else:
        answer["accuracy"] = Estimate(1 - value_of(_LINKS[corpus], loss=reached.value))
        level = 0.9
        laws.append(_LINKS[corpus])
        warnings.append(
            "the accuracy is the mean over 17 tasks of gadre2024, within about 0.02; the loss must be that on C4"
        )
        if not spread:
            spread = {
                law: {"accuracy": 1 - value_of(law, loss=reached.value)}
                for law in _LINKS.values()
                if law != _LINKS[corpus]
            }
    if "answer_tokens" in given:
        exact = value_of(
            "schaeffer2023.exact_match",
            {"c": reached.value, "alpha": 1.0},
            params=1.0,
            answer_tokens=given["answer_tokens"],
        )
        answer["exact_match"] = Estimate(exact)  # p = exp(-loss) per token, p^n for n of them
        laws.append("schaeffer2023.exact_match")
    if linked is None and reached.value > _THRESHOLD:
        warnings.append(f"above a loss of about {_THRESHOLD} (its own corpus) many tasks stay at chance (du2024)")
    curve = linked if linked is not None else corpus
    return _answered(
        linked.name if linked is not None else f"gadre2024.{corpus}",
        given, answer, laws, [one for one in (own, linked) if one is not None], far, warnings,
        _figure(curve, reached.value, given), spread, level,
    )  # fmt: skip


def _check_start(given: dict[str, float]) -> None:
    sized = [name for name in ("params", "tokens") if name in given]
    starts = [
        name
        for name, there in (("loss", "loss" in given), ("params and tokens", bool(sized)), ("flops", "flops" in given))
        if there
    ]
    if not starts:
        raise PlanError("give loss, or params and tokens, or flops to start from")
    if len(starts) > 1:
        raise PlanError(f"{' and '.join(starts)} are given, and each determines the other; keep one")
    if len(sized) == 1:
        raise PlanError(f"only {sized[0]} is given; give {'tokens' if sized[0] == 'params' else 'params'} too")


def _sized(given: dict[str, float]) -> dict[str, float]:
    """Size and tokens; of a compute with 20 tokens per parameter."""
    if "params" in given:
        return {"params": given["params"], "tokens": given["tokens"]}
    size = float(np.sqrt(given["flops"] / (6 * _PER_PARAM)))
    return {"params": size, "tokens": _PER_PARAM * size}


def _columns(own: Source, given: dict[str, float]) -> dict[str, float]:
    """The inputs of a source of the user; of a compute the best ones."""
    known = dict(given)
    if "params" in given:
        known |= {"params_nonembedding": given["params"], "flops": 6 * given["params"] * given["tokens"]}
    if set(own.inputs) <= set(known):
        return {name: known[name] for name in own.inputs}
    if "flops" in given:
        front = frontier(own, given["flops"])
        return {name: float(front.optimum[name].value[0]) for name in own.inputs}
    missing = [name for name in own.inputs if name not in known]
    raise PlanError(f"{own.name} needs {', '.join(missing)}; give it")


def _linked(link: Source, loss: Estimate, losses: np.ndarray) -> Estimate:
    """The accuracy at a loss, draws of the loss pushed through draws of the link."""
    value = float(link.value({"loss": loss.value}))
    head = link.heads[0] if len(link.heads) == 1 else None
    if head is None or not (len(head.draws) or len(losses)):
        return Estimate(value)
    rng = np.random.default_rng(0)
    count = max(len(head.draws), len(losses))
    at = rng.choice(losses, count) if len(losses) else np.full(count, loss.value)
    if len(head.draws):
        rows = head.draws[rng.permutation(np.resize(np.arange(len(head.draws)), count))]
        drawn = head.law.value({name: rows[:, i] for i, name in enumerate(head.law.parameters)}, {"loss": at})
    else:
        drawn = link.value({"loss": at})
    low, high = quantiles(np.asarray(drawn)[None], link.level)
    return Estimate(value, min(float(low[0]), value), max(float(high[0]), value), link.level, "percentile")


def _by_two_steps(source: TwoStep, given: dict[str, float]) -> Plan:
    if "loss" in given:
        value = Estimate(float(source.accuracy_at([given["loss"]])[0]))
        return _answered(
            f"two steps to {source.task}", given, {"accuracy": value}, [], [], {}, list(source.warnings), None
        )
    names = {name: given.get("params" if name.startswith("params") else name) for name in source.inputs}
    missing = [name for name, value in names.items() if value is None]
    if missing:
        raise PlanError(f"the two steps to {source.task} need {', '.join(missing)}; give params and tokens")
    row = source.steps({name: [value] for name, value in names.items()}, noise=False).iloc[0]

    def one(name: str, low: str, high: str) -> Estimate:
        if not np.isfinite(row[low]):
            return Estimate(float(row[name]))
        return Estimate(float(row[name]), float(row[low]), float(row[high]), source.level, "percentile")

    answer = {"loss": one("loss", "loss_low", "loss_high"), "accuracy": one(source.task, "low", "high")}
    decades = {
        name: max(0.0, float(np.log10(value / np.max(source.points[name]))))
        for name, value in names.items()
        if value is not None
    }
    warnings = [*source.warnings, *((source.refusal,) if source.refusal else ())]
    return _answered(f"two steps to {source.task}", given, answer, [], [], decades, warnings, None, level=source.level)


def _answered(
    name: str,
    given: dict[str, float],
    answer: dict[str, Estimate],
    laws: list[str],
    sources: list[Source],
    decades: dict[str, float],
    warnings: list[str],
    figure: Any,
    spread: dict[str, dict[str, float]] | None = None,
    level: float = 0.9,
) -> Plan:
    assumptions = [words for one in sources for words in one.assumptions]
    warnings = [*warnings, *(words for one in sources for words in one.warnings)]
    if "chance" in given and answer["accuracy"].value < given["chance"] * 1.05:
        warnings.append(
            f"the accuracy is at or below chance, {given['chance']:g}: nothing is known of its rise from here"
        )
    return answered(
        "accuracy",
        source=name,
        given=given,
        answer=answer,
        laws=laws,
        spread=spread,
        extrapolation_decades=decades,
        assumptions=assumptions,
        warnings=warnings,
        figure=figure,
        level=level,
    )


def _figure(link: Source | str, loss: float, given: dict[str, float]) -> Figure:
    x = np.linspace(0.6 * loss, 1.5 * loss, 121)
    at = lambda y: 1 - np.asarray(value_of(_LINKS[link], loss=y)) if isinstance(link, str) else link.value({"loss": y})  # noqa: E731
    marks: list[Mark] = [
        Line(x, at(x), ACCENT, 1.8),
        Points([loss], [float(np.ravel(at(np.array([loss])))[0])], INK, size=6),
    ]
    if "chance" in given:
        marks.append(Rule(given["chance"], "y", MUTED, "dotted", f"chance {format_quantity(given['chance'])}"))
    name = f"gadre2024.{link}" if isinstance(link, str) else link.name
    return Figure(f"Accuracy from loss: {name}", (Panel("Link", Axis("loss"), Axis("accuracy"), tuple(marks)),))
