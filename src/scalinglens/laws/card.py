"""The law card: everything known about a law, as text for the terminal and as plain data for everything else."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from scalinglens.laws import catalogue
from scalinglens.laws.catalogue import EVIDENCE
from scalinglens.laws.law import Law
from scalinglens.quantities import QUANTITIES

__all__ = ["card", "card_dict", "laws_dict"]

SCHEMA = 1
WIDTH = 100


def card_dict(law: Law | str, *, unverified: bool = False) -> dict[str, Any]:
    """Return everything known about a law as data that `json.dumps` takes.

    Args:
        law: a law, a name or a formula.
        unverified: include published constants of weak evidence; they are only counted otherwise.

    Returns:
        name, title, citation, source, formula, latex, between (the two ends of the output, where the formula is an
        equation that is zero at it; empty elsewhere), output, inputs, parameters (domain, coordinate, published
        constant with standard error and evidence), derived, optimum, valid, checks, note, notes, errata, siblings, and
        `unverified` = {"count", "shown"}.

    Raises:
        UnknownLawError, FormulaError: as `scalinglens.laws.catalogue.law`.

    Cost: a millisecond; the checks are evaluated anew.

    >>> words = card_dict("besiroglu2024")
    >>> words["parameters"][1]["name"], words["parameters"][1]["constant"], words["parameters"][1]["error"]
    ('A', 482.01, 124.58)
    """
    made = catalogue.law(law)
    published = _as_published(made)
    full = published or made
    weak = {name for name in full.constants if full.tags.get(name) == "U"}
    shown = full if unverified else made
    checks = catalogue.check(published) if published else ()
    if not unverified:  # a check of hidden constants would vouch for numbers nobody sees
        checks = tuple(result for result in checks if not weak - set(result.constants))
    about = made.about
    return {
        "schema": SCHEMA,
        "name": made.name,
        "title": about.get("title", ""),
        "citation": about.get("citation", ""),
        "source": made.source,
        "formula": made.formula,
        "latex": made.latex(),
        "between": list(made.between),
        "output": {
            "name": made.output,
            "unit": made.unit,
            "convention": about.get("conventions", {}).get(made.output, "") if made.output not in made.inputs else "",
        },
        "inputs": [_input(made, name) for name in made.inputs],
        "parameters": [_parameter(shown, name, weak if not unverified else set()) for name in made.parameters],
        "derived": dict(made.derived),
        "unverified": {"count": len(weak), "shown": unverified},
        "optimum": about.get("optimum", ""),
        "valid": about.get("valid", ""),
        "checks": [asdict(result) for result in checks],
        "note": about.get("note", ""),
        "notes": list(about.get("notes", ())),
        "errata": list(about.get("errata", ())),
        "siblings": list(catalogue.siblings(made.name)),
    }


def card(law: Law | str, *, unverified: bool = False) -> str:
    """Return everything known about a law as text for the terminal.

    Args and raises: as `card_dict`. Cost: a millisecond.

    >>> print(card("a + b*x^c where c < 0"))
    a + b*x^c where c < 0
    <BLANKLINE>
      loss = a + b*x^c
      LaTeX: a + b x^{c}
    <BLANKLINE>
    Inputs
      x   x   the free variable of a one-variable law
    <BLANKLINE>
    Parameters
      name   domain     estimated as
      a      positive   logarithm
      b      positive   logarithm
      c      negative   itself
    """
    words = card_dict(law, unverified=unverified)
    unit = f"   [{words['output']['unit']}]" if words["output"]["unit"] else ""
    head = [words["name"], *_wrapped(words["title"]), *_wrapped(words["citation"])]
    formula = [f"  {words['output']['name']} = {words['formula']}{unit}"]
    if words["between"]:
        low, high = words["between"]
        formula = [f"  {words['formula']} = 0", f"  with {words['output']['name']} between {low} and {high}{unit}"]
    formula += [f"  with {name} = {text}" for name, text in words["derived"].items()]
    convention = words["output"]["convention"]
    formula += _wrapped(f"{words['output']['name']}: {convention}", "  ") if convention else []
    formula += [f"  LaTeX: {words['latex']}", *_wrapped(words["note"], "  ")]
    blocks = [head, formula, _section("Inputs", _input_lines(words)), _section("Parameters", _parameter_lines(words))]
    blocks += [_section(key.capitalize(), _wrapped(words[key], "  ")) for key in ("optimum", "valid")]
    blocks.append(_section("Checks", _check_lines(words["checks"])))
    for key in ("notes", "errata"):
        blocks.append(
            _section(key.capitalize(), [line for note in words[key] for line in _wrapped(note, "  - ", "    ")])
        )
    blocks.append(_section("Same family", _wrapped(", ".join(words["siblings"]), "  ")))
    return "\n\n".join("\n".join(block) for block in blocks if block)


def laws_dict() -> dict[str, Any]:
    """Return a table of contents of the catalogue as data that `json.dumps` takes.

    Returns:
        {"schema": 1, "laws": [...], "open": [...]}; a law has name, formula, inputs, parameters, output, unit, source,
        title, whether it has constants (of good evidence), whether it has JavaScript (a law that is the root of an
        equation has none), and `template`: for a law of any number of parts, whose name
        ends in {n}, the name with n = 2 that formula, inputs and parameters belong to.

    Cost: all files of the catalogue are read once, about 0.2 s.

    >>> [entry["inputs"] for entry in laws_dict()["laws"] if entry["name"] == "hoffmann2022.a3_tex"]
    [['params', 'tokens']]
    """
    entries = []
    for name in catalogue.laws():
        instance = name.replace("{n}", "2")
        found = catalogue.law(instance)
        entries.append(
            {
                "name": name,
                "formula": found.formula,
                "inputs": list(found.inputs),
                "parameters": list(found.parameters),
                "output": found.output,
                "unit": found.unit,
                "source": found.source,
                "title": found.about["title"],
                "constants": bool(found.constants),
                "javascript": not (found.between or found.scheduled),
                "template": instance if instance != name else None,
            }
        )
    return {"schema": SCHEMA, "laws": entries, "open": [asdict(item) for item in catalogue.open_laws()]}


# ---- the parts as data ----------------------------------------------------------------------------------------------


def _as_published(made: Law) -> Law | None:
    """The catalogue's own law of that name with all constants, unless `made` has been changed by ties."""
    if made.name.partition(".")[0] not in catalogue.families():
        return None
    found = catalogue.law(made.name, unverified=True)
    return found if (found.formula, found.derived) == (made.formula, made.derived) else None


def _input(law: Law, name: str) -> dict[str, str]:
    if name == "schedule":
        words = {"unit": "", "description": "learning rate at every step: a Schedule, or its text"}
        return {"name": name, "symbol": "", **words, "convention": ""}
    quantity = QUANTITIES.get(name)
    return {
        "name": name,
        "symbol": quantity.symbol if quantity else "",
        "unit": quantity.unit if quantity else "share",
        "description": quantity.description if quantity else "share of one domain in the mixture",
        "convention": law.about.get("conventions", {}).get(name, ""),
    }


def _parameter(law: Law, name: str, hidden: set[str]) -> dict[str, Any]:
    known = name in law.constants and name not in hidden
    return {
        "name": name,
        "domain": str(law.domain(name)),
        "coordinate": law.coordinates[name],
        "constant": law.constants[name] if known else None,
        "error": law.about.get("errors", {}).get(name) if known else None,
        "evidence": EVIDENCE[law.tags[name]] if known and name in law.tags else "",
        "convention": law.about.get("conventions", {}).get(name, ""),
    }


# ---- the parts as text ----------------------------------------------------------------------------------------------


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return [title, *lines] if lines else []


def _input_lines(words: dict[str, Any]) -> list[str]:
    rows = []
    for entry in words["inputs"]:
        unit = f" [{entry['unit']}]" if entry["unit"] else ""
        text = entry["convention"] or entry["description"]
        rows.append((entry["name"], entry["symbol"], f"{text}{unit}"))
    return _table(rows)


def _parameter_lines(words: dict[str, Any]) -> list[str]:
    rows = [("name", "domain", "estimated as", "published", "standard error", "evidence", "")]
    for entry in words["parameters"]:
        rows.append(
            (
                entry["name"],
                entry["domain"],
                "logarithm" if entry["coordinate"] == "log" else "itself",
                "" if entry["constant"] is None else _digits(entry["constant"]),
                "" if entry["error"] is None else _digits(entry["error"]),
                entry["evidence"],
                entry["convention"],
            )
        )
    lines = _table(rows, heading=True) if len(rows) > 1 else []
    count = words["unverified"]["count"]
    if count and not words["unverified"]["shown"]:
        says = "constant is unverified and" if count == 1 else "constants are unverified and"
        lines.append(f"  {count} more published {says} not shown; see them with unverified=True (--unverified)")
    return lines


def _check_lines(checks: Iterable[dict[str, Any]]) -> list[str]:
    rows = []
    for result in checks:
        at = _points(result["inputs"]) + (f" over {_points(result['over'])}" if result["over"] else "")
        at += f" with {_points(result['constants'])}" if result["constants"] else ""
        why = "; ".join(part for part in (result["tag"], result["why"]) if part)
        got = f"{result['got']:.{max(_significant(result['printed']) + 1, 4)}g}"
        verdict = "agrees" if result["passed"] else "DISAGREES"
        rows.append((f"printed {result['printed']}", f"got {got}", verdict, at, why))
    return _table(rows)


def _points(points: dict[str, float]) -> str:
    shown = lambda value: value if isinstance(value, str) else _digits(value)  # noqa: E731  a schedule is text
    return ", ".join(f"{name} = {shown(value)}" for name, value in points.items())


def _digits(value: float) -> str:
    return f"{value:.10g}".replace("e+", "e")


def _significant(printed: str) -> int:
    """Number of significant digits in a number as printed."""
    return len(printed.lower().partition("e")[0].lstrip("-0.").replace(".", ""))


def _table(rows: Sequence[tuple[str, ...]], heading: bool = False) -> list[str]:
    """Columns side by side, those without any content left out."""
    body = rows[1:] if heading else rows
    columns = [i for i in range(len(rows[0]) if rows else 0) if any(row[i] for row in body)]
    widths = {i: max(len(row[i]) for row in rows) for i in columns}
    return [("  " + "   ".join(row[i].ljust(widths[i]) for i in columns)).rstrip() for row in rows]


def _wrapped(text: str, first: str = "", rest: str | None = None) -> list[str]:
    """Break at blanks only: formulas and names stay whole."""
    later = first if rest is None else rest
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
