"""ParScale (arXiv 2505.10475): two four-parameter fits, and eight streams forecast from fewer."""

import numpy as np
import pandas as pd
import pytest

from scalinglens.fit import fit
from scalinglens.runs import read_runs

NAMES = {"params_nonembedding": "non_embedding_params", "streams": "parallel_streams"}


@pytest.fixture(scope="module")
def losses(table):
    return pd.read_csv(table("parscale/losses.csv"))


@pytest.mark.parametrize(("corpus", "objective", "at_print", "printed", "E", "A", "alpha", "k", "R2", "worst"), [
    ("stack-v2-python", 3.676741e-5, 3.676767e-5, (0.69095, 1.13056e7, 0.18922, 0.39357),
     0.691207, 1.13071e7, 0.189358, 0.393457, 0.99783, 0.0061),
    ("pile", 1.813932e-5, 1.813940e-5, (1.28833, 1.97753e8, 0.19620, 0.33448),
     1.288588, 1.97517e8, 0.196281, 0.334442, 0.99868, 0.0063),
])  # fmt: skip
def test_both_fits(losses, corpus, objective, at_print, printed, E, A, alpha, k, R2, worst):
    runs = read_runs(losses[losses["dataset"] == corpus], **NAMES)
    assert len(runs) == 24
    found = fit(runs, "parscale2025")
    assert found.status == "certified"
    assert found.value == pytest.approx(objective, abs=1e-9)
    assert found.values["E"] == pytest.approx(E, abs=1e-3)
    assert found.values["alpha"] == pytest.approx(alpha, abs=5e-4)
    assert found.values["k"] == pytest.approx(k, abs=1e-3)
    assert found.values["A"] == pytest.approx(A, rel=0.01)
    seen = runs.column("loss")
    prediction = found.predict(runs.frame)["loss"].to_numpy()
    assert 1 - np.sum((prediction - seen) ** 2) / np.sum((seen - seen.mean()) ** 2) == pytest.approx(R2, abs=2e-5)
    assert np.max(np.abs(prediction / seen - 1)) == pytest.approx(worst, abs=1e-4)
    # the printed point has the objective the authors found, to the digits of its parameters, and is a little above ours
    there = fit(runs, "parscale2025", pin=dict(zip(("E", "A", "alpha", "k"), printed, strict=True))).value
    assert there == pytest.approx(at_print, abs=1e-9)
    assert found.value < there


@pytest.mark.parametrize("corpus", ["stack-v2-python", "pile"])
def test_27_starts_end_at_one_optimum(losses, corpus):
    found = fit(read_runs(losses[losses["dataset"] == corpus], **NAMES), "parscale2025", starts=27)
    assert found.certificate.starts == 27
    assert len(found.certificate.basins) == 1
    assert found.certificate.starts_agree >= 9  # the better third is followed to the end


@pytest.mark.parametrize(("corpus", "R2", "MAE"), [("stack-v2-python", 0.9961, 0.0030), ("pile", 0.9970, 0.0038)])
def test_eight_streams_from_fewer(losses, corpus, R2, MAE):
    part = losses[losses["dataset"] == corpus]
    found = fit(read_runs(part[part["parallel_streams"] < 8], **NAMES), "parscale2025")
    ahead = part[part["parallel_streams"] == 8]
    assert len(found.observed) == 18
    prediction = found.predict(params_nonembedding=ahead["non_embedding_params"].to_numpy(float), streams=8.0)[
        "loss"
    ].to_numpy()
    seen = ahead["loss"].to_numpy()
    assert np.mean(np.abs(prediction - seen)) == pytest.approx(MAE, abs=1e-4)
    assert 1 - np.sum((prediction - seen) ** 2) / np.sum((seen - seen.mean()) ** 2) == pytest.approx(R2, abs=2e-4)
