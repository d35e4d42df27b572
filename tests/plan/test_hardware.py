"""Time, money, energy and memory: the worked examples of the literature, identities, and bad input."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.plan.architecture.architecture import Architecture
from scalinglens.plan.hardware import money
from scalinglens.plan.hardware.accelerators import EVIDENCE
from scalinglens.plan.hardware.hardware import Accelerator, Hardware, accelerators, data_movement, hardware

CHINCHILLA = 6 * 70e9 * 1.4e12  # FLOP


def test_chinchilla_on_h100() -> None:
    """Section 14 of the catalogue: 412,875 H100-hours at 40% MFU, 16.8 days on 1,024, $1.032M at $2.5 per hour."""
    cluster = hardware("h100:1024")
    assert pytest.approx(5.88e23, rel=1e-12) == CHINCHILLA
    assert round(cluster.chip_hours(CHINCHILLA)) == 412_875
    assert round(hardware("h100").hours(CHINCHILLA)) == 412_875
    assert f"{cluster.days(CHINCHILLA):.1f}" == "16.8"
    assert f"{cluster.seconds(CHINCHILLA):.5g}" == "1.4515e+06"
    assert f"${cluster.dollars(CHINCHILLA, price=2.5) / 1e6:.3f}M" == "$1.032M"
    assert cluster.energy_kwh(CHINCHILLA, pue=1.0, load=1.0) == pytest.approx(412_875 * 0.7, rel=1e-6)


def test_peaks_of_the_catalogue() -> None:
    table = accelerators()
    printed = {"a100-80": 312e12, "h100": 989e12, "h200": 989e12, "b200": 2.25e15, "tpu-v4": 275e12, "tpu-v5p": 459e12}
    assert {name: table[name].bf16 for name in printed} == printed


def test_the_table_is_complete_and_plausible() -> None:
    table = accelerators()
    assert len(table) >= 16
    for chip in table.values():
        assert 1e14 <= chip.bf16 <= 1e16
        assert chip.fp8 is None or chip.fp8 / chip.bf16 == pytest.approx(2, rel=0.03)  # dense, both or neither
        assert 1e10 < chip.memory < 4e11
        assert 5e11 < chip.bandwidth < 1e13
        assert 50 < chip.bf16 / chip.bandwidth < 600  # FLOP per byte: a factor of 1000 is a typing error
        assert chip.source
        assert chip.tag in EVIDENCE
        assert chip.price is not None
        assert chip.price_source
        assert chip.price_date >= "2024"
        assert ("memory" in chip.price_source) <= (chip.price_tag == "U")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("h200:64", "h200:64"),
        ("H100-SXM", "h100:1"),
        (" NVIDIA A100 : 8", "a100-80:8"),
        ("a100_40:1k", "a100-40:1000"),
        ("TPU v5p:8960", "tpu-v5p:8960"),
        ("trillium", "tpu-v6e:1"),
        ("RTX 4090:2", "rtx4090:2"),
    ],
)
def test_text_form(text: str, shown: str) -> None:
    found = hardware(text)
    assert str(found) == shown
    assert hardware(str(found)) == found
    assert hardware(found) is found
    assert pickle.loads(pickle.dumps(found)) == found


def test_count_apart_from_the_name() -> None:
    assert hardware("h200", 64) == hardware("h200:64")
    assert hardware(hardware("h200:8"), 64) == hardware("h200:64")


def test_arrays_and_text() -> None:
    cluster = hardware("h200:64")
    flops = np.geomspace(1e20, 1e25, 6).reshape(2, 3)
    assert cluster.days(flops).shape == (2, 3)
    assert cluster.dollars(flops)[1, 2] == pytest.approx(cluster.dollars(1e25), rel=1e-12)
    assert cluster.seconds("3 PF-day") == pytest.approx(cluster.seconds(3 * 8.64e19), rel=1e-12)
    assert isinstance(cluster.hours(1e22), float)


def test_what_a_budget_buys_is_the_inverse() -> None:
    cluster = hardware("b200:256")
    for precision in ("bf16", "fp8"):
        bought = cluster.flops(days=30.0, mfu=0.35, precision=precision)
        assert cluster.days(bought, mfu=0.35, precision=precision) == pytest.approx(30.0, rel=1e-12)
    bought = cluster.flops(dollars=np.array([1e5, 1e6]), price=5.0)
    assert cluster.dollars(bought, price=5.0) == pytest.approx([1e5, 1e6], rel=1e-12)
    assert cluster.days(1e24, precision="fp8") == pytest.approx(cluster.days(1e24) / 2, rel=1e-12)


def test_memory() -> None:
    assert hardware("h200").fits(141e9)
    assert not hardware("h200").fits(141e9, headroom=0.1)
    assert hardware("h100").chips_for(16 * 70e9) == 14
    assert hardware("h100:14").fits(16 * 70e9)
    assert not hardware("h100:13").fits(16 * 70e9)


def test_decoding_is_bound_by_reading() -> None:
    llama2 = Architecture(width=4096, depth=32, heads=32, ffw=11008, gated=True, vocab=32_000)
    chip = hardware("h100")
    alone = chip.decode_seconds_per_token(llama2)
    assert alone == pytest.approx(2 * (6_738_415_616 - 32_000 * 4096) / 3.35e12, rel=1e-12)
    assert chip.decode_seconds_per_token(14e9) == pytest.approx(14e9 / 3.35e12)
    cached = chip.decode_seconds_per_token(llama2, context=4096, batch=16)
    assert cached - alone == pytest.approx(16 * llama2.kv_cache_bytes(4096) / 3.35e12, rel=1e-9)
    assert hardware("h100:8").decode_seconds_per_token(llama2) == pytest.approx(alone / 8)
    # enough sequences at once and the products of matrices take longer than the reading
    large = chip.decode_seconds_per_token(llama2, batch=4096)
    assert large == pytest.approx(4096 * llama2.decode_flops(1).total / 989e12)


def test_words() -> None:
    first, second = hardware("h100").assumptions()
    assert "989 TFLOP/s dense bf16" in first
    assert "40% are used" in first
    assert "2026-09-20" in second
    assert hardware("h100").assumptions(price=2.5)[1] == "$2.5 per chip and hour, as given."
    assert hardware("h100").warnings() == ()
    assert "price of Google TPU v4 is unverified" in hardware("tpu-v4").warnings()[0]
    assert hardware("tpu-v4").warnings(price=3.0) == ()


def test_limits_of_moving_data() -> None:
    assert data_movement(9e27) == ""
    assert "above about 1e28" in data_movement(2e28)
    assert "above about 1e31" in data_movement("2e31")


def test_own_accelerator() -> None:
    chip = Accelerator("mine", "My chip", 2030, bf16=1e16, memory=1e12, bandwidth=2e13)
    assert Hardware(chip, 10).hours(3.6e20, mfu=1.0) == pytest.approx(1.0)
    with pytest.raises(PlanError, match="no price in the table; give price"):
        Hardware(chip, 10).dollars(1e20)
    assert "unverified" in Hardware(chip, 10).warnings()[0]


# ---- money -----------------------------------------------------------------------------------------------------------


def test_money_by_hand() -> None:
    assert money.rental(np.array([1.0, 2.0]), 2.5) == pytest.approx([2.5, 5.0])
    owned = money.amortised(
        1e6, capex=30_000, watts=700, lifetime_hours=35_000, network=0.2, pue=1.2, load=0.8, kwh_price=0.1
    )
    assert owned == pytest.approx(1e6 * (30_000 / 35_000 * 1.2 + 0.7 * 1.2 * 0.8 * 0.1), rel=1e-12)
    bare = money.amortised(1.0, capex=8760.0, watts=1.0, lifetime_hours=8760.0, network=0, kwh_price=0)
    assert bare == pytest.approx(1.0, rel=1e-12)
    assert money.cost_growth(1.0, 8) == pytest.approx(1100.8, rel=1e-4)
    assert money.cost_growth(100.0, -1) == pytest.approx(100 / 2.4)


def test_serving_by_hand() -> None:
    """Sardana et al. 2023: $1.50 per hour of A100-80 in training, $1.10 of A100-40 in inference, MFU 0.5, 0.5, 0.01."""
    got = money.serving(
        13e9, 1e12, tokens_input=70e9, tokens_output=215e9, training_price=1.5, inference_price=1.1, training_peak=312e12,
        inference_peak=312e12,
    )  # fmt: skip
    hours = [6 * 13e9 * 1e12 / 0.5, 2 * 13e9 * 70e9 / 0.5, 2 * 13e9 * 215e9 / 0.01]
    hours = [flops / 312e12 / 3600 for flops in hours]
    assert got == pytest.approx(1.5 * hours[0] + 1.1 * (hours[1] + hours[2]), rel=1e-12)


# ---- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hardware("h20O:64"), r'no accelerator "h20O".*did you mean "h200"'),
        (lambda: hardware("tpu-v5x"), r'no accelerator "tpu-v5x".*did you mean "tpu-v5'),
        (lambda: hardware("abacus:3"), "there are v100, a100-40"),
        (lambda: hardware("h200:many"), r"'h200:many' has 'many' where the number of chips belongs; write h200:64"),
        (lambda: hardware("h200:0"), "number of chips is 0.0; it must be a whole number of at least 1"),
        (lambda: hardware("h200:2.5"), "number of chips is 2.5"),
        (lambda: hardware("h200:8", 8), "given twice"),
        (lambda: hardware(""), "written as h200:64"),
        (lambda: hardware("h100").hours(1e22, mfu=40), r"mfu is 40, but it is a share.*for 40% write 0.4"),
        (lambda: hardware("h100").hours(1e22, mfu=0), "mfu is 0; it is the share"),
        (lambda: hardware("h100").hours(1e22, mfu=float("nan")), "mfu is nan"),
        (lambda: hardware("h100").days(-1e22), "the compute is -1e\\+22 FLOP; it must be positive"),
        (lambda: hardware("h100").days([1e22, 0.0]), "the compute is 0 FLOP"),
        (lambda: hardware("h100").days("7B tokens"), "the compute cannot be read: .*in tokens"),
        (lambda: hardware("h100").days("lots"), "cannot be read"),
        (lambda: hardware("a100").days(1e22, precision="fp8"), "A100 SXM 80 GB does not compute in fp8; use bf16"),
        (lambda: hardware("h100").days(1e22, precision="fp16"), r'no precision "fp16".*bf16, fp8'),
        (lambda: hardware("h100").dollars(1e22, price=-1), "price is -1; it must be positive"),
        (lambda: hardware("tpu-v5e").energy_kwh(1e22), "power of Google TPU v5e is not published; give watts"),
        (lambda: hardware("h100").energy_kwh(1e22, pue=0.9), "pue is 0.9; a building draws at least"),
        (lambda: hardware("h100").energy_kwh(1e22, load=75), "load is 75; it is a share.*0.75 for 75%"),
        (lambda: hardware("h100").fits(-1), "memory needed is -1"),
        (lambda: hardware("h100").fits(1, headroom=1), "headroom is 1; it is a share"),
        (lambda: hardware("h100").flops(), "give days or dollars"),
        (lambda: hardware("h100").flops(days=1, dollars=1), "give days or dollars"),
        (lambda: hardware("h100").flops(days=0), "days is 0; it must be positive"),
        (lambda: money.amortised(1.0, capex=0, watts=700), "capex is 0; it must be positive"),
        (lambda: money.amortised(1.0, capex=1, watts=700, kwh_price=-1), "kwh_price is -1; it must be zero or"),
        (lambda: replace(accelerators()["h100"], bf16=0), "bf16 of h100 is 0; it must be a positive number"),
        (lambda: replace(accelerators()["h100"], tag="X"), "tag of h100 is 'X'; it must be one of V, S, U"),
    ],
)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        call()
