"""`scalinglens theory`: solvable models, one subcommand each."""

from __future__ import annotations

from collections.abc import Sequence

from scalinglens.cli.asked import Listed, Query, asked, listed
from scalinglens.cli.options import parsed
from scalinglens.errors import OptionError, did_you_mean
from scalinglens.theory.models import MODELS, model

__all__ = ["parse"]


def parse(words: Sequence[str]) -> Query | Listed:
    """Read the words after `scalinglens theory`; without a model they are listed."""
    first = words[0] if words else "models"
    if first in ("models", "-h", "--help", "--json"):
        rest = words if first == "--json" else words[1:]
        return parsed(listed("theory", {name: known.says for name, known in MODELS.items()}), "theory", rest)
    if first not in MODELS:
        raise OptionError(f'there is no model "{first}"{did_you_mean(first, MODELS)}; scalinglens theory lists them')
    return parsed(asked(model(first)), f"theory {first}", words[1:])
