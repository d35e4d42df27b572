"""`scalinglens compare` says what `compare` finds, on the screen and as JSON, and refuses mistakes before it works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import scalinglens as sl
from scalinglens.cli.compare import split_laws
from scalinglens.errors import OptionError
from scalinglens.fit.compare import compare

LAW = "E + A/params^alpha + B/tokens^beta"
SLOPE = "A/params^alpha + B/tokens^beta"


@pytest.mark.parametrize(
    ("text", "laws"),
    [
        ("auto", ["auto"]),
        ("hoffmann2022, auto", ["hoffmann2022", "auto"]),
        (f"{LAW},kaplan2020.L_N", [LAW, "kaplan2020.L_N"]),
        ("E + A*max(params, tokens)^(-a),auto", ["E + A*max(params, tokens)^(-a)", "auto"]),
        ("a + b*x^c where c < 0, a in [0, 1),auto", ["a + b*x^c where c < 0, a in [0, 1)", "auto"]),
        ("a*x^c where c real, b*x^c where c <0", ["a*x^c where c real", "b*x^c where c <0"]),
        ("a*x^c where c real, a > 0.1, E + b*x^c", ["a*x^c where c real, a > 0.1", "E + b*x^c"]),
    ],
)
def test_commas(text: str, laws: list[str]) -> None:
    assert split_laws(text) == laws
    for law in laws:
        if law != "auto":
            assert sl.law(law).inputs


@pytest.mark.parametrize("text", ["", "a,,b", "a,", "f(x, y", "x)", "(x,]))"])
def test_what_is_no_list_of_laws(text: str) -> None:
    with pytest.raises(OptionError, match="--laws"):
        split_laws(text)


def test_json_is_the_comparison_of_python(run, desk: Path) -> None:
    words = ["compare", "runs.csv", "--laws", f"hoffmann2022,{SLOPE}", "--holdout", "factor:flops:8"]
    options = ["--boot", "40", "--level", "0.8", "--seed", "3", "--loss", "squares", "--pin", "E=1.8", "--origins", "1"]
    done = run(*words, *options, "--json")
    expected = compare(
        desk / "runs.csv", ["hoffmann2022", SLOPE], holdout="factor:flops:8", boot=40, level=0.8, seed=3, loss="squares",
        pin={"E": 1.8}, origins=1,
    ).to_dict()  # fmt: skip
    got = json.loads(done.stdout)
    expected["data"]["origin"] = got["data"]["origin"] = "runs.csv"
    assert got.pop("settings")["pin"] == {"E": 1.8}
    expected.pop("settings")
    assert got == expected  # every number to the last bit
    assert "60 of 60 rows of runs.csv" in done.stderr


def test_screen_shows_what_the_json_holds(run, desk: Path) -> None:
    words = ["compare", "runs.csv", "--laws", f"hoffmann2022,{SLOPE}", "--boot", "0"]
    screen = run(*words).stdout
    got = json.loads(run(*words, "--json").stdout)
    summary = sl.read_runs(desk / "runs.csv").summary().replace(str(desk) + "/", "")
    shown = repr(compare(desk / "runs.csv", ["hoffmann2022", SLOPE], boot=0)).replace(str(desk) + "/", "")
    assert screen == f"{summary}\n\n{shown}\n"
    for sentence in got["verdict"]:
        assert sentence in " ".join(screen.split())
    for row in got["scores"]:
        assert f"{100 * row['are']:.3g}%" in screen
    for origin in got["origins"]:
        assert origin["says"] in screen


def test_table_with_other_names_and_files(run, desk: Path, tmp_path: Path) -> None:
    mapping = ["--map", "params=Model Size", "--map", "tokens=D * 1e9", "--map", "loss=final_loss"]
    files = ["--save", "found.json", "--plot", "found.png"]
    words = [
        "--laws",
        f"{LAW},{SLOPE}",
        "--where",
        "loss < 3.6",
        "--weights",
        "trust",
        "--boot",
        "40",
        "--no-baselines",
    ]
    done = run("compare", desk / "raw.csv", *mapping, *words, *files, cwd=tmp_path)
    assert "comparison written to found.json" in done.stdout
    assert "picture written to found.png" in done.stdout
    assert (tmp_path / "found.png").read_bytes().startswith(b"\x89PNG")
    saved = json.loads((tmp_path / "found.json").read_text())
    assert [row["law"] for row in saved["scores"]] == [LAW, SLOPE]
    assert saved["settings"]["weights"] == "trust"
    assert saved["data"]["used"] < 60


def test_one_variable_laws(run, desk: Path) -> None:
    words = ["--laws", "alabdulmohsin2022.M2,alabdulmohsin2022.M1", "--x", "D", "--target", "final_loss"]
    got = json.loads(
        run("compare", "raw.csv", *words, "--holdout", "top:D:0.3", "--boot", "0", "--json").stdout
    )  # fmt: skip
    assert got["target"] == "final_loss"
    assert {row["law"] for row in got["scores"]} >= {"alabdulmohsin2022.M2", "alabdulmohsin2022.M1", "nearest run"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--laws", "hofmann2022"], 'did you mean "hoffmann2022"'),
        (["--laws", "hoffmann2022,"], "nothing between two commas"),
        (["--laws", LAW, "--holdout", "top:flops:50"], "write 0.5 for 50 percent"),
        (["--laws", LAW, "--holdout", "top:flop:0.5"], 'did you mean "flops"'),
        (["--laws", LAW, "--holdout", "above:params:1T"], "holds out nothing"),
        (["--laws", LAW, "--plot", "found.gif"], "pictures end in"),
        (["--laws", LAW, "--save", "no/found.json"], "no does not exist"),
        (["--laws", LAW, "--boot", "5"], "does not show the ends"),
        (["--laws", LAW, "--map", "where=x"], '"where" is no quantity'),
        (["--laws", LAW, "--origins", "9"], "are asked for"),
    ],
)
def test_mistakes(run, words: list[str], says: str) -> None:
    done = run("compare", "runs.csv", *words, status=2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_words_are_understood_before_the_table_is_read(run) -> None:
    for words in (["--laws", "hofmann2022"], ["--holdout", "top:flops:50"]):
        assert "no-such-table" not in run("compare", "no-such-table.csv", *words, status=2).stderr


def test_help(run) -> None:
    done = run("compare", "--help")
    assert "--holdout" in done.stdout
    assert "compare" in run("--help").stdout
