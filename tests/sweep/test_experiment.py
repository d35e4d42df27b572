"""An experiment is strict, complete, and named by what it is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalinglens.errors import ExperimentError, ScalingLensError
from scalinglens.sweep.experiment import TABLES, Experiment, WorldWords, dotted, read_experiment

WORLD = '[world]\nkind = "walk"\nnodes = 64\nedges = 256\n'

# what is wrong, and what the message must name: key, value, and what would do
BAD = {
    "unknown key": (WORLD + "[training]\nbatchsize = 3\n", ["training.batchsize", "3", '"training.batch"']),
    "unknown key of the world": (WORLD + "nods = 3\n", ["world.nods", "3", '"nodes"']),
    "unknown table": (WORLD + "[modle]\nwidth = 3\n", ["[modle]", '"model"']),
    "unknown key on top": ("sed = 1\n" + WORLD, ["sed", "1", '"seed"']),
    "word outside of its table": ("width = 64\n" + WORLD, ["width", "64", "model.width"]),
    "no table": ("model = 3\n" + WORLD, ["model = 3", "[model]"]),
    "no world": ("[model]\nwidth = 32\n", ["[world]", "kind", "walk"]),
    "unknown world": ('[world]\nkind = "wlak"\n', ['"wlak"', '"walk"']),
    "text for a number": (WORLD + '[model]\nwidth = "wide"\n', ["model.width", "'wide'", "number"]),
    "fraction for a count": (WORLD + "[model]\nwidth = 32.5\n", ["model.width", "32.5", "whole number"]),
    "number for a text": (WORLD + "[training]\noptimizer = 1\n", ["training.optimizer", "1", "'adamw'"]),
    "number for true or false": (WORLD + "[model]\ntied = 1\n", ["model.tied", "1", "true or false"]),
    "true for a number": (WORLD + "[model]\ndepth = true\n", ["model.depth", "True", "whole number"]),
    "number for a word of the world": (WORLD + "graph = 3\n", ["world.graph", "3", "text"]),
    "unknown choice": (WORLD + '[training]\nschedule = "cosin"\n', ["training.schedule", '"cosin"', '"cosine"']),
    "impossible heads": (WORLD + "[model]\nwidth = 36\n", ["model.width", "36", "4 heads", "32 or 40"]),
    "batch larger than the data": (
        WORLD + "[training]\ntokens = 1000\n",
        ["training.tokens", "1,000", "batch at most 20"],
    ),
    "batch larger than unique data": (
        WORLD + "[training]\ntokens_unique = 1000\n",
        ["training.tokens_unique", "1,000"],
    ),
    "negative": (WORLD + "[training]\nlearning_rate = -0.1\n", ["training.learning_rate", "-0.1", "above 0"]),
    "negative seed": ("seed = -1\n" + WORLD, ["seed", "-1"]),
    "fraction for the seed": ("seed = 0.5\n" + WORLD, ["seed", "0.5", "whole"]),
    "where and not what": (WORLD + '[training]\ndevice = "cuda"\n', ["training.device", "--device"]),
    "no TOML": (WORLD + "[training\n", ["is not TOML", "line 5"]),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes_name_file_key_value_and_remedy(name, tmp_path):
    text, words = BAD[name]
    (tmp_path / "e.toml").write_text(text)
    with pytest.raises(ScalingLensError) as problem:
        read_experiment(tmp_path / "e.toml")
    for word in ["e.toml", *words]:
        assert word in str(problem.value), str(problem.value)


def test_missing_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "experiment.toml").write_text(WORLD)
    with pytest.raises(ExperimentError, match=r'did you mean "experiment.toml"'):
        read_experiment(tmp_path / "experimnt.toml")


def test_counts_may_be_written_as_text(tmp_path):
    (tmp_path / "a.toml").write_text(WORLD + '[training]\ntokens = "1M"\n')
    (tmp_path / "b.toml").write_text(WORLD + "[training]\ntokens = 1e6\n")
    (tmp_path / "c.toml").write_text(WORLD.replace("64", '"64"') + "[training]\ntokens = 1_000_000\n")
    assert len({read_experiment(tmp_path / f"{name}.toml").hash for name in "abc"}) == 1


def test_hash_is_that_of_everything_with_defaults():
    one = Experiment(WorldWords("walk", {"nodes": 64}), seed=3)
    document = {"schema": 1, **one.to_dict()}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert one.hash == hashlib.sha256(text.encode()).hexdigest()[:16]
    for table, part in TABLES.items():
        assert set(document[table]) == {each.name for each in fields(part)}
    assert (
        one.hash == Experiment(WorldWords("walk", {"nodes": 64, "kappa": 0}), seed=3).hash
    )  # 0 is 0.0, and the default
    assert one.hash != Experiment(WorldWords("walk", {"nodes": 64, "seed": 1}), seed=3).hash


VALUES = {
    "model.width": st.sampled_from([8, 16, 64]),
    "model.tied": st.booleans(),
    "training.learning_rate": st.floats(1e-6, 10),
    "training.epsilon": st.floats(1e-12, 1e-3),
    "training.schedule": st.sampled_from(["cosine", "wsd"]),
    "training.tokens": st.integers(10_000, 10**12),
    "parameterization.name": st.sampled_from(["mup", "standard"]),
    "world.kappa": st.floats(0.1, 3),
    "world.path": st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x7f"), max_size=20),
    "seed": st.integers(0, 2**40),
}


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({}, optional=VALUES))
def test_written_as_toml_or_json_and_read_back(tmp_path_factory, values):
    one = Experiment(WorldWords("walk", {})).having(values)
    path = tmp_path_factory.mktemp("e") / "e.toml"
    path.write_text(one.to_toml(), encoding="utf-8")
    assert read_experiment(path) == one
    assert read_experiment(path).hash == one.hash
    assert Experiment.from_dict(json.loads(json.dumps(one.to_dict()))).hash == one.hash


@settings(max_examples=30, deadline=None)
@given(st.fixed_dictionaries({}, optional=VALUES), st.fixed_dictionaries({}, optional=VALUES))
def test_another_experiment_has_another_hash(left, right):
    base = Experiment(WorldWords("walk", {}))
    a, b = base.having(left), base.having(right)
    assert (a == b) == (a.hash == b.hash)


def test_short_names():
    one = Experiment(WorldWords("walk", {}))
    one = one.having({"width": "64", "nodes": "128", "tied": "true", "seed": "4", "learning_rate": "0.1"})
    found = (one.model.width, one.world.words["nodes"], one.model.tied, one.seed, one.training.learning_rate)
    assert found == (64, 128, True, 4, 0.1)
    with pytest.raises(ExperimentError, match=r"world.kind or model.kind"):
        dotted("kind", "x", "walk")
    with pytest.raises(ExperimentError, match=r'learning_rat = 1 is not known \(did you mean "learning_rate"'):
        one.having({"learning_rat": 1})


def test_another_kind_of_world_starts_from_its_own_defaults():
    one = Experiment(WorldWords("walk", {"nodes": 9})).having({"world.kind": "kernel", "world.spread": 2})
    assert one.world == WorldWords("kernel", {"spread": 2.0})
