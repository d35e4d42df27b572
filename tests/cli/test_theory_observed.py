"""Evidence, trajectories and value networks on the command line, against the library functions on the same files."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pandas as pd
import pytest
import tyro  # noqa: F401  at collection: it hashes all of builtins, and a doctest may leave a dict there as builtins._

from scalinglens.cli.main import main
from scalinglens.errors import TheoryError
from scalinglens.theory.evidence import gp_evidence, linear_evidence, nngp_kernel
from scalinglens.theory.models import MODELS, model
from scalinglens.theory.trajectories import matched_overlap, token_trends
from scalinglens.theory.value_network import Base, fit_value, transfer_report

NAMES = ("evidence", "trajectories", "value-network")


def _asked(capsys, *words):
    assert main(["theory", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_one_has_a_form():
    for name in NAMES:
        assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(model(name)).parameters.values()), name
        assert MODELS[name].says


def test_evidence_of_files(capsys, tmp_path):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6))
    target = features[:, :3] @ np.ones(3) + 0.5 * rng.normal(size=40)
    np.save(tmp_path / "X.npy", features)
    np.save(tmp_path / "y.npy", target)
    words = ("evidence", "--features-file", str(tmp_path / "X.npy"), "--targets", str(tmp_path / "y.npy"))
    words += ("--noise-variance", "0.25", "--draws", "20")
    picture = tmp_path / "e.png"
    found = _asked(capsys, *words, "--prior-variance", "0.1,1", "--sizes", "3,6", "--plot", str(picture))["rows"]
    assert picture.stat().st_size > 10_000
    assert found["features"] == [3, 3, 6, 6]
    for size, prior, *values in zip(
        *(found[k] for k in ("features", "prior_variance", "log_evidence", "bound", "sampled")), strict=True
    ):
        known = linear_evidence(features[:, :size], target, prior_variance=prior, noise_variance=0.25, draws=20)
        assert values == pytest.approx([known.log_evidence, known.bound, known.sampled], rel=1e-12)
    assert "new_error" not in found
    found = _asked(capsys, *words, "--depths", "0,2", "--prior-variance", "3")["rows"]
    for depth, value in zip(found["layers"], found["log_evidence"], strict=True):
        known = gp_evidence(3 * nngp_kernel(features, depth=depth), target, noise_variance=0.25)
        assert value == pytest.approx(known.log_evidence, rel=1e-12)
    assert len(_asked(capsys, *words)["rows"]["features"]) == 6  # sizes left out


def test_the_error_on_new_examples_of_a_wide_prior_is_that_of_least_squares():
    """With 15 true features, 120 examples and unit noise: 15/(120 - 15 - 1) on average, 0.144; beyond all 30, 30/89."""
    found = [model("evidence")(sizes="15,30", prior_variance=1e6, draws=1, seed=seed) for seed in range(12)]
    errors = np.array([one.table["new_error"] for one in found])
    assert errors.mean(0) == pytest.approx([15 / 104, 30 / 89], rel=0.25)
    assert all(one.table["log_evidence"].argmax() == 0 for one in found)


def _token_losses(rng):
    steps = np.array([10.0, 20, 50, 100, 200, 500])
    slope = np.array([-0.5, -0.5, 0.0, 0.2])[:, None]
    return steps, [3 + speed * slope * np.log(steps / 10) + 0.01 * rng.normal(size=(4, 6)) for speed in (1.0, 1.5)]


def test_trajectories_of_a_file(capsys, tmp_path):
    steps, (a, b) = _token_losses(np.random.default_rng(1))
    rows = [
        {"run": run, "step": step, "token": token, "loss": losses[token, k]}
        for run, losses in (("small", a), ("large", b))
        for token in range(4)
        for k, step in enumerate(steps)
    ]
    file = tmp_path / "tokens.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    picture = tmp_path / "t.png"
    found = _asked(capsys, "trajectories", "--losses", str(file), "--start", "0", "--plot", str(picture))
    assert picture.stat().st_size > 10_000
    for k, losses in enumerate((a, b)):
        known = token_trends(np.exp(losses), steps, start=0.0)
        assert {name: found["runs"][name][k] for name in known.shares()} == pytest.approx(known.shares())
        assert found["runs"]["perplexity"][k] == pytest.approx(np.exp(losses[:, -1].mean()))
    pair, options = found["pairs"][0], {"progress_a": steps, "progress_b": steps}
    assert pair["equal_steps"] == matched_overlap(a, b, between=tuple(pair["steps"]), **options)
    assert pair["equal_perplexity"] is not None
    assert found["predictors"] is None
    for spoilt, says in (
        (pd.DataFrame(rows).rename(columns={"loss": "los"}), 'no column "loss"'),
        (pd.DataFrame(rows[:-1]), "run large lacks 1 losses"),
        (pd.DataFrame([*rows, rows[3]]), "twice at one step, in line 50"),
        (pd.DataFrame([{**rows[0], "loss": "x"}, *rows[1:]]), "no numbers"),
        (pd.DataFrame([row for row in rows if (row["run"], row["token"]) != ("large", 3)]), "share their tokens"),
    ):
        spoilt.to_csv(file, index=False)
        with pytest.raises(TheoryError, match=says):
            model("trajectories")(losses=str(file))


def test_trajectories_of_trained_models(capsys):
    found = _asked(capsys, "trajectories", "--sizes", "8,32", "--steps", "600")
    assert found["runs"]["perplexity"][1] < found["runs"]["perplexity"][0]
    assert sum(found["runs"][name][0] for name in ("falling", "stagnated", "rising")) == pytest.approx(1)
    assert found["predictors"]["first"][:3] == ["perplexity", "steps", "flops"]


def _transfer(rng):
    features, new = rng.normal(size=(60, 2)), rng.normal(size=(50, 2))
    truth = np.array([[2.0, 0.0, -2.0], [0.0, 1.0, 0.0]])
    labels, new_labels = (features @ truth).argmax(1), (new @ truth).argmax(1)
    return {
        "base_logits": np.zeros((60, 3)), "features": features, "labels": labels, "test_features": new,
        "test_labels": new_labels, "plain_logits": np.zeros((50, 3)), "plain_tuned": new @ truth,
        "skewed_logits": np.tile([1.0, 0, 0], (50, 1)), "skewed_tuned": np.tile([1.0, 0, 0], (50, 1)),
    }  # fmt: skip


def test_value_network_of_a_file(capsys, tmp_path):
    arrays, file = _transfer(np.random.default_rng(2)), tmp_path / "bases.npz"
    np.savez(file, **arrays)
    picture = tmp_path / "v.png"
    words = ("value-network", "--data", str(file), "--ridge", "1e-2", "--penalties", "0,0.5")
    found = _asked(capsys, *words, "--plot", str(picture))
    assert picture.stat().st_size > 10_000
    bases = {name: Base(arrays[f"{name}_logits"], arrays[f"{name}_tuned"]) for name in ("plain", "skewed")}
    for k, penalty in enumerate((0.0, 0.5)):
        value = fit_value(arrays["base_logits"], arrays["features"], arrays["labels"], penalty=penalty, ridge=1e-2)
        known = transfer_report(bases, value, arrays["test_features"], arrays["test_labels"])
        own = slice(2 * k, 2 * k + 2)
        assert found["rows"]["with_value"][own] == pytest.approx(known["with_value"].tolist(), rel=1e-12)
        assert found["rows"]["gap_closed"][own] == [pytest.approx(known["gap_closed"][0]), None]
    assert "no gap to close" in found["warnings"][0]
    del arrays["labels"]
    np.savez(file, **arrays)
    with pytest.raises(TheoryError, match="lacks labels"):
        model("value-network")(data=str(file))


def test_a_value_network_on_its_own_base_is_fine_tuning():
    found = model("value-network")(sizes="4,8", source=8, seen=8, demonstrations=300, penalties=0)
    assert found.table["base"].tolist() == ["4", "8"]
    assert found.table["gap_closed"][1] == pytest.approx(1, abs=1e-3)
    assert found.figure is None


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("evidence", {"targets": "y.npy"}, "together"),
        ("evidence", {"targets": "y.npy", "features_file": "absent.npy"}, "there is no such file"),
        ("evidence", {"sizes": "31"}, "sizes holds 31; give whole numbers from 1 to 30"),
        ("evidence", {"sizes": "3", "depths": "1"}, "keep one"),
        ("evidence", {"depths": "0.5"}, "depths holds 0.5"),
        ("evidence", {"depths": "1", "prior_variance": -1}, "prior_variance is -1"),
        ("evidence", {"sizes": "3", "noise_variance": 0}, "noise_variance is 0"),
        ("trajectories", {"losses": "absent.csv"}, "cannot be read"),
        ("trajectories", {"sizes": "8,64"}, "sizes holds 64"),
        ("trajectories", {"sizes": "8,8"}, "give each once"),
        ("trajectories", {"steps": 5}, "steps is 5"),
        ("value-network", {"source": 4}, "source is 4; it is one of the sizes"),
        ("value-network", {"seen": 33}, "seen is 33"),
        ("value-network", {"demonstrations": 0}, "demonstrations is 0"),
        ("value-network", {"ridge": 0}, "ridge is 0"),
        ("value-network", {"data": "absent.npz"}, "there is no such file"),
    ],
)
def test_bad_input(name, given, says):
    with pytest.raises(TheoryError, match=says):
        model(name)(**given)
