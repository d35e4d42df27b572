"""Worlds on the command line."""

import json

import numpy as np
import pytest
import tyro  # noqa: F401  at collection: it hashes all of builtins, and a doctest may leave a dict there as builtins._

from scalinglens.cli.main import main
from scalinglens.worlds.catalogue import WORLDS


def _asked(capsys, *words):
    assert main(["world", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_walk_tells_its_exact_numbers_and_writes_a_sample(capsys, tmp_path):
    path = tmp_path / "tokens.npy"
    words = "walk --graph er --nodes 8192 --edges 53292 --kappa 0 --seed 0".split()
    found = _asked(capsys, *words, "--sample", "100k", "-o", str(path))
    assert found["schema"] == 1
    assert (found["nodes"], found["edges"], found["vocab"]) == (8192, 53292, 8192)
    assert found["entropy_rate"] == pytest.approx(2.605, abs=0.003)
    assert found["unigram_entropy"] == pytest.approx(8.972, abs=0.003)
    assert found["counting_coefficient"] == 49196
    assert np.load(path).shape == (2000, 50)
    again = _asked(capsys, "tokens", "--path", str(path))
    assert again["entropy_rate"] == found["entropy_rate"]
    assert main(["world", *words]) == 0
    assert "entropy_rate" in capsys.readouterr().out


def test_floors(capsys):
    found = _asked(capsys, "kernel", "--nodes", "16", "--floor", "2,8")
    assert found["floor_2"] > found["floor_8"] >= 0


def test_each_world_has_a_command(capsys, tmp_path):
    text = tmp_path / "a.txt"
    text.write_text("to be or not to be, that is the question\n" * 30)
    assert main(["world"]) == 0
    listed = capsys.readouterr().out
    assert list(_asked(capsys)["names"]) == list(WORLDS)
    for kind in WORLDS:
        assert kind in listed
        if kind == "tokens":
            continue
        words = ["--path", str(text)] if kind in ("text", "ngram") else []
        assert _asked(capsys, kind, *words)["name"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("wolk", 'there is no world "wolk" (did you mean "walk"?)'),
        ("walk --nodes x", "world.nodes = 'x' must be a whole number"),
        ("walk --nodes 8 --edges 99", "edges = 99 is a whole number from 1 to 28"),
        ("walk --graph eb", 'there is no graph "eb"'),
        ("walk --sample 1M", "--sample COUNT and -o FILE.npy go together"),
        ("walk -o a.npy", "--sample COUNT and -o FILE.npy go together"),
        ("walk --sample 1.5 -o a.npy", "--sample 1.5 is not a whole number"),
        ("walk --sample many -o a.npy", "--sample many"),
        ("walk --sample 10 -o a.txt", "cannot write a.txt"),
        ("walk --sample 10 -o a.npy --length 0", "length = 0 is a whole number from 1 on"),
        ("walk --floor 4,-1", "--floor -1"),
        ("parity --floor 4", "--floor is known for walks only"),
        ("parity --sample 10 -o a.npy", "this is a task of vectors"),
        ("text --path gone.txt", "there is no such file or folder"),
    ],
)
def test_bad_input(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["world", *words.split()]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())
