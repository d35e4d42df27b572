"""How options with an inner structure are written: NAME=VALUE pairs, and points such as `--params 7B,70B`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scalinglens.errors import OptionError, QuantityError
from scalinglens.quantities import QUANTITIES, parse_quantity

__all__ = ["number_pairs", "pairs", "parsed", "split_points", "values"]

MOST_POINTS = 100_000


def parsed(command: Any, name: str, words: Sequence[str]) -> Any:
    """Read the words after the name of a command into its dataclass; help and mistakes end with SystemExit."""
    import tyro

    markers = (tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
    return tyro.cli(command, prog=f"scalinglens {name}", args=list(words), config=markers)


def pairs(option: str, words: Sequence[str], example: str) -> dict[str, str]:
    """Split NAME=VALUE words.

    >>> pairs("map", ["params=Model Size"], "params=COLUMN")
    {'params': 'Model Size'}
    """
    found: dict[str, str] = {}
    for word in words:
        name, sign, value = (part.strip() for part in word.partition("="))
        if not sign or not name:
            raise OptionError(f"--{option} {word!r} is not NAME=VALUE; write it as in --{option} {example}")
        if name in found:
            raise OptionError(f"--{option} names {name} twice ({found[name]!r} and {value!r}); keep one")
        found[name] = value
    return found


def number_pairs(option: str, words: Sequence[str], example: str) -> dict[str, float]:
    """Split NAME=NUMBER words.

    >>> number_pairs("pin", ["E=1.8"], "E=1.8")
    {'E': 1.8}
    """
    found = {}
    for name, text in pairs(option, words, example).items():
        try:
            found[name] = parse_quantity(text)
        except QuantityError as problem:
            raise OptionError(f"--{option} {name}={text}: {problem}; write it as in --{option} {example}") from None
    return found


def split_points(words: Sequence[str], own: Sequence[str], flags: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Part the words of a command into its own and the points `--NAME VALUE`, for names only the law knows.

    Args:
        words: after the name of the command.
        own: options of the command that take a value, with their dashes.
        flags: options of the command that take none.

    Returns:
        The command's own words, and input name -> text.

    Raises:
        OptionError: a point without a value, or given twice.

    >>> split_points(["fit.json", "--params", "70B", "--json"], ["--level"], ["--json"])
    (['fit.json', '--json'], {'params': '70B'})
    """
    rest: list[str] = []
    points: dict[str, str] = {}
    queue = list(words)
    while queue:
        word = queue.pop(0)
        option, sign, value = word.partition("=")
        if not word.startswith("--") or option in flags or word == "--":
            rest.append(word)
        elif option in own:
            rest += [word] if sign or not queue else [word, queue.pop(0)]
        else:
            name = option[2:].replace("-", "_")
            if not sign:
                if not queue or queue[0].startswith("--"):
                    raise OptionError(f"{word} needs a value, for example {word} 70B")
                value = queue.pop(0)
            if name in points:
                raise OptionError(f"{option} is given twice ({points[name]} and {value}); write {option} A,B for both")
            points[name] = value
    return rest, points


def values(name: str, text: str) -> list[float]:
    """Read the value of a point: a quantity, a list A,B,C or a geometric range LOW:HIGH:COUNT.

    Raises:
        OptionError: not so written.

    >>> values("params", "7B,70B"), values("tokens", "1e9:1e11:3")
    ([7000000000.0, 70000000000.0], [1000000000.0, 10000000000.0, 100000000000.0])
    """
    try:
        if ":" in text:
            return _range(name, text)
        expect = name if name in QUANTITIES else None
        return [parse_quantity(part, expect=expect) for part in text.split(",")]
    except QuantityError as problem:
        option = f"--{name.replace('_', '-')}"
        raise OptionError(
            f"{option} {text}: {problem}; a value is written {option} 70B, a list {option} 7B,70B, "
            f"a geometric range {option} 1B:100B:5"
        ) from None


def _range(name: str, text: str) -> list[float]:
    parts = text.split(":")
    if len(parts) != 3:
        raise QuantityError(f"a range is LOW:HIGH:COUNT, got {len(parts)} parts")
    expect = name if name in QUANTITIES else None
    low, high = (parse_quantity(part, expect=expect) for part in parts[:2])
    count = parse_quantity(parts[2])
    if low <= 0 or high <= 0:
        raise QuantityError("a geometric range lies between two positive numbers")
    if count != int(count) or not 2 <= count <= MOST_POINTS:
        raise QuantityError(f"the count of a range is a whole number from 2 to {MOST_POINTS}, got {parts[2]}")
    size = int(count)
    steps = [math.exp(math.log(low) + k * math.log(high / low) / (size - 1)) for k in range(size)]
    # powers of ten should come out as such, and the ends exactly as written
    return [low, *(float(f"{value:.14g}") for value in steps[1:-1]), high]
