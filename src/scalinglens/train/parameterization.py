"""How a model follows its width: one table of initialisations, learning rates and multipliers per parameterization.

With d the width, b the base width, m = d/b, L the depth, f the inputs of a matrix, e and h the learning rates of embedding and
head over that of the matrices, c the multiplier of the logits, eta the learning rate asked for:

    role        mup                    mup-absolute             matched                standard
    embedding   N(0, 1),     e eta     N(0, 1/d),  eta/sqrt d   N(0, 1),   e eta       N(0, std^2),    eta
    matrix      N(0, 1/f),   eta/m     N(0, 1/d),  eta/d        N(0, 1/f), eta         N(0, std^2),    eta
    into the residual stream: standard deviation over sqrt(2 L), everywhere
    head        0 (N(0, 1)), h eta     N(0, 1/d),  eta/d        0,         h eta       N(0, std^2),    eta
    gain, bias  1 or 0,      eta       1 or 0,     eta          1 or 0,    eta         1 or 0,         eta
    tokens      1                      sqrt(d)                  1                      1
    logits      c sqrt(b)/d            1/sqrt(d)                c/sqrt(b)              1
    attention   sqrt(b/heads)/d_head   1/d_head                 1/sqrt(d_head)         1/sqrt(d_head)

With normalised queries and keys attention is multiplied by 1/sqrt(d_head) in every column. A tied head is the embedding with
its row. Gains and biases have no weight decay. A perceptron, which has no norms to rescue too small weights, begins at N(0, 1/f)
under "standard" too; the multiplier of its inputs is over the square root of their number.

A weight that enters as `multiplier x W`, begins with standard deviation s and learns with AdamW at eta is the same function of
time for (multiplier/t, s t, eta t), whatever t: two columns are compared by multiplier x s and multiplier x eta (`effective`).

Sources: Yang and others, arXiv 2203.03466; study-random-walks 2 (mup-absolute, as in nanoGPT-mup) and 8.1 (mup).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from scalinglens.train.settings import Model, Parameterization

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ROLES", "Rule", "Table", "absolute_learning_rate", "drawn", "parameterize", "restate"]

ROLES = ("embedding", "qkv", "out", "up", "down", "head", "gain", "bias")


@dataclass(frozen=True)
class Rule:
    """How one kind of weight begins and learns.

    Attributes:
        std: standard deviation at the beginning; gains begin at one. rate: learning rate over the one asked for.
        decays: whether weight decay applies.
    """

    std: float
    rate: float
    decays: bool = True


@dataclass(frozen=True)
class Table:
    """A column of the table at one width: a rule per role, and multipliers of tokens, logits and attention scores."""

    rules: Mapping[str, Rule]
    tokens: float
    logits: float
    attention: float

    def effective(self, role: str) -> tuple[float, float]:
        """Return (multiplier x std, multiplier x rate) of a role: equal pairs train alike under AdamW."""
        rule = self.rules[role]
        times = {"embedding": self.tokens, "head": self.logits}.get(role, 1.0)
        return times * rule.std, times * rule.rate


def parameterize(model: Model, how: Parameterization) -> Table:
    """Return the table of a model under a parameterization.

    >>> wide = parameterize(Model(width=128), Parameterization("mup", base_width=32))
    >>> wide.rules["up"].rate, wide.rules["head"].rate
    (0.25, 8.0)
    >>> base = [parameterize(Model(width=32), Parameterization(name)) for name in ("mup", "matched")]
    >>> base[0] == base[1]
    True
    """
    d, b, key = float(model.width), how.base_width, model.width / model.heads
    m = d / b
    fan_in = {"qkv": d, "out": d, "up": d, "down": model.feedforward * d}
    into_stream = 1 / math.sqrt(2 * model.depth)
    begin_head = 0.0 if model.zero_head and not model.tied else 1.0

    def matrices(std: Mapping[str, float], rate: float) -> dict[str, Rule]:
        return {role: Rule(s * (into_stream if role in ("out", "down") else 1.0), rate) for role, s in std.items()}

    by_fan_in = {role: f**-0.5 for role, f in fan_in.items()}
    gain = Rule(1.0, 1.0, decays=False)
    attention = key**-0.5
    if how.name == "standard":
        plain = model.kind == "transformer"
        rules = {"embedding": Rule(how.std if plain else 1.0, 1.0)}
        rules |= matrices(dict.fromkeys(fan_in, how.std) if plain else by_fan_in, 1.0)
        rules["head"] = Rule((how.std if plain else 1 / math.sqrt(d)) * begin_head, 1.0)
        tokens, logits = 1.0, 1.0
    elif how.name == "mup-absolute":
        rules = {"embedding": Rule(d**-0.5, d**-0.5), **matrices(dict.fromkeys(fan_in, 1 / math.sqrt(d)), 1 / d)}
        rules["head"] = Rule(d**-0.5 * begin_head, 1 / d)
        tokens, logits, attention = math.sqrt(d), d**-0.5, 1 / key
    else:
        relative = how.name == "mup"
        rules = {"embedding": Rule(1.0, how.embedding_lr), **matrices(by_fan_in, 1 / m if relative else 1.0)}
        rules["head"] = Rule(begin_head, how.head_lr)
        tokens, logits = 1.0, how.logits * math.sqrt(b) / (d if relative else b)
        attention = math.sqrt(b / model.heads) / key if relative else attention
    if model.qk_norm:
        attention = key**-0.5
    return Table(MappingProxyType({**rules, "gain": gain, "bias": replace(gain, std=0.0)}), tokens, logits, attention)


def drawn(rule: Rule, number: int, shape: tuple[int, ...], seeds: Sequence[int]) -> Tensor:
    """Return weights [M, *shape] at the beginning; those of a member depend on its seed and the number of the weight alone."""
    import torch

    found = np.empty((len(seeds), *shape), dtype=np.float32)
    for member, seed in enumerate(seeds):
        rng = np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, 0x1417, number])))
        found[member] = rule.std * rng.standard_normal(shape, dtype=np.float32)
    return torch.from_numpy(found)


def restate(table: Table, *, tokens: float, logits: float, learning_rate: float = 1.0) -> Table:
    """Return the same column in another convention: other multipliers, with weights and learning rates that make up for them.

    AdamW without weight decay and clipping trains both to the same function at every step (both depend on the size of weights or
    gradients, which is what a convention is about); not for a tied head, whose one matrix has two multipliers.

    Args:
        table: a column. tokens, logits: its new multipliers. learning_rate: the new learning rate over the old one.

    >>> base = parameterize(Model(width=64), Parameterization("mup", base_width=32))
    >>> same = restate(base, tokens=8.0, logits=1 / 8, learning_rate=32.0)  # as "mup-absolute" writes it
    >>> same.rules["up"] == parameterize(Model(width=64), Parameterization("mup-absolute")).rules["up"]
    True
    """
    times = {"embedding": table.tokens / tokens, "head": table.logits / logits}
    rules = {
        role: Rule(rule.std * times.get(role, 1.0), rule.rate * times.get(role, 1.0) / learning_rate, rule.decays)
        for role, rule in table.rules.items()
    }
    return Table(MappingProxyType(rules), tokens, logits, table.attention)


def absolute_learning_rate(learning_rate: float, how: Parameterization) -> float:
    """Return the learning rate of "mup-absolute" under which the matrices learn as under "mup" with this one.

    eta/m = eta_absolute/d, so that eta_absolute = b eta at every width.

    >>> absolute_learning_rate(0.02, Parameterization("mup", base_width=32))
    0.64
    """
    return learning_rate * how.base_width
