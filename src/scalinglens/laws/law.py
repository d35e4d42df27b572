"""A law: one formula, the domains of its parameters, its source, and published constants if it has any.

Everything else about a law is derived from the formula: evaluation, derivatives, LaTeX, the printed equation with
numbers in it, JavaScript. Nothing about a law is written twice.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from scalinglens.errors import FormulaError, PredictionError, did_you_mean
from scalinglens.laws import formula as grammar
from scalinglens.laws.backends import javascript_function
from scalinglens.laws.compiled import Compiled, affine_terms, compile_law
from scalinglens.laws.domain import Domain, estimated_in_logs
from scalinglens.laws.drops import LOCAL
from scalinglens.laws.formula import Node, Num
from scalinglens.laws.program import Builder
from scalinglens.laws.schedule import as_schedules
from scalinglens.laws.ties import resolve_ties, tie_names, write_ties
from scalinglens.quantities import QUANTITIES

__all__ = ["Law"]

# Inputs that may be zero or negative unless the law says otherwise; every other input is a count or a positive amount.
SIGNED_INPUTS = frozenset(
    [
        *("years", "days", "elo", "pc1", "pc2", "pc3"),  # measured from a zero that somebody chose
        *("sparsity", "kl", "lr_annealing", "steps_first", "steps_second"),  # nothing pruned, not yet trained
        *("use_logits", "use_pretraining"),  # 0 or 1
        *("loss_teacher",),
    ]
)
DERIVED_INPUTS = ("lr_sum", *LOCAL)  # of a law over a schedule: they follow from step and schedule
_SHARE = re.compile(r"[hr][1-9][0-9]?")  # shares h1, h2, ... of a mixture; one of them may be zero


def is_input(name: str) -> bool:
    """Whether a name in a formula is a measured quantity (a glossary word or a mixture share) and not a parameter."""
    return name in QUANTITIES or bool(_SHARE.fullmatch(name))


@dataclass(frozen=True)
class Law:
    """One formula with the domains of its parameters, its source and its published constants.

    Attributes:
        name: catalogue id, or the formula itself for a law typed by a user.
        formula: text as written.
        output: the quantity it returns.
        unit: unit of the output.
        domains: parameter or input -> where it may lie; absent means positive (inputs: `SIGNED_INPUTS` any number).
        derived: parameter -> formula in other parameters; recomputed wherever those move.
        constants: published values, possibly of some parameters only.
        tags: evidence tag of each constant: V verified, S secondary source, D derived, U unverified.
        source: paper and equation.
        about: further words for the law card (title, notes, errata, conventions, valid range, optimum, checks).
        between: for a law whose output is defined by an equation: the formulas of its lower and upper end, the upper one
            possibly "inf". `formula` then holds the output's name, is zero at the output, and has one root between them.
    """

    name: str
    formula: str
    output: str = "loss"
    unit: str = ""
    domains: Mapping[str, Domain] = field(default_factory=dict)
    derived: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    between: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "between", tuple(self.between))
        for name in ("domains", "derived", "constants", "tags", "about"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        known = set(grammar.names(self._written)) | {n for text in self.derived.values() for n in tie_names(text)}
        for what, words in (
            ("domain", self.domains),
            ("constant", self.constants),
            ("derived parameter", self.derived),
        ):
            for word in words:
                if word not in known:
                    raise FormulaError(
                        f'the {what} of "{word}" belongs to no name in {self.formula!r}{did_you_mean(word, known)}'
                    )
        if self.between:
            self._check_ends()
        self._check_schedule()

    def _check_schedule(self) -> None:
        """Refuse words of a schedule where they mean nothing."""
        kernels = [
            node for node in grammar.walk(self.tree) if isinstance(node, grammar.Call) and node.function == "drops"
        ]
        inside = {name for node in kernels for name in grammar.names(node)}
        for node in kernels:
            if any(
                isinstance(part, grammar.Call) and part.function == "drops" for part in grammar.walk(node.arguments[0])
            ):
                raise FormulaError(
                    f"drops(...) stands inside another one in {self.formula!r}; a sum of sums has no meaning"
                )
        if "lr_sum" in inside:
            raise FormulaError(f"lr_sum stands inside drops(...) in {self.formula!r}; there the sum since is lr_since")
        outside = set(grammar.names(grammar.replace_calls(self.tree, "drops", Num(1.0))))
        for name in LOCAL:
            if name in outside:
                raise FormulaError(
                    f'"{name}" stands outside drops(...) in {self.formula!r}; it belongs to one drop of the learning rate, '
                    "so only a sum over drops can hold it"
                )

    @functools.cached_property
    def scheduled(self) -> bool:
        """Whether the law sums over a learning-rate schedule; its inputs are then `steps` and `schedule` (and others)."""
        return any(isinstance(node, grammar.Call) and node.function == "drops" for node in grammar.walk(self.tree))

    def _check_ends(self) -> None:
        """Refuse an equation that cannot define the output."""
        if len(self.between) != 2:
            raise FormulaError(f"an output lies between two ends, got {len(self.between)}; write the upper one as inf")
        known = grammar.names(self.tree)
        if self.output not in known:
            raise FormulaError(f'the equation {self.formula!r} does not hold its output "{self.output}"')
        for end in self.ends:
            for word in grammar.names(end) if end is not None else ():
                if word not in known or word == self.output:
                    raise FormulaError(
                        f'"{word}" cannot be in an end of {self.output}: it must be a parameter or an input of '
                        f"{self.formula!r}"
                    )

    def __hash__(self) -> int:  # equal laws have equal text; the mappings themselves cannot be hashed
        return hash((self.name, self.formula, self.output))

    def __reduce__(self) -> Any:  # mapping proxies do not pickle
        plain = (dict(getattr(self, name)) for name in ("domains", "derived", "constants", "tags"))
        domains, derived, constants, tags = plain
        return Law, (
            self.name,
            self.formula,
            self.output,
            self.unit,
            domains,
            derived,
            constants,
            tags,
            self.source,
            dict(self.about),
            self.between,
        )

    # ---- structure ------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _written(self) -> Node:
        return grammar.parse(self.formula)

    @functools.cached_property
    def tree(self) -> Node:
        """The syntax tree with derived parameters written out."""
        return grammar.substitute(
            self._written, {name: grammar.definition(text) for name, text in self.derived.items()}
        )

    @functools.cached_property
    def ends(self) -> tuple[Node, Node | None]:
        """The trees of the two ends of an implicit law's output, derived parameters written out; None is no end."""
        low, high = self.between
        texts = {name: grammar.definition(text) for name, text in self.derived.items()}
        trees = [None if text == "inf" else grammar.substitute(grammar.definition(text), texts) for text in (low, high)]
        if trees[0] is None:
            raise FormulaError(f"the lower end of {self.output} must be finite")
        return trees[0], trees[1]

    @functools.cached_property
    def _names(self) -> tuple[str, ...]:
        """Inputs and parameters, in order of appearance."""
        return tuple(name for name in grammar.names(self.tree) if not (self.between and name == self.output))

    @functools.cached_property
    def inputs(self) -> tuple[str, ...]:
        """Measured quantities in the formula, in order of appearance; a published price or rate is a parameter."""
        found = tuple(name for name in self._names if is_input(name) and name not in self.constants)
        if not self.scheduled:
            return found
        words = ("steps", "schedule")
        return (*words, *(name for name in found if name not in (*words, *DERIVED_INPUTS)))

    @functools.cached_property
    def parameters(self) -> tuple[str, ...]:
        """Free parameters, in order of appearance."""
        known = (*self.inputs, *DERIVED_INPUTS) if self.scheduled else self.inputs
        return tuple(name for name in self._names if name not in known)

    def domain(self, name: str) -> Domain:
        """Where a parameter or an input may lie; positive unless the law, or for an input the glossary, says otherwise.

        >>> str(Law("typed", "a + b*years^c", domains={"c": Domain(0, 2)}).domain("c"))
        '(0, 2]'
        """
        signed = name in self.inputs and (name in SIGNED_INPUTS or bool(_SHARE.fullmatch(name)))
        if self.scheduled and name == "steps":  # counted from 0
            return Domain(0.0, open=False)
        return self.domains.get(name, Domain(-math.inf) if signed else Domain())

    @functools.cached_property
    def coordinates(self) -> Mapping[str, str]:
        """Parameter -> "log" or "linear": the coordinate in which it is estimated."""
        return {
            name: "log" if estimated_in_logs(self.tree, name, self.domain(name)) else "linear"
            for name in self.parameters
        }

    @functools.cached_property
    def signs(self) -> Mapping[str, int]:
        """Signs of inputs and parameters that hold for all their values."""
        signs = {name: self.domain(name).sign for name in self.parameters}
        for name in self.inputs:  # an input may be zero exactly, and has then no logarithm
            where = self.domain(name)
            signs[name] = int(where.low > 0 or (where.low == 0 and where.open))
        return signs | ({"schedule": 0} | dict.fromkeys(DERIVED_INPUTS, 1) if self.scheduled else {})

    def with_ties(self, ties: Mapping[str, str | float]) -> Law:
        """Return the law with parameters replaced by numbers or by formulas in the others.

        Args:
            ties: parameter -> number, or formula in names of the law; a formula may name another tied parameter.

        Returns:
            A law without those parameters; they are in its `derived`.

        Raises:
            FormulaError: no such parameter, a number that is not finite, or ties that go round in a circle.

        >>> Law("typed", "E + A/params^alpha + B/tokens^beta").with_ties({"beta": "alpha"}).parameters
        ('E', 'A', 'alpha', 'B')
        """
        for name in ties:
            if name not in self.parameters:
                raise FormulaError(
                    f'the law has no parameter "{name}" to tie or pin{did_you_mean(name, self.parameters)}; '
                    f"it has {', '.join(self.parameters)}"
                )
        texts = resolve_ties(ties)
        for name, text in texts.items():
            for other in tie_names(text):
                if other not in self.parameters:
                    what = "an input" if other in self.inputs else "not a parameter of the law"
                    raise FormulaError(
                        f'the tie {name} = {text} names "{other}", which is {what}{did_you_mean(other, self.parameters)}; '
                        f"it may name {', '.join(known for known in self.parameters if known not in ties)}"
                    )

        def keep(words: Mapping[str, Any]) -> dict[str, Any]:
            return {name: value for name, value in words.items() if name not in ties}

        earlier = {name: write_ties(text, texts) for name, text in self.derived.items()}
        return replace(
            self,
            domains=keep(self.domains),
            constants=keep(self.constants),
            tags=keep(self.tags),
            derived={**earlier, **texts},
        )

    # ---- evaluation -----------------------------------------------------------------------------------------------

    def compiled(self, mode: str) -> Compiled:
        """Array code for the law, cached by formula.

        Args:
            mode: "value"; "fit" (first and second derivatives by the estimation coordinates); "inputs" (first and
                second derivatives by log inputs, parameters as they are); "slopes" (the first of them only).

        Cost: about a millisecond for a law of five parameters, once per formula.
        """
        coordinates = (
            tuple(self.coordinates.items()) if mode == "fit" else tuple((name, "linear") for name in self.parameters)
        )
        unknown = (self.output, self.ends) if self.between else None
        return compile_law(self.tree, coordinates, self.inputs, tuple(sorted(self.signs.items())), mode, unknown)

    def affine_terms(self) -> Callable[[tuple[np.ndarray, ...]], list[tuple[np.ndarray, dict[int, np.ndarray]]]] | None:
        """Return the law as a log-sum-exp of affine functions of its coordinates, or None where it is not one.

        The result, called with one array [rows] per input, gives per term its constant [rows] and the dictionary
        coordinate -> slope [rows]: ln(output) = ln sum_k exp(constant_k + sum_i slope_ki u_i).
        """
        if self.between:
            return None
        return affine_terms(self.tree, tuple(self.coordinates.items()), self.inputs, tuple(sorted(self.signs.items())))

    def value(
        self,
        constants: Mapping[str, Any] | None = None,
        points: Mapping[str, Any] | None = None,
        **columns: Any,
    ) -> np.ndarray:
        """Evaluate the law.

        Args:
            constants: parameter -> number or array; the published constants fill what is missing.
            points: input -> number or array, in the units of the glossary; keyword arguments are added to them.

        Returns:
            Array of the broadcast shape of everything given; NaN where an implicit law has no root between its ends.

        Raises:
            PredictionError: an input or a constant is missing, outside its domain's sign, or not finite.

        Cost: one pass per operation of the formula over the arrays; about ten for an implicit law.

        >>> chinchilla = Law("chinchilla", "E + A/params^alpha + B/tokens^beta")
        >>> constants = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
        >>> float(chinchilla.value(constants, params=70e9, tokens=1.4e12).round(4))
        1.9366
        """
        theta = self._parameter_arrays({**self.constants, **(constants or {})})
        x = self.input_arrays({**(points or {}), **columns})
        compiled = self.compiled("value")
        with np.errstate(all="ignore"):
            (value,) = compiled.run(theta, compiled.prepare(x))
            value = np.exp(value) if compiled.log else value
        shape = np.broadcast_shapes(*(a.shape for a in (*theta, *x))) if (theta or x) else ()
        return np.broadcast_to(np.asarray(value, dtype=float), shape).copy()

    def elasticities(
        self,
        constants: Mapping[str, Any] | None = None,
        points: Mapping[str, Any] | None = None,
        **columns: Any,
    ) -> dict[str, np.ndarray]:
        """Return d(output)/d(ln input) for each input, exactly.

        Args and raises: as `value`. Returns: input -> array of the broadcast shape.

        >>> law = Law("power", "A/params^alpha")
        >>> float(law.elasticities({"A": 10.0, "alpha": 0.5}, params=100.0)["params"])
        -0.5
        """
        if self.scheduled:
            raise PredictionError(
                f"{self.name} has no elasticities, because a schedule is no number; compare its values"
            )
        theta = self._parameter_arrays({**self.constants, **(constants or {})})
        x = self.input_arrays({**(points or {}), **columns})
        if any(np.any(a <= 0) for a in x):
            raise PredictionError("an elasticity needs positive inputs, because it is a derivative by their logarithm")
        compiled = self.compiled("slopes")
        with np.errstate(all="ignore"):
            value, *slopes = compiled.run(tuple(np.log(a) for a in x), compiled.prepare(theta))
            scale = np.exp(value) if compiled.log else 1.0
            by_position = dict(zip(compiled.gradient, slopes[: len(compiled.gradient)], strict=True))
            found = [np.asarray(scale * by_position.get(i, 0.0), dtype=float) for i in range(len(self.inputs))]
        shape = np.broadcast_shapes(*(a.shape for a in (*theta, *x)))
        return {name: np.broadcast_to(slope, shape).copy() for name, slope in zip(self.inputs, found, strict=True)}

    def input_arrays(self, points: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
        """Check points and return one float array per input of the law, in its order."""
        unknown = next((name for name in points if name not in self.inputs and not is_input(name)), None)
        if unknown is not None:
            near = did_you_mean(unknown, self.inputs)
            raise PredictionError(f'the law has no input "{unknown}"{near}; it needs {", ".join(self.inputs)}')
        arrays = []
        for name in self.inputs:
            if name == "schedule" and self.scheduled:
                arrays.append(as_schedules(points.get(name)))
                continue
            if name not in points:
                raise PredictionError(f'the law needs "{name}"; give its value, for example {name}=1e9 (--{name} 1e9)')
            try:
                array = np.asarray(points[name], dtype=float)
            except (TypeError, ValueError):
                raise PredictionError(
                    f'"{name}" is {str(points[name])[:60]!r}, which is no number; write for example {name}=70e9, '
                    'or read text with parse_quantity("70B")'
                ) from None
            domain = self.domain(name)
            wrong = ~np.isfinite(array) | (array < domain.low) | (array > domain.high)
            wrong |= (array <= 0) if self.signs[name] > 0 else False
            if np.any(wrong):
                where = int(np.argmax(wrong))
                must = (
                    "a finite number" if domain.low == -math.inf and domain.high == math.inf else f"finite and {domain}"
                )
                must = must.replace("and (", "in (").replace("and [", "in [")
                raise PredictionError(f'"{name}" is {np.ravel(array)[where]:g} at point {where}; it must be {must}')
            arrays.append(array)
        return tuple(arrays)

    def _parameter_arrays(self, constants: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
        missing = [name for name in self.parameters if name not in constants]
        if missing:
            raise PredictionError(
                f"{self.name} has no value for {', '.join(missing)}; fit the law to runs, or give the values"
            )
        arrays = tuple(np.asarray(constants[name], dtype=float) for name in self.parameters)
        for name, array in zip(self.parameters, arrays, strict=True):
            domain = self.domain(name)
            # only the sign matters: beyond another bound the formula still means something, so it is evaluated
            wrong = ~np.isfinite(array) | ((array * domain.sign < 0) if domain.sign else False)
            if np.any(wrong):
                value = np.ravel(array)[int(np.argmax(wrong))]
                raise PredictionError(
                    f'the parameter "{name}" is {value:g}, but {self.name} needs it '
                    f"{'finite' if not math.isfinite(value) else 'positive' if domain.sign > 0 else 'negative'}"
                )
        return arrays

    # ---- other forms of the formula -------------------------------------------------------------------------------

    def javascript(self) -> str:
        """Return the law as a JavaScript arrow function of one object: `({E, A, ..., params, tokens}) => number`.

        Raises:
            FormulaError: the law is implicit: finding its root is no straight-line code.
        """
        if self.between:
            raise FormulaError(
                f"{self.name} has no JavaScript, because its {self.output} is the root of an equation; "
                "evaluate it in Python with law.value(...)"
            )
        builder = Builder(dict.fromkeys(self.parameters, "linear"), self.inputs, self.signs, derivatives=False)
        root, log = builder.root(self.tree)
        return javascript_function(builder, root.value, self.parameters, self.inputs, log)

    def latex(self) -> str:
        r"""Return the formula in LaTeX, with the field's letters for the inputs.

        >>> print(Law("typed", "E + A/params^alpha").latex())
        E + \frac{A}{N^{\alpha}}
        """
        from scalinglens.laws.render import latex

        return latex(self)

    def card(self, *, unverified: bool = False) -> str:
        """Return everything known about the law as text for the terminal; see `scalinglens.laws.card`."""
        from scalinglens.laws.card import card

        return card(self, unverified=unverified)

    def __str__(self) -> str:
        return f"{self.formula} = 0" if self.between else f"{self.output} = {self.formula}"
