"""The size of the error of a law from runs: against simulation, with a law that holds as the control."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.laws.catalogue import law
from scalinglens.plan.cost import cost
from scalinglens.plan.design.belief import Belief
from scalinglens.plan.design.bend import Bend
from scalinglens.plan.design.decision import Question
from scalinglens.plan.design.mixture import FACTORS, decided, doubted, weighed
from scalinglens.plan.design.prior import published_belief

TARGET = {"params": 1e10, "tokens": 2e11}
ASK = Question("loss", TARGET, None, cost("6*params*tokens"))
PRIOR = published_belief(law("hoffmann2022"), None)
CHINCHILLA = law("besiroglu2024")


def grid() -> dict[str, np.ndarray]:
    params, ratio = np.meshgrid(np.geomspace(5e7, 2e9, 8), np.geomspace(4, 150, 5), indexing="ij")
    return {"params": params.ravel(), "tokens": (params * ratio).ravel()}


def drawn(size: float, rng: np.random.Generator, noise: float = 0.004) -> np.ndarray:
    """Losses of a published law with an error of known size, from the definition of the process and not from its lattice."""
    columns = grid()
    z = np.log10(np.stack([columns[name] / at for name, at in TARGET.items()], axis=1))
    far = np.linalg.norm(z, axis=1)
    kernel = size**2 * np.outer(far, far) * np.exp(-0.5 * np.sum((z[:, None] - z) ** 2, axis=2))
    error = rng.multivariate_normal(np.zeros(len(z)), kernel, method="eigh")
    u = PRIOR.draws[rng.integers(len(PRIOR.draws))][None]
    return np.exp(PRIOR.slopes(u, columns)[0][0] + error + noise * rng.standard_normal(len(z)))


def sizes(beliefs: tuple[Belief, ...]) -> dict[float, float]:
    return {round(b.bend.size, 6): b.weight for b in beliefs if b.bend is not None}


def test_probability_of_a_size_is_that_of_simulated_tables() -> None:
    """Sizes drawn from the prior: the mean probability of the one that was drawn is the share of right guesses of a posterior
    (van Erven and Grunwald call such weights calibrated), and the guess is hardly ever two steps off."""
    start = doubted(PRIOR, Bend(0.01, TARGET))
    rng = np.random.default_rng(0)
    belief, right, off = [], [], []
    for _ in range(40):
        place = int(rng.integers(len(FACTORS)))
        found = sizes(weighed(start, grid(), drawn(0.01 * FACTORS[place], rng)))
        weights = np.array([found.get(round(0.01 * f, 6), 0.0) for f in FACTORS])
        belief.append(weights.max())
        right.append(weights.argmax() == place)
        off.append(abs(int(weights.argmax()) - place))
    assert np.mean(right) == pytest.approx(np.mean(belief), abs=0.2)  # the share has a standard error of 0.08
    assert np.mean(np.array(off) <= 1) > 0.9


def test_a_law_that_holds_is_trusted_and_one_that_does_not_is_not() -> None:
    columns = grid()
    exact = CHINCHILLA.value(CHINCHILLA.constants, columns) * np.exp(
        0.003 * np.random.default_rng(0).standard_normal(40)
    )
    z = np.log10(columns["tokens"] / TARGET["tokens"])
    start = doubted(PRIOR, Bend(0.01, TARGET))
    trusted, doubtful = (sizes(weighed(start, columns, y)) for y in (exact, exact * np.exp(0.05 * np.sin(2 * z))))
    assert sum(w for s, w in trusted.items() if s <= 0.003) > 0.6
    assert sum(w for s, w in doubtful.items() if s >= 0.01) > 0.9


def test_decision_is_the_mean_over_sizes() -> None:
    known = weighed(doubted(PRIOR, Bend(0.01, TARGET)), grid(), drawn(0.01, np.random.default_rng(3)))
    at = {name: np.array([value]) for name, value in TARGET.items()}
    values = [b.slopes(b.best[None], at)[0][0, 0] for b in known]
    assert sum(b.weight for b in known) == pytest.approx(1.0)
    assert decided(known, ASK) == pytest.approx(float(np.dot([b.weight for b in known], values)), abs=1e-12)


def test_a_law_trusted_everywhere_stays_alone() -> None:
    assert doubted(PRIOR, Bend(0.0, TARGET)) == (PRIOR,)
    columns = grid()
    (alone,) = weighed((PRIOR,), columns, CHINCHILLA.value(CHINCHILLA.constants, columns))
    assert alone.bend is None
    assert alone.weight == 1.0
