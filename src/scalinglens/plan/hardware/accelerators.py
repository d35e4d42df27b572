"""Accelerators: what one chip can do at best, and what an hour of it costs. The table is `hardware.toml`."""

from __future__ import annotations

import functools
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any

from scalinglens.errors import PlanError, did_you_mean

__all__ = ["EVIDENCE", "Accelerator", "accelerator", "accelerators"]

PRECISIONS = ("bf16", "fp8")
EVIDENCE: Mapping[str, str] = {"V": "the maker's document", "S": "a secondary source", "U": "unverified"}


@dataclass(frozen=True)
class Accelerator:
    """One chip: what it can do at best, and what an hour of it costs.

    Attributes:
        name: as in the table. title: as people say it. year: announced.
        bf16, fp8: dense peak in FLOP/s; None where the format is not supported.
        memory: bytes. bandwidth: bytes/s of that memory. tdp: watts; None where not published.
        source, tag: where these come from, and how sure that is: a letter of `EVIDENCE`.
        price: USD per chip and hour on demand. price_source, price_date, price_tag: who asked it, when, how sure.
        note: what else to know.
    """

    name: str
    title: str
    year: int
    bf16: float
    memory: float
    bandwidth: float
    fp8: float | None = None
    tdp: float | None = None
    source: str = ""
    tag: str = "U"
    price: float | None = None
    price_source: str = ""
    price_date: str = ""
    price_tag: str = "U"
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("bf16", "fp8", "memory", "bandwidth", "tdp", "price"):
            value = getattr(self, name)
            if value is None and name not in ("bf16", "memory", "bandwidth"):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise PlanError(f"{name} of {self.name} is {value!r}; it must be a positive number")
        for name in ("tag", "price_tag"):
            if getattr(self, name) not in EVIDENCE:
                raise PlanError(
                    f"{name} of {self.name} is {getattr(self, name)!r}; it must be one of {', '.join(EVIDENCE)}"
                )

    def peak(self, precision: str = "bf16") -> float:
        """Return the dense peak rate in FLOP/s.

        Raises:
            PlanError: an unknown precision, or one that this chip does not compute in.

        >>> accelerators()["h100"].peak("fp8")
        1979000000000000.0
        """
        if precision not in PRECISIONS:
            near = did_you_mean(str(precision), PRECISIONS)
            raise PlanError(f'there is no precision "{precision}"{near}; there are {", ".join(PRECISIONS)}')
        value = self.bf16 if precision == "bf16" else self.fp8
        if value is None:
            raise PlanError(f"{self.title} does not compute in {precision}; use bf16, or another accelerator")
        return float(value)


@functools.cache
def accelerators() -> Mapping[str, Accelerator]:
    """Return the accelerators of the table by name.

    Cost: one small TOML file, read once.

    >>> accelerators()["tpu-v5p"].bf16
    459000000000000.0
    """
    return MappingProxyType(
        {
            name: Accelerator(name=name, **{key: value for key, value in words.items() if key != "aliases"})
            for name, words in _table().items()
        }
    )


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    with (resources.files("scalinglens.plan.hardware") / "hardware.toml").open("rb") as file:
        return tomllib.load(file)


@functools.cache
def _spellings() -> dict[str, str]:
    """Spelling without case and separators -> name."""
    return {
        _plain(spelling): name for name, words in _table().items() for spelling in (name, *words.get("aliases", ()))
    }


def _plain(text: str) -> str:
    return re.sub(r"[\s_.-]|nvidia|amd|google", "", text.lower())


def accelerator(name: str) -> Accelerator:
    """Return an accelerator of the table by name.

    Args:
        name: such as "h200" or "TPU v5p"; capitals, blanks, dashes and underscores do not matter.

    Raises:
        PlanError: no such accelerator; the nearest one is suggested.

    >>> accelerator("NVIDIA A100").name
    'a100-80'
    """
    found = _spellings().get(_plain(name))
    if found is None:
        near = did_you_mean(name.strip().lower(), _table()) or did_you_mean(_plain(name), _spellings())
        raise PlanError(
            f'there is no accelerator "{name.strip()}"{near}; there are {", ".join(_table())}. '
            "For another chip make Hardware(Accelerator(...), chips)"
        )
    return accelerators()[found]
