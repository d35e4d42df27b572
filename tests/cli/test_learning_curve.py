"""`scalinglens theory learning-curve` as users meet it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np

Run = Callable[..., CompletedProcess[str]]


def test_json_and_words(run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    F = rng.standard_normal((80, 200)) / np.arange(1, 201)
    np.save(tmp_path / "X.npy", F)
    np.save(tmp_path / "y.npy", F @ np.ones(200))
    words = [
        "theory",
        "learning-curve",
        "--features-file",
        str(tmp_path / "X.npy"),
        "--times",
        "1,100",
        "--halves",
        "0",
    ]
    words += ["--features", "8,16", "--samples", "20"]
    done = run(*words, "--targets", str(tmp_path / "y.npy"), "--json")
    found = json.loads(done.stdout)
    assert np.shape(found["loss"]) == (2, 1, 2)
    assert found["measured"]["samples"] == 80
    bad = run(*words, "--targets", str(tmp_path / "none.npy"), status=2)
    assert "there is no such file" in bad.stderr
    assert "Traceback" not in bad.stderr
