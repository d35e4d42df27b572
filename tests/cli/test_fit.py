"""`scalinglens fit` gives the numbers of `fit`, says what it read, and writes what it was asked to write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import scalinglens as sl

KEYS = {  # those of the contract, and what else a reader of the numbers needs
    "schema", "law", "formula", "status", "certificate", "objective", "parameters", "level", "rows", "columns", "derived",
    "warnings", "pinned", "interval", "target", "settings", "data", "citations",
}  # fmt: skip
CERTIFICATE = {
    "gradient", "hessian_positive", "smallest_eigenvalue", "condition", "starts", "starts_agree", "bounds", "basins",
    "coordinate_errors", "reasons",
}  # fmt: skip


def test_json_is_the_fit_of_python(run, desk: Path) -> None:
    done = run("fit", "runs.csv", "--boot", "200", "--groups", "params", "--json")
    words = json.loads(done.stdout)
    expected = sl.fit(desk / "runs.csv", "hoffmann2022", boot=200, groups="params").to_dict()
    expected["data"]["origin"] = "runs.csv"
    assert words == expected  # every number to the last bit
    assert set(words) == KEYS
    assert words["schema"] == 1
    assert set(words["certificate"]) == CERTIFICATE
    assert set(words["objective"]) == {"name", "delta", "space", "asymmetry", "reduction", "value", "scale"}
    assert words["objective"]["reduction"] == "sum"
    assert set(words["rows"]) == {"read", "used", "dropped"}
    assert all(set(estimate) == {"value", "low", "high"} for estimate in words["parameters"].values())
    assert list(words["parameters"]) == ["E", "A", "alpha", "B", "beta"]
    assert "60 of 60 rows of runs.csv" in done.stderr  # said aloud, but not on stdout


def test_screen(run, desk: Path) -> None:
    done = run("fit", "runs.csv")
    summary = sl.read_runs(desk / "runs.csv").summary().replace(str(desk) + "/", "")
    fitted = repr(sl.fit(desk / "runs.csv", "hoffmann2022")).replace(str(desk) + "/", "")
    assert done.stdout == f"{summary}\n\n{fitted}\n"
    assert done.stderr == ""


def test_every_option_reaches_the_fit(run, desk: Path) -> None:
    words = [
        "--law", "E + A/params^alpha + B/tokens^beta",
        "--map", "params=Model Size", "--map", "tokens=D * 1e9", "--map", "loss=final_loss",
        "--where", "loss < 3.6", "--loss", "huber", "--delta", "0.01", "--space", "linear", "--asymmetry", "2",
        "--weights", "trust", "--pin", "E=1.8", "--tie", "beta=alpha", "--boot", "100", "--groups", "params",
        "--interval", "bca", "--level", "0.8", "--starts", "3", "--seed", "7", "--duplicates", "drop",
    ]  # fmt: skip
    got = json.loads(run("fit", "raw.csv", *words, "--json").stdout)
    mapping = {"params": "Model Size", "tokens": "D * 1e9", "loss": "final_loss"}
    runs = sl.read_runs(desk / "raw.csv", where="loss < 3.6", duplicates="drop", **mapping)  # type: ignore[arg-type]
    expected = sl.fit(
        runs,
        "E + A/params^alpha + B/tokens^beta",
        loss="huber",
        delta=0.01,
        space="linear",
        asymmetry=2.0,
        weights="trust",
        pin={"E": 1.8},
        tie={"beta": "alpha"},
        boot=100,
        groups="params",
        interval="bca",
        level=0.8,
        starts=3,
        seed=7,
    ).to_dict()
    expected["data"]["origin"] = "raw.csv"
    assert got == expected
    assert got["rows"]["used"] < got["rows"]["read"]


def test_one_variable_law(run, desk: Path) -> None:
    words = ["--law", "a + b*x^c where c < 0", "--x", "D", "--target", "final_loss", "--interval", "profile"]
    got = json.loads(run("fit", "raw.csv", *words, "--json").stdout)
    assert got["target"] == "final_loss"
    assert got["columns"]["x"] == "x <- column 'D' as mapped"
    assert got["parameters"]["c"]["value"] < 0


@pytest.mark.parametrize(("name", "begins"), [("fit.png", b"\x89PNG"), ("fit.pdf", b"%PDF"), ("fit.SVG", b"<?xml")])
def test_files_are_written(run, desk: Path, tmp_path: Path, name: str, begins: bytes) -> None:
    done = run("fit", desk / "runs.csv", "--boot", "50", "--save", "fit.json", "--plot", name, cwd=tmp_path)
    assert f"picture written to {name}" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["fit.json", name])
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert sl.Fit.load(tmp_path / "fit.json").status == "certified"


def test_an_impossible_file_is_found_before_the_work(run, desk: Path) -> None:
    done = run("fit", "no-such-table.csv", "--save", "no/fit.json", status=2)
    assert "cannot write no/fit.json" in done.stderr  # and not that the table is missing


@pytest.mark.parametrize("name", ["fit.png", "fit.csv", "fit"])
def test_a_fit_is_saved_as_json_only(run, desk: Path, tmp_path: Path, name: str) -> None:
    done = run("fit", desk / "runs.csv", "--save", name, cwd=tmp_path, status=2)
    assert done.stderr == f"scalinglens: cannot write {name}: a saved fit ends in .json; write fit.json\n"
    assert list(tmp_path.iterdir()) == []


def test_a_link_is_followed(run, desk: Path, tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to("real.json")
    run("fit", desk / "runs.csv", "--save", "link.json", cwd=tmp_path)
    assert (tmp_path / "link.json").is_symlink()
    assert sl.Fit.load(tmp_path / "real.json").status == "certified"


def test_strict_and_plain_speech(run, desk: Path, tmp_path: Path) -> None:
    frame = sl.read_runs(desk / "runs.csv").to_frame()[["params", "loss"]]
    frame.assign(tokens=20 * frame.params).to_csv(tmp_path / "line.csv", index=False)
    plain = run("fit", "line.csv", "--boot", "20", cwd=tmp_path)
    assert "not_identified" in plain.stdout
    assert "intervals are refused" in plain.stdout
    run("fit", "line.csv", "--strict", status=3, cwd=tmp_path)
    run("fit", "runs.csv", "--strict", status=0)


def test_public_table(run, table) -> None:
    path = table("epoch-chinchilla/svg_extracted_data.csv")
    words = json.loads(
        run("fit", path, "--where", "loss < 3.44", "--boot", "100", "--groups", "params", "--json").stdout
    )
    expected = sl.fit(sl.read_runs(path, where="loss < 3.44"), "hoffmann2022", boot=100, groups="params").to_dict()
    assert words == expected
    # Besiroglu et al. 2024, the optimum of the released notebook on these 240 points; the minimum is flat, so ours, which
    # is lower in the ninth digit, lies a few units in the fourth digit away
    for name, value in sl.law("besiroglu2024.precise").constants.items():
        assert words["parameters"][name]["value"] == pytest.approx(value, rel=1e-3)
    assert words["objective"]["value"] == pytest.approx(0.00101827403, rel=1e-7)
    assert words["rows"] == {"read": 245, "used": 240, "dropped": [{"reason": "fails where loss < 3.44", "count": 5}]}
