"""Tables whose best allocation is known."""

from __future__ import annotations

import numpy as np
import pytest

E, A, B = 1.69, 406.4, 410.7


@pytest.fixture(scope="session")
def isoflops():
    """Runs of a law at equal compute, around the best size of each budget, and that size as a function of compute."""

    def make(alpha=0.34, beta=0.28, *, half=1.5, offset=0.0, drift=0.0, sizes=11, budgets=7, noise=0.0, seed=0):
        rng = np.random.default_rng(seed)
        G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
        a = beta / (alpha + beta)
        flops = np.geomspace(1e18, 1e21, budgets)[:, None]
        place = np.linspace(-0.5, 0.5, budgets)[:, None]
        n = G * (flops / 6) ** a * np.exp(np.linspace(-half, half, sizes) + offset + drift * place)
        flops = np.broadcast_to(flops, n.shape)
        d = flops / 6 / n
        loss = (E + A / n**alpha + B / d**beta) * np.exp(noise * rng.normal(size=n.shape))
        columns = {"params": n, "tokens": d, "flops": flops, "loss": loss}
        return {k: v.ravel() for k, v in columns.items()}, lambda c: G * (c / 6) ** a

    return make


@pytest.fixture(scope="session")
def curves():
    """Training curves of 40 sizes under the same law."""
    n, d = (part.ravel() for part in np.meshgrid(np.geomspace(1e7, 1e10, 40), np.geomspace(1e8, 1e12, 100)))
    return {"params": n, "tokens": d, "flops": 6 * n * d, "loss": E + A / n**0.34 + B / d**0.28}
