"""Repeated tokens: a law of tokens seen as a law of seen and distinct tokens."""

from __future__ import annotations

import re
from dataclasses import replace

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law as find_law
from scalinglens.plan.source import Source

__all__ = ["with_repetition"]


def with_repetition(source: Source) -> Source:
    """Return the source with `tokens_unique` as a further input: repeated tokens count less and less.

    D' = U (1 + RD (1 - exp(-(D/U - 1)/RD))) in place of D, RD = 15.39

    Raises:
        PlanError: the source is no single law of tokens.

    Source: Muennighoff et al. 2023, arXiv 2305.16264, its constant RD; the excess of parameters is not discounted here.

    >>> from scalinglens.plan.source import as_source
    >>> four = with_repetition(as_source("besiroglu2024"))
    >>> four.inputs, round(float(four.value({"params": 1e9, "tokens": 4e10, "tokens_unique": 1e10})), 4)
    (('params', 'tokens', 'tokens_unique'), 2.4577)
    """
    law = source.law
    if law is None or source.link or "tokens" not in law.inputs or law.between:
        raise PlanError(
            f"{source.name} does not know distinct tokens, and is no single law of tokens that they could be worked into; "
            'plan limited data with one law, for example "muennighoff2023"'
        )
    published = find_law("muennighoff2023.D_eff")
    seen = published.formula.replace("RD", repr(published.constants["RD"]))
    made = source.rewritten(re.sub(r"\btokens\b", f"({seen})", law.formula), name=f"{law.name} with repeated tokens")
    return replace(
        made,
        assumptions=(
            *source.assumptions,
            f"repeated tokens count as in Muennighoff et al. 2023, with its constant RD {published.constants['RD']:.4g}",
        ),
    )
