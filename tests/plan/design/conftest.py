"""A fit to a made-up table of runs, and a grid to choose from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from scalinglens.fit import fit
from scalinglens.laws.catalogue import law


def _runs(seed: int, count: int = 48, noise: float = 0.004, factor: float = 1.0) -> dict[str, np.ndarray]:
    """Runs of the besiroglu2024 law, its data term times a factor."""
    rng = np.random.default_rng(seed)
    params = np.repeat(np.geomspace(5e7, 1e9, 8), count // 8)
    tokens = params * np.tile(np.geomspace(4, 200, count // 8), 8)
    truth = law("besiroglu2024")
    constants = {**truth.constants, "B": truth.constants["B"] * factor}
    loss = truth.value(constants, params=params, tokens=tokens) * np.exp(noise * rng.standard_normal(len(params)))
    return {"params": params, "tokens": tokens, "loss": loss}


@pytest.fixture(scope="session")
def made_up_runs() -> Any:
    return _runs


@pytest.fixture(scope="session")
def fitted() -> Any:
    return fit(_runs(0), "hoffmann2022", boot=300)


@pytest.fixture(scope="session")
def other() -> Any:
    return fit(_runs(1, factor=1.4), "hoffmann2022", boot=300)


@pytest.fixture
def grid() -> dict[str, list[float]]:
    return {"params": np.geomspace(1e8, 4e9, 7).tolist(), "tokens_per_param": [5.0, 20.0, 80.0]}
