"""Each check speaks when it should, with the numbers, and is silent on a clean design."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scalinglens.runs import read_runs


def design(**changes: object) -> dict[str, object]:
    """A clean table: four sizes by four token counts, losses of a known law."""
    size, data = (grid.ravel() for grid in np.meshgrid([1e7, 1e8, 1e9, 1e10], [1e9, 4e9, 2e10, 1e11]))
    loss = 1.8 + 400 / size**0.34 + 400 / data**0.28
    return {"params": size, "tokens": data, "loss": loss, **changes}


def test_a_clean_design_has_no_warning() -> None:
    assert read_runs(design()).warnings == ()


CLEAN = design()
N, D, L = (np.asarray(CLEAN[name]) for name in ("params", "tokens", "loss"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tokens": D / 1e9}, "tokens runs from 1 to 100, too few for models worth a law; if these are billions, map"),
        ({"tokens": np.log10(D)}, 'if these are log10, map tokens="10 ^ tokens"'),
        ({"params": N / 1e6}, "params runs from 10 to 1e+04"),
        ({"params": np.where(N < 1e8, 10.0, N)}, "params mixes units: 4 of 16 values are below 1,000 (smallest 10)"),
        ({"tokens": np.where(D < 2e9, 1.0, D)}, "tokens mixes units: 4 of 16 values are below 1,000"),
        ({"loss": np.where(N < 1e8, np.exp(L), L), "kind": np.where(N < 1e8, "ppl", "nats")},
         "nats, the loss of guessing among a million tokens"),
        ({"loss": np.exp(L) * 10}, "they may be perplexities; if so, map loss to the formula log"),
        ({"vocab": np.full(16, 8.0)}, "losses exceed ln(vocab) = 2.08, the loss of guessing"),
        ({"flops": 60 * N * D}, "measured flops are 10 times 6 params tokens at the median (10 to 10; 16 of 16"),
        ({"params": np.full(16, 1e9)}, "params takes one value only (1B)"),
        ({"params": np.where(N > 1e8, 1e9, 1e8)}, "params takes two distinct values only (100M and 1B)"),
        ({"tokens": np.full(16, 1e9)}, "tokens takes one value only (1B): the exponent of tokens (beta)"),
        ({"tokens": 20 * N}, "tokens / params is 20 in every run: tokens are proportional to params"),
        ({"tokens": 1e20 / N}, "params x tokens is the same in every run (6 N D = 6e20 FLOP): one compute budget"),
        ({"tokens": 1e5 * N**0.6}, "tokens follow params^0.6 exactly"),
        ({"learning_rate": np.full(16, 0.003)}, "constant in all 16 runs: learning_rate = 0.003"),
        ({"params": np.repeat(N[:8], 2), "tokens": np.repeat(D[:8], 2)}, "16 of 16 rows share their inputs"),
        ({"steps": np.r_[8:16, 0:8], "run": ["a"] * 16}, "steps of run a go back at row 8"),
    ],
)  # fmt: skip
def test_warnings(changes: dict[str, object], says: str) -> None:
    warnings = read_runs(design(**changes)).warnings
    assert any(says in warning for warning in warnings), warnings


def test_mixed_units_name_the_group() -> None:
    source = {"D": [1e9, 2e9, 3e9, 4e9], "loss": [30.0, 25.0, 3.0, 2.9], "model": ["OPT", "OPT", "Pythia", "Pythia"]}
    assert any("all where model is OPT: mixed units?" in warning for warning in read_runs(source).warnings)


def test_repeated_settings_name_what_differs() -> None:
    source = {"D": [1e9, 1e9, 2e9, 2e9], "loss": [3.0, 4.0, 2.0, 2.5], "eval_set": ["c4", "pile", "c4", "pile"]}
    (warning,) = [warning for warning in read_runs(source).warnings if "share" in warning]
    assert (
        "4 of 4 rows share their inputs with a row of another loss (2 settings, losses up to 33.33% apart)" in warning
    )
    assert "they differ in 'eval_set'" in warning


def test_few_runs_and_missing_loss() -> None:
    few = read_runs({"N": [1e6, 1e7, 1e8], "loss": [4.0, 3.0, 2.5]}).warnings
    assert any("only 3 runs: a law of more than 3 free parameters cannot be fitted" in warning for warning in few)
    one = read_runs({"N": [1e6], "loss": [4.0]}).warnings
    assert any("only 1 run: a law of more than 1 free parameter cannot" in warning for warning in one)
    none = read_runs({"N": [1e6, 1e7, 1e8], "openLM_loss": [4.0, 3.0, 2.5]}).warnings
    assert any("no column is recognised as loss" in warning and "'openLM_loss'" in warning for warning in none)
    words = read_runs({"N": [1e6, 1e7], "loss_function": ["nats", "nats"], "our_loss": [4.0, 3.0]}).warnings
    assert any("(columns that mention one: 'our_loss')" in warning for warning in words)


def test_double_descent_is_seen() -> None:
    x = np.linspace(1, 10, 30)
    down, bump = 1 / x, 1 / x + 0.3 * np.exp(-((x - 5) ** 2))
    assert not any("monotone" in warning for warning in read_runs({"x": x, "loss": down}).warnings)
    assert any(
        "loss is not monotone in x: it rises" in warning for warning in read_runs({"x": x, "loss": bump}).warnings
    )


def test_bits_per_byte_are_named() -> None:
    runs = read_runs({"N": [1e6, 1e7], "bpb": [1.2, 1.0]})
    assert runs.columns["loss"].unit == "bits/byte"
    assert any("loss is in bits/byte, not in nats/token" in warning for warning in runs.warnings)


def test_filters_are_checked_anew() -> None:
    runs = read_runs(design())
    assert any("params takes one value only" in warning for warning in runs.where("params == 1B").warnings)
    assert math.isfinite(runs.column("loss").sum())
