"""Precision: the published optimum of 7 to 8 bits, brute force, the closed form of the critical tokens."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.questions import ask


def loss(n, d, p):
    p = np.broadcast_to(p, np.broadcast_shapes(np.shape(n), np.shape(d), np.shape(p)))
    points = {"params_nonembedding": n, "tokens": d, "bits_weights": p, "bits_activations": p, "bits_kv": p}
    return law("kumar2024.train_offset").value(points=points)


@pytest.mark.parametrize("flops", [1e19, 1e21, 1e24])
def test_seven_bits_at_every_compute(flops):
    found = ask("precision", flops=flops).answer
    assert found["bits"].value == pytest.approx(7.00, abs=0.01)
    assert 6 / 16 * found["params_nonembedding"].value * found["tokens"].value * found["bits"].value == pytest.approx(
        flops, rel=1e-9
    )


def test_the_same_as_the_product_of_factors():
    # with alpha = beta the best bits maximise prod(factors)/P
    c = law("kumar2024.train_offset").constants
    p = np.linspace(3.5, 16, 200_001)
    factors = [1 - np.exp(-p / c[f"g{x}"] + c[f"n{x}"]) for x in ("w", "a", "kv")]
    expected = p[np.argmax(np.prod(factors, axis=0) / p)]
    assert ask("precision", flops=1e21).answer["bits"].value == pytest.approx(expected, abs=1e-3)


def test_against_brute_force():
    n = np.geomspace(1e9, 2e10, 801)[:, None]
    p = np.linspace(4, 16, 481)
    values = loss(n, 1e21 * 16 / (6 * n * p), p)
    found = ask("precision", flops=1e21).answer
    assert found["loss"].value == pytest.approx(values.min(), rel=1e-6)
    assert found["loss_8_bits"].value == pytest.approx(loss(n, 1e21 / (3 * n), 8.0).min(), rel=1e-6)
    assert found["loss_8_bits"].value < found["loss_16_bits"].value < found["loss_4_bits"].value


def test_a_settled_size_wants_more_bits_with_more_compute():
    bits = [ask("precision", flops=c, params_nonembedding="500M").answer["bits"].value for c in (1e19, 1e20, 1e21)]
    assert bits[0] < bits[1] < bits[2]
    p = np.linspace(4, 30, 20_001)
    assert bits[2] == pytest.approx(p[np.argmin(loss(5e8, 1e21 * 16 / (6 * 5e8 * p), p))], abs=0.01)


def test_damage_after_training():
    found = ask("precision", params_nonembedding=1e8, tokens=1e10, bits_post=4).answer
    assert found["loss_increase"].value == pytest.approx(0.014211, rel=1e-4)
    twice = ask("precision", params_nonembedding=1e8, tokens=2e10, bits_post=4).answer
    assert twice["loss_increase"].value / found["loss_increase"].value == pytest.approx(1.421, rel=1e-3)


def test_critical_tokens():
    found = ask("precision", params_nonembedding="1B", tokens="2T", bits_post=3)
    c, t = law("kumar2024.ptq").constants, law("kumar2024.train_offset").constants
    scale = t["beta"] * t["B"] / (c["gD"] * c["CT"]) * 1e9 ** c["gN"] * np.exp(3 / c["gpost"])
    assert found.answer["tokens_critical"].value == pytest.approx(scale ** (1 / (t["beta"] + c["gD"])), rel=1e-8)
    assert any("harm" in text for text in found.warnings)
    assert not any("harm" in text for text in ask("precision", params_nonembedding="1B", tokens="20B").warnings)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "give flops"),
        ({"flops": 1e21, "tokens": 1e10}, "keep one"),
        ({"flops": 1e21, "bits": 2}, "a factor is negative"),
        ({"flops": 1e21, "source": "besiroglu2024"}, "tokens and bits"),
    ],
)
def test_refusals(given, said):
    with pytest.raises(PlanError, match=said):
        ask("precision", **given)


def test_picture(tmp_path):
    ask("precision", flops=1e21).plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000
