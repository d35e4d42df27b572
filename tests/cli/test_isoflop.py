"""`scalinglens isoflop` as users meet it."""

import json

import numpy as np
import pandas as pd
import pytest

from scalinglens.fit.isoflop import isoflop
from scalinglens.runs import read_runs


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    rng = np.random.default_rng(0)
    rows = []
    for flops in (1e18, 1e19, 1e20, 1e21):
        best = 0.4 * (flops / 6) ** 0.48
        for size in best * np.geomspace(0.2, 5, 9):
            tokens = flops / 6 / size
            loss = (1.7 + 400 / size**0.34 + 1200 / tokens**0.37) * np.exp(0.002 * rng.normal())
            rows.append({"params": size, "tokens": tokens, "budget": flops, "loss": loss})
    path = tmp_path_factory.mktemp("isoflop") / "runs.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_screen_and_json_say_what_python_says(run, source):
    expected = isoflop(read_runs(source, flops="budget"), "parabola", draws=50)
    words = ["isoflop", str(source), "--map", "flops=budget", "--method", "parabola", "--draws", "50"]
    screen = run(*words, "--at", "1e23")
    assert repr(expected) in screen.stdout
    assert "2 decades" in screen.stdout
    plain = run(*words, "--at", "1e22,1e23", "--json")
    found = json.loads(plain.stdout)
    assert found["schema"] == 1
    assert found["exponents"]["a"]["value"] == expected.a.value
    assert [row["decades"] for row in found["predictions"]] == [1.0, 2.0]
    assert "budget" in plain.stderr


def test_a_column_or_numbers_name_the_budgets(run, source):
    by_column = run("isoflop", str(source), "--budgets", "budget", "--draws", "0", "--json")
    by_number = run("isoflop", str(source), "--budgets", "1e18,1e19,1e20", "--draws", "0", "--json")
    assert len(json.loads(by_column.stdout)["budgets"]) == 4
    assert len(json.loads(by_number.stdout)["budgets"]) == 3


@pytest.mark.parametrize(("words", "says"), [
    (["--method", "parabolas"], 'did you mean "parabola"'),
    (["--draws", "3"], "do not show the ends"),
    (["--noise", "sd"], "no column 'sd'"),
    (["--at", "soon"], "soon"),
    (["--map", "where=x"], "no quantity"),
])  # fmt: skip
def test_mistakes_are_one_message_and_status_2(run, source, words, says):
    done = run("isoflop", str(source), *words, status=2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
