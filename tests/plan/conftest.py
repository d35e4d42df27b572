"""A fit with draws, a pool and a surface of the same runs, made once."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import scalinglens as sl

LAW = "E + A/params^alpha + B/tokens^beta"


@pytest.fixture(scope="session")
def runs():
    """60 runs of a known law with 0.3% scatter."""
    rng = np.random.default_rng(1)
    params, tokens = 10 ** rng.uniform(7, 9.5, 60), 10 ** rng.uniform(8.5, 11, 60)
    loss = (1.8 + 480 / params**0.35 + 2000 / tokens**0.37) * np.exp(0.003 * rng.standard_normal(60))
    return {"params": params, "tokens": tokens, "loss": loss}


@pytest.fixture(scope="session")
def chinchilla_fit(runs):
    return sl.fit(runs, LAW, boot=200)


@pytest.fixture(scope="session")
def chinchilla_pool(runs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sl.fit(runs, "auto", boot=100)


@pytest.fixture(scope="session")
def chinchilla_surface(runs):
    return sl.surface(runs, boot=40, members=4)
