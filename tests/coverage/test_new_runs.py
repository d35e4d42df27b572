"""Do 90% intervals of a new run, ten and a hundred times beyond the table, hold it nine times in ten?

A small version of `python -m benchmarks.coverage`, which counts 500 worlds of each kind (benchmarks/results/coverage.json).
"""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.worlds import MISSPECIFIED, WELL_SPECIFIED, make_world
from scalinglens.fit import fit

FORM = "E + A/params^alpha + B/tokens^beta"
RECORD = Path(__file__).parents[2] / "benchmarks" / "results" / "coverage.json"


def shares(kind, worlds, **options):
    """Share of worlds whose interval holds the new run, at 10 and at 100 times the compute."""
    hits = []
    for seed in range(worlds):
        world = make_world(kind, seed)
        found = fit(world.table, FORM, groups=world.groups, **options)
        ahead = found.predict(world.ahead)
        hits.append((ahead["low"] <= world.loss) & (world.loss <= ahead["high"]))
    return np.mean(hits, axis=0)


@pytest.mark.slow
def test_new_runs_are_held_in_every_well_specified_kind_of_world():
    found = {kind: shares(kind, 40, boot=100) for kind in WELL_SPECIFIED}
    # 40 worlds: a share of .9 has a standard error of .047, the mean over six kinds one of .019
    assert all(np.all(share >= 0.75) for share in found.values()), found
    assert np.mean(list(found.values()), axis=0) == pytest.approx([0.9, 0.9], abs=0.055)


def test_runs_that_share_noise_are_not_held_when_taken_as_independent():
    """Negative control: forty rows of ten rungs are not forty runs."""
    hits = []
    for seed in range(40):
        world = make_world("clustered", seed)
        ahead = fit(world.table, FORM, boot=100).predict(world.ahead, noise=False)
        hits.append((ahead["low"] <= world.mean) & (world.mean <= ahead["high"]))
    assert np.all(np.mean(hits, axis=0) < 0.75)


def test_worlds_are_what_they_say():
    for kind in (*WELL_SPECIFIED, *MISSPECIFIED):
        world = make_world(kind, 3)
        compute = 6 * world.table["params"] * world.table["tokens"]
        ahead = 6 * world.ahead["params"] * world.ahead["tokens"]
        assert ahead == pytest.approx(world.factor * compute.max(), rel=1e-9)
        assert np.all(np.diff(world.mean) < 0)
        assert np.all(world.table["loss"] > world.mean.min())
    assert 12 <= len(make_world("few", 1).table["loss"]) <= 20
    same, again = make_world("growing", 5), make_world("growing", 5)
    assert np.array_equal(same.table["loss"], again.table["loss"])


def test_the_record_covers_what_the_documentation_says():
    rows = {(row["kind"], row["method"]): row for row in json.loads(RECORD.read_text())["rows"]}
    for kind in WELL_SPECIFIED:
        row = rows[kind, "parametric (default)"]
        assert row["worlds"] >= 500
        assert row["answered"] >= 0.98
        for factor in ("10x", "100x"):
            assert 0.85 <= row[factor]["new_run"] <= 0.95
