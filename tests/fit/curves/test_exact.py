"""Whether a law holds all along a curve: made curves that follow one or do not, and the formula worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.fit.curves.exact import PRIOR, STRUCTURE, exactness


def lines(t: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Residuals of a straight line in logarithms [1, rows]."""
    return (z - np.polyval(np.polyfit(t, z, 1), t))[None]


class TestExactness:
    def test_a_line_with_noise_is_believed_the_more_the_more_runs_there_are(self):
        means = []
        for rows in (8, 30, 120):
            t = np.linspace(0, 6, rows)
            found = []
            for seed in range(40):
                z = -0.3 * t + 0.01 * np.random.default_rng(seed).normal(size=rows)
                found.append(exactness(lines(t, z), np.array([2]), t, z).probability)
            means.append(np.mean(found))
        assert means[0] < 0.3  # few runs decide nothing
        assert means[0] < means[1] < means[2]
        assert means[2] > 0.5

    def test_a_bent_curve_is_not(self):
        t = np.linspace(0, 6, 40)
        for seed in range(10):
            z = -0.3 * t + 0.02 * t**2 + 0.01 * np.random.default_rng(seed).normal(size=40)
            assert exactness(lines(t, z), np.array([2]), t, z).probability < 1e-4

    def test_residuals_of_zero_leave_no_doubt_and_the_smallest_law_is_meant(self):
        t = np.linspace(0, 3, 9)
        small = np.stack([1e-9 * np.sin(t), 1e-14 * np.cos(t), 0.1 * np.sin(t)])
        found = exactness(small, np.array([2, 4, 2]), t, -t)
        assert found.probability == 1.0
        assert found.shares[0] > 0.99

    def test_odds_by_hand(self):
        """Residuals that alternate have the correlation r = -(n - 1)/n; no polynomial of low degree follows them."""
        rows = 12
        t, each = np.linspace(0, 5, rows), 0.01 * (-1.0) ** np.arange(rows)
        z = -0.4 * t + each
        residuals = each[None] - each.mean()
        found = exactness(residuals, np.array([2]), t, z)
        z1 = np.sqrt(rows) * STRUCTURE
        odds = PRIOR * np.exp(z1**2 / 2 - np.sqrt(rows) * (-(rows - 1) / rows + 2 / rows) * z1)
        rss = [np.sum((z - np.polyval(np.polyfit(t, z, d), t)) ** 2) for d in (2, 3)]
        mine = np.sum(residuals**2)

        def aicc(squares: float, p: int) -> float:
            return rows * np.log(squares / rows) + 2 * p + 2 * (p + 1) * (p + 2) / (rows - p - 2)

        others = sum(np.exp(-0.5 * (aicc(r, d + 1) - aicc(mine, 2))) for r, d in zip(rss, (2, 3), strict=True))
        assert found.probability == pytest.approx(odds / (1 + odds) / (1 + others), rel=1e-3)

    def test_too_few_runs_and_failed_laws_say_nothing(self):
        t = np.linspace(0, 2, 5)
        assert exactness(0.1 * np.sin(3 * t)[None], np.array([2]), t, -t).probability == 0.0
        t = np.linspace(0, 2, 10)
        found = exactness(np.full((2, 10), np.nan), np.array([2, 3]), t, -t)
        assert (found.probability, found.shares.tolist()) == (0.0, [0.0, 0.0])
