"""Derived quantities follow their rule exactly and never touch a measured column."""

from __future__ import annotations

import numpy as np
import pytest

from scalinglens.runs import read_runs
from scalinglens.runs.derive import RULES, derive


@pytest.mark.parametrize(
    ("source", "name", "value", "rule"),
    [
        ({"params": 1e9, "tokens": 2e10}, "flops", 1.2e20, "flops = 6 params tokens"),
        ({"params": 1e9, "flops": 1.2e20}, "tokens", 2e10, "tokens = flops / (6 params)"),
        ({"tokens": 2e10, "flops": 1.2e20}, "params", 1e9, "params = flops / (6 tokens)"),
        ({"steps": 1000.0, "batch_tokens": 5e5}, "tokens", 5e8, "tokens = steps * batch_tokens"),
        ({"batch_examples": 512.0, "sequence_length": 2048.0}, "batch_tokens", 1048576,
         "batch_tokens = batch_examples * sequence_length"),
        ({"tokens": 4e9, "tokens_unique": 1e9}, "epochs", 4, "epochs = tokens / tokens_unique"),
        ({"epochs": 4.0, "tokens_unique": 1e9}, "tokens", 4e9, "tokens = tokens_unique * epochs"),
        ({"params": 8e9, "params_active": 1e9, "tokens": 1e10}, "flops", 6e19, "flops = 6 params_active tokens"),
        ({"flops_train": 1e20}, "flops", 1e20, "flops = flops_train"),
    ],
)  # fmt: skip
def test_rules(source: dict[str, float], name: str, value: float, rule: str) -> None:
    found = derive({key: np.array([number]) for key, number in source.items()})
    assert found[name][0].tolist() == [value]
    assert found[name][1].text == rule


def test_no_rule_replaces_what_was_measured() -> None:
    for rule in RULES:
        measured = dict.fromkeys({*rule.inputs, rule.name}, np.array([7.0]))
        assert rule.name not in derive(measured)


def test_total_parameters_are_not_derived_beside_another_count() -> None:
    assert "params" not in derive(
        {"params_active": np.array([1e9]), "flops": np.array([1e20]), "tokens": np.array([1e9])}
    )


def test_derivation_is_recorded_and_a_gap_drops_the_row() -> None:
    runs = read_runs({"N": [1e9, 1e9], "C": [1.2e20, None], "loss": [2.0, 2.5]})
    assert runs.columns["tokens"].says() == "tokens <- derived by tokens = flops / (6 params) [tokens]"
    assert [(gone.reason, gone.rows) for gone in runs.dropped] == [("missing value in column C (flops)", (1,))]
