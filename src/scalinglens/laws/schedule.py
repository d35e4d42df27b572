"""`Schedule`: the learning rate at every optimiser step of a run.

Laws of whole loss curves (Tissue et al. 2024, Luo et al. 2025) depend on the learning rate at every step and not at the
logged ones only. A schedule comes from one of the usual shapes, from text, or from logged values:

    cosine(peak=3e-4, end=3e-5, steps=24000, warmup=2160)

Steps are counted from 0; the warm-up rises linearly from 0 at step 0 to the peak at step warmup - 1.
"""

from __future__ import annotations

import ast
import functools
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scalinglens.errors import QuantityError, ScheduleError, did_you_mean
from scalinglens.quantities import parse_quantity

__all__ = ["SHAPES", "Schedule", "as_schedules"]

MOST_STEPS = 20_000_000  # an array of 160 MB; longer schedules are better counted in blocks of steps
_DECAYS = ("exponential", "linear", "cosine", "sqrt")


@dataclass(frozen=True, eq=False)
class Schedule:
    """The learning rate of one run, step by step.

    Attributes:
        rates: learning rate at steps 0, 1, 2, ... [steps].
        text: how it was made, so that it can be saved and shown; "" for an array given as it is.
        knots: logged (steps, rates, warm-up steps) it was rebuilt from, or None.

    >>> run = Schedule.wsd(3e-4, steps=24000, decay_from=20000, end=3e-5, warmup=2160)
    >>> print(run, len(run.changes), float(run.mass[19_999].round(4)))
    wsd(peak=0.0003, steps=24000, decay_from=20000, end=3e-05, shape="exponential", warmup=2160) 6158 5.676
    """

    rates: np.ndarray
    text: str = ""
    knots: tuple[tuple[float, ...], tuple[float, ...], int] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        rates = np.array(self.rates, dtype=float)
        if rates.ndim != 1 or not len(rates):
            raise ScheduleError(f"a schedule is one learning rate per step, got an array of shape {rates.shape}")
        wrong = ~np.isfinite(rates) | (rates < 0)
        if wrong.any():
            step = int(np.argmax(wrong))
            raise ScheduleError(
                f"the learning rate is {rates[step]:g} at step {step}; it must be finite and not negative"
            )
        if not rates.any():
            raise ScheduleError("the learning rate is zero at every step, so nothing is learned; give a positive one")
        rates.setflags(write=False)
        object.__setattr__(self, "rates", rates)

    # ---- what laws need -------------------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """Number of steps; the last one is steps - 1."""
        return len(self.rates)

    @functools.cached_property
    def mass(self) -> np.ndarray:
        """Sum of the learning rate up to and including each step [steps]."""
        return np.cumsum(self.rates)

    @functools.cached_property
    def changes(self) -> np.ndarray:
        """Steps whose learning rate differs from that of the step before."""
        return np.flatnonzero(np.diff(self.rates)) + 1

    @functools.cached_property
    def peak_step(self) -> int:
        """Last step at which the learning rate has its largest value, from where on it only decays."""
        return int(np.flatnonzero(self.rates >= self.rates.max() * (1 - 1e-9))[-1])

    @property
    def decays(self) -> bool:
        """Whether the learning rate ends below its largest value."""
        return bool(self.rates[-1] < self.rates.max() * (1 - 1e-9))

    def at(self, steps: Any) -> np.ndarray:
        """Return the learning rate at steps (whole numbers from 0 to steps - 1).

        >>> Schedule.constant(1e-3, steps=10).at([0, 9])
        array([0.001, 0.001])
        """
        return self.rates[self.positions(steps)]

    def positions(self, steps: Any) -> np.ndarray:
        """Check steps and return them as integers; a fractional step (tokens / tokens per step) is rounded."""
        array = np.atleast_1d(np.asarray(steps, dtype=float))
        wrong = ~np.isfinite(array) | (array < -0.5) | (array > self.steps - 0.5)
        if wrong.any():
            raise ScheduleError(
                f"step {array[np.argmax(wrong)]:g} is outside the schedule {self}, which has steps 0 to {self.steps - 1}; "
                "give a longer schedule"
            )
        return np.minimum(np.rint(array).astype(np.int64), self.steps - 1)

    def cut(self, steps: int) -> Schedule:
        """Return the first `steps` steps."""
        if not 1 <= steps <= self.steps:
            raise ScheduleError(f"{self} has {self.steps} steps and cannot be cut after {steps}")
        return Schedule(self.rates[:steps], f"{self}[:{steps}]")

    # ---- shapes ---------------------------------------------------------------------------------------------------

    @classmethod
    def constant(cls, peak: float, *, steps: int, warmup: int = 0) -> Schedule:
        """Constant after the warm-up."""
        return _made(cls, "constant", lambda k: np.full(len(k), peak), peak=peak, steps=steps, warmup=warmup)

    @classmethod
    def cosine(cls, peak: float, *, steps: int, end: float = 0.0, warmup: int = 0) -> Schedule:
        """Half a cosine from the peak at the end of the warm-up to `end` at step `steps`, one after the last."""

        def shape(k: np.ndarray) -> np.ndarray:
            return end + (peak - end) * 0.5 * (1 + np.cos(np.pi * (k - warmup) / max(steps - warmup, 1)))

        return _made(cls, "cosine", shape, peak=peak, steps=steps, end=end, warmup=warmup)

    @classmethod
    def linear(cls, peak: float, *, steps: int, end: float = 0.0, warmup: int = 0) -> Schedule:
        """A straight line from the peak at the end of the warm-up to `end` at step `steps`."""

        def shape(k: np.ndarray) -> np.ndarray:
            return peak - (peak - end) * ((k - warmup) / max(steps - warmup, 1))

        return _made(cls, "linear", shape, peak=peak, steps=steps, end=end, warmup=warmup)

    @classmethod
    def wsd(
        cls, peak: float, *, steps: int, decay_from: int, end: float, shape: str = "exponential", warmup: int = 0
    ) -> Schedule:
        """Warm-up, stable, decay: constant until `decay_from`, then down to `end` at step `steps`.

        Args:
            peak: learning rate of the stable part.
            steps: number of steps.
            decay_from: first step of the decay.
            end: learning rate at step `steps`, one after the last.
            shape: "exponential" (a geometric sequence), "linear", "cosine" or "sqrt" (1 - square root).
            warmup: steps of the linear warm-up.
        """
        if shape not in _DECAYS:
            raise ScheduleError(
                f'unknown decay "{shape}"{did_you_mean(str(shape), _DECAYS)}; known are {", ".join(_DECAYS)}'
            )
        if not warmup <= decay_from <= steps:
            raise ScheduleError(
                f"the decay from step {decay_from} must begin between the end of the warm-up ({warmup}) and the last "
                f"step ({steps})"
            )
        if shape == "exponential" and end <= 0:
            raise ScheduleError("an exponential decay never reaches zero; give a positive end or another shape")

        def decay(k: np.ndarray) -> np.ndarray:
            share = np.clip((k - decay_from) / max(steps - decay_from, 1), 0.0, 1.0)
            if shape == "exponential":
                return peak * (end / peak) ** share
            if shape == "linear":
                return peak - (peak - end) * share
            falls = 0.5 * (1 - np.cos(np.pi * share)) if shape == "cosine" else np.sqrt(share)
            return peak - (peak - end) * falls

        return _made(
            cls, "wsd", decay, peak=peak, steps=steps, decay_from=decay_from, end=end, shape=shape, warmup=warmup
        )

    @classmethod
    def two_stage(cls, peak: float, *, second: float, switch: int, steps: int, warmup: int = 0) -> Schedule:
        """Constant at the peak until step `switch`, then constant at `second`."""
        if not warmup <= switch <= steps:
            raise ScheduleError(
                f"the switch at step {switch} must lie between the warm-up ({warmup}) and {steps} steps"
            )
        return _made(
            cls, "two_stage", lambda k: np.where(k < switch, peak, second),
            peak=peak, second=second, switch=switch, steps=steps, warmup=warmup,
        )  # fmt: skip

    @classmethod
    def logged(cls, at: Any, rates: Any, *, steps: int | None = None, warmup: int = 0) -> Schedule:
        """Rebuild a schedule from logged values.

        Between logged steps it is monotone and smooth (Fritsch and Carlson 1980), so it never leaves the range of its
        neighbours; a change between two constant stretches is a jump half way. Before the first it has the first rate,
        after a linear warm-up if there was one; after the last it stays constant.

        Args:
            at: logged steps, any order; of repeated steps the later row counts.
            rates: learning rates there.
            steps: number of steps of the schedule, by default up to the last logged one.
            warmup: steps of a linear warm-up that ended before the first logged step.

        Raises:
            ScheduleError: no usable row, or numbers that are no learning rates.

        >>> Schedule.logged([0, 4, 8], [1e-3, 1e-3, 5e-4]).at([2, 8])
        array([0.001 , 0.0005])
        """
        places, values = np.asarray(at, dtype=float).ravel(), np.asarray(rates, dtype=float).ravel()
        if places.shape != values.shape:
            raise ScheduleError(f"there are {places.size} logged steps but {values.size} learning rates")
        good = np.isfinite(places) & np.isfinite(values)
        places, values = np.rint(places[good]), values[good]
        if not len(places) or places.min() < 0:
            raise ScheduleError("no logged row has a step from 0 on and a learning rate; check the columns")
        order = np.unique(places[::-1], return_index=True)[1]
        places, values = places[::-1][order], values[::-1][order]
        count = int(places[-1]) + 1 if steps is None else _count(steps, "steps")
        k = np.arange(max(count, 1), dtype=float)
        found = _between(places, values, np.clip(k, places[0], places[-1]))
        rising = k < min(_count(warmup, "warmup", least=0), places[0])
        found[rising] = values[0] * k[rising] / max(warmup - 1, 1)
        knots = (tuple(places.tolist()), tuple(values.tolist()), int(warmup))
        return cls(found, f"logged at {len(places)} steps, {count} in all", knots)

    @classmethod
    def from_text(cls, text: str) -> Schedule:
        """Read a schedule as it prints itself.

        Args:
            text: a shape with its numbers, `cosine(peak=3e-4, end=3e-5, steps=24k, warmup=2160)`; a bare
                `constant(3e-4, steps=10k)` takes the peak without its name.

        Raises:
            ScheduleError: not of that form, an unknown shape or an unknown word.

        >>> Schedule.from_text("two_stage(3e-4, second=9e-5, switch=8k, steps=16k, warmup=2160)").steps
        16000
        """
        name, _, rest = text.strip().partition("(")
        name = name.strip().replace("-", "_")
        if name not in SHAPES or not rest.endswith(")"):
            near = did_you_mean(name, SHAPES)
            raise ScheduleError(
                f"cannot read the schedule {text.strip()[:80]!r}{near}; write one of {', '.join(SHAPES)} with its numbers, "
                "as in cosine(peak=3e-4, end=3e-5, steps=24000, warmup=2160)"
            )
        known = tuple(inspect.signature(SHAPES[name]).parameters)
        words: dict[str, Any] = {}
        for i, part in enumerate(filter(None, (part.strip() for part in rest[:-1].split(",")))):
            key, sign, value = (piece.strip() for piece in part.partition("="))
            key, value = (key, value) if sign else ("peak", key) if i == 0 else ("", key)
            if key not in known or key in words:
                raise ScheduleError(
                    f"{name}(...) has no word {part!r}{did_you_mean(key, known)}; it takes {', '.join(known)}"
                )
            words[key] = _word(value, key)
        try:
            return SHAPES[name](**words)
        except TypeError:
            missing = [key for key in _required(SHAPES[name]) if key not in words]
            raise ScheduleError(f"{name}(...) needs {', '.join(missing)}; got {text.strip()!r}") from None

    # ---- plain data -----------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` brings back: the text of a shape, logged values, or every rate."""
        if self.knots is not None:
            at, rates, warmup = self.knots
            return {"at": list(at), "rates": list(rates), "steps": self.steps, "warmup": warmup}
        if self.text.partition("(")[0] in SHAPES and self.text.endswith(")"):
            return {"text": self.text}
        return {"rates": self.rates.tolist()}

    @classmethod
    def from_dict(cls, words: Mapping[str, Any]) -> Schedule:
        """Bring back what `to_dict` returned."""
        if "text" in words:
            return cls.from_text(words["text"])
        if "at" in words:
            return cls.logged(words["at"], words["rates"], steps=words["steps"], warmup=words["warmup"])
        return cls(np.array(words["rates"]))

    def __str__(self) -> str:
        return self.text or f"schedule of {self.steps} steps"


SHAPES: Mapping[str, Callable[..., Schedule]] = {
    name: getattr(Schedule, name) for name in ("constant", "cosine", "linear", "wsd", "two_stage")
}
"""Name of a shape -> its constructor."""


def as_schedules(given: Any) -> np.ndarray:
    """Return schedules as an array of objects: from a `Schedule`, its text, or one of either for each point.

    Raises:
        ScheduleError: none given, or something else.
    """
    if given is None:
        raise ScheduleError(
            "the law needs the learning-rate schedule; give schedule=Schedule.cosine(3e-4, steps=24000) or as text "
            '(--schedule "cosine(peak=3e-4, steps=24000)")'
        )
    array = np.asarray(given, dtype=object)
    texts: dict[str, Schedule] = {}
    found = np.empty(array.shape, dtype=object)
    for place, one in np.ndenumerate(array):
        if isinstance(one, str):
            one = texts.setdefault(one, texts[one] if one in texts else Schedule.from_text(one))
        if not isinstance(one, Schedule):
            raise ScheduleError(f"a schedule is a Schedule or its text, got {type(one).__name__} {str(one)[:40]!r}")
        found[place] = one
    return found


def _made(cls: type[Schedule], name: str, curve: Callable[[np.ndarray], np.ndarray], /, **words: Any) -> Schedule:
    """The warm-up followed by a shape, with the text that makes it again."""
    for key in ("peak", "end", "second"):
        value = words.get(key, 0.0)
        if (
            not isinstance(value, int | float)
            or not math.isfinite(value)
            or value < 0
            or (key == "peak" and value == 0)
        ):
            raise ScheduleError(
                f"the {key} of {name}(...) is {value!r}; it must be a finite learning rate, not negative"
            )
    steps, warmup = _count(words["steps"], "steps"), _count(words["warmup"], "warmup", least=0)
    if warmup > steps:
        raise ScheduleError(f"the warm-up of {warmup} steps is longer than the {steps} steps of {name}(...)")
    rates = np.empty(steps)
    rates[:warmup] = np.linspace(0.0, words["peak"], warmup) if warmup > 1 else words["peak"]
    rates[warmup:] = curve(np.arange(warmup, steps, dtype=float))
    said = ", ".join(
        f'{key}="{value}"' if isinstance(value, str) else f"{key}={value!r}" for key, value in words.items()
    )
    return cls(rates, f"{name}({said})")


def _between(places: np.ndarray, values: np.ndarray, k: np.ndarray) -> np.ndarray:
    """The learning rate at steps k from its values at logged places, all within their range."""
    from scipy.interpolate import PchipInterpolator

    change = np.diff(values)
    flat = np.concatenate([[False], change == 0, [False]])
    jumps = np.flatnonzero((change != 0) & flat[:-2] & flat[2:])  # between two constant stretches
    found = np.empty(len(k))
    borders = [-np.inf, *np.ceil(0.5 * (places[jumps] + places[jumps + 1])), np.inf]
    pieces = np.split(np.arange(len(places)), jumps + 1)
    for piece, low, high in zip(pieces, borders, borders[1:], strict=False):
        here = (k >= low) & (k < high)
        at, of = places[piece], values[piece]
        inside = np.clip(k[here], at[0], at[-1])
        found[here] = np.clip(PchipInterpolator(at, of)(inside), of.min(), of.max()) if len(at) > 1 else of[0]
    return found


def _count(value: Any, what: str, least: int = 1) -> int:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or value != int(value)
        or value < least
    ):
        raise ScheduleError(f"{what} is a whole number from {least} on, got {value!r}")
    if value > MOST_STEPS:
        raise ScheduleError(f"{what} is {value:g}, more than the {MOST_STEPS:,} steps a schedule may have")
    return int(value)


def _word(text: str, key: str) -> Any:
    """A number with suffix, or a quoted or bare word; counts of steps become whole numbers."""
    if key == "shape":
        return ast.literal_eval(text) if text[:1] in "\"'" and text[-1:] == text[:1] and len(text) > 1 else text
    try:
        value = parse_quantity(text)
    except QuantityError as problem:
        raise ScheduleError(f"{key}={text}: {problem}") from None
    whole = key in ("steps", "warmup", "switch", "decay_from")
    return int(value) if whole and value == int(value) else value


def _required(constructor: Callable[..., Schedule]) -> list[str]:
    parameters = inspect.signature(constructor).parameters
    return [name for name, p in parameters.items() if p.default is inspect.Parameter.empty]
