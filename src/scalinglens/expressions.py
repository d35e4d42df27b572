"""Turn text typed by a user into a syntax tree that cannot do harm.

Laws, `--where` filters and column formulas are all small arithmetic expressions. They are parsed by Python's own
`ast` module, never evaluated by it: this file accepts a short list of node types and rejects the rest by name and
position, so no attribute, subscript, call of anything but a listed function, or string ever reaches the code behind it.

`^` means power, as in print; comparisons and `and`/`or`/`not` are accepted only where the caller asks for them.
"""

from __future__ import annotations

import ast
import io
import keyword
import re
import tokenize
import warnings
from collections.abc import Callable

from scalinglens.errors import ExpressionError

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "parse_expression"]

MAX_LENGTH = 4000  # characters; the longest law of the catalogue has 331
MAX_DEPTH = 60  # nesting; keeps every recursive walk over the tree far from Python's own limit
MAX_NODES = 2000

_ARITHMETIC = (ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Constant, ast.Load)
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.UAdd, ast.USub)
_LOGIC = (ast.Compare, ast.BoolOp, ast.And, ast.Or, ast.Not)
_COMPARATORS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)

_SAYS = {
    ast.Attribute: "attribute access (a dot after a name)",
    ast.Subscript: "square brackets",
    ast.Lambda: "lambda",
    ast.IfExp: "if/else",
    ast.Compare: "a comparison",
    ast.BoolOp: "and/or",
    ast.List: "a list",
    ast.Tuple: "a comma outside a function call",
    ast.Dict: "braces",
    ast.Set: "braces",
    ast.JoinedStr: "text in quotes",
    ast.NamedExpr: "an assignment",
    ast.ListComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.Starred: "an asterisk in an argument",
    ast.Mod: "the operator %",
    ast.FloorDiv: "the operator //",
    ast.MatMult: "the operator @",
    ast.BitOr: "the operator |",
    ast.BitAnd: "the operator &",
    ast.LShift: "the operator <<",
    ast.RShift: "the operator >>",
    ast.Invert: "the operator ~",
}


def parse_expression(
    text: str,
    functions: frozenset[str],
    *,
    logic: bool = False,
    error: type[ExpressionError] = ExpressionError,
) -> ast.expr:
    """Parse `text` and return its syntax tree, or raise `error` naming the place and the remedy.

    Args:
        text: the expression, at most `MAX_LENGTH` characters; `^` and `**` both mean power.
        functions: names that may be called.
        logic: accept comparisons, and/or/not and text constants too (filters).
        error: the exception class to raise.

    Returns:
        The root of a tree that holds nothing but numbers, names, arithmetic and calls of `functions`.

    Cost: linear in the length of the text.

    >>> ast.unparse(parse_expression("A/params^0.34", frozenset()))
    'A / params ** 0.34'
    """
    if not isinstance(text, str):
        raise error(f"an expression must be text, got {type(text).__name__}")
    if not text.strip():
        raise error("the expression is empty; write for example E + A/params^alpha + B/tokens^beta")
    if len(text) > MAX_LENGTH:
        raise error(f"the expression has {len(text)} characters, the limit is {MAX_LENGTH}")
    lead = len(text) - len(text.lstrip())
    stray = re.search(r"[^\x20-\x7e]" if not logic else r"[\x00-\x1f\x7f]", text.strip())
    if stray:
        place = lead + stray.start() + 1
        raise error(f"character {place} of the expression, {stray.group()!r}, is not plain ASCII text")
    source = text.strip().replace("^", "**")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "1if x" and the like warn before they fail
            tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as problem:
        place = getattr(problem, "offset", None)
        shown = f" near {source[max(place - 1, 0) :][:12].replace('**', '^')!r}" if place else ""
        raise error(
            f"cannot read {_shorten(text)!r}: it is not an arithmetic expression{shown}; "
            f"allowed are names, numbers, + - * / ^, parentheses and functions{_reserved(text, logic)}"
        ) from None
    if "#" in source and any(token.type == tokenize.COMMENT for token in tokenize.generate_tokens(_lines(source))):
        raise error(f"the sign # in {_shorten(text)!r} would make a comment of all that follows it; leave it out")
    # where each byte of `source` stood in `text`: the syntax tree counts bytes, and ^ has become two of them
    sizes = (2 if letter == "^" else len(letter.encode("utf-8", "surrogatepass")) for letter in text.strip())
    places = [lead + i + 1 for i, size in enumerate(sizes) for _ in range(size)]
    for node in ast.walk(tree):
        if isinstance(node, ast.expr):
            node.col_offset = places[min(node.col_offset, len(places) - 1)] - 1
    _check(tree, functions, logic, error)
    return tree


def _lines(source: str) -> Callable[[], str]:
    return io.StringIO(source).readline


def _reserved(text: str, logic: bool) -> str:
    """Name the word that Python keeps for itself, the commonest reason why a sensible formula cannot be read."""
    allowed = ("and", "or", "not") if logic else ()
    words = [word for word in re.findall(r"(?<![\w.])[A-Za-z_]\w*", text) if keyword.iskeyword(word)]
    found = next((word for word in words if word not in allowed), None)
    remedy = " (write lam)" if found == "lambda" else ""
    return f'; "{found}" is a reserved word and cannot be a name{remedy}' if found else ""


def _check(root: ast.expr, functions: frozenset[str], logic: bool, error: type[ExpressionError]) -> None:
    """Walk the tree without recursion and refuse whatever is not in the grammar."""
    allowed = _ARITHMETIC + _OPERATORS + (_LOGIC + _COMPARATORS if logic else ())
    stack: list[tuple[ast.AST, int]] = [(root, 1)]
    seen = 0
    while stack:
        node, depth = stack.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_NODES:
            limit = f"nested more than {MAX_DEPTH} deep" if depth > MAX_DEPTH else f"of more than {MAX_NODES} parts"
            raise error(f"the expression is {limit}; simplify it")
        if isinstance(node, ast.Constant):
            _check_constant(node, logic, error)
        elif isinstance(node, ast.Call):
            _check_call(node, functions, error)
            stack.extend((argument, depth + 1) for argument in node.args)
            continue
        elif not isinstance(node, allowed):
            says = next((words for kind, words in _SAYS.items() if isinstance(node, kind)), type(node).__name__)
            where = f" at character {node.col_offset + 1}" if isinstance(node, ast.expr) else ""
            raise error(f"{says}{where} is not allowed here; allowed are names, numbers, + - * / ^ and functions")
        for child in ast.iter_child_nodes(node):
            stack.append((child, depth if _continues_chain(node, child) else depth + 1))


def _continues_chain(parent: ast.AST, child: ast.AST) -> bool:
    """Whether `child` is the left part of a chain "a + b + c + ...", which is deep without being nested."""
    if not (isinstance(parent, ast.BinOp) and child is parent.left and isinstance(child, ast.BinOp)):
        return False
    sums, products = (ast.Add, ast.Sub), (ast.Mult, ast.Div)
    return any(isinstance(parent.op, kind) and isinstance(child.op, kind) for kind in (sums, products))


def _check_constant(node: ast.Constant, logic: bool, error: type[ExpressionError]) -> None:
    value = node.value
    if isinstance(value, str) and logic:
        return
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise error(f"{value!r} at character {node.col_offset + 1} is not a number")
    try:
        finite = abs(float(value)) < float("inf")
    except OverflowError:
        finite = False
    if not finite:
        raise error(f"the number at character {node.col_offset + 1} is too large for double precision")


def _check_call(node: ast.Call, functions: frozenset[str], error: type[ExpressionError]) -> None:
    if not isinstance(node.func, ast.Name):
        raise error(f"only a named function can be called (character {node.col_offset + 1})")
    name = node.func.id
    if name not in functions:
        hint = f"; {name}*(...) needs the sign *" if len(name) <= 5 else ""
        listed = ", ".join(sorted(functions)) or "none"
        raise error(f'unknown function "{name}" at character {node.col_offset + 1}; known are {listed}{hint}')
    if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args) or not node.args:
        raise error(f"{name}(...) at character {node.col_offset + 1} takes plain arguments only, at least one")


def _shorten(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
