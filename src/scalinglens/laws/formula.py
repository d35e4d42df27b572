"""The syntax tree of a law, and its grammar.

A formula is text: names, numbers, `+ - * / ^`, parentheses and the functions `exp log sqrt max min sigmoid` (log is
natural) and `drops`, a sum over the drops of a learning-rate schedule (`laws/drops.py`). It becomes a small immutable
tree with six kinds of node in which subtraction and division have been written as sums and products, so that whoever walks
the tree (the compiler, the search for starting points) has six cases to treat and no more.

Numbers are folded in double precision while the tree is built: `9^9^9^9` is an error here and never a big integer
elsewhere.
"""

from __future__ import annotations

import ast
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from scalinglens.errors import FormulaError
from scalinglens.expressions import parse_expression

__all__ = [
    "FUNCTIONS",
    "Add",
    "Call",
    "Mul",
    "Node",
    "Num",
    "Pow",
    "Sym",
    "definition",
    "expand",
    "names",
    "parse",
    "replace_calls",
    "substitute",
    "walk",
]

FUNCTIONS = frozenset({"exp", "log", "sqrt", "max", "min", "sigmoid", "drops"})
MAX_NAMES = 80  # a mixture law of twelve domains has 67
_UNARY: dict[str, Callable[[float], float]] = {
    "exp": math.exp,
    "log": math.log,
    "sigmoid": lambda v: 1 / (1 + math.exp(-v)) if v >= 0 else math.exp(v) / (1 + math.exp(v)),
}


@dataclass(frozen=True, slots=True)
class Num:
    value: float


@dataclass(frozen=True, slots=True)
class Sym:
    name: str


@dataclass(frozen=True, slots=True)
class Add:
    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mul:
    factors: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Pow:
    base: Node
    exponent: Node


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


Node = Num | Sym | Add | Mul | Pow | Call


@functools.lru_cache(maxsize=1024)
def parse(text: str) -> Node:
    """Parse the text of a formula into its tree.

    Args:
        text: for example `E + A/params^alpha + B/tokens^beta`.

    Returns:
        The root node; `names(root)` lists its names in order of appearance.

    Raises:
        FormulaError: anything outside the grammar, with the place and what is allowed.

    Cost: linear in the length of the text; nothing is evaluated but sums, products and powers of literal numbers.

    >>> parse("E + A/params^2")
    Add(terms=(Sym(name='E'), Mul(factors=(Sym(name='A'), Pow(base=Sym(name='params'), exponent=Num(value=-2.0))))))
    """
    root = _convert(parse_expression(text, FUNCTIONS, error=FormulaError))
    found = names(root)
    if not found:
        raise FormulaError(
            f"the formula {text.strip()[:40]!r} has no names in it, so there is nothing to fit or to predict from"
        )
    if len(found) > MAX_NAMES:
        raise FormulaError(f"the formula has {len(found)} different names, the limit is {MAX_NAMES}")
    return root


def definition(text: str) -> Node:
    """Parse the text of a derived or tied parameter: a formula, or just a number.

    >>> definition("0.5"), definition("alpha")
    (Num(value=0.5), Sym(name='alpha'))
    """
    return _convert(parse_expression(text, FUNCTIONS, error=FormulaError))


def names(root: Node) -> tuple[str, ...]:
    """Return the names in a tree, each once, in order of appearance.

    >>> names(parse("E + A/params^alpha"))
    ('E', 'A', 'params', 'alpha')
    """
    return tuple(dict.fromkeys(node.name for node in walk(root) if isinstance(node, Sym)))


def walk(root: Node) -> Iterator[Node]:
    """Yield every node of a tree, parents before children, left to right."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def children(node: Node) -> tuple[Node, ...]:
    """Return the direct parts of a node."""
    match node:
        case Add(parts) | Mul(parts) | Call(_, parts):
            return parts
        case Pow(base, exponent):
            return (base, exponent)
        case _:
            return ()


def substitute(root: Node, replacement: Mapping[str, Node]) -> Node:
    """Replace names by trees (ties, derived and constant parameters), folding numbers on the way.

    >>> substitute(parse("A*params^(-alpha)"), {"alpha": Num(1.0)})
    Mul(factors=(Sym(name='A'), Pow(base=Sym(name='params'), exponent=Num(value=-1.0))))
    """
    match root:
        case Num():
            return root
        case Sym(name):
            return replacement.get(name, root)
        case Add(terms):
            return add(*(substitute(term, replacement) for term in terms))
        case Mul(factors):
            return mul(*(substitute(factor, replacement) for factor in factors))
        case Pow(base, exponent):
            return power(substitute(base, replacement), substitute(exponent, replacement))
        case Call(function, arguments):
            return call(function, tuple(substitute(argument, replacement) for argument in arguments))


def replace_calls(root: Node, function: str, other: Node) -> Node:
    """Replace every call of a function by another node."""
    match root:
        case Call(name, arguments):
            if name == function:
                return other
            return Call(name, tuple(replace_calls(argument, function, other) for argument in arguments))
        case Add(terms):
            return Add(tuple(replace_calls(term, function, other) for term in terms))
        case Mul(factors):
            return Mul(tuple(replace_calls(factor, function, other) for factor in factors))
        case Pow(base, exponent):
            return Pow(replace_calls(base, function, other), replace_calls(exponent, function, other))
    return root


def expand(root: Node, limit: int = 64) -> tuple[Node, ...]:
    """Return terms whose sum is the tree, with products distributed over sums as long as there are at most `limit`.

    >>> [names(term) for term in expand(parse("c + (g/granularity^gam + a)*params^(-alpha)"))]
    [('c',), ('g', 'granularity', 'gam', 'params', 'alpha'), ('a', 'params', 'alpha')]
    """
    match root:
        case Add(terms):
            parts = [piece for term in terms for piece in expand(term, limit)]
            return tuple(parts) if len(parts) <= limit else (root,)
        case Mul(factors):
            products: list[tuple[Node, ...]] = [()]
            for factor in factors:
                pieces = expand(factor, limit) if isinstance(factor, Add) else (factor,)
                products = [(*left, piece) for left in products for piece in pieces]
                if len(products) > limit:
                    return (root,)
            return tuple(mul(*product) for product in products)
        case _:
            return (root,)


# ---- building nodes: the only place where trees are simplified ------------------------------------------------------


def _number(value: float, what: str) -> Num:
    if not math.isfinite(value):
        raise FormulaError(f"the constant {what} in the formula is not a finite number in double precision")
    return Num(float(value))


def add(*terms: Node) -> Node:
    """Sum of nodes: nested sums flattened, numbers collected at the end."""
    flat: list[Node] = []
    constant = 0.0
    for term in terms:
        for part in term.terms if isinstance(term, Add) else (term,):
            if isinstance(part, Num):
                constant += part.value
            else:
                flat.append(part)
    if constant or not flat:
        flat.append(_number(constant, "sum"))
    return flat[0] if len(flat) == 1 else Add(tuple(flat))


def mul(*factors: Node) -> Node:
    """Product of nodes: nested products flattened, numbers collected in front."""
    flat: list[Node] = []
    constant = 1.0
    for factor in factors:
        for part in factor.factors if isinstance(factor, Mul) else (factor,):
            if isinstance(part, Num):
                constant *= part.value
            else:
                flat.append(part)
    if constant == 0:
        if all(
            part != Num(0.0)
            for factor in factors
            for part in (factor.factors if isinstance(factor, Mul) else (factor,))
        ):
            raise FormulaError("the product of the constants in the formula is too small for double precision")
        return Num(0.0)
    if constant != 1 or not flat:
        flat.insert(0, _number(constant, "product"))
    return flat[0] if len(flat) == 1 else Mul(tuple(flat))


def power(base: Node, exponent: Node) -> Node:
    """Power of nodes; powers of powers with numeric exponents are merged only where that keeps the value."""
    if isinstance(exponent, Num):
        if exponent.value == 1:
            return base
        if exponent.value == 0:
            return Num(1.0)
        if isinstance(base, Num):
            try:
                value = base.value**exponent.value
            except (OverflowError, ZeroDivisionError):
                value = math.inf
            if isinstance(value, complex):
                raise FormulaError(f"{base.value:g}^{exponent.value:g} is not a real number")
            return _number(value, f"{base.value:g}^{exponent.value:g}")
        if isinstance(base, Pow) and exponent.value == -1:  # 1/(b^e) = b^(-e) for every real b and e
            return power(base.base, mul(Num(-1.0), base.exponent))
    return Pow(base, exponent)


def call(function: str, arguments: tuple[Node, ...]) -> Node:
    """Function of nodes, folded when every argument is a number."""
    if function in ("max", "min"):
        if len(arguments) < 2:
            raise FormulaError(f"{function}(...) needs at least two arguments")
        if all(isinstance(argument, Num) for argument in arguments):
            values = [argument.value for argument in arguments if isinstance(argument, Num)]
            return Num(max(values) if function == "max" else min(values))
        return Call(function, arguments)
    if len(arguments) != 1:
        raise FormulaError(f"{function}(...) takes one argument, got {len(arguments)}")
    (argument,) = arguments
    if function == "sqrt":
        return power(argument, Num(0.5))
    if isinstance(argument, Num) and function in _UNARY:
        try:
            return _number(_UNARY[function](argument.value), f"{function}({argument.value:g})")
        except (ValueError, OverflowError):
            raise FormulaError(f"{function}({argument.value:g}) is not a finite number") from None
    return Call(function, arguments)


def _convert(tree: ast.expr) -> Node:
    """Turn a checked Python syntax tree into ours; chains are unrolled so that depth stays at the true nesting."""
    if isinstance(tree, ast.Constant):
        return _number(float(tree.value), str(tree.value)[:20])  # type: ignore[arg-type]  # checked by parse_expression
    if isinstance(tree, ast.Name):
        if tree.id in FUNCTIONS:
            raise FormulaError(f'"{tree.id}" at character {tree.col_offset + 1} is a function; write {tree.id}(...)')
        if tree.id.startswith("_"):
            raise FormulaError(f'the name "{tree.id[:20]}" begins with an underscore; begin it with a letter')
        if len(tree.id) > 40:
            raise FormulaError(f"the name {tree.id[:20]}... is {len(tree.id)} characters long, the limit is 40")
        return Sym(tree.id)
    if isinstance(tree, ast.UnaryOp):
        operand = _convert(tree.operand)
        return mul(Num(-1.0), operand) if isinstance(tree.op, ast.USub) else operand
    if isinstance(tree, ast.Call):
        return call(tree.func.id, tuple(_convert(argument) for argument in tree.args))  # type: ignore[attr-defined]
    assert isinstance(tree, ast.BinOp)  # parse_expression lets nothing else through
    if isinstance(tree.op, ast.Pow):
        return power(_convert(tree.left), _convert(tree.right))
    sums = isinstance(tree.op, ast.Add | ast.Sub)
    chain, parts = tree, []
    while isinstance(chain, ast.BinOp) and isinstance(chain.op, (ast.Add | ast.Sub) if sums else (ast.Mult | ast.Div)):
        part = _convert(chain.right)
        if isinstance(chain.op, ast.Sub):
            part = mul(Num(-1.0), part)
        elif isinstance(chain.op, ast.Div):
            if part == Num(0.0):
                raise FormulaError("the formula divides by zero")
            part = power(part, Num(-1.0))
        parts.append(part)
        chain = chain.left
    parts.append(_convert(chain))
    return add(*reversed(parts)) if sums else mul(*reversed(parts))
