"""Sweep files: what they expand to, counted by hand, and what is wrong with wrong ones."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest

import scalinglens as sl
from scalinglens.errors import ScalingLensError
from scalinglens.sweep.experiment import Experiment, WorldWords
from scalinglens.sweep.grids import nearest_width
from scalinglens.sweep.sweep import read_sweep
from scalinglens.train.counts import architecture, parameters
from scalinglens.train.settings import Model

BASE = '[base.world]\nkind = "walk"\nnodes = 64\nedges = 256\n'


@pytest.fixture
def read(tmp_path):
    def call(text, **options):
        (tmp_path / "s.toml").write_text(text)
        return read_sweep(tmp_path / "s.toml", **options)

    return call


def test_cross_product_in_order(read):
    sweep = read(BASE + '[[grid]]\nwidth = [16, 32]\nlearning_rate = "0.01:0.04:3"\n"training.tokens" = "500k"\n')
    found = [(e.model.width, e.training.learning_rate, e.training.tokens) for e in sweep.experiments]
    assert found == [(w, lr, 500_000) for w in (16, 32) for lr in (0.01, 0.02, 0.04)]


def test_nested_tables_and_short_names_are_the_same(read):
    one = read(BASE + "[[grid]]\nmodel.width = [16, 32]\nworld.nodes = [64, 100]\n")
    other = read(BASE + "[[grid]]\nwidth = [16, 32]\nnodes = [64, 100]\n")
    assert one.experiments == other.experiments
    assert len(one) == 4


def test_isoflop_spends_the_budget(read):
    sweep = read(BASE + '[[grid]]\nisoflop = {budgets = ["1e11", "4e11"], widths = [16, 32]}\nseed = [0, 1]\n')
    assert len(sweep) == 8
    for one, budget in zip(sweep.experiments, [1e11, 1e11, 4e11, 4e11] * 2, strict=True):
        size = 2 * 64 * one.model.width + 12 * one.model.depth * one.model.width**2  # untied, feedforward 4
        batch = one.training.batch * one.training.sequence_length
        assert one.training.tokens % batch == 0
        assert abs(6 * size * one.training.tokens - budget) <= 6 * size * batch / 2


def test_isoflop_by_an_exact_count(read):
    sweep = read(BASE + '[[grid]]\nisoflop = {budgets = [4e11], widths = [16, 32], convention = "exact"}\n')
    for one in sweep.experiments:
        each = architecture(one.settings, 64).flops_per_token("exact")
        assert each * one.training.tokens == pytest.approx(4e11, rel=800 / one.training.tokens)
    plain = read(BASE + "[[grid]]\nisoflop = {budgets = [4e11], widths = [16, 32]}\n")
    assert all(
        a.training.tokens != b.training.tokens for a, b in zip(sweep.experiments, plain.experiments, strict=True)
    )


def test_ladder_follows_the_size(read):
    sweep = read(BASE + '[[grid]]\nladder = {params = ["20k", "100k"], tokens_per_param = [20, 80]}\n')
    assert len(sweep) == 4
    for one, ratio in zip(sweep.experiments, [20, 80, 20, 80], strict=True):
        size = sum(parameters(one.model, 64).values())
        assert one.training.tokens == pytest.approx(ratio * size, abs=800)
    assert any("params = 20k becomes width" in note for note in sweep.notes)


@pytest.mark.parametrize("name", ["params", "params_nonembedding"])
@pytest.mark.parametrize("count", [100, 3000, 29_000, 31_000, 1_000_000])
def test_nearest_width_is_the_nearest_of_all(name, count):
    one = Experiment(WorldWords("walk", {"nodes": 64}))

    def size(width):
        blocks = 12 * 2 * width**2
        return blocks + (128 * width if name == "params" else 0)

    widths = np.arange(8, 2000, 8)
    by_hand = widths[np.argmin(np.abs(np.log(size(widths) / count)))]
    assert nearest_width(one, name, count) == (by_hand, size(by_hand))


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
@pytest.mark.parametrize("model", [Model(), Model(tied=True, gains=True, depth=3), Model(feedforward=2, width=48)])
def test_parameters_are_those_of_the_model(model):
    from scalinglens.train.settings import Parameterization
    from scalinglens.train.transformer import Transformer

    made = Transformer(model, Parameterization(), vocab=40, length=10, seeds=(0,))
    assert parameters(model, 40) == made.parameter_counts()


def test_groups_share_a_shape_and_follow_from_the_sweep_alone(read):
    text = "members = 3\n" + BASE + "[[grid]]\nseed = [0, 1]\nwidth = [16, 32]\nlearning_rate = [0.01, 0.02]\n"
    sweep = read(text)
    sizes = [(len(g.experiments), {e.model.width for e in g.experiments}) for g in sweep.groups]
    assert sorted(n for n, _ in sizes) == [1, 1, 3, 3]
    assert all(len(widths) == 1 for _, widths in sizes)
    assert [g.name for g in sweep.groups] == [g.name for g in read(text).groups]
    assert sorted(run for g in sweep.groups for run in g.runs) == sorted(e.hash for e in sweep.experiments)


def test_the_same_run_twice_is_made_once(read):
    sweep = read(BASE + "[[run]]\nwidth = 16\n[[grid]]\nwidth = [16, 32]\n")
    assert len(sweep) == 2
    assert any("asked for more than once" in note for note in sweep.notes)


def test_a_design_is_a_sweep(read, tmp_path):
    design = sl.design(
        "hoffmann2022", target={"flops": 1e16}, budget=1e14, most=4,
        candidates={"params": [2e4, 5e4, 2e5], "tokens": [2e5, 1e6, 4e6]},
    )  # fmt: skip
    design.to_toml(tmp_path / "design.toml")
    (tmp_path / "base.toml").write_text(BASE.replace("base.", ""))
    sweep = read_sweep(tmp_path / "design.toml", base=tmp_path / "base.toml")
    frame = design.runs
    assert len(sweep) == len(frame)
    for one, params, tokens in zip(sweep.experiments, frame["params"], frame["tokens"], strict=True):
        assert one.training.tokens == round(tokens)
        assert sum(parameters(one.model, 64).values()) == pytest.approx(params, rel=0.35)
    assert sum("becomes width" in note for note in sweep.notes) == len(frame)
    with pytest.raises(ScalingLensError, match=r"has no \[base\].*--base"):
        read_sweep(tmp_path / "design.toml")


WRONG = {
    "unknown key": (BASE + "[[grid]]\nwidht = [16]\n", ["grid 1", "widht", '"width"']),
    "impossible value": (BASE + "[[grid]]\nwidth = [16, 20]\n", ["grid 1", "model.width = 20", "16 or 24"]),
    "empty list": (BASE + "[[grid]]\nwidth = []\n", ["grid 1", "width", "empty"]),
    "list in a run": (BASE + "[[run]]\nwidth = [16, 32]\n", ["run 1", "width", "[[grid]]"]),
    "no runs": (BASE, ["has no run"]),
    "single brackets": (BASE + "[grid]\nwidth = [16]\n", ["double brackets"]),
    "unknown on top": (BASE.replace("[base", "membres = 3\n[base") + "[[run]]\nseed = 1\n", ["membres", '"members"']),
    "experiment outside of base": ('[world]\nkind = "walk"\n', ["world", "[base]"]),
    "another schema": ("schema = 2\n" + BASE, ["schema = 2"]),
    "small budget": (BASE + "[[grid]]\nisoflop = {budgets = [1e6], widths = [32]}\n", ["1M FLOP", "width 32", "batch of 1,600"]),
    "unknown convention": (
        BASE + '[[grid]]\nisoflop = {budgets = [1e12], widths = [32], convention = "exakt"}\n', ['"exact"'],
    ),
    "unknown word of a generator": (
        BASE + "[[grid]]\nisoflop = {budget = [1e12], widths = [32]}\n", ["isoflop.budget", '"budgets"'],
    ),
    "generator without sizes": (BASE + "[[grid]]\nladder = {tokens = [1e6]}\n", ["ladder", "widths"]),
    "two generators": (BASE + "[[grid]]\nladder = {}\nisoflop = {}\n", ["both"]),
    "range of one": (BASE + '[[grid]]\nlearning_rate = "0.1:0.2:1"\n', ["learning_rate", "LOW:HIGH:COUNT"]),
    "two sizes": (BASE + "[[run]]\nparams = 1e5\nparams_nonembedding = 1e5\n", ["run 1", "two sizes"]),
    "members": ("members = 0\n" + BASE + "[[run]]\nseed = 1\n", ["members = 0"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_name_block_key_and_remedy(name, read):
    text, words = WRONG[name]
    with pytest.raises(ScalingLensError) as problem:
        read(text)
    for word in words:
        assert word in str(problem.value), str(problem.value)


def test_torch_is_there_where_it_must_be():
    if os.environ.get("SCALINGLENS_REQUIRE_TORCH") == "1":
        assert importlib.util.find_spec("torch") is not None
