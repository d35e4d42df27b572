"""Over-training: against the worked examples of Sardana et al. 2023, a closed form, and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.plan.plan import plan
from scalinglens.plan.questions import ask
from scalinglens.plan.source import as_source

HYBRID = as_source("hoffmann2022.a3_hybrid")


def optimal_tokens(params: float) -> float:
    """Tokens for which a size is compute-optimal: alpha A N^-alpha = beta B D^-beta."""
    v = HYBRID.values
    return float((v["beta"] * v["B"] / (v["alpha"] * v["A"] * params ** -v["alpha"])) ** (1 / v["beta"]))


@pytest.mark.parametrize(
    ("params", "tokens", "served", "best", "trained", "saving"),
    [
        (13e9, 5.765e11, 2e12, 6.969e9, 1.248e12, 0.174),
        (30e9, None, 1e13, 1.361e10, 4.426e12, 0.280),
        (70e9, 4.255e12, 1e13, 4.155e10, 7.92e12, 0.12),
        (7e9, None, 1e11, 6.00e9, None, 0.0085),
    ],
)
def test_the_examples_of_sardana(params, tokens, served, best, trained, saving):
    data = optimal_tokens(params)
    if tokens is not None:
        assert data == pytest.approx(tokens, rel=2e-3)
    loss = float(HYBRID.value({"params": params, "tokens": data}))
    found = ask("over-training", source=HYBRID, target_loss=loss, inference_tokens=served).answer
    assert found["params"].value == pytest.approx(best, rel=2e-3)
    if trained is not None:
        assert found["tokens"].value == pytest.approx(trained, rel=2e-3)
    assert found["saving"].value == pytest.approx(saving, rel=0.02)
    assert found["served_best"].value == pytest.approx(served, rel=1e-3)  # the size is the best for what is served
    assert found["params_optimal"].value == pytest.approx(params, rel=1e-3)


def test_the_same_loss_and_the_break_even():
    found = ask("over-training", flops=1e22, params="4B").answer
    law = as_source("besiroglu2024")
    n, d = found["params"].value, found["tokens"].value
    best_n, best_d = found["params_optimal"].value, found["tokens_optimal"].value
    assert float(law.value({"params": n, "tokens": d})) == pytest.approx(found["loss"].value, rel=1e-9)
    served = found["served_break_even"].value
    assert 6 * n * d + 2 * n * served == pytest.approx(6 * best_n * best_d + 2 * best_n * served, rel=1e-9)
    # brute force: tokens of a 4B model until the loss of the optimum
    grid = np.geomspace(1e11, 1e14, 200_001)
    first = grid[np.argmax(law.value({"params": 4e9, "tokens": grid}) <= found["loss"].value)]
    assert d == pytest.approx(first, rel=1e-4)
    assert found["loss_penalty"].value == pytest.approx(
        float(law.value({"params": 4e9, "tokens": 1e22 / 24e9})) - found["loss"].value
    )


def test_tokens_per_param_and_size_say_the_same():
    by_ratio = ask("over-training", flops=1e22, tokens_per_param=200).answer
    by_size = ask("over-training", flops=1e22, params=by_ratio["params"].value).answer
    assert by_ratio["tokens_per_param"].value == pytest.approx(200)
    assert by_size["tokens"].value == pytest.approx(by_ratio["tokens"].value, rel=1e-8)


def test_a_fit_gives_intervals(chinchilla_fit):
    found = ask("over-training", source=chinchilla_fit, flops=1e21, tokens_per_param=100)
    for name in ("params", "tokens", "flops_extra", "served_break_even"):
        e = found.answer[name]
        assert e.low < e.value < e.high
    assert found.spread == {}
    assert found.extrapolation_decades["tokens"] > 0


def test_the_same_as_the_plan_with_served_tokens():
    served = ask("over-training", target_loss=2.1, inference_tokens="1T").answer
    planned = plan("besiroglu2024", target_loss=2.1, inference_tokens="1T").answer
    assert served["params"].value == pytest.approx(planned["params"].value, rel=1e-6)


def test_warns_of_long_training_and_spreads():
    found = ask("over-training", flops=1e22, tokens_per_param=2000)
    assert any("2000 tokens per parameter" in text for text in found.warnings)
    assert found.extrapolation_decades["tokens_per_param"] == pytest.approx(np.log10(2000 / 640))
    assert "hoffmann2022.a3_tex" in found.spread
    assert not any("beyond what laws" in text for text in ask("over-training", flops=1e22, params="4B").warnings)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"flops": 1e22}, "give params or tokens_per_param"),
        ({"params": "1B"}, "give flops or target_loss"),
        ({"flops": 1e22, "params": "1M"}, "never reaches"),
        ({"flops": 1e22, "params": "100B"}, "not fewer"),
        ({"flops": 1e22, "tokens_per_param": 5}, "over-training begins above"),
        ({"target_loss": 1.5, "params": "1B"}, "below its floor"),
        ({"flops": 1e22, "params": "1B", "source": "kaplan2020.L_N"}, "a law of size and tokens"),
        ({"flops": -1, "params": "1B"}, "must be positive"),
    ],
)
def test_refusals(given, said):
    with pytest.raises(PlanError, match=said):
        ask("over-training", **given)


def test_picture(tmp_path):
    ask("over-training", flops=1e22, params="4B").plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000
