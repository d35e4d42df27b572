"""Accuracy: checks of the catalogue, measured accuracies of Gadre et al., two fits chained as `two_step` chains them."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.fit.downstream import two_step
from scalinglens.plan.questions import ask

LINK = "a=0.6,b=0.85,k=10,L0=1"


def test_the_checks_of_the_catalogue():
    assert ask("accuracy", loss=2.5).answer["accuracy"].value == pytest.approx(1 - 0.48709, abs=5e-6)
    found = ask("accuracy", params=1439795200, tokens=921468928000)
    assert found.answer["loss"].value == pytest.approx(2.5198, abs=5e-5)
    assert found.extrapolation_decades == {"params": 0.0, "tokens_per_param": pytest.approx(0, abs=1e-3)}
    for loss, accuracy in ((1.05, 0.4765), (1.0, 0.55)):
        e = ask("accuracy", loss=loss, link="bhagia2024.link", link_constants=LINK).answer["accuracy"]
        assert e.value == pytest.approx(accuracy, abs=5e-5)
    # p = 0.6058 per token is a loss of -ln p; five tokens are right with p^5
    e = ask("accuracy", loss=float(-np.log(0.6058)), answer_tokens=5).answer["exact_match"]
    assert e.value == pytest.approx(0.0816, abs=5e-5)


def test_compute_alone_and_the_spread_over_corpora():
    found = ask("accuracy", flops=1e22)
    size = np.sqrt(1e22 / 120)
    same = ask("accuracy", params=size, tokens=20 * size)
    assert found.answer["accuracy"].value == pytest.approx(same.answer["accuracy"].value)
    assert set(found.spread) == {"gadre2024.c4", "gadre2024.refinedweb"}
    other = ask("accuracy", flops=1e22, corpus="c4").answer["accuracy"].value
    assert found.spread["gadre2024.c4"]["accuracy"] == pytest.approx(other)
    assert any("18 of 46" in warning for warning in found.warnings)
    assert any("could not be verified" in warning for warning in found.warnings)


@pytest.fixture(scope="module")
def steps():
    rng = np.random.default_rng(2)
    n, d = (a.ravel() for a in np.meshgrid(np.logspace(8, 9.5, 6), np.logspace(10, 11.5, 6)))
    loss = (0.5 + 40 / n**0.25 + 60 / d**0.22) * np.exp(0.002 * rng.standard_normal(36))
    qa = 0.9 - 0.65 / (1 + np.exp(-9 * (loss - 1.0))) + 0.002 * rng.standard_normal(36)
    return two_step({"params": n, "tokens": d, "loss": loss, "qa": qa}, task="qa", chance=0.25, boot=60)


def test_two_saved_steps_say_what_two_step_says(steps, tmp_path):
    steps.loss_fit.save(tmp_path / "loss.json")
    steps.link_fit.save(tmp_path / "link.json")
    at = {"params": 7e9, "tokens": 1e12}
    whole = ask("accuracy", source=steps, **at)
    parts = ask("accuracy", source=str(tmp_path / "loss.json"), link=str(tmp_path / "link.json"), **at)
    frame = steps.predict(noise=False, **at)
    e, p = whole.answer["accuracy"], parts.answer["accuracy"]
    assert e.value == pytest.approx(float(frame["qa"][0]))
    assert (e.low, e.high) == pytest.approx((float(frame["low"][0]), float(frame["high"][0])))
    assert p.value == pytest.approx(e.value)
    assert p.low <= p.value <= p.high
    assert p.high - p.low == pytest.approx(e.high - e.low, rel=1.0)
    assert parts.extrapolation_decades["params"] == pytest.approx(np.log10(7e9 / 10**9.5))
    # of a compute, the best size and tokens of the loss fit
    flops = ask("accuracy", source=str(tmp_path / "loss.json"), link=str(tmp_path / "link.json"), flops=4.2e22)
    assert flops.answer["task_loss"].value <= parts.answer["task_loss"].value


def test_a_law_of_accuracy_over_compute():
    words = "h=0.8,w1=2,w2=-1,w3=0.5,b=0.25,theta1=0.1,nu1=-4.5,theta2=0.02,nu2=-1,theta3=-0.01,nu3=0.5"
    found = ask("accuracy", source="ruan2024.from_compute", constants=words, flops=1e22)
    assert found.answer["accuracy"].value == pytest.approx(0.63725, abs=5e-6)


def test_chance_is_told():
    found = ask("accuracy", loss=1.5, link="bhagia2024.link", link_constants=LINK, chance=0.25)
    assert any("at or below chance" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "give loss, or params and tokens, or flops"),
        ({"loss": 2.0, "flops": 1e22}, "keep one"),
        ({"params": 1e9}, "give tokens too"),
        ({"loss": 2.0, "corpus": "redpajam"}, 'did you mean "redpajama"'),
        ({"loss": 2.0, "chance": 25}, "for 25% write 0.25"),
        ({"loss": 2.0, "link": "besiroglu2024"}, "needs a law with loss"),
        ({"loss": 2.0, "link": "bhagia2024.link"}, "no published value for b, a, k, L0"),
        ({"loss": 2.0, "link": "bhagia2024.link", "link_constants": "a=0.6;b=0.8"}, "the constant a"),
    ],
)
def test_mistakes(given, says):
    with pytest.raises(PlanError, match=says):
        ask("accuracy", **given)
