"""Epochs, vocabulary, parallel streams, pruning, shape: published values, closed forms, brute force, refusals."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.plan import plan
from scalinglens.plan.questions import ask
from scalinglens.plan.questions.pruning import training_density


class TestEpochs:
    @pytest.mark.parametrize(("passes", "worth"), [(1, 1), (4, 3.7257), (16, 10.582), (40, 15.167), (100, 16.363)])
    def test_published_effective_data(self, passes, worth):
        found = ask("epochs", tokens_unique=1e11, epochs=passes).answer
        assert found["tokens_effective"].value / 1e11 == pytest.approx(worth, rel=5e-5)
        if passes > 1:
            assert found["worth_mean"].value == pytest.approx((worth - 1) / (passes - 1), rel=1e-3)

    def test_the_last_token_is_the_slope(self):
        at = lambda d: float(law("muennighoff2023.D_eff").value(tokens=d, tokens_unique=1e11))  # noqa: E731
        slope = (at(7.001e11) - at(6.999e11)) / 2e8
        assert ask("epochs", tokens_unique=1e11, epochs=7).answer["worth_last"].value == pytest.approx(slope, rel=1e-6)

    def test_best_number_against_brute_force(self):
        found = ask("epochs", tokens_unique="100B", flops=1e23)
        passes = np.geomspace(1, 100, 20_001)
        n = 1e23 / (6 * passes * 1e11)
        values = law("muennighoff2023").value(params=n, tokens=passes * 1e11, tokens_unique=np.full(n.shape, 1e11))
        assert found.answer["epochs"].value == pytest.approx(passes[np.argmin(values)], rel=2e-3)
        assert found.answer["loss"].value == pytest.approx(values.min(), rel=1e-8)
        fresh = plan("muennighoff2023.base", flops=1e23, spread=False).answer["loss"].value
        assert found.answer["loss_unlimited"].value == pytest.approx(fresh, abs=1e-4)  # G2 is printed 7e-5 off
        assert found.answer["loss"].value > found.answer["loss_unlimited"].value
        saved = (1 - found.answer["waste"].value) * 1e23
        assert plan("muennighoff2023.base", flops=saved, spread=False).answer["loss"].value == pytest.approx(
            found.answer["loss"].value, abs=1e-4
        )

    def test_languages(self):
        found = ask("epochs", tokens_unique=1e11, epochs=4, languages=4).answer
        assert [round(found[k].value, 2) for k in ("params_factor", "tokens_factor", "flops_factor")] == [
            1.4,
            2.74,
            3.84,
        ]

    @pytest.mark.slow  # two hundred draws
    def test_a_fit_gives_intervals(self, chinchilla_fit):
        found = ask("epochs", tokens_unique=1e10, flops=1e21, source=chinchilla_fit)
        e = found.answer["epochs"]
        assert 1 < e.low < e.value < e.high

    def test_enough_data_is_not_repeated(self):
        found = ask("epochs", tokens_unique="10T", flops=1e21)
        assert found.answer["epochs"].value < 1
        assert any("does not repeat" in text for text in found.warnings)


class TestVocabulary:
    def test_the_three_approaches_at_7b(self):
        found = ask("vocabulary", params_nonvocab=7e9, width=4096)
        assert round(found.answer["vocab"].value) == 59548
        assert round(found.spread["tao2024.approach1_vocab"]["vocab"]) == 62281
        assert round(found.spread["tao2024.approach2_vocab"]["vocab"]) == 67450
        assert found.answer["vocab_rounded"].value % 128 == 0
        low, high = found.near_optimal["vocab"]
        assert low < 32_000 < 59_548 < high
        assert found.question["flops"] == pytest.approx(7.0524e21, rel=1e-4)

    def test_a_vocabulary_of_ones_own(self):
        at = {"params_nonvocab": 7e9, "width": 4096.0, "flops": 7.0524e21}
        found = ask("vocabulary", **at, vocab=8000).answer
        values = [float(law("tao2024.approach3").value(**at, vocab=v)) for v in (8000.0, found["vocab"].value)]
        assert found["loss_excess"].value == pytest.approx(values[0] - values[1])

    def test_against_brute_force_away_from_the_optimum(self):
        found = ask("vocabulary", params_nonvocab=1e9, width=2048, flops=1e22)
        v = np.geomspace(1e3, 1e6, 100_001)
        values = law("tao2024.approach3").value(
            points={"params_nonvocab": 1e9 + 0 * v, "width": 2048 + 0 * v, "flops": 1e22 + 0 * v, "vocab": v}
        )
        assert found.answer["vocab"].value == pytest.approx(v[np.argmin(values)], rel=1e-3)
        assert any("only the first value" in text for text in found.warnings)


class TestStreams:
    def test_the_published_factor(self):
        found = ask("parallel-streams", params_nonembedding="1.6B", streams=8).answer
        assert found["size_factor"].value == pytest.approx(1.818, abs=5e-4)
        assert found["size_factor"].value == pytest.approx(1 + 0.39357 * np.log(8), rel=1e-6)
        single = ask("parallel-streams", params_nonembedding=535813376, streams=1).answer
        assert single["loss"].value == pytest.approx(1.1728, abs=5e-5)
        assert single["size_factor"].value == 1

    def test_streams_for_a_size(self):
        found = ask("parallel-streams", params_nonembedding="1.6B", equivalent="2.5B").answer
        assert found["streams"].value == pytest.approx(np.exp((2.5 / 1.6 - 1) / 0.39357), rel=1e-6)

    def test_break_even_batch(self):
        at = {"params_nonembedding": "1.6B", "streams": 8, "context": 2048}
        batch = ask("parallel-streams", **at).answer["batch_break_even"].value
        there = ask("parallel-streams", **at, batch=batch).answer
        assert there["bytes_read"].value == pytest.approx(there["bytes_read_equivalent"].value, rel=1e-9)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"streams": 0.5}, "1 or more"),
            ({}, "give streams or equivalent"),
            ({"equivalent": "1B"}, "bigger model"),
            ({"equivalent": "1000B"}, "not even"),
            ({"streams": 2, "source": "besiroglu2024"}, "a size and streams"),
        ],
    )
    def test_refusals(self, given, said):
        with pytest.raises(PlanError, match=said):
            ask("parallel-streams", params_nonembedding="1.6B", **given)


class TestPruning:
    def test_the_check_of_the_catalogue(self):
        found = ask("pruning", params_nonzero=1e8, tokens=1e10, sparsity=0.5).answer
        assert found["loss"].value == pytest.approx(1.8372, abs=5e-5)
        # L = (...) N^-bN: the gain has a closed form
        assert found["gain"].value == pytest.approx(((16.8 * 0.5**0.722 + 45) / 61.8) ** (-1 / 0.245), rel=1e-8)
        assert found["gain_limit"].value == pytest.approx((45 / 61.8) ** (-1 / 0.245), rel=1e-4)

    def test_the_density_of_the_schedule(self):
        t = (np.arange(1_000_000) + 0.5) / 1e6
        ramp = np.clip((t - 0.25) / 0.5, 0, 1)
        assert training_density(0.8) == pytest.approx(np.mean(1 - 0.8 * (1 - (1 - ramp) ** 3)), rel=1e-6)

    @pytest.mark.parametrize("flops", [1e19, 1e20, 1e21, 1e22])
    def test_best_sparsity_against_brute_force(self, flops):
        found = ask("pruning", params_nonzero=1e8, flops=flops)
        s = np.linspace(0, 0.95, 95_001)
        d = flops * (1 - s) / (6e8 * (1 - 5 * s / 8))
        values = law("frantar2023.t5", unverified=True).value(
            points={"sparsity": s, "params_nonzero": np.full(s.shape, 1e8), "tokens": d}
        )
        assert found.answer["sparsity"].value == pytest.approx(s[np.argmin(values)], abs=2e-4)
        assert found.answer["loss"].value <= values.min() * (1 + 1e-12)
        low, high = found.near_optimal["sparsity"]
        assert low <= found.answer["sparsity"].value <= high
        assert any("could not be verified" in text for text in found.warnings)

    def test_longer_training_wants_more_sparsity(self):
        best = [ask("pruning", params_nonzero=1e8, flops=c).answer["sparsity"].value for c in (1e19, 1e20, 1e21)]
        assert best[0] < best[1] < best[2]

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"flops": 1e20, "sparsity": 1.0}, "share"),
            ({"flops": 1e20, "sparsity": 50}, "write 0.5"),
            ({"flops": 1e20, "tokens": 1e10}, "keep one"),
            ({"tokens": 1e10}, "give flops"),
            ({"flops": 1e20, "source": "besiroglu2024"}, "params_nonzero and tokens"),
        ],
    )
    def test_refusals(self, given, said):
        with pytest.raises(PlanError, match=said):
            ask("pruning", params_nonzero=1e8, **given)


class TestShape:
    def test_ten_times_the_compute(self):
        one, ten = (ask("shape", kind="vision", flops=c).answer for c in (9e21, 9e22))
        factors = {k: ten[k].value / one[k].value for k in ("width", "depth", "ffw_size", "params_blocks")}
        assert factors["width"] == pytest.approx(1.184, abs=5e-4)
        assert factors["depth"] == pytest.approx(1.413, abs=5e-4)
        assert factors["ffw_size"] == pytest.approx(1.585, abs=5e-4)
        assert factors["params_blocks"] == pytest.approx(2.5, rel=0.05)  # "about 2.5"
        assert one["params_blocks"].value == pytest.approx(400e6, rel=0.05)  # SoViT-400m

    def test_the_smaller_published_shape_lies_on_the_line(self):
        # SoViT-150m/14 (880, 18, 2320): some compute below gives all three dimensions within 7%
        found = ask("shape", kind="vision", flops=9e21 * 10**-1.37).answer
        for name, value in (("width", 880), ("depth", 18), ("ffw_size", 2320)):
            assert found[name].value == pytest.approx(value, rel=0.07)

    def test_a_seed_of_ones_own(self):
        seed = {"width0": 608, "depth0": 10, "ffw0": 928, "flops0": 1e20}
        found = ask("shape", kind="vision", flops=1e20, **seed).answer
        assert [found[k].value for k in ("width", "depth", "ffw_size")] == pytest.approx([608, 10, 928])

    def test_language(self):
        found = ask("shape", flops=5.76e23)
        assert found.answer["params"].value == pytest.approx(7.225e10, rel=0.05)
        low, high = found.near_optimal["width"]
        assert low <= found.answer["width"].value <= high

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"kind": "visoin", "flops": 1e21}, "did you mean"),
            ({"kind": "vision"}, "give flops"),
            ({"kind": "vision", "flops": 1e21, "width0": 608}, "not complete"),
            ({"params": "7B", "width0": 608}, "for vision"),
            ({}, "give params or flops"),
        ],
    )
    def test_refusals(self, given, said):
        with pytest.raises(PlanError, match=said):
            ask("shape", **given)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("epochs", {"tokens_unique": 1e11, "epochs": 4}),
        ("vocabulary", {"params_nonvocab": 7e9}),
        ("parallel-streams", {"params_nonembedding": 1e9, "streams": 4}),
        ("pruning", {"params_nonzero": 1e8, "flops": 1e20}),
        ("distillation", {"params_nonembedding": 1e9, "tokens": 2e10}),
        ("mixture-of-experts", {"flops": 1e21, "memory_bytes": 2e10}),
    ],
)
def test_pictures(name, given, tmp_path):
    ask(name, **given).plot(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


@pytest.mark.parametrize("given", [{"epochs": 0.5}, {}, {"epochs": 4, "languages": 0.5}])
def test_epochs_refuse(given):
    with pytest.raises(PlanError, match=r"give flops|repeats nothing|number of languages"):
        ask("epochs", tokens_unique=1e11, **given)
