"""The relatives of the dynamical model on the command line."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pandas as pd
import pytest
import tyro  # noqa: F401  at collection: it hashes all of builtins, and a doctest may leave a dict there as builtins._

from scalinglens.cli.main import main
from scalinglens.errors import TheoryError
from scalinglens.theory.models import MODELS, model

NAMES = ("joint-data-model", "regimes", "manifold", "information", "scale-time", "collapse", "linear-gd")


def _asked(capsys, *words):
    assert main(["theory", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_joint_data_model(capsys, tmp_path):
    words = ("joint-data-model", "--alpha", "1", "--modes", "1200", "--outputs", "10", "--noise", "1e-3")
    found = _asked(capsys, *words, "--features", "300", "--samples", "100", "--ridge", "1e-3", "--simulate", "3")
    assert found["rows"]["test"][0] == pytest.approx(4.944836e-3, rel=1e-6)
    assert found["rows"]["simulated"][0] == pytest.approx(4.944836e-3, rel=0.1)
    picture = tmp_path / "peak.png"
    sweep = ("--features", "10:1000:30", "--samples", "100,300", "--ridge", "0,1e-3", "--plot", str(picture))
    found = _asked(capsys, *words, *sweep)
    assert len(found["rows"]["test"]) == 120
    assert picture.stat().st_size > 10_000


def test_the_peak_and_the_latent_dimension_are_said():
    given = {"alpha": 1.0, "modes": 200, "features": 100, "samples": 100}
    found = model("joint-data-model")(**given, ridge=0)
    assert any("peak" in warning for warning in found.warnings)
    assert found.to_dict()["rows"]["test"] == ["inf"]
    assert not model("joint-data-model")(**given).warnings
    beyond = model("joint-data-model")(**{**given, "features": 300, "samples": 300})
    assert any("latent dimension" in warning for warning in beyond.warnings)


def test_normalised_convention_allows_endless_features():
    found = model("joint-data-model")(
        alpha=0.5, source=1.8, modes="inf", features="100,inf", samples=200, noise=0.1, convention="normalised"
    )
    assert found.table["test"][1] < found.table["test"][0]
    assert "inf" in repr(found)


def test_others(capsys, tmp_path):
    found = _asked(capsys, "regimes", "--alpha", "1", "--features", "1e3:1e7:5", "--samples", "1e4")
    assert found["rows"]["limit"] == ["features", "both", "samples", "samples", "samples"]
    found = _asked(capsys, "information", "--dimension", "10", "--complexity", "10", "--plot", str(tmp_path / "i.png"))
    assert found["rows"]["ratio"][0] == pytest.approx(0.0234, abs=1e-4)
    split = ("information", "--dimension", "10", "--complexity", "10", "--params", "1e4", "--samples", "1e6")
    assert _asked(capsys, *split)["rows"]["bound"] == pytest.approx([0.009251], rel=1e-3)
    found = _asked(capsys, "scale-time", "--plot", str(tmp_path / "s.png"))
    assert found["sizes"]["holds"] == [False, False, False, True]
    assert len(found["warnings"]) == 1
    found = _asked(
        capsys, "linear-gd", "--features", "50,100", "--samples", "100", "--noise", "0.25", "--times", "10,inf"
    )
    assert found["rows"]["risk"][1] == 0.25
    assert found["rows"]["risk"][3] == "inf"


def test_points_from_a_file(capsys, tmp_path):
    plane = np.random.default_rng(0).uniform(size=(1500, 2)) @ np.ones((2, 6)) ** [[1], [2]]
    plane[:, 0] = np.random.default_rng(1).uniform(size=1500)
    np.save(tmp_path / "points.npy", plane)
    pd.DataFrame(plane).to_csv(tmp_path / "points.csv", index=False)
    found = [
        _asked(capsys, "manifold", "--points", str(tmp_path / f"points.{kind}"))["rows"] for kind in ("npy", "csv")
    ]
    assert found[0]["dimension"] == pytest.approx(found[1]["dimension"])
    assert found[0]["exponent"][0] == pytest.approx(4 / 2, rel=0.1)


def test_collapse_of_runs(capsys, tmp_path):
    rows = [
        {"params": p, "steps": t, "loss": 1.5 + (p ** (1 / 3) * t) ** -0.5}
        for p in (1e3, 8e3, 64e3)
        for t in np.geomspace(1, 1e4, 40)
    ]
    pd.DataFrame(rows).sample(frac=1, random_state=0).to_csv(tmp_path / "runs.csv", index=False)
    words = ("collapse", "--runs", str(tmp_path / "runs.csv"), "--floor", "1.5")
    cube_root = _asked(capsys, *words, "--power", "0.3333333333")
    assert cube_root["exponent"] == pytest.approx(1, abs=1e-3)
    assert cube_root["sizes"]["holds"] == [True, True, True]
    raw = _asked(capsys, *words)
    assert raw["exponent"] == pytest.approx(1 / 3, abs=1e-3)
    assert raw["sizes"]["holds"] == [False, False, True]


def test_every_one_has_a_form():
    for name in NAMES:
        assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(model(name)).parameters.values()), name
        assert MODELS[name].says


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("joint-data-model", {"alpha": -1, "features": 3, "samples": 3}, "alpha is -1"),
        ("joint-data-model", {"alpha": 1, "features": "a", "samples": 3}, "features is 'a'"),
        ("joint-data-model", {"alpha": 1, "features": 3, "samples": 3, "source": 2}, "convention normalised"),
        ("joint-data-model", {"alpha": 1, "features": 3, "samples": 3, "convention": "papr"}, 'did you mean "paper"'),
        ("joint-data-model", {"alpha": 1, "features": 3, "samples": 3, "modes": "inf"}, "latent dimension"),
        ("regimes", {"alpha": 1, "features": "3,4", "samples": "3,4,5"}, "as many of both"),
        ("regimes", {"alpha": 1, "features": "inf", "samples": 3}, "finite here"),
        ("manifold", {}, "points or dimension"),
        ("manifold", {"points": "a.txt"}, "neither .npy nor .csv"),
        ("manifold", {"points": "absent.npy"}, "cannot be read"),
        ("information", {"dimension": 1, "complexity": 1, "params": 3}, "together"),
        ("information", {"dimension": 0, "complexity": 1}, "dimension is 0"),
        ("collapse", {"runs": "absent.csv"}, "cannot be read"),
        ("linear-gd", {"features": "1:2", "samples": 3}, "no range"),
    ],
)
def test_bad_input(name, given, says):
    with pytest.raises(TheoryError, match=says):
        model(name)(**given)
