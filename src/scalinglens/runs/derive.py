"""Derive a missing quantity from measured ones: by a rule of this short table only, never over a measured column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["RULES", "Rule", "derive"]

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Rule:
    """One way to compute a quantity from others."""

    name: str
    text: str  # as it is said aloud
    inputs: tuple[str, ...]
    compute: Callable[[Values], np.ndarray]
    unless: tuple[str, ...] = ()  # quantities whose presence makes the rule wrong


_OTHER_SIZES = ("params_active", "params_nonembedding", "params_dense", "params_nonzero")

# In order: what was counted comes before what follows from C = 6 N D. With experts, N is the active parameters.
RULES: tuple[Rule, ...] = (
    Rule(
        "batch_tokens",
        "batch_tokens = batch_examples * sequence_length",
        ("batch_examples", "sequence_length"),
        lambda v: v["batch_examples"] * v["sequence_length"],
    ),
    Rule(
        "tokens", "tokens = steps * batch_tokens", ("steps", "batch_tokens"), lambda v: v["steps"] * v["batch_tokens"]
    ),
    Rule(
        "tokens",
        "tokens = tokens_unique * epochs",
        ("tokens_unique", "epochs"),
        lambda v: v["tokens_unique"] * v["epochs"],
    ),
    Rule(
        "tokens",
        "tokens = flops / (6 params_active)",
        ("flops", "params_active"),
        lambda v: v["flops"] / (6 * v["params_active"]),
    ),
    Rule(
        "tokens",
        "tokens = flops / (6 params)",
        ("flops", "params"),
        lambda v: v["flops"] / (6 * v["params"]),
        unless=("params_active",),
    ),
    Rule("flops", "flops = flops_train", ("flops_train",), lambda v: v["flops_train"]),
    Rule(
        "flops",
        "flops = 6 params_active tokens",
        ("params_active", "tokens"),
        lambda v: 6 * v["params_active"] * v["tokens"],
    ),
    Rule("flops", "flops = 6 params tokens", ("params", "tokens"), lambda v: 6 * v["params"] * v["tokens"]),
    Rule(
        "params",
        "params = flops / (6 tokens)",
        ("flops", "tokens"),
        lambda v: v["flops"] / (6 * v["tokens"]),
        unless=_OTHER_SIZES,
    ),
    Rule(
        "epochs",
        "epochs = tokens / tokens_unique",
        ("tokens", "tokens_unique"),
        lambda v: v["tokens"] / v["tokens_unique"],
    ),
)


def derive(values: Values) -> dict[str, tuple[np.ndarray, Rule]]:
    """Return the quantities that follow from `values` [n each] and are not among them, with the rule of each.

    Args:
        values: the measured columns, float64 [n] each.

    Returns:
        name -> (float64 [n], rule); a value that does not come out finite is nan.

    Cost: linear.

    >>> found = derive({"params": np.array([1e9]), "flops": np.array([1.2e20])})
    >>> found["tokens"][0], found["tokens"][1].text
    (array([2.e+10]), 'tokens = flops / (6 params)')
    """
    known = dict(values)
    found: dict[str, tuple[np.ndarray, Rule]] = {}
    # the rules are ordered so that each needs only what stands above it; a second pass picks up the rest
    for rule in (*RULES, *RULES):
        if rule.name in known or any(name not in known for name in rule.inputs):
            continue
        if any(name in values for name in rule.unless):
            continue
        with np.errstate(all="ignore"):
            result = np.asarray(rule.compute(known), dtype=np.float64)
        known[rule.name] = np.where(np.isfinite(result), result, np.nan)
        found[rule.name] = (known[rule.name], rule)
    return found
