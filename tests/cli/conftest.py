"""The command line is tested as users meet it: a process of its own, its two streams and its status."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import scalinglens as sl

Run = Callable[..., subprocess.CompletedProcess[str]]
LAW = "E + A/params^alpha + B/tokens^beta"


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs.csv` (60 runs of a known law, 0.2% scatter) and `fit.json`, a fit to it with 200 draws."""
    folder = tmp_path_factory.mktemp("desk")
    rng = np.random.default_rng(1)
    params = np.repeat(10 ** rng.uniform(7, 9.5, 15), 4)
    tokens = 10 ** rng.uniform(8.5, 11, 60)
    loss = (1.8 + 480 / params**0.35 + 2000 / tokens**0.37) * np.exp(0.002 * rng.standard_normal(60))
    frame = pd.DataFrame(
        {"Model Size": params, "D": tokens / 1e9, "final_loss": loss, "trust": rng.uniform(0.5, 1, 60)}
    )
    frame.to_csv(folder / "raw.csv", index=False)
    frame.set_axis(["params", "tokens", "loss", "trust"], axis=1).assign(tokens=tokens).to_csv(
        folder / "runs.csv", index=False
    )
    sl.fit(folder / "runs.csv", LAW, boot=200).save(folder / "fit.json")
    return folder


@pytest.fixture(scope="session")
def run(desk: Path) -> Run:
    """Return a function that runs `scalinglens WORDS` in the folder `desk`; status=None does not look at the status."""

    def call(*words: str, status: int | None = 0, cwd: Path = desk) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "scalinglens", *map(str, words)]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
        if status is not None:
            assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return call
