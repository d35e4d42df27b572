"""Quantities: reading and showing are inverse to each other, and units are checked."""

from __future__ import annotations

import contextlib
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalinglens.errors import QuantityError
from scalinglens.quantities import COUNT_SUFFIXES, QUANTITIES, format_number, format_quantity, parse_quantity

# "Input names" of the law catalogue: a law may ask for any of these
INPUT_NAMES = """
params params_nonembedding params_active params_dense params_nonzero params_nonvocab params_encoder
params_decoder params_peft tokens tokens_unique tokens_min tokens_per_language tokens_inference tokens_input
tokens_output tokens_teacher finetune_tokens finetune_characters examples interactions samples flops
flops_train loss loss_teacher loss_supervised error steps batch_tokens batch_examples learning_rate
weight_decay lr_first lr_second steps_first steps_second lr_sum lr_annealing width depth heads kv_heads
key_size ffw_size sequence_length vocab x experts granularity sparsity streams languages h1 h2 r1 r2 r3 bits
bits_weights bits_activations bits_kv bits_post core_days chip_hours chips days years elo board_size kl pc1
pc2 pc3 answer_tokens bytes capex lifetime_hours network tdp_kw pue load kwh_price peak mfu price fwd_student
fwd_teacher use_logits use_pretraining epochs run seed
""".split()


@pytest.mark.parametrize("name", INPUT_NAMES)
def test_glossary_has_every_input_name(name: str) -> None:
    quantity = QUANTITIES[name]
    assert quantity.name == name
    assert quantity.description


def test_an_alias_belongs_to_one_quantity() -> None:
    seen = [alias for quantity in QUANTITIES.values() for alias in (quantity.name, *quantity.aliases)]
    assert len(seen) == len(set(seen))
    assert [QUANTITIES[name].symbol for name in ("params", "tokens", "flops", "loss")] == ["N", "D", "C", "L"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("70B", 70_000_000_000),
        ("1.4T", 1_400_000_000_000),
        ("125m", 125_000_000),
        ("20k", 20_000),
        ("5.76e23", 5.76e23),
        ("5.76E+23 FLOP", 5.76e23),
        ("3 PF-day", 3 * 8.64e19),
        ("3 PF-days", 3 * 8.64e19),
        ("1 petaflop/s-day", 8.64e19),
        ("2.5 ZFLOP", 2.5e21),
        ("2.5 zettaFLOPs", 2.5e21),
        ("1e9 tokens", 1e9),
        ("300 billion tokens", 3e11),
        ("7 B params", 7e9),
        ("1_000", 1000),
        ("1,234,567.5", 1234567.5),
        ("-3", -3),
        (".5", 0.5),
        (" 8 ", 8),
        (7e10, 7e10),
        (3, 3),
    ],
)
def test_parse(text: str | float, value: float) -> None:
    assert parse_quantity(text) == value


@given(st.integers(0, 10**6), st.integers(0, 6), st.sampled_from(sorted(COUNT_SUFFIXES)))
def test_parse_rounds_once(digits: int, places: int, suffix: str) -> None:
    # exact rational arithmetic is the independent reference
    exact = Fraction(digits, 10**places) * 10 ** COUNT_SUFFIXES[suffix]
    whole, part = divmod(digits, 10**places)
    text = f"{whole}.{part:0{places}d}{suffix}" if places else f"{whole}{suffix}"
    assert parse_quantity(text) == float(exact)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_seventeen_digits_read_back_exactly(value: float) -> None:
    assert parse_quantity(format_quantity(value, digits=17)) == value


@given(st.floats(min_value=1e-30, max_value=1e30))
def test_three_digits_read_back_nearly_and_stay(value: float) -> None:
    text = format_quantity(value)
    read = parse_quantity(text)
    assert math.isclose(read, value, rel_tol=0.005)  # half a unit of the third digit
    assert format_quantity(read) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7e10, "70B"),
        (1.4e12, "1.4T"),
        (5.76e23, "5.76e23"),
        (999.9e6, "1B"),
        (999.4e6, "999M"),
        (0, "0"),
        (482, "482"),
        (-2500, "-2.5k"),
        (0.003, "0.003"),
        (1e-7, "1e-7"),
        (math.inf, "inf"),
        (math.nan, "nan"),
    ],
)
def test_format(value: float, text: str) -> None:
    assert format_quantity(value) == text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (482.01, 297.0, 744.0, "482"),
        (0.34781, 0.3279, 0.3681, "0.348"),
        (1.81723, 1.76, 1.87, "1.817"),
        (2085.43, 900.0, 4000.0, "2090"),
        (7.03e10, 5e10, 9e10, "7.03e10"),
        (1.81723, None, None, "1.817"),
        (1.81723, 1.81723, 1.81723, "1.817"),
        (0.0, -0.012, 0.013, "0.000"),
        (1.81723, -math.inf, math.inf, "1.817"),
        (math.nan, 0.0, 1.0, "nan"),
    ],
)
def test_format_number(value: float, low: float | None, high: float | None, text: str) -> None:
    assert format_number(value, low, high) == text


@given(st.floats(1e-8, 1e12), st.floats(1e-6, 1.0))
def test_format_number_is_within_a_hundredth_of_the_interval(value: float, width: float) -> None:
    low, high = value * (1 - width), value * (1 + width)
    shown = float(format_number(value, low, high))
    # two digits of the half width: the error is at most half of a tenth of it
    assert abs(shown - value) <= 0.051 * (high - low) / 2 + 1e-12 * value


@pytest.mark.parametrize(
    ("text", "expect", "message"),
    [
        ("", None, "is empty; write for example 70B"),
        ("seventy", None, "does not begin with a number"),
        ("70X", None, "ends in 'X', which is no known unit; use k, M, B, T"),
        ("1__000", None, "misplaced underscore"),
        ("1e999", None, "too large for double precision"),
        ("1e99999", None, "too large for double precision"),
        ("3 PFLOP/s", "flops", "is a rate, no amount of compute; multiply by the time"),
        ("3 PF-day", "tokens", "is in FLOP, but tokens is measured in tokens"),
        ("3e9 tokens", "params", "is in tokens, but params is measured in parameters"),
        ("3B", "loss", "is no loss: a loss in nats/token carries no suffix"),
        ("70B", "parms", 'is not in the glossary (did you mean "params"?)'),
        (float("nan"), None, "nan is no number"),
        (float("inf"), None, "too large"),
        (True, None, "got bool True"),
        (None, None, "got NoneType None"),
        ("1,2,3", None, "ends in ',2,3'"),
    ],
)
def test_bad_quantities(text: object, expect: str | None, message: str) -> None:
    with pytest.raises(QuantityError) as caught:
        parse_quantity(text, expect=expect)  # type: ignore[arg-type]
    assert message in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(QuantityError):
        assert math.isfinite(parse_quantity(text))
