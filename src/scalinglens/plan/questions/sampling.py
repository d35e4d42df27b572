"""Test time: how many samples reach a coverage, and how compute divides between training and test."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalinglens.errors import PlanError
from scalinglens.figures.figure import ACCENT, INK, MUTED, Axis, Figure, Line, Panel, Points, Rule
from scalinglens.fit.estimate import Estimate
from scalinglens.laws.catalogue import law
from scalinglens.plan.plan import Plan
from scalinglens.plan.questions.answer import Amount, answered, read, share, value_of
from scalinglens.plan.questions.own import estimate, lacks, numbers_of, own_source, words_of
from scalinglens.plan.questions.ranges import decades
from scalinglens.quantities import format_quantity

__all__ = ["sampling"]

_ELO = 10.0  # lost at most, for the range of training shares that are nearly as good
_MOST = 1e12  # samples beyond which nobody looks
_SNELL = (0.16, 0.79, 22.0)  # ratios of inference to pretraining tokens that were tried


def sampling(
    *,
    samples: str = "1,10,100,1000",
    target_coverage: float | None = None,
    source: Any = "brown2024_monkeys",
    constants: str = "",
    success_rates: str = "",
    params: Amount | None = None,
    tokens: Amount | None = None,
    answer_tokens: Amount | None = None,
    params_factor: float = 14.0,
    flops: Amount | None = None,
    queries: Amount | None = None,
) -> Plan:
    """Tell the coverage of repeated sampling, the samples that a target needs, and the split of training and test compute.

    coverage(k) = exp(a k^b), or mean of 1 - (1 - p)^k over problems;  Elo = 250 log10 test + 300 log10 train + const

    Args:
        samples: answers drawn per problem, with commas.
        target_coverage: share of problems that at least one sample must solve.
        source: law of coverage with constants, or saved fit of one.
        constants: of the source, NAME=NUMBER with commas.
        success_rates: of single samples, problem by problem with commas, in place of a law.
        params: of the model, for FLOP of a query.
        tokens: of its training, to match a bigger model without samples.
        answer_tokens: of one sample.
        params_factor: how much bigger that model is.
        flops: of training and all queries together, to be divided between the two.
        queries: that will be answered.

    Returns:
        coverage[k] of each k, samples_needed; FLOP of a query; the share of training in `flops`.

    Raises:
        PlanError: a share outside 0 to 1, a coverage that no number of samples reaches, FLOP without queries.

    Source: Brown et al. 2024 (arXiv 2407.21787), Schaeffer et al. 2025 (arXiv 2502.17578), Jones 2021 (arXiv 2104.03113),
        Snell et al. 2024 (arXiv 2408.03314).

    >>> found = sampling(samples="1,250", target_coverage=0.5)
    >>> [round(found.answer[name].value, 3) for name in ("coverage[1]", "coverage[250]", "samples_needed")]
    [0.159, 0.56, 106.547]
    """
    given: dict[str, Any] = read(
        params=params, tokens=tokens, answer_tokens=answer_tokens, flops=flops, queries=queries
    )
    counts = numbers_of("samples", samples)
    if min(counts) < 1:
        raise PlanError(f"samples holds {min(counts):g}; at least one answer is drawn per problem")
    target = None if target_coverage is None else share("target_coverage", target_coverage, open_low=True)
    answer: dict[str, Estimate] = {}
    warnings: list[str] = []
    assumptions: list[str] = []
    laws: list[str] = []
    far: dict[str, float] = {}
    level = 0.9
    if success_rates:
        rates = np.array(_rates(success_rates))
        name = "success rates"

        def cover(k: Any) -> np.ndarray:
            return np.mean(1 - (1 - rates) ** np.asarray(k, dtype=float)[..., None], axis=-1)

        answer |= {f"coverage[{format_quantity(k)}]": Estimate(float(cover(k))) for k in counts}
        if target is not None:
            answer["samples_needed"] = Estimate(_samples(cover, rates, target))
        laws.append("schaeffer2025.problem")
        assumptions.append(
            f"{len(rates)} problems, samples independent; {int(np.sum(rates == 0))} problems are never solved"
        )
        warnings.append(
            "measured rates of zero hide small ones: the tail, which rules coverage at many samples, is cut off"
        )
    else:
        own = own_source(source, constants, example="constants=a=-1.8,b=-0.2")
        if own.law is None or own.inputs != ("samples",):
            raise lacks(own, ("samples",), "sampling")
        has = set(own.law.parameters)
        form = {"a", "b"} <= has, {"c", "b"} <= has
        if not any(form):
            raise lacks(own, ("a", "b"), "sampling")
        sign = 1.0 if form[0] else -1.0
        first = "a" if form[0] else "c"
        name, level = own.name, own.level
        for k in counts:
            answer[f"coverage[{format_quantity(k)}]"] = estimate(
                own, lambda p, k=k: np.exp(sign * p[first] * k ** (sign * p["b"]))
            )
        if target is not None:
            answer["samples_needed"] = estimate(own, lambda p: (np.log(target) / (sign * p[first])) ** (sign / p["b"]))

        def cover(k: Any) -> np.ndarray:
            return np.asarray(own.value({"samples": np.asarray(k, dtype=float)}))

        far = decades(own, samples=max([*counts, answer["samples_needed"].value if target is not None else 1.0]))
        if own.published:
            laws.append(own.name)
            if own.name == "brown2024_monkeys" and not constants:
                warnings.append(
                    "a and b are those of one model on SWE-bench Lite, from two printed points (1 and 250 samples)"
                )
                far = decades(own, samples=max(counts))
        else:
            warnings += own.warnings
            assumptions += own.assumptions
    warnings.append(
        "coverage needs a verifier that finds the right sample; voting without one saturates early (wu2024)"
    )
    if "params" in given and "answer_tokens" in given:
        each = 2 * given["params"] * given["answer_tokens"]
        answer |= {f"flops_per_query[{format_quantity(k)}]": Estimate(each * k) for k in counts}
        assumptions.append("2 FLOP per parameter and token written; prompts and attention are left out")
        if "tokens" in given and "queries" in given:
            answer |= _matched(given, params_factor, assumptions)
            laws.append("flops.6nd")
    near: dict[str, Any] = {}
    if "flops" in given:
        if "queries" not in given:
            raise PlanError("the split of compute depends on how many queries there are; give queries")
        answer |= _split(given, near)
        laws.append("jones2021.elo_train_test")
        warnings.append(
            "the split is that of the board game Hex, 9x9; language models have no published law of both computes"
        )
        assumptions.append(f"the range loses at most {_ELO:g} Elo; the best share does not depend on flops or queries")
    given |= {"target_coverage": target, "params_factor": params_factor if "samples_matched" in answer else None}
    return answered(
        "sampling",
        source=name,
        given=given,
        answer=answer,
        laws=laws,
        near_optimal=near,
        extrapolation_decades=far,
        assumptions=assumptions,
        warnings=warnings,
        figure=_figure(name, cover, counts, target),
        level=level,
    )


def _rates(given: Any) -> list[float]:
    parts: list[Any] = words_of(given) if isinstance(given, str) else list(given)
    return [share("a success rate", part, open_high=False) for part in parts]


def _samples(cover: Any, rates: np.ndarray, target: float) -> float:
    """The number of samples, as a real number, at which the mean coverage reaches a target."""
    most = float(np.mean(rates > 0))
    if target >= most and not (target == most == 1 and np.all(rates == 1)):
        raise PlanError(
            f"target_coverage is {target:g}, and only {most:.3g} of the problems have a success rate above zero; ask for less"
        )
    if float(cover(1.0)) >= target:
        return 1.0
    low, high = 0.0, np.log(_MOST)
    if float(cover(np.exp(high))) < target:
        raise PlanError(f"{_MOST:g} samples do not reach a coverage of {target:g}; ask for less")
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if float(cover(np.exp(middle))) < target else (low, middle)
    return float(np.exp(high))


def _matched(given: dict[str, Any], factor: float, assumptions: list[str]) -> dict[str, Estimate]:
    """Samples that the small model can draw at the compute of a bigger one with one sample.

    M (6 N D + 2 N D_inf) = 6 N D + 2 N D_inf k, so k = M + 3 (M - 1) D/D_inf
    """
    if not factor > 1:
        raise PlanError(f"params_factor is {factor:g}; the other model is bigger, so it is above 1")
    served = given["queries"] * given["answer_tokens"]
    ratio = served / given["tokens"]
    tried = ", ".join(f"{r:g}" for r in _SNELL)
    assumptions.append(
        f"a model {factor:g} times as big, trained on as many tokens, with one sample costs as much as this one with "
        f"samples_matched; snell2024 tried tokens_ratio {tried} at 14 times: small models win on easy problems and small ratios"
    )
    return {"tokens_ratio": Estimate(ratio), "samples_matched": Estimate(factor + 3 * (factor - 1) / ratio)}


def _split(given: dict[str, Any], near: dict[str, Any]) -> dict[str, Estimate]:
    """The share of training that gives the highest Elo, and those within `_ELO` of it."""
    slopes, published = law("jones2021.elo_train_test").constants, law("jones2021.train_test").constants
    constants = {"k": -published["k"] / published["e"]}  # log10 test = -1.2 log10 train + 0.004 Elo + 29
    total, queries = given["flops"], given["queries"]
    best = slopes["v"] / (slopes["u"] + slopes["v"])

    def elo(s: Any) -> Any:
        return value_of(
            "jones2021.elo_train_test",
            constants,
            flops=(1 - np.asarray(s)) * total / queries,
            flops_train=np.asarray(s) * total,
        )

    top = float(elo(best))

    def edge(outside: float) -> float:
        inside = best
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if float(elo(middle)) >= top - _ELO else (inside, middle)
        return inside

    near |= {"train_share": (edge(1e-9), edge(1 - 1e-9))}
    return {
        "train_share": Estimate(best),
        "flops_train": Estimate(best * total),
        "flops_test": Estimate((1 - best) * total / queries),
        "elo_difference[half and half]": Estimate(float(elo(0.5)) - top),
        "elo_difference[all but 1% to training]": Estimate(float(elo(0.99)) - top),
    }


def _figure(name: str, cover: Any, counts: list[float], target: float | None) -> Figure:
    k = np.geomspace(1, max(*counts, 1000.0), 121)
    seen = np.array(counts)
    marks = [Line(k, cover(k), ACCENT, 1.8), Points(seen, cover(seen), INK, size=6)]
    rules = [] if target is None else [Rule(target, "y", MUTED, "dotted", "target")]
    panel = Panel(
        "Coverage",
        Axis("samples", "log", "engineering"),
        Axis("share of problems", limits=(0.0, 1.0)),
        (*marks, *rules),
    )
    return Figure(f"Repeated sampling: {name}", (panel,))
