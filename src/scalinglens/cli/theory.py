"""`scalinglens theory`: solvable models, one subcommand each."""

from __future__ import annotations

from collections.abc import Sequence

from scalinglens.cli.asked import Listed, Query, asked, chosen
from scalinglens.cli.options import parsed
from scalinglens.theory.models import MODELS, model

__all__ = ["parse"]


def parse(words: Sequence[str]) -> Query | Listed:
    """Read the words after `scalinglens theory`; without a model they are listed."""
    first = chosen("theory", "model", {name: known.says for name, known in MODELS.items()}, words)
    return first if isinstance(first, Listed) else parsed(asked(model(first)), f"theory {first}", words[1:])
