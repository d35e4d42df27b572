"""Evaluate filters and column formulas over whole columns, from a checked syntax tree and never by `eval`."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Sequence

import numpy as np

from scalinglens.errors import ExpressionError, QuantityError, RunsError, did_you_mean
from scalinglens.expressions import parse_expression
from scalinglens.quantities import parse_quantity
from scalinglens.runs.cells import is_missing, numbers

__all__ = ["evaluate_filter", "evaluate_formula"]

Lookup = Callable[[str], np.ndarray | None]

_FUNCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "exp": np.exp,
    "floor": np.floor,
    "log": np.log,
    "log10": np.log10,
    "log2": np.log2,
    "max": lambda *values: _fold(np.maximum, values),
    "min": lambda *values: _fold(np.minimum, values),
    "round": np.round,
    "sqrt": np.sqrt,
}
_MANY = frozenset({"max", "min"})
_ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_COMPARE = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
# quoted text, a backquoted column, a quantity such as 70B, or a word (which must not be taken apart)
_TOKEN = re.compile(
    r"""(?P<text>"[^"]*"|'[^']*')|`(?P<column>[^`]*)`"""
    r"""|(?<![\w.])(?P<quantity>\d+(?:\.\d+)?(?:k|K|m|M|b|B|bn|G|t|T))(?![\w.])|(?P<word>[^\W\d]\w*)"""
)


def evaluate_filter(text: str, lookup: Lookup, length: int, known: Sequence[str]) -> np.ndarray:
    """Return which rows satisfy a filter; a row without a value in a column the filter names does not.

    Args:
        text: such as "loss < 3.44 and run != 'x'"; quantities (70B) and backquoted column names are understood.
        lookup: column name -> its cells [length], or None.
        length: the number of rows.
        known: column names, for the error message.

    Returns:
        bool [length].

    Raises:
        RunsError: an unknown column. ExpressionError: not in the grammar, or no condition.

    Cost: one vectorised pass per operator.

    >>> evaluate_filter("x > 1 and x < 3k", {"x": np.array([1.0, 2.0])}.get, 2, ["x"])
    array([False,  True])
    """
    return _Evaluation(text, lookup, length, known, what="where", logic=True).rows()


def evaluate_formula(text: str, lookup: Lookup, length: int, known: Sequence[str], what: str) -> np.ndarray:
    """Return the values of an arithmetic formula over columns, float64 [length]; nan where an operand is missing.

    >>> evaluate_formula("`Training FLOP` / 2", {"Training FLOP": np.array([4.0])}.get, 1, [], "flops")
    array([2.])
    """
    return _Evaluation(text, lookup, length, known, what=what, logic=False).values()


class _Evaluation:
    """One expression over one table; holds the names put in the place of quoted text and backquoted columns."""

    def __init__(self, text: str, lookup: Lookup, length: int, known: Sequence[str], what: str, logic: bool) -> None:
        if not isinstance(text, str):
            raise ExpressionError(f"{what} must be text such as 'loss < 3.44', got {type(text).__name__} {text!r}")
        self.text, self.lookup, self.length, self.known, self.what = text, lookup, length, known, what
        self.texts: list[str] = []
        self.columns: list[str] = []
        self.complete = np.ones(length, dtype=bool)
        plain = _TOKEN.sub(self._replace, text)
        if stray := re.search(r"[`\"']", re.sub(r'"#\d+"', "", plain)):
            raise ExpressionError(f"{what} {text!r} has an unclosed {stray.group()}")
        try:
            self.tree = parse_expression(plain, frozenset(_FUNCTIONS), logic=logic)
        except ExpressionError as problem:
            raise ExpressionError(f"{what} {text!r}: {problem}{self._hint(plain)}") from None

    def _replace(self, found: re.Match[str]) -> str:
        # quoted parts leave the text before parsing: the parser turns every ^ into a power, inside quotes too
        if found["text"] is not None:
            self.texts.append(found["text"][1:-1])
            return f'"#{len(self.texts) - 1}"'
        if found["column"] is not None:
            self.columns.append(found["column"])
            return f"_column_{len(self.columns) - 1}"
        if found["quantity"] is not None:
            return repr(parse_quantity(found["quantity"]))
        return found["word"]

    def _hint(self, plain: str) -> str:
        if re.search(r"(?<![<>=!])=(?!=)", plain):
            return "; equality is written =="
        if re.search(r"[&|]", plain):
            return "; write and, or, not instead of & and |"
        for name in self.known:
            if not name.isidentifier() and name and name in self.text and f"`{name}`" not in self.text:
                return f"; a column name with blanks or signs goes in backquotes: `{name}`"
        return ""

    def rows(self) -> np.ndarray:
        result = self._value(self.tree)
        if not isinstance(result, np.ndarray | np.bool_ | bool) or np.asarray(result).dtype != bool:
            raise ExpressionError(f"{self.what} {self.text!r} is no condition; compare something, as in loss < 3.44")
        return np.broadcast_to(np.asarray(result), self.length) & self.complete

    def values(self) -> np.ndarray:
        result = self._number(self._value(self.tree))
        return np.array(np.broadcast_to(np.asarray(result, dtype=np.float64), self.length))

    def _value(self, node: ast.expr) -> object:
        if isinstance(node, ast.Constant):
            return self.texts[int(node.value[1:])] if isinstance(node.value, str) else float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            return self._column(node.id)
        if isinstance(node, ast.Compare):
            return self._compare(node)
        if isinstance(node, ast.BoolOp):
            parts = [self._truth(value) for value in node.values]
            return np.logical_and.reduce(parts) if isinstance(node.op, ast.And) else np.logical_or.reduce(parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self._truth(node.operand)
        with np.errstate(all="ignore"):  # log(0) and the like become nan or inf, which the caller reports by row
            if isinstance(node, ast.UnaryOp):
                return _ARITHMETIC[type(node.op)](self._number(self._value(node.operand)))
            if isinstance(node, ast.BinOp):
                left, right = self._number(self._value(node.left)), self._number(self._value(node.right))
                return _ARITHMETIC[type(node.op)](left, right)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                if len(node.args) != 1 and node.func.id not in _MANY:
                    raise ExpressionError(f"{self.what} {self.text!r}: {node.func.id} takes one argument")
                return _FUNCTIONS[node.func.id](*(self._number(self._value(argument)) for argument in node.args))
        raise ExpressionError(f"{self.what} {self.text!r}: {type(node).__name__} is not allowed here")

    def _column(self, name: str) -> np.ndarray:
        if match := re.fullmatch(r"_column_(\d+)", name):
            name = self.columns[int(match.group(1))] if int(match.group(1)) < len(self.columns) else name
        cells = self.lookup(name)
        if cells is None:
            shown = ", ".join(list(self.known)[:20]) + (", ..." if len(self.known) > 20 else "")
            raise RunsError(
                f"{self.what} {self.text!r}: there is no column {name!r}{did_you_mean(name, self.known)}; "
                f"known are {shown}"
            )
        values, bad = numbers(cells)
        if not bad:
            self.complete &= ~np.isnan(values)
            return values
        self.complete &= ~np.array([is_missing(cell) for cell in cells], dtype=bool)
        return np.array(["" if is_missing(cell) else str(cell) for cell in cells], dtype=object)

    def _truth(self, node: ast.expr) -> np.ndarray:
        value = np.asarray(self._value(node))
        if value.dtype != bool:
            raise ExpressionError(f"{self.what} {self.text!r}: and, or, not join conditions such as loss < 3.44")
        return np.broadcast_to(value, self.length)

    def _number(self, value: object) -> np.ndarray:
        array = np.asarray(value)
        if array.dtype.kind not in "if":
            raise ExpressionError(f"{self.what} {self.text!r} calculates with text or a condition; only numbers can be")
        return array.astype(np.float64)

    def _compare(self, node: ast.Compare) -> np.ndarray:
        operands = [self._value(part) for part in (node.left, *node.comparators)]
        result = np.ones(self.length, dtype=bool)
        for sign, left, right in zip(node.ops, operands, operands[1:], strict=False):
            result = result & self._pair(sign, left, right)
        return result

    def _pair(self, sign: ast.cmpop, left: object, right: object) -> np.ndarray:
        compare = _COMPARE[type(sign)]
        if _is_text(left) or _is_text(right):
            left, right = self._alike(left, right)
            if (_is_text(left) or _is_text(right)) and not isinstance(sign, ast.Eq | ast.NotEq):
                raise ExpressionError(f"{self.what} {self.text!r}: text can be compared with == and != only")
        if np.asarray(left).dtype == bool or np.asarray(right).dtype == bool:
            raise ExpressionError(f"{self.what} {self.text!r} compares a condition; write and between conditions")
        return np.broadcast_to(np.asarray(compare(left, right), dtype=bool), self.length)

    def _alike(self, left: object, right: object) -> tuple[object, object]:
        """Bring a number beside text to one kind: run == "3" over numeric labels, params > "70B"."""
        if _is_text(left) and _is_text(right):
            return left, right
        text, number = (left, right) if _is_text(left) else (right, left)
        if isinstance(text, str):
            try:
                read: object = parse_quantity(text)
            except QuantityError:
                # numbers beside words: no number equals the word
                number, read = np.broadcast_to(np.asarray(number), self.length).astype(str).astype(object), text
            return (read, number) if _is_text(left) else (number, read)
        shown = np.array([f"{value:g}" for value in np.broadcast_to(np.asarray(number), self.length)], dtype=object)
        return (left, shown) if _is_text(left) else (shown, right)


def _is_text(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype == object)


def _fold(function: Callable[..., np.ndarray], values: tuple[np.ndarray, ...]) -> np.ndarray:
    result = values[0]
    for value in values[1:]:
        result = function(result, value)
    return result
