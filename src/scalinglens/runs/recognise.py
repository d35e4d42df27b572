"""Which column of a table is which quantity: by name and unit, never by guess.

A header is read as a name plus an optional unit: "params (M)", "tokens_B", "loss [bits]", "log10_flops", "val_ppl".
Two columns that could be the same quantity and hold different numbers are an error which lists them.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from scalinglens.quantities import COUNT_SUFFIXES, PF_DAY, QUANTITIES

__all__ = [
    "CORE",
    "LABELS",
    "POSITIVE",
    "Header",
    "candidates",
    "normalise",
    "read_header",
    "shared_stem",
    "shell_word",
]

LABELS = frozenset({"run", "seed"})  # may be text
POSITIVE = frozenset(
    name for name in QUANTITIES if name in ("loss", "flops") or QUANTITIES[name].unit in ("parameters", "tokens")
)
# for these two columns that disagree stop the reading; for any other quantity neither column is used, and that is said
CORE = frozenset({"loss", "params", "params_nonembedding", "params_active", "tokens", "tokens_unique", "flops"})

_NATS = QUANTITIES["loss"].unit
_LOSS_UNITS = {
    **dict.fromkeys(("nats", "nat", "nats_token", "nats_per_token"), (1.0, _NATS)),
    **dict.fromkeys(("bits", "bit", "bits_token", "bits_per_token"), (math.log(2.0), _NATS)),
    # without the tokens per byte these cannot become nats/token: their unit is kept and said
    **dict.fromkeys(("bpb", "bits_byte", "bits_per_byte"), (1.0, "bits/byte")),
    **dict.fromkeys(("bpc", "bits_character", "bits_per_character", "bits_char"), (1.0, "bits/character")),
}
_PERPLEXITY = re.compile(r"(?:(?:val|valid|validation|eval|test|train|training|final)_)?(?:ppl|perplexity)")
_FLOP_UNITS = {"pf_day": PF_DAY, "pf_days": PF_DAY, "pflop_days": PF_DAY, "pflops_days": PF_DAY, "pfs_days": PF_DAY}
_FLOP_UNITS |= {"pflop_s_days": PF_DAY, "pflop_s_day": PF_DAY, "petaflop_days": PF_DAY, "petaflop_s_days": PF_DAY}
for _power, _marks in {6: "m mega", 9: "g giga", 12: "t tera", 15: "p peta", 18: "e exa", 21: "z zetta"}.items():
    for _mark in _marks.split():
        _FLOP_UNITS |= {f"{_mark}flop": 10.0**_power, f"{_mark}flops": 10.0**_power}
_POWER = re.compile(r"(?:in\s+)?(?:[x*×]\s*)?(?:1e\+?|10\s*(?:\^|\*\*)\s*)(\d{1,2})(?:\s+\w+)?", re.IGNORECASE)
_PLAIN_UNITS = frozenset({"tokens", "token", "parameters", "params", "flop", "flops", "steps", "count", "1"})


@dataclass(frozen=True)
class Header:
    """What a column's name says: the quantity, and how to turn its numbers into canonical ones."""

    name: str  # canonical quantity
    unit: str
    scale: float = 1.0
    transform: str = ""  # "", "ln" (of a perplexity), or the base of a logarithm to undo: "2", "10", "e"
    exact: bool = False  # the canonical name itself, without a unit that converts


def normalise(name: str) -> str:
    """Return a column name in lower case with single underscores between its words.

    >>> normalise("Model Size"), normalise("nParams"), normalise("c4_en-validation/CrossEntropyLoss")
    ('model_size', 'n_params', 'c4_en_validation_cross_entropy_loss')
    """
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return re.sub(r"[^0-9a-z]+", "_", words.lower()).strip("_")


def _build_names() -> dict[str, str]:
    names = {}
    for quantity in QUANTITIES.values():
        for alias in quantity.aliases:
            if len(alias) > 1:
                names[normalise(alias)] = quantity.name
            else:
                names[alias] = quantity.name  # one letter: as written, because n is rarely N
    names |= {name: name for name in QUANTITIES}
    return names


_NAMES = _build_names()


def read_header(column: str) -> Header | None:
    """Return what the name of a column says, or None when it is no name of the glossary.

    >>> read_header("Model Size (B)")
    Header(name='params', unit='parameters', scale=1000000000.0, transform='', exact=False)
    >>> read_header("val_ppl").transform
    'ln'
    >>> read_header("hex_color") is None
    True
    """
    bracket = re.fullmatch(r"(.*?)\s*[\[(]\s*([^\[\]()]*?)\s*[\])]\s*", column.strip())
    stem, unit = bracket.groups() if bracket else (column.strip(), "")
    if name := _lookup(stem):
        exact = stem == name
        return _with_unit(name, unit, exact=exact) if unit else Header(name, QUANTITIES[name].unit, exact=exact)
    plain = normalise(stem)
    if _PERPLEXITY.fullmatch(plain) and not unit:
        return Header("loss", _NATS, transform="ln")
    if plain in _LOSS_UNITS and plain not in ("nats", "nat", "bits", "bit") and not unit:
        scale, said = _LOSS_UNITS[plain]
        return Header("loss", said, scale)
    logarithm = re.fullmatch(r"(?:log_?(10|2)|(ln))_(.+)", plain)
    if logarithm and (name := _NAMES.get(logarithm.group(3))) and not unit and name not in LABELS:
        return Header(name, QUANTITIES[name].unit, transform=logarithm.group(1) or "e")
    if bracket:
        return None
    return _suffixed(plain)


def _lookup(stem: str) -> str | None:
    if len(stem) == 1:
        return _NAMES.get(stem)
    return _NAMES.get(normalise(stem)) if len(normalise(stem)) > 1 else None


def _suffixed(plain: str) -> Header | None:
    """Read a unit that is part of the name: tokens_B, params_millions, loss_bits, flops_1e21, model_size_in_b."""
    parts = plain.split("_")
    for cut in range(len(parts) - 1, 0, -1):
        stem, unit = "_".join(parts[:cut]), "_".join(parts[cut:])
        name = _NAMES.get(stem) if len(stem) > 1 else _NAMES.get(stem.upper()) if len(unit) > 2 else None
        if name and (header := _with_unit(name, unit, exact=False)):
            return header
    return None


def _with_unit(name: str, unit: str, *, exact: bool) -> Header | None:
    """Return the header of quantity `name` in a unit, or None when the unit says nothing we know."""
    quantity = QUANTITIES[name]
    plain = normalise(unit).removeprefix("in_")
    if name.startswith("loss"):
        if plain in ("ppl", "perplexity"):
            return Header(name, quantity.unit, transform="ln")
        scale, said = _LOSS_UNITS.get(plain, (0.0, ""))
        return Header(name, said, scale, exact=exact and scale == 1.0) if scale else None
    if plain == normalise(quantity.unit) or (plain in _PLAIN_UNITS and name not in LABELS):
        return Header(name, quantity.unit, exact=exact)
    if name in ("flops", "flops_train") and plain in _FLOP_UNITS:
        return Header(name, quantity.unit, _FLOP_UNITS[plain])
    if plain in ("log10", "log_10", "log2", "log_2", "ln"):
        return Header(name, quantity.unit, transform="e" if plain == "ln" else plain.removeprefix("log").strip("_"))
    power = _POWER.fullmatch(unit.strip())
    if power and quantity.unit not in ("label", "fraction", ""):
        return Header(name, quantity.unit, float(f"1e{power.group(1)}"))
    words = [word for word in plain.split("_") if word not in _PLAIN_UNITS]
    if len(words) == 1 and words[0] in COUNT_SUFFIXES and (name in POSITIVE or name in ("steps", "examples")):
        return Header(name, quantity.unit, float(f"1e{COUNT_SUFFIXES[words[0]]}"))
    return None


def candidates(columns: Sequence[str]) -> dict[str, list[tuple[str, Header]]]:
    """Return, per quantity, the columns that could be it: an exact name alone if there is one, perplexities last.

    The loss is stricter: trackers write the training loss as `loss` beside `eval_loss`, so no name settles it.
    """
    found: dict[str, list[tuple[str, Header]]] = {}
    for column in columns:
        header = read_header(column)
        if header is not None:
            found.setdefault(header.name, []).append((column, header))
    if {"params", "tokens", "flops"} & found.keys():
        found.pop("x", None)  # a column x beside sizes is a coordinate of the figure, not the variable of a law
    for name, options in found.items():
        direct = [option for option in options if option[1].transform != "ln"]
        options = direct or options
        exact = [option for option in options if option[1].exact]
        found[name] = exact if len(exact) == 1 and name != "loss" else options
    return found


def shared_stem(columns: Sequence[str], name: str) -> list[str]:
    """Return the columns whose names mention a quantity without being one of its names, for the remedy of an error."""
    words = (name.split("_")[0].rstrip("s"),)
    if name == "loss":
        words = ("loss", "cross_entropy", "ppl", "perplexity", "bpb", "error")
    return [column for column in columns if any(word in normalise(column) for word in words)]


def shell_word(text: str) -> str:
    """Return a column or formula as it is written after the = of --map, quoted where a shell needs it.

    >>> print(shell_word("n_params"), shell_word("Model Size"), shell_word("`Training FLOP` / 2"))
    n_params "Model Size" '`Training FLOP` / 2'
    """
    if text and text == shlex.quote(text):
        return text
    return shlex.quote(text) if any(sign in text for sign in '"`$\\!') else f'"{text}"'
