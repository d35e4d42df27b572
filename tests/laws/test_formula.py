"""The grammar of formulas: what it reads, what it refuses and in which words, and that nothing ever runs."""

from __future__ import annotations

import builtins
import contextlib
import os
import random
import string
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from scalinglens.errors import FormulaError
from scalinglens.laws.catalogue import law, laws, typed_law
from scalinglens.laws.domain import Domain
from scalinglens.laws.formula import Add, Call, Mul, Num, Pow, Sym, definition, expand, names, parse, substitute

ALLOWED = "allowed are names, numbers, + - * / ^ and functions"

REFUSED = [
    ("", "the expression is empty; write for example E + A/params^alpha + B/tokens^beta"),
    ("   ", "the expression is empty"),
    ("1 + 2", "the formula '1 + 2' has no names in it, so there is nothing to fit or to predict from"),
    ("0*params", "the formula '0*params' has no names in it"),
    ("E + A/params^", "cannot read 'E + A/params^': it is not an arithmetic expression"),
    ("E + (A/params", "it is not an arithmetic expression near '(A/params'"),
    ("2x + params", "it is not an arithmetic expression near '2x + params'"),
    ("E + A/params^lambda", '"lambda" is a reserved word and cannot be a name (write lam)'),
    ("E + A*params # note", "the sign # in 'E + A*params # note' would make a comment of all that follows it"),
    ("E + \u03b1*params", "character 5 of the expression, '\u03b1', is not plain ASCII text"),
    ("  E + A\n*params", "character 8 of the expression, '\\n', is not plain ASCII text"),
    ("a^b^c + params.x", f"attribute access (a dot after a name) at character 9 is not allowed here; {ALLOWED}"),
    ("  E[0] + params", f"square brackets at character 3 is not allowed here; {ALLOWED}"),
    ("E if params else A", "if/else at character 1 is not allowed here"),
    ("E < params", "a comparison at character 1 is not allowed here"),
    ("E and params", "and/or at character 1 is not allowed here"),
    ("E, params", "a comma outside a function call at character 1 is not allowed here"),
    ("(lambda: params)()", "only a named function can be called (character 1)"),
    ("E % params", f"the operator % is not allowed here; {ALLOWED}"),
    ("E // params", "the operator // is not allowed here"),
    ("E | params", "the operator | is not allowed here"),
    ("~params", "the operator ~ is not allowed here"),
    ("'E' + params", "'E' at character 1 is not a number"),
    ("params + True", "True at character 10 is not a number"),
    ("params + 2j", "2j at character 10 is not a number"),
    (
        "E^2 + a(b + params)",
        'unknown function "a" at character 7; known are drops, exp, log, max, min, sigmoid, sqrt; a*(...)',
    ),
    ("__import__('os').system('x')", "only a named function can be called (character 1)"),
    ("__import__('os')", 'unknown function "__import__" at character 1'),
    ("_E + params", 'the name "_E" begins with an underscore; begin it with a letter'),
    ("E + exp", '"exp" at character 5 is a function; write exp(...)'),
    ("exp(params, E)", "exp(...) takes one argument, got 2"),
    ("exp()", "exp(...) at character 1 takes plain arguments only, at least one"),
    ("exp(x=params)", "exp(...) at character 1 takes plain arguments only"),
    ("max(*params)", "max(...) at character 1 takes plain arguments only"),
    ("max(params)", "max(...) needs at least two arguments"),
    ("params/0", "the formula divides by zero"),
    ("params^(1/(1 - 1))", "the formula divides by zero"),
    ("9^9^9^9*params", "the constant 9^3.8742e+08 in the formula is not a finite number in double precision"),
    ("params + 1e999", "the number at character 10 is too large for double precision"),
    ("params + " + "9" * 400, "the number at character 10 is too large for double precision"),
    ("1e-200*1e-200*params", "the product of the constants in the formula is too small for double precision"),
    ("params*log(0)", "log(0) is not a finite number"),
    ("params*log(-1)", "log(-1) is not a finite number"),
    ("params*exp(1000)", "exp(1000) is not a finite number"),
    ("params*sqrt(-1)", "-1^0.5 is not a real number"),
    ("params + " + "a" * 41, "is 41 characters long, the limit is 40"),
    ("+".join(f"a{i}" for i in range(81)), "the formula has 81 different names, the limit is 80"),
    ("a" * 4001, "the expression has 4001 characters, the limit is 4000"),
    ("(" * 61 + "-params" + ")" * 61, ""),  # parentheses alone do not nest the tree: this one is fine
    ("exp(" * 70 + "params" + ")" * 70, "the expression is nested more than 60 deep; simplify it"),
    ("(" * 250 + "params" + ")" * 250, "it is not an arithmetic expression"),
    ("+".join(["a"] * 1500), "the expression is of more than 2000 parts; simplify it"),
]


class TestGrammar:
    @pytest.mark.parametrize(("text", "message"), REFUSED, ids=[text[:20] or "empty" for text, _ in REFUSED])
    def test_refuses_with_reason(self, text: str, message: str) -> None:
        if not message:
            assert names(parse(text)) == ("params",)
            return
        with pytest.raises(FormulaError) as caught:
            parse(text)
        assert message in str(caught.value)

    def test_refuses_what_is_no_text(self) -> None:
        with pytest.raises(FormulaError, match="an expression must be text, got int"):
            parse(3)  # type: ignore[arg-type]

    def test_precedence_is_that_of_print(self) -> None:
        assert parse("-x^2") == Mul((Num(-1.0), Pow(Sym("x"), Num(2.0))))
        assert parse("a^b^c") == Pow(Sym("a"), Pow(Sym("b"), Sym("c")))
        assert parse("a - b - c") == Add((Sym("a"), Mul((Num(-1.0), Sym("b"))), Mul((Num(-1.0), Sym("c")))))
        assert parse("a/b*c") == Mul((Sym("a"), Pow(Sym("b"), Num(-1.0)), Sym("c")))
        assert parse("a**b") == parse("a^b")

    def test_folds_numbers(self) -> None:
        assert parse("2*3*a + 1 + 1") == Add((Mul((Num(6.0), Sym("a"))), Num(2.0)))
        assert parse("a*0 + b") == Sym("b")
        assert parse("sqrt(x)") == Pow(Sym("x"), Num(0.5))
        assert parse("x + max(1, 2, 3)") == Add((Sym("x"), Num(3.0)))
        assert definition("1/4") == Num(0.25)

    def test_long_chains_are_not_nested(self) -> None:
        text = " + ".join(f"a*x^{i}" for i in range(1, 150))
        assert len(expand(parse(text), 400)) == 149

    def test_substitution_folds(self) -> None:
        assert substitute(parse("A*x^(a - b)"), {"a": Num(2.0), "b": Num(1.0)}) == Mul((Sym("A"), Sym("x")))
        root = substitute(parse("max(a, b)*sigmoid(c)"), {"a": Num(1.0), "b": Num(2.0), "c": Num(0.0)})
        assert root == Num(1.0)
        assert substitute(parse("exp(a)"), {"a": Sym("b")}) == Call("exp", (Sym("b"),))

    def test_expansion_keeps_the_value_and_stops_at_its_limit(self) -> None:
        root = parse("(a + b)*(c + x)")
        assert len(expand(root)) == 4
        assert expand(root, limit=3) == (root,)


class TestTypedLaw:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "E + A/N^alpha + B/D^beta",
                "has no input: measured quantities go by their words in the glossary, so write",
            ),
            ("k*loss^(-p)", 'the formula for "loss" has loss in it; name what it returns: batch_tokens = k*loss^(-p)'),
            ("y = a = x", "the left side of 'y = a = x' must be one name: loss = E + A/params^alpha"),
            ("2y = a*x", "the left side of '2y = a*x' must be one name"),
            ("a*x where b < 0", "the domain of \"b\" belongs to no name in 'a*x'"),
            ("alpha*x where alhpa < 0", "belongs to no name in 'alpha*x' (did you mean \"alpha\"?)"),
            ("a*x where a", "cannot read the domain 'a'; write c < 0, c real, or E in [0, 3]"),
            ("a*x where a in [3, 1]", "'[3, 1]' is not a domain; write positive, nonnegative, negative, real"),
            ("a*x where a in (0, nan]", "'(0, nan]' is not a domain"),
            ("a*x where a < b", "is not a domain"),
            ("where a > 0", "the expression is empty"),
        ],
    )
    def test_refuses_with_reason(self, text: str, message: str) -> None:
        with pytest.raises(FormulaError) as caught:
            typed_law(text)
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("clause", "domain", "shown"),
        [
            ("c < 0", Domain(-np.inf, 0.0), "negative"),
            ("c > 1", Domain(1.0, np.inf), "(1, inf)"),
            ("c >= 1", Domain(1.0, np.inf, False), "[1, inf)"),
            ("c >= 0", Domain(0.0, np.inf, False), "nonnegative"),
            ("c real", Domain(-np.inf, np.inf), "real"),
            ("c is positive", Domain(), "positive"),
            ("c in (0, 2]", Domain(0.0, 2.0), "(0, 2]"),
            ("c in [-1, 1]", Domain(-1.0, 1.0, False), "[-1, 1]"),
        ],
    )
    def test_domains(self, clause: str, domain: Domain, shown: str) -> None:
        found = typed_law(f"y = a*x^c where {clause}, a in [0, 3]")
        assert found.domain("c") == domain
        assert str(found.domain("c")) == shown
        assert Domain.parse(shown).sign == domain.sign
        assert found.domain("a") == Domain(0.0, 3.0, False)

    def test_signs(self) -> None:
        assert (Domain(1, 2).sign, Domain(-2, 0).sign, Domain(-1, 1).sign) == (1, -1, 0)
        assert 0.5 in Domain(0, 1)
        assert 2 not in Domain(0, 1)


# ---- fuzzing --------------------------------------------------------------------------------------------------------

WORDS = "E A B alpha beta a b c0 d1 f1 x params tokens flops loss experts years h1 exp log sqrt max min sigmoid".split()
PIECES = [
    *WORDS,
    *"+ - * / ^ ** ( ) , . = < > where in real 0 1 2 0.5 1e9 1e-300 1e308 8.64e19 _ # [ ] { } ' \" ; : @ ~".split(),
]
ATTACKS = [
    "__import__('os').system('touch /tmp/owned')",
    "().__class__.__bases__[0].__subclasses__()",
    "open('/etc/passwd').read()",
    "exec('x=1')",
    "eval('1')",
    "[x for x in params]",
    "(lambda f: f(f))(lambda f: f(f))",
    "params if __import__('os') else 1",
    "f'{params}'",
    "x := params",
    "params; import os",
    "exp.__globals__",
    "globals()",
    "getattr(params, 'x')",
    "exp(*[1]*10**9)",
    "print(params)",
    "params @ tokens",
    "'a'*10**10",
    "10**10**10",
    "(9**9)**(9**9)*params",
    "yield params",
    "await params",
    "params\\\n+1",
    "params\x00",
    "None + ...",
    "{params: 1}[params]",
    "1_000*params + 0x1F + 0b11 + 0o17",
    "breakpoint()",
    "sympify('params')",
    "constructor + __proto__*params + prototype",
]


def valid(rng: random.Random, depth: int) -> str:
    """A random sentence of the grammar."""
    if depth == 0 or rng.random() < 0.2:
        return rng.choice([*WORDS[:18], *WORDS[:18], f"{rng.uniform(0.1, 9):.3g}", str(rng.randint(1, 9))])
    kind = rng.random()
    if kind < 0.7:
        operator = rng.choice("++-**//^^")
        return f"({valid(rng, depth - 1)}{operator}{valid(rng, depth - 1)})"
    if kind < 0.85:
        return f"{rng.choice(['exp', 'log', 'sqrt', 'sigmoid', '-'])}({valid(rng, depth - 1)})"
    return f"{rng.choice(['max', 'min'])}({valid(rng, depth - 1)}, {valid(rng, depth - 1)})"


def mutated(rng: random.Random, text: str) -> str:
    for _ in range(rng.randint(1, 4)):
        i = rng.randrange(len(text) + 1)
        what = rng.random()
        if what < 0.35:
            text = text[:i] + text[i + 1 :]
        elif what < 0.7:
            text = text[:i] + rng.choice(string.printable) + text[i:]
        else:
            j = rng.randrange(len(text) + 1)
            text = text[: min(i, j)] + text[min(i, j) :][::-1][:20] + text[max(i, j) :]
    return text


def nested(rng: random.Random) -> str:
    n = rng.choice([10, 50, 59, 61, 100, 199, 201, 1000, 1990])
    left, right = rng.choice(
        [
            ("(", ")"),
            ("-", ""),
            ("exp(", ")"),
            ("x^", ""),
            ("1/(1 + ", ")"),
            ("[", "]"),
            ("sigmoid(x*", ")"),
            ("a*(x + ", ")"),
        ]
    )
    return left * n + "params" + right * (n if rng.random() < 0.9 else n - 1)


def large(rng: random.Random) -> str:
    digits = "9" * rng.choice([5, 300, 308, 309, 400, 3900])
    return rng.choice(
        [
            f"{digits}*params",
            f"params^{digits}",
            f"params*{digits}^{digits}",
            "9^9^9^9*params",
            f"params*1e{rng.randint(-400, 400)}",
            f"1e{rng.randint(-320, 320)}^params*a",
            f"(params + a)^{rng.randint(-(10**6), 10**6)}",
            "*".join(rng.choice(["(a - b)", "(x - c)", "(a + x)"]) for _ in range(rng.randint(1, 60))),
            "+".join(rng.choice(WORDS[:16]) for _ in range(rng.randint(1, 1200))),
            "*".join(f"(a{i} - x)" for i in range(rng.randint(1, 79))),
            "sigmoid(".join(f"(a{i}-x)*" for i in range(rng.randint(1, 40))) + "1" + ")" * rng.randint(0, 40),
            f"0x{'f' * rng.choice([4, 250, 3000])}*params",
        ]
    )


def anything(rng: random.Random) -> str:
    return "".join(chr(rng.choice([rng.randrange(0x250), rng.randrange(0x110000)])) for _ in range(rng.randint(1, 40)))


def texts(count: int, seed: int) -> Iterator[str]:
    rng = random.Random(seed)
    published = [law(name).formula for name in laws() if "{" not in name]
    generators: list[Callable[[], str]] = [
        lambda: bytes(rng.randrange(256) for _ in range(rng.randint(1, 60))).decode("latin-1"),
        lambda: "".join(rng.choice(string.printable) for _ in range(rng.randint(1, 60))),
        lambda: rng.choice(["", " "]).join(rng.choice(PIECES) for _ in range(rng.randint(1, 25))),
        lambda: valid(rng, rng.randint(1, 5)),
        lambda: mutated(rng, rng.choice(published)),
        lambda: mutated(rng, valid(rng, 3)),
        lambda: rng.choice(["{}", "E + {}", "exp({})", "({})^2", "params*{}"]).replace("{}", rng.choice(ATTACKS)),
        lambda: nested(rng),
        lambda: large(rng),
        lambda: anything(rng),
        lambda: f"{valid(rng, 2)} where {' '.join(rng.choice(PIECES) for _ in range(rng.randint(1, 6)))}",
    ]
    for i in range(count):
        yield generators[i % len(generators)]()


def exercised(text: str) -> None:
    """Everything that can be done with a law before it has data."""
    found = typed_law(text)
    found.latex()
    found.javascript()
    found.compiled("fit")
    domains = {name: found.domain(name) for name in found.parameters}
    constants = {name: -0.5 if domain.sign < 0 else max(domain.low, 0.5) for name, domain in domains.items()}
    found.value(constants, dict.fromkeys(found.inputs, 0.7))


MOST_CALLS = 8_000_000  # and returns; about two seconds


@contextlib.contextmanager
def counted_calls() -> Iterator[list[int]]:
    """How often a function was entered or left inside the block: effort that no busy machine changes."""
    count = [0]

    def one_more(*_: Any) -> None:
        count[0] += 1

    before = sys.getprofile()
    sys.setprofile(one_more)
    try:
        yield count
    finally:
        sys.setprofile(before)


class TestFuzz:
    @pytest.mark.parametrize("seed", range(5))
    def test_parses_or_refuses_and_runs_nothing(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        exercised("E + A/params^alpha")  # imports what is imported lazily, before the doors are closed
        candidates = list(texts(2000, seed))

        def forbidden(*_: Any, **__: Any) -> None:
            raise AssertionError("a formula made something run")

        parsed = []
        most = (0, "")
        with monkeypatch.context() as doors:
            for module, name in [(os, "system"), (os, "popen"), (subprocess, "Popen"), (builtins, "open")]:
                doors.setattr(module, name, forbidden)
            for text in candidates:
                with counted_calls() as count:
                    for read in (typed_law, parse):
                        with contextlib.suppress(FormulaError):
                            read(text)
                            if read is typed_law:
                                parsed.append(text)
                most = max(most, (count[0], text))
            for text in parsed[::4]:
                with counted_calls() as count, contextlib.suppress(FormulaError):
                    exercised(text)
                most = max(most, (count[0], text))
        assert len(parsed) > 200  # else the generators test only the refusals
        assert most[0] < MOST_CALLS, most

    def test_largest_laws_are_refused_before_they_take_long(self) -> None:
        text = "y = " + "*".join(f"sigmoid(a{i} - x*b{i})" for i in range(39)) + " + c where c real"
        with counted_calls() as count:
            try:
                exercised(text)
            except FormulaError as refusal:
                assert "simplify it" in str(refusal)  # noqa: PT017  both ends are fine, only effort matters
        assert count[0] < MOST_CALLS
