"""`Cost`: what a run costs, as a formula over the same inputs as the law."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalinglens.errors import FormulaError, PlanError, UnknownLawError, did_you_mean
from scalinglens.laws.catalogue import law as find_law
from scalinglens.laws.catalogue import laws, typed_law
from scalinglens.laws.law import Law

__all__ = ["UNITS", "Cost", "cost", "training_flops"]

UNITS: Mapping[str, str] = {
    "flops": "FLOP",
    "flops_train": "FLOP",
    "dollars": "USD",
    "hours": "hours",
    "seconds": "seconds",
    "days": "days",
    "bytes": "bytes",
    "price": "USD",
}
"""Outputs of a formula that are a cost, and the unit each is in."""
_PER = {
    "flops_per_token": "tokens",
    "flops_per_sequence": "tokens/sequence_length",
}  # published per token: times tokens


@dataclass(frozen=True)
class Cost:
    """A cost: a formula in the law language with every parameter given.

    Attributes:
        law: the formula, its output the cost.
        unit: "FLOP", "USD", "hours", "bytes", ...
        name: as it was asked for.
    """

    law: Law
    unit: str
    name: str

    @property
    def formula(self) -> str:
        """The formula as text."""
        return self.law.formula

    @property
    def inputs(self) -> tuple[str, ...]:
        """Quantities that the cost depends on."""
        return self.law.inputs

    def value(self, columns: Mapping[str, Any]) -> np.ndarray:
        """Evaluate the cost at input -> number or array; extra columns are ignored.

        >>> f'{cost("6*params*tokens").value({"params": 70e9, "tokens": 1.4e12}):.4g}'
        '5.88e+23'
        """
        return self.law.value(points=self._own(columns))

    def elasticities(self, columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return d(ln cost)/d(ln input) for each input, exactly."""
        own = self._own(columns)
        value = self.law.value(points=own)
        return {name: slope / value for name, slope in self.law.elasticities(points=own).items()}

    def _own(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        missing = [name for name in self.inputs if name not in columns]
        if missing:
            raise PlanError(
                f"the cost {self.formula} needs {', '.join(missing)}; give the value, for example "
                f"fix={{'{missing[0]}': 1e9}} (--fix {missing[0]}=1e9)"
            )
        return {name: columns[name] for name in self.inputs}

    def model(self) -> Callable[[Mapping[str, Any]], tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Return ln cost as a function of log inputs [..., n]: its value and its derivatives by each log input."""
        compiled = self.law.compiled("slopes")
        theta = compiled.prepare(tuple(np.float64(self.law.constants[name]) for name in self.law.parameters))
        slots = {name: slot for slot, name in enumerate(self.inputs)}

        def evaluate(logs: Mapping[str, Any]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
            with np.errstate(all="ignore"):
                value, *slopes = compiled.run(tuple(np.asarray(logs[name]) for name in self.inputs), theta)
                by_slot = dict(zip(compiled.gradient, slopes, strict=False))
                if compiled.log:
                    return value, {name: by_slot.get(slot, 0.0) for name, slot in slots.items()}
                return np.log(value), {name: by_slot.get(slot, 0.0) / value for name, slot in slots.items()}

        return evaluate

    def with_inference(self, tokens_inference: float | None = None) -> Cost:
        """Return the cost with that of serving added: 2 FLOP per parameter and served token.

        cost + 2*size*tokens_inference (Sardana et al. 2023)

        Args:
            tokens_inference: tokens served over the lifetime; without it they are an input, `tokens_inference`.

        Raises:
            PlanError: the cost is not in FLOP, or names no size.

        >>> cost("6*params*tokens").with_inference().formula
        '6*params*tokens + 2*params*tokens_inference'
        """
        if self.unit != "FLOP":
            raise PlanError(f"served tokens add FLOP, and the cost is in {self.unit}; write one formula in {self.unit}")
        sizes = [name for name in ("params_active", *self.inputs) if name in self.inputs and name.startswith("params")]
        if not sizes:
            raise PlanError(f"the cost {self.formula} names no size, so serving has none; write it out as one formula")
        served = (
            "tokens_inference" if tokens_inference is None else repr(_positive("tokens_inference", tokens_inference))
        )
        text = f"{self.formula} + 2*{sizes[0]}*{served}"
        return _made(f"flops = {text}", self.law.constants, "FLOP", text)

    def times(self, factor: float, unit: str) -> Cost:
        """Return the cost in another unit: dollars of FLOP at a price, hours at a rate.

        >>> cost("6*params*tokens").times(1e-18, "USD").unit
        'USD'
        """
        text = f"{_positive('the factor', factor)!r}*({self.formula})"
        return _made(f"flops = {text}", self.law.constants, unit, text)

    def __str__(self) -> str:
        return f"{self.formula} [{self.unit}]"


def cost(formula: str | Law | Cost, *, unit: str | None = None, constants: Mapping[str, float] | None = None) -> Cost:
    """Return a cost from a formula or from the name of a published one.

    Args:
        formula: "6*params*tokens"; "dollars = 2e-18*6*params*tokens"; a name ("flops.6nd", "sardana2023.cost", "flops.moe");
            costs published per token ("flops.kaplan", "flops.palm") are multiplied by the tokens.
        unit: by default FLOP, or that of the output named on the left.
        constants: values of names that are not inputs.

    Returns:
        The cost.

    Raises:
        PlanError: a name without a value, a published law that is no cost, or one without inputs.
        FormulaError, UnknownLawError: as `scalinglens.law`.

    Cost: about a millisecond.

    >>> cost("flops.6nd").inputs
    ('params', 'tokens')
    >>> cost("flops.kaplan").formula
    '(6*params_nonembedding + 6*depth*sequence_length*width)*tokens'
    """
    if isinstance(formula, Cost):
        return formula
    if isinstance(formula, Law):
        law = formula
    elif isinstance(formula, str) and formula.strip():
        law = _read(formula.strip())
    else:
        raise PlanError(f'a cost is a formula such as "6*params*tokens" or a name such as "flops.6nd", got {formula!r}')
    per = _PER.get(law.output)
    given = {**law.constants, **(constants or {})}
    if per is not None:
        unit = unit or "FLOP"
        return _made(f"flops = ({law.formula})*{per}", given, unit, law.name)
    if law.output not in UNITS and unit is None:
        raise PlanError(
            f'{law.name} gives {law.output}, which is no cost; write what it returns, as in "flops = {law.formula}", '
            'or name a cost such as "flops.6nd"'
        )
    return _made(f"{law.output} = {law.formula}", given, unit or UNITS[law.output], law.name)


def training_flops(size: str = "params", data: str = "tokens") -> Cost:
    """Return the usual compute of training, 6 FLOP per parameter and token.

    >>> training_flops("params_active").formula
    '6*params_active*tokens'
    """
    return _made(f"flops = 6*{size}*{data}", {}, "FLOP", f"6*{size}*{data}")


def _read(text: str) -> Law:
    named = text[0].isalpha() and text.replace(".", "").replace("_", "").isalnum() and not text.isidentifier()
    if text in laws() or (named and not any(c in text for c in "*+-/^=( ")):
        return find_law(text)
    if text.isidentifier() and text not in laws():
        raise UnknownLawError(
            f'there is no cost "{text}"{did_you_mean(text, laws())}; write a formula such as 6*params*tokens, or flops.6nd'
        )
    try:
        return typed_law(text if "=" in text else f"flops = {text}")
    except FormulaError as problem:
        raise FormulaError(f"the cost cannot be read: {problem}") from None


def _made(text: str, constants: Mapping[str, float], unit: str, name: str) -> Cost:
    typed = typed_law(text)
    known = {key: float(value) for key, value in constants.items() if key in (*typed.parameters, *typed.inputs)}
    unknown = [key for key in constants if key not in known]
    if unknown:
        raise PlanError(f'the cost {typed.formula} has no "{unknown[0]}"{did_you_mean(unknown[0], typed.parameters)}')
    law = Law(name, typed.formula, typed.output, unit, constants=known)
    missing = [key for key in law.parameters if key not in known]
    if missing:
        from scalinglens.quantities import QUANTITIES

        raise PlanError(
            f'the cost {law.formula} names "{missing[0]}", which is no quantity of the glossary'
            f"{did_you_mean(missing[0], QUANTITIES)}; give its value: cost(..., constants={{'{missing[0]}': ...}})"
        )
    if not law.inputs:
        raise PlanError(f"the cost {law.formula} depends on no input; write for example 6*params*tokens")
    return Cost(law, unit, name)


def _positive(what: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise PlanError(f"{what} must be a positive number, got {value!r}") from None
    if not np.isfinite(number) or number <= 0:
        raise PlanError(f"{what} must be a positive finite number, got {number:g}")
    return number
