"""A downstream forecast as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalinglens.fit.downstream.predictability import Check
from scalinglens.laws.render import equation
from scalinglens.quantities import format_number

if TYPE_CHECKING:
    from scalinglens.fit.downstream.two_step import TwoStep
    from scalinglens.fit.result import Fit

__all__ = ["checks_text", "two_step_text"]

_MARKS = {True: "pass", False: "FAIL", None: "-"}


def two_step_text(forecast: TwoStep) -> str:
    """Return both laws with their numbers, the checks, and why intervals are refused where they are."""
    lines = [f"{forecast.task} in two steps: {forecast.status}"]
    first, second = forecast.loss_fit, forecast.link_fit
    lines += [f"  {forecast.loss_column} = {_numbers(first)}", f"    {_facts(first)}"]
    lines += [f"  {forecast.task} = {_numbers(second)}", f"    {_facts(second)}", ""]
    lines += [checks_text(forecast.checks)]
    if forecast.refusal:
        lines += ["", f"  {forecast.refusal}"]
    told = {f"{check.name}: {check.says}" for check in forecast.checks}
    lines += [f"  ! {warning}" for warning in forecast.warnings if warning not in told]
    return "\n".join(lines)


def checks_text(checks: tuple[Check, ...]) -> str:
    """Return one line per check: passed, failed or undecided, its name, and its sentence."""
    width = max(len(check.name) for check in checks)
    return "\n".join(f"  {_MARKS[check.passed]:<4}  {check.name:<{width}}  {check.says}" for check in checks)


def _numbers(part: Fit) -> str:
    numbers = {name: format_number(e.value, e.low, e.high) for name, e in part.parameters.items()}
    numbers |= {name: f"({text})" for name, text in part.law.derived.items()}
    return equation(equation(part.law.formula, numbers), numbers)


def _facts(part: Fit) -> str:
    found = part.certificate
    return (
        f"{part.law.name}, {part.table['used']} rows, {part.status}, "
        f"{found.starts_agree} of {found.starts} starts agree, {part.loss.name} = {part.value:.6g}"
    )
