"""Days and dollars: the catalogue's worked example, the whole table, memory, utilisation."""

from __future__ import annotations

import pytest

from scalinglens.errors import PlanError
from scalinglens.plan.architecture.architecture import Architecture
from scalinglens.plan.hardware.accelerators import accelerators
from scalinglens.plan.questions import ask


def test_the_worked_example_of_the_catalogue():
    """Chinchilla, 70B and 1.4T tokens: 412,875 H100-hours at 40%, $1.032M at $2.5, 16.8 days on 1,024."""
    found = ask("hardware", params="70B", tokens="1.4T", clusters="h100:1024", price=2.5).answer
    assert found["flops"].value == pytest.approx(5.88e23)
    assert found["days[h100:1024]"].value == pytest.approx(16.8, abs=0.05)
    assert found["dollars[h100:1024]"].value == pytest.approx(412_875 * 2.5, rel=1e-5)
    assert found["energy_kwh[h100:1024]"].value == pytest.approx(412_875 * 0.7 * 1.1 * 0.75, rel=1e-5)
    # mfu is all there is to it
    assert found["days[h100:1024, mfu 0.2]"].value == pytest.approx(2 * found["days[h100:1024]"].value)


def test_every_accelerator_of_the_table():
    found = ask("hardware", flops=1e22, chips=8)
    days = {key: e.value for key, e in found.answer.items() if key.startswith("days[") and "mfu" not in key}
    assert set(days) == {f"days[{name}:8]" for name in accelerators()}
    for name, one in accelerators().items():
        assert days[f"days[{name}:8]"] == pytest.approx(1e22 / (8 * one.bf16 * 0.4) / 86400)
    quickest = min(days, key=days.__getitem__).removeprefix("days[").removesuffix("]")
    assert any(f"fastest: {quickest}" in words for words in found.assumptions)
    eights = ask("hardware", flops=1e22, chips=8, precision="fp8").answer
    assert "days[a100-80:8]" not in eights
    assert eights["days[h100:8]"].value == pytest.approx(days["days[h100:8]"] * 989 / 1979)


def test_what_fits_in_memory():
    found = ask("hardware", params="7B", tokens="140B", clusters="h100:1,h100:2")
    needed = Architecture.shaped("7B").training_bytes(1, recomputation="full").total
    assert found.answer["memory_training"].value == needed
    assert needed > 16 * 6.5e9
    least = found.answer["chips_least[h100:2]"].value
    assert (least - 1) * 80e9 * 0.9 < needed <= least * 80e9 * 0.9
    assert any("does not fit on h100:1" in warning for warning in found.warnings)


def test_the_table_on_the_screen_has_a_row_for_each_cluster():
    lines = repr(ask("hardware", flops=1e22, clusters="h100:8,a100:8")).splitlines()
    head = next(line for line in lines if "dollars (USD)" in line)
    assert head.split()[0] == "days"
    row = next(line for line in lines if line.strip().startswith("a100-80:8 "))
    assert row.split()[1] == "115.9"  # 1e22/(8 312e12 0.4) s
    assert "<td" in ask("hardware", flops=1e22, clusters="h100:8,a100:8")._repr_html_()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "give flops, or params and tokens"),
        ({"params": "7B"}, "give flops, or params and tokens"),
        ({"flops": 1e22, "params": 1e9, "tokens": 1e9}, "keep flops"),
        ({"flops": 1e22, "mfu": 40}, "for 40% write 0.4"),
        ({"flops": 1e22, "mfu_tried": "0.2,1.5"}, "mfu_tried is 1.5"),
        ({"flops": 1e22, "clusters": "h1000:8"}, "h100"),
        ({"flops": 1e22, "clusters": ","}, "clusters is empty"),
        ({"flops": 1e22, "clusters": "a100:8", "precision": "fp8"}, "does not compute in fp8"),
        ({"flops": 1e22, "chips": 0}, "chips"),
    ],
)
def test_mistakes(given, says):
    with pytest.raises(PlanError, match=says):
        ask("hardware", **given)
