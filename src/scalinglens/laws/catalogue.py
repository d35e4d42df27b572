"""The published laws: `law(name)`, `laws()`, and the reading of `catalogue/*.toml`.

One file per family holds its forms (formula, domains, conventions), its entries (published constants with evidence tags
and numeric checks, each pointing to a form) and what is still open. Only the file of the family asked for is read.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from typing import Any

from scalinglens.errors import CatalogueError, FormulaError, UnknownLawError, did_you_mean
from scalinglens.laws.domain import Domain
from scalinglens.laws.law import Law
from scalinglens.quantities import QUANTITIES

__all__ = [
    "EVIDENCE",
    "CheckResult",
    "OpenLaw",
    "check",
    "families",
    "law",
    "laws",
    "open_laws",
    "siblings",
    "typed_law",
]

_FOLDER = resources.files("scalinglens.laws") / "catalogue"
_REPEAT = re.compile(r"<<([^|<>]*)\|(.*?)>>")
EVIDENCE: Mapping[str, str] = {
    "V": "verified",
    "S": "secondary source",
    "D": "derived",
    "U": "unverified",
    "synthetic": "made up for the check",
}
"""Evidence tags of constants and checks, in words."""
MAX_COUNT = 12  # breaks or domains a template may be asked for


@dataclass(frozen=True)
class OpenLaw:
    """A published law that is not one closed formula, and the mechanism it needs."""

    name: str
    kind: str
    needs: str
    source: str


@dataclass(frozen=True)
class CheckResult:
    """One numeric check of a law: what is printed, what the formula gives, whether they agree to the printed digits.

    `constants` are those the check brings along, `over` the inputs of the value divided by where the check is a ratio.
    """

    inputs: Mapping[str, float]
    printed: str
    got: float
    passed: bool
    tag: str
    why: str = ""
    constants: Mapping[str, float] = field(default_factory=dict)
    over: Mapping[str, float] = field(default_factory=dict)


def law(name_or_formula: str | Law, *, unverified: bool = False) -> Law:
    """Return a law of the catalogue by name, or make one from a formula.

    Args:
        name_or_formula: `"besiroglu2024"`, `"kaplan2020.L_ND"`, `"caballero2022.n3"` (three breaks), or a formula such
            as `"E + A/params^alpha"`, `"batch_tokens = k*loss^(-p)"`, `"a + b*x^c where c < 0"`. A `Law` is passed
            through.
        unverified: also return constants tagged U (from memory or one weak source); without it they are left out.

    Returns:
        The law, with its published constants if it has any.

    Raises:
        UnknownLawError: no such name; the nearest one is suggested.
        FormulaError: the formula is outside the grammar.

    Cost: one small TOML file is read and cached.

    >>> law("besiroglu2024").constants["A"]
    482.01
    >>> law("E + A/params^alpha").parameters
    ('E', 'A', 'alpha')
    """
    if isinstance(name_or_formula, Law):
        return name_or_formula
    if not isinstance(name_or_formula, str):
        raise UnknownLawError(f"a law is given by name or formula, got {type(name_or_formula).__name__}")
    text = name_or_formula.strip()
    if not re.fullmatch(r"[A-Za-z0-9_.]*", text):
        return typed_law(text)
    found = _published(text)
    if unverified:
        return found
    return replace(found, constants={name: c for name, c in found.constants.items() if found.tags.get(name) != "U"})


def laws() -> tuple[str, ...]:
    """Return the names of all published laws, sorted.

    >>> "hoffmann2022.a3_tex" in laws() and "kaplan2020.L_ND" in laws()
    True
    """
    return tuple(
        sorted(_public_name(family, entry) for family in families() for entry in _family(family).get("entries", {}))
    )


def open_laws() -> tuple[OpenLaw, ...]:
    """Return the published laws that are not one closed formula, with what each still needs.

    >>> {item.kind for item in open_laws()} >= {"schedule", "theory"}
    True
    """
    found = []
    for family in families():
        data = _family(family)
        for entry, words in data.get("open", {}).items():
            found.append(OpenLaw(_public_name(family, entry), words["kind"], words["needs"], data["source"]))
    return tuple(found)


def typed_law(text: str) -> Law:
    """Make a law from text: `[output =] formula [between low and high] [where name domain, ...]`.

    Args:
        text: the output is the loss unless named; a domain is written `c < 0`, `c real` or `E in [0, 3]`. The formula may
            hold the output itself if its ends are given, the upper one possibly inf: `y = a*exp(-b*x*y) between 0 and a`.

    Returns:
        A law whose inputs are the words of the glossary in the formula and whose parameters are all other names.

    Raises:
        FormulaError: outside the grammar, without any input, or with its own output as an input.

    >>> typed_law("y = a + b*x^c where c < 0, a in [0, 1]").domain("a")
    Domain(low=0.0, high=1.0, open=False)
    """
    body, *clauses = re.split(r"\bwhere\b", text, maxsplit=1)
    output, formula = "loss", body.strip()
    if "=" in body:
        left, _, formula = (part.strip() for part in body.partition("="))
        if not re.fullmatch(r"[A-Za-z_]\w*", left) or "=" in formula:
            raise FormulaError(f"the left side of {body.strip()!r} must be one name: loss = E + A/params^alpha")
        output = left
    domains = dict(_clause(part) for part in re.split(r",(?![^\[(]*[\])])", clauses[0])) if clauses else {}
    formula, *between = re.split(r"\bbetween\b", formula, maxsplit=1)
    ends = tuple(end.strip() for end in re.split(r"\band\b", between[0])) if between else ()
    formula = f"{output} - ({formula.strip()})" if between else formula
    try:
        made = Law(text, formula, output=output, domains=domains, between=ends)
    except FormulaError as problem:
        told = "" if repr(formula) in str(problem) else f"; the law reads {formula[:200]!r}"
        raise FormulaError(f"{problem}{told}") from None
    if output in made.inputs:
        raise FormulaError(
            f'the formula for "{output}" has {output} in it; name what it returns: batch_tokens = k*loss^(-p)'
        )
    known = {alias: quantity.name for quantity in QUANTITIES.values() for alias in quantity.aliases}
    meant = [f"{known[name]} for {name}" for name in made.parameters if name in known]
    if not made.inputs and meant:
        raise FormulaError(
            f"the law {formula!r} has no input: measured quantities go by their words in the glossary, "
            f"so write {', '.join(meant)}"
        )
    return made


def check(name: str | Law) -> tuple[CheckResult, ...]:
    """Evaluate every numeric check recorded for a published law, with all its constants.

    >>> all(result.passed for result in check("hoffmann2022.a3_tex"))
    True
    """
    published = _published(name.name if isinstance(name, Law) else name)
    return tuple(_run_check(published, words) for words in published.about.get("checks", ()))


def siblings(name: str) -> tuple[str, ...]:
    """Return the other published laws of the family that a name belongs to; none for a typed law.

    >>> siblings("besiroglu2024.N_opt")[:2]
    ('besiroglu2024', 'besiroglu2024.D_opt')
    """
    family = name.partition(".")[0]
    if family not in families():
        return ()
    return tuple(sorted({_public_name(family, entry) for entry in _family(family).get("entries", {})} - {name}))


@functools.cache
def families() -> tuple[str, ...]:
    """Return the names of the families, one per file."""
    return tuple(sorted(item.name.removesuffix(".toml") for item in _FOLDER.iterdir() if item.name.endswith(".toml")))


# ---- reading --------------------------------------------------------------------------------------------------------


@functools.cache
def _family(family: str) -> dict[str, Any]:
    with (_FOLDER / f"{family}.toml").open("rb") as file:
        return tomllib.load(file)


@functools.lru_cache(maxsize=512)
def _published(name: str) -> Law:
    family, _, entry = name.partition(".")
    if family not in families():
        known = laws()
        raise UnknownLawError(
            f'there is no law "{name}"{did_you_mean(name, (*known, *families()))}; `scalinglens laws` lists all '
            f"{len(known)}, and any formula can be typed instead: E + A/params^alpha + B/tokens^beta"
        )
    data = _family(family)
    entry = entry or data.get("default", "main")
    entries = data.get("entries", {})
    words, count = entries.get(entry), None
    if words is None:
        words, count = _template(entry, entries)
    if words is None:
        if entry in data.get("open", {}):
            raise UnknownLawError(f'"{name}" is not one closed formula; it needs: {data["open"][entry]["needs"]}')
        known = [_public_name(family, known) for known in entries]
        raise UnknownLawError(
            f'the family {family} has no law "{name}"{did_you_mean(name, known)}; it has {", ".join(known)}'
        )
    return _assemble(family, entry, data, words, count)


def _template(entry: str, entries: Mapping[str, Any]) -> tuple[dict[str, Any] | None, int | None]:
    """Find the template entry such as `n{n}` that a name such as `n3` is an instance of."""
    for pattern, words in entries.items():
        if pattern.endswith("{n}") and (match := re.fullmatch(re.escape(pattern[:-3]) + r"([0-9]{1,3})", entry)):
            if not 1 <= int(match[1]) <= MAX_COUNT:
                raise UnknownLawError(f'"{entry}": the count must be between 1 and {MAX_COUNT}')
            return words, int(match[1])
    return None, None


def _assemble(family: str, entry: str, data: Mapping[str, Any], words: Mapping[str, Any], count: int | None) -> Law:
    home, _, short = words["form"].rpartition(":")
    form = (_family(home) if home else data).get("forms", {}).get(short)
    if form is None:
        raise CatalogueError(f"{family}.toml: the entry {entry} points to a form {words['form']!r} that does not exist")
    count = count or words.get("n")
    formula = form["formula"]
    if _REPEAT.search(formula):
        if count is None:
            raise UnknownLawError(
                f"{family}.{entry} is a template; ask for a number, for example {family}.{entry.replace('{n}', '2')}"
            )
        formula = _REPEAT.sub(
            lambda part: part[1].join(part[2].replace("#", str(i + 1)) for i in range(count)), formula
        )

    def numbered(words: Mapping[str, str]) -> dict[str, str]:
        return {key.replace("#", str(i + 1)): text for key, text in words.items() for i in range(count or 1)}

    domains = {key: Domain.parse(text) for key, text in numbered(form.get("domains", {})).items()}
    derived = form.get("derived", {})
    constants = {name: float(value) for name, value in words.get("constants", {}).items() if name not in derived}
    authors = " ".join(part for part in (data.get("authors", ""), str(data.get("year") or "")) if part)
    citation = ", ".join(part for part in (authors, data["source"]) if part)
    about = {
        "title": data["title"],
        "citation": citation,
        "notes": tuple(data.get("notes", ())),
        "errata": tuple(data.get("errata", ())),
        "note": words.get("note", ""),
        "errors": words.get("errors", {}),
        "checks": tuple(words.get("checks", ())),
        "conventions": numbered(form.get("conventions", {})),
        **{key: form[key] for key in ("optimum", "valid") if key in form},
    }
    return Law(
        name=_public_name(family, entry),
        formula=formula,
        output=form.get("output", "loss"),
        unit=form.get("unit", ""),
        domains=domains,
        derived=derived,
        constants=constants,
        tags={name: words.get("tags", {}).get(name, words.get("tag", "U")) for name in constants},
        source=", ".join(part for part in (data["source"], form.get("source", "")) if part),
        about=about,
        between=tuple(form.get("between", ())),
    )


def _public_name(family: str, entry: str) -> str:
    return family if entry == "main" else f"{family}.{entry}"


def _clause(text: str) -> tuple[str, Domain]:
    """Read one domain after `where`: `c < 0`, `c > 0`, `c real`, `E in [0, 3]`."""
    match = re.fullmatch(r"\s*([A-Za-z_]\w*)\s*(<=?|>=?|in\b|is\b)?\s*(.+?)\s*", text)
    if not match:
        raise FormulaError(f"cannot read the domain {text.strip()!r}; write c < 0, c real, or E in [0, 3]")
    name, relation, rest = match.groups()
    if relation in ("<", "<=", ">", ">="):
        below = relation.startswith("<")
        bracket = "(" if len(relation) == 1 else "["
        rest = f"{bracket}-inf, {rest}]" if below else f"{bracket}{rest}, inf)"
    return name, Domain.parse(rest)


# ---- checks ---------------------------------------------------------------------------------------------------------


def _run_check(published: Law, words: Mapping[str, Any]) -> CheckResult:
    constants = {**published.constants, **words.get("constants", {})}
    got = float(published.value(constants, words["inputs"]))
    if words.get("ratio"):
        got /= float(published.value(constants, words["over"]))
    printed = words["value"]
    tolerance = (
        abs(float(printed)) * words["rtol"] if "rtol" in words else min(half_digit(printed), 0.01 * abs(float(printed)))
    )
    passed = abs(got - float(printed)) <= tolerance * (1 + 1e-9)
    return CheckResult(
        dict(words["inputs"]),
        printed,
        got,
        passed,
        EVIDENCE.get(words.get("tag", ""), ""),
        words.get("why", ""),
        dict(words.get("constants", {})),
        dict(words.get("over", {})),
    )


def half_digit(printed: str) -> float:
    """Half a unit of the last digit printed.

    >>> half_digit("2.8300"), half_digit("1.123e6")
    (5e-05, 500.0)
    """
    mantissa, _, exponent = printed.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 0.5 * 10.0 ** (int(exponent or 0) - decimals)
