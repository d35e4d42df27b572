"""How much a set of runs says about a decision: the variance of the decision, draw by draw of what is known.

At draw k the decision has the derivative g_k by the coordinates, run c the slope j_kc of its ln loss, in units of its noise.
With covariance S_k before and noise independent between runs, run c takes from the variance v_k = g_k' S_k g_k

    (g_k' S_k j_kc)^2 / (1 + j_kc' S_k j_kc)

and S_k loses the same in all directions (Sherman and Morrison; c-optimality of Elfving 1952, with the prior of Chaloner 1984).
Runs of one group that share a part q of their variance have the information

    sum_i j_i j_i'/(1-q) - q/((1-q)(1-q+mq)) (sum_i j_i)(sum_i j_i)',

so that one more is a change of rank two, in the span of its slope and of the sum of the group.

The score of a set is the mean over draws of ln(v_k + b), minus twice the expected information about the decision (Lindley
1956): b is what the law itself may get wrong at the target, and falls as the runs come nearer to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Problem", "State"]

MOST_SHARED = 0.95  # of the noise of a group: replicates always say something
TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything a search needs to know.

    Attributes:
        slopes: of each run in units of its noise [draws, runs, p].
        goal: derivative of the decision [draws, p].
        before: covariance of the coordinates [draws, p, p].
        weights: of the draws [draws], sum one.
        groups: group number of each run [runs]; -1 for a run of its own.
        shared: part of the noise variance that a group shares.
        doubt: variance of the law itself if the run is the largest [runs].
        doubt_before: the same with the runs there are.
        cost: of each run [runs].
    """

    slopes: np.ndarray
    goal: np.ndarray
    before: np.ndarray
    weights: np.ndarray
    groups: np.ndarray
    shared: float
    doubt: np.ndarray
    doubt_before: float
    cost: np.ndarray

    @property
    def size(self) -> int:
        """How many candidate runs there are."""
        return self.slopes.shape[1]

    def start(self) -> State:
        """The state with no run chosen."""
        return State(self)


class State:
    """The covariance at every draw with some of the runs made; changes in place.

    With S the covariance, g the decision, j_c the slope of candidate c and s_c the sum of the slopes of its group, j_c' S j_c,
    j_c' S g and j_c' S s_c are kept for every candidate: a run changes S by rank two, and the kept products with it.
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        self.covariance = problem.before.copy()
        self.chosen: list[int] = []
        count = int(problem.groups.max(initial=-1)) + 1 if problem.shared > 0 else 0
        self._members = np.zeros(count, dtype=int)
        self._sums = np.zeros((len(problem.slopes), count, problem.slopes.shape[2]))
        pulled = np.matmul(problem.slopes, self.covariance)  # [draws, runs, p]
        self._own = np.sum(pulled * problem.slopes, axis=2)
        self._toward = np.matmul(pulled, problem.goal[:, :, None])[:, :, 0]
        self._beside = np.zeros(self._own.shape)

    def copy(self) -> State:
        """A state of its own."""
        other = State.__new__(State)
        other.problem, other.covariance, other.chosen = self.problem, self.covariance.copy(), list(self.chosen)
        for name in ("_members", "_sums", "_own", "_toward", "_beside"):
            setattr(other, name, getattr(self, name).copy())
        return other

    @property
    def variance(self) -> np.ndarray:
        """Variance of the decision at each draw [draws], without doubt of the law."""
        pulled = np.matmul(self.covariance, self.problem.goal[:, :, None])[:, :, 0]
        return np.maximum(np.sum(pulled * self.problem.goal, axis=1), TINY)

    @property
    def doubt(self) -> float:
        """Variance for what the law itself may get wrong."""
        least = self.problem.doubt[self.chosen].min() if self.chosen else np.inf
        return float(min(self.problem.doubt_before, least))

    @property
    def score(self) -> float:
        """Mean over draws of ln(v + b)."""
        return float(self.problem.weights @ np.log(self.variance + self.doubt))

    @property
    def total(self) -> float:
        """Mean variance of the decision, doubt of the law included."""
        return float(self.problem.weights @ self.variance) + self.doubt

    def scores(self) -> np.ndarray:
        """Return the score with each run added, in turn [runs].

        Cost: draws x runs multiplications.
        """
        problem = self.problem
        gain = self._toward**2 / (1.0 + self._own)
        crowded = self._crowded()
        if len(crowded):
            of = problem.groups[crowded]
            held = np.matmul(self._sums, self.covariance)  # [draws, groups, p]
            of_sum = np.sum(held * self._sums, axis=2)[:, of]
            sum_toward = np.matmul(held, problem.goal[:, :, None])[:, of, 0]
            change = _shares(self._change(self._members[of]), self._own[:, crowded], self._beside[:, crowded], of_sum)
            first = self._toward[:, crowded]
            gain[:, crowded] = change[0] * first**2 + 2 * change[1] * first * sum_toward + change[2] * sum_toward**2
        doubt = np.minimum(problem.doubt, self.doubt)
        return problem.weights @ np.log(np.maximum(self.variance[:, None] - gain, TINY) + doubt)

    def add(self, run: int) -> None:
        """Make a run."""
        self._update(run, 1.0)
        self.chosen.append(run)

    def remove(self, run: int) -> None:
        """Take back a run, the last of its kind."""
        self.chosen.pop(len(self.chosen) - 1 - self.chosen[::-1].index(run))
        self._update(run, -1.0)

    def _crowded(self) -> np.ndarray:
        """Runs whose group has members already."""
        if not len(self._members):
            return np.empty(0, dtype=int)
        groups = self.problem.groups
        return np.flatnonzero((groups >= 0) & (self._members[np.maximum(groups, 0)] > 0))

    def _change(self, members: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Information of one more run beside `members`, as a matrix in the span of its slope and of their sum."""
        q = min(self.problem.shared, MOST_SHARED)
        own = 1.0 - q
        before, after = (q / (own * (own + m * q)) for m in (members, members + 1))
        return 1.0 / own - after, -after, before - after

    def _update(self, run: int, sign: float) -> None:
        slope = self.problem.slopes[:, run]
        group = self.problem.groups[run] if len(self._members) else -1
        if sign < 0 and group >= 0:
            self._members[group] -= 1
            self._sums[:, group] -= slope
        pulled = np.matmul(self.covariance, slope[:, :, None])[:, :, 0]
        held = np.zeros_like(pulled)
        own, a, b, c = np.sum(pulled * slope, axis=1), 0.0, 0.0, 0.0
        if group < 0 or not self._members[group]:
            a = sign / (1.0 + sign * own)
        else:
            sums = self._sums[:, group]
            held = np.matmul(self.covariance, sums[:, :, None])[:, :, 0]
            change = tuple(sign * part for part in self._change(self._members[group]))
            a, b, c = _shares(change, own, np.sum(pulled * sums, axis=1), np.sum(held * sums, axis=1))  # type: ignore[arg-type]
        self._follow(slope, pulled, held, np.stack(np.broadcast_arrays(own, a, b, c)), group, sign)
        if sign > 0 and group >= 0:
            self._members[group] += 1
            self._sums[:, group] += slope

    def _follow(
        self, slope: np.ndarray, p: np.ndarray, h: np.ndarray, shares: np.ndarray, group: int, sign: float
    ) -> None:
        """S - a pp' - b(ph' + hp') - c hh' in place of S, in all that is kept; the group gains or loses the slope."""
        problem, (own, a, b, c) = self.problem, shares[:, :, None]
        along = np.matmul(problem.slopes, p[:, :, None])[:, :, 0]  # [draws, runs]
        toward = np.sum(p * problem.goal, axis=1)[:, None]
        paired = bool(h.any())
        aside = np.matmul(problem.slopes, h[:, :, None])[:, :, 0] if paired else 0.0
        first, second = a * along + b * aside, (b * along + c * aside) if paired else 0.0
        self._own -= first * along + second * aside
        self._toward -= first * toward + second * np.sum(h * problem.goal, axis=1)[:, None]
        if group >= 0:
            mine = problem.groups == group
            if sign < 0:
                self._beside[:, mine] -= along[:, mine]  # the sum has lost the slope, S has not lost the run yet
            across = np.matmul(self._sums, np.stack([p, h], axis=2))[:, np.maximum(problem.groups, 0)]
            self._beside -= first * across[:, :, 0] + second * across[:, :, 1]
            if sign > 0:
                with_sum = np.sum(h * slope, axis=1)[:, None]
                moved = along * (1.0 - a * own - b * with_sum) - aside * (b * own + c * with_sum)
                self._beside[:, mine] += moved[:, mine]
        self.covariance -= (a * p + b * h)[:, :, None] * p[:, None, :]
        if paired:
            self.covariance -= (b * p + c * h)[:, :, None] * h[:, None, :]


def _shares(
    change: tuple[np.ndarray, np.ndarray, np.ndarray], own: np.ndarray, cross: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Entries of (I + M Q)^-1 M for symmetric two by two matrices M (the change) and Q (own, cross, other)."""
    m11, m12, m22 = change
    n11, n12 = 1.0 + m11 * own + m12 * cross, m11 * cross + m12 * other
    n21, n22 = m12 * own + m22 * cross, 1.0 + m12 * cross + m22 * other
    determinant = n11 * n22 - n12 * n21
    return (
        (n22 * m11 - n12 * m12) / determinant,
        (n22 * m12 - n12 * m22) / determinant,
        (n11 * m22 - n21 * m12) / determinant,
    )
