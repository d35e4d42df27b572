"""Gemstones 2025 (arXiv 2502.06857), approach 3: objectives at or below those the authors saved."""

import json
import re

import numpy as np
import pytest

from scalinglens.fit import fit
from scalinglens.runs import read_runs

FILES = (
    "hot",
    "cool_begin",
    "cool_end",
    "hot_100b+",
    "hot_120b+_only",
    "hot_sampled_like_chinchilla",
    "slim_chinchilla",
)


def runs_of(table, name):
    return read_runs(table(f"gemstones/{name}.jsonl"), params="params_active_precise", loss="final_loss")


@pytest.mark.parametrize(("name", "rows", "delta", "best", "printed", "alpha", "beta", "lnE", "lnA", "lnB"), [
    ("fit_hot", 220, 1e-4, 2.075052e-4, 2.07602e-4, 0.2928, 0.7289, 0.7652, 5.3582, 15.7720),
    ("fit_cool_end", 199, 1e-4, 2.047791e-4, 2.05941e-4, 0.3006, 0.5860, 0.7323, 5.4225, 12.6420),
    ("fit_hot_120b+_only", 528, 1e-4, 4.080785e-4, 4.08079e-4, 0.2407, 0.7314, 0.6287, 4.6365, 16.2356),
    ("fit_cool_begin", 199, 1e-4, 2.035364e-4, 2.03545e-4, 0.3104, 0.6865, 0.7765, 5.6394, 14.8480),
    ("fit_hot_100b+", 770, 1e-4, 6.923289e-4, 6.9233e-4, 0.2577, 0.5895, 0.6656, 4.8782, 12.6663),
    ("fit_hot", 220, 1e-3, 1.981613e-3, 1.9816129e-3, 0.2929, 0.7130, 0.7623, 5.3617, 15.4185),
])  # fmt: skip
def test_objectives_and_exponents(table, name, rows, delta, best, printed, alpha, beta, lnE, lnA, lnB):
    runs = runs_of(table, name)
    assert len(runs) == rows
    found = fit(runs, "hoffmann2022", delta=delta)
    assert best * 0.99999 <= found.value <= best * 1.00001
    assert found.value <= printed * (1 + 2e-6)  # print has six digits
    assert found.values["alpha"] == pytest.approx(alpha, abs=5e-4)
    assert found.values["beta"] == pytest.approx(beta, abs=3e-3)
    assert np.log(found.values["E"]) == pytest.approx(lnE, abs=2e-3)
    assert np.log(found.values["A"]) == pytest.approx(lnA, abs=0.01)
    assert np.log(found.values["B"]) == pytest.approx(lnB, abs=0.08)  # beta times ln D, about 25


def saved(table):
    """(delta, file) -> what the authors saved, for the tables that are here."""
    found = {}
    for entry in json.loads(table("gemstones/published_parameters.json").read_text()):
        match = re.fullmatch(r"parameters_delta(-\d)/approach_3_parameters_grid_search_0_(.*)\.json", entry["file"])
        if match and match[2] in FILES:
            (alpha, beta), (a, b) = entry["exponents"]["0"], entry["coefficients"]["0"]
            found[10.0 ** int(match[1]), match[2]] = (
                entry["loss"]["0"],
                {
                    "alpha": alpha,
                    "beta": beta,
                    "A": np.exp(a),
                    "B": np.exp(b),
                    "E": np.exp(entry["irreducible_error"]["0"]),
                },
            )
    assert len(found) == 14
    return found


def test_every_saved_fit_is_matched_or_improved(table):
    improved = {}
    for (delta, name), (value, parameters) in saved(table).items():
        runs = runs_of(table, f"fit_{name}")
        # their objective at their parameters, as our objective sees it
        there = fit(runs, "hoffmann2022", delta=delta, pin=parameters).value
        assert there == pytest.approx(value, rel=2e-5)
        found = fit(runs, "hoffmann2022", delta=delta).value
        assert found <= value * (1 + 2e-6)
        improved[delta, name] = 1 - found / value
    # three of the fourteen saved fits are not optima; the third is not in the notes this was planned from
    assert improved[1e-4, "hot"] == pytest.approx(4.7e-4, abs=2e-5)
    assert improved[1e-4, "cool_end"] == pytest.approx(5.64e-3, abs=5e-5)
    assert improved[1e-4, "slim_chinchilla"] == pytest.approx(2.70e-2, abs=2e-4)
    assert sum(gain > 1e-4 for gain in improved.values()) == 3


@pytest.mark.parametrize("seed", range(3))
def test_the_optimum_does_not_hang_on_the_seed(table, seed):
    found = fit(runs_of(table, "fit_cool_end"), "hoffmann2022", delta=1e-4, seed=seed)
    assert found.status == "certified"
    assert found.certificate.starts_agree >= 2
    assert found.value == pytest.approx(2.047791e-4, rel=1e-6)
