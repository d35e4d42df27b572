"""What a fit minimises: residuals in log or linear loss, under a robust loss, with weights and bounds.

`Loss` is the choice a user makes, `Design` a law on a table under that choice, ready for the minimiser.

| name | minimised over parameters |
|---|---|
| huber | sum w rho_delta(r), rho_delta(r) = r^2/2 for abs(r) <= delta, else delta (abs(r) - delta/2) |
| squares | sum w r^2/2 |
| lad | sum w abs(r), reached through Huber losses of falling delta |
| likelihood | -ln L of the density exp(-rho_delta(r/s))/(s Z_delta), its scale s profiled out |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from scalinglens.errors import FitError, did_you_mean
from scalinglens.fit.model import build_model
from scalinglens.laws.law import Law
from scalinglens.numerics.newton import Minima, Model, Objective, minimise

__all__ = ["LOSSES", "Design", "Loss", "Progress"]

LOSSES = ("huber", "squares", "lad", "likelihood")
Progress = Callable[[int, int], None]
_LAD = 1e-9  # half-width of the rounded corner at zero, in units of the residual
_ROUGH = 1e-4  # for refits: half-width relative to the residuals; moves estimates by less than 1e-3 standard errors
_NARROWING = 20.0  # from one stage to the next
_STAGES = 30


@dataclass(frozen=True)
class Loss:
    """How residuals are penalised.

    Attributes:
        name: one of `LOSSES`.
        delta: where Huber's loss turns linear: in units of the residual, for "likelihood" in units of its scale.
        space: residuals are differences of ln(value) for "log", of the value for "linear", of ln(1 + value) for "log1p".
        asymmetry: factor on the penalty where the prediction is above the observation. Under-tuned runs err upwards only;
            10 makes the law follow the well-tuned ones.
    """

    name: str = "huber"
    delta: float = 1e-3
    space: str = "log"
    asymmetry: float = 1.0

    def __post_init__(self) -> None:
        if self.name not in LOSSES:
            raise FitError(
                f'unknown loss "{self.name}"{did_you_mean(self.name, LOSSES)}; known are {", ".join(LOSSES)}'
            )
        if self.space not in _SPACES:
            raise FitError(
                f'unknown space "{self.space}"{did_you_mean(str(self.space), _SPACES)}; known are {", ".join(_SPACES)}'
            )
        for what, value in (("delta", self.delta), ("asymmetry", self.asymmetry)):
            if not (isinstance(value, int | float) and math.isfinite(value) and value > 0):
                raise FitError(f"{what} must be a positive number, got {value!r}")
        if self.name == "likelihood" and self.asymmetry != 1.0:
            raise FitError("the likelihood is symmetric; use loss huber, squares or lad together with asymmetry")

    def penalty(self, residuals: np.ndarray) -> np.ndarray:
        """Return rho of each residual for huber, squares and lad (without weights)."""
        size = np.abs(residuals)
        if self.name == "squares":
            rho = 0.5 * size**2
        elif self.name == "lad":
            rho = size
        else:
            clipped = np.minimum(size, self.delta)
            rho = clipped * (size - 0.5 * clipped)
        return rho * np.where(residuals > 0, self.asymmetry, 1.0)

    def value(self, residuals: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the objective of residuals [..., rows] under weights [..., rows]."""
        if self.name != "likelihood":
            return np.sum(weights * self.penalty(residuals), axis=-1)
        scale = self.scale(residuals, weights)
        standard = residuals / scale[..., None]
        total = np.sum(weights, axis=-1)
        return np.sum(weights * self.penalty(standard), axis=-1) + total * (np.log(scale) + self._log_norm())

    def scale(self, residuals: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the scale s that maximises the likelihood: sum w psi(r/s) r/s = sum w, psi = clip(., -delta, delta)."""
        size = np.abs(residuals)
        total = np.sum(weights, axis=-1)
        absolute = np.sum(weights * size, axis=-1) / total
        s = np.maximum(self.delta * absolute, 1e-300)  # exact when every residual lies in the linear part
        for _ in range(60):
            z = size / s[..., None]
            excess = np.sum(weights * np.minimum(z, self.delta) * z, axis=-1) / total
            s = s * np.clip(np.sqrt(excess), 0.1, 10.0)  # excess falls with s at least as fast as 1/s
            if np.all(np.abs(excess - 1.0) < 1e-13):
                break
        return s

    def _log_norm(self) -> float:
        """ln of the integral of exp(-rho_delta)."""
        middle = math.sqrt(2 * math.pi) * math.erf(self.delta / math.sqrt(2))
        return math.log(middle + 2 * math.exp(-0.5 * self.delta**2) / self.delta)


@dataclass(frozen=True)
class Design:
    """A law on a table of runs under a loss.

    Attributes:
        law: the law, ties written in.
        loss: the choice of loss.
        inputs: one array [rows] per input of the law.
        observed: values of the law's output [rows].
        weights: row weights [rows], mean about one.
        held: pinned parameters.
        model: the law on these inputs.
        lower, upper: bounds on the coordinates [p]; equal where pinned.
    """

    law: Law
    loss: Loss
    inputs: tuple[np.ndarray, ...]
    observed: np.ndarray
    weights: np.ndarray
    held: Mapping[str, float]
    model: Model
    lower: np.ndarray
    upper: np.ndarray

    @classmethod
    def build(
        cls,
        law: Law,
        loss: Loss,
        inputs: tuple[np.ndarray, ...],
        observed: np.ndarray,
        weights: np.ndarray,
        held: Mapping[str, float],
    ) -> Design:
        """Assemble a design; values are assumed checked."""
        lower, upper = np.full((2, len(law.parameters)), np.inf) * np.array([[-1.0], [1.0]])
        for i, name in enumerate(law.parameters):
            domain, logs = law.domain(name), law.coordinates[name] == "log"
            low, high = held.get(name, domain.low), held.get(name, domain.high)
            if logs:
                low, high = max(low, 1e-300), max(high, 1e-300)
                lower[i] = math.log(low) if low > 1e-300 else -np.inf
                upper[i] = math.log(high)
            else:
                lower[i], upper[i] = low, high
        return cls(law, loss, inputs, observed, weights, held, build_model(law, inputs), lower, upper)

    # ---- coordinates ----------------------------------------------------------------------------------------------

    @property
    def free(self) -> np.ndarray:
        """Mask [p] of the parameters that are estimated."""
        return np.array([name not in self.held for name in self.law.parameters])

    @property
    def in_logs(self) -> np.ndarray:
        """Mask [p] of the parameters estimated as logarithms."""
        return np.array([self.law.coordinates[name] == "log" for name in self.law.parameters])

    def to_coordinates(self, natural: np.ndarray) -> np.ndarray:
        """Natural parameters [..., p] to coordinates, moved into bounds."""
        with np.errstate(all="ignore"):
            u = np.where(self.in_logs, np.log(np.maximum(natural, 1e-300)), natural)
        inside = np.nextafter(self.upper, -np.inf), np.nextafter(self.lower, np.inf)
        return np.where(self.free, np.clip(u, inside[1], inside[0]), np.clip(u, self.lower, self.upper))

    def to_natural(self, u: np.ndarray) -> np.ndarray:
        """Coordinates [..., p] to natural parameters, finite ones: a magnitude that runs away stops at e^+-700."""
        natural = np.where(self.in_logs, np.exp(np.clip(np.where(self.in_logs, u, 0.0), -700.0, 700.0)), u)
        for i, name in enumerate(self.law.parameters):
            if name in self.held:
                natural[..., i] = self.held[name]
        return natural

    # ---- residuals and minima -------------------------------------------------------------------------------------

    @property
    def target(self) -> np.ndarray:
        """What the model is compared with, in the space of the residuals."""
        return _SPACES[self.loss.space](self.observed)

    def objective(
        self, threshold: float | np.ndarray, weights: np.ndarray | None = None, target: np.ndarray | None = None
    ) -> Objective:
        """The minimiser's problem at one threshold of Huber's loss; another target makes it one of made-up data."""
        return Objective(
            model=self.model,
            target=self.target if target is None else target,
            weights=self.weights if weights is None else weights,
            threshold=threshold,
            link=_LINKS[getattr(self.model, "log", False), self.loss.space],
            asymmetry=self.loss.asymmetry,
        )

    def residuals(self, u: np.ndarray, target: np.ndarray | None = None) -> np.ndarray:
        """Residuals [lanes, rows] at coordinates [lanes, p]."""
        target = self.target if target is None else target
        link = _LINKS[getattr(self.model, "log", False), self.loss.space]
        found = np.empty((len(u), len(self.observed)))
        with np.errstate(all="ignore"):
            for k in range(0, len(u), self.model.block):
                m, _ = self.model.evaluate(u[k : k + self.model.block])
                found[k : k + self.model.block] = m if link is None else link(m)[0]
        return found - target

    def minimise(
        self,
        start: np.ndarray,
        weights: np.ndarray | None = None,
        *,
        target: np.ndarray | None = None,
        lower: np.ndarray | None = None,
        upper: np.ndarray | None = None,
        progress: Progress | None = None,
        damping: float = 1e-3,
        iterations: int = 200,
        rough: bool = False,
    ) -> Minima:
        """Minimise the loss from each start [lanes, p], weights and target [rows] or [lanes, rows].

        `rough` stops short of the last digits where the loss has a corner (lad, likelihood), for refits whose scatter is
        what matters. The returned objective values are those of the loss itself, at the returned points.
        """
        bounds = {
            "lower": self.lower if lower is None else lower,
            "upper": self.upper if upper is None else upper,
            "iterations": iterations,
        }
        weights = self.weights if weights is None else weights
        name, delta = self.loss.name, self.loss.delta
        if name in ("huber", "squares"):
            threshold = delta if name == "huber" else np.inf
            problem = self.objective(threshold, weights, target)
            return minimise(problem, start, damping=damping, progress=progress, **bounds)
        # lad and likelihood: nearly every residual ends in the linear part; narrow the corner step by step
        every = np.broadcast_to(weights, (len(start), len(self.observed)))
        typical = np.median(np.abs(self.residuals(start, target)), axis=-1)
        typical = np.where(np.isfinite(typical) & (typical > 0), typical, 1.0)
        threshold = typical * (0.1 if rough else 1.0)
        spent = np.zeros(len(start), dtype=int)
        for _ in range(_STAGES):
            problem = self.objective(threshold, weights, target)
            found = minimise(problem, start, damping=damping, progress=progress, **bounds)
            start, spent = found.u, spent + found.iterations
            goal = np.full(len(start), _LAD)
            if name == "likelihood":
                goal = delta * self.loss.scale(self.residuals(start, target), every)
            if rough:
                goal = np.maximum(goal, _ROUGH * typical)
            if np.all(np.abs(np.log(threshold / goal)) < 1e-3):
                break
            threshold = np.maximum(threshold / _NARROWING, goal)
        return replace(found, value=self.loss.value(self.residuals(found.u, target), weights), iterations=spent)


def _exp_link(m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    value = np.exp(m)
    return value, value, value


def _log_link(m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inverse = 1.0 / m
    return np.log(m), inverse, -inverse * inverse


def _log1p_link(m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    inverse = 1.0 / (1.0 + m)
    return np.log1p(m), inverse, -inverse * inverse


def _softplus_link(m: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    share = 0.5 * (1.0 + np.tanh(0.5 * m))
    return np.logaddexp(0.0, m), share, share * (1.0 - share)


# the scales on which residuals may be taken
_SPACES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"log": np.log, "linear": lambda v: v, "log1p": np.log1p}

# (model gives the logarithm, space of the residuals) -> how to get from one to the other, with derivatives
_LINKS = {
    (True, "log"): None,
    (True, "linear"): _exp_link,
    (True, "log1p"): _softplus_link,
    (False, "log"): _log_link,
    (False, "linear"): None,
    (False, "log1p"): _log1p_link,
}
