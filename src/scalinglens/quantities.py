"""The glossary of quantities, and how they are read from text and shown.

One name per quantity in the whole package: `params`, `tokens`, `flops`, `loss`, ... with the paper's letter, the
unit and the other names under which tables carry it. Reading: "70B", "1.4T", "3 PF-day". Showing: 70B, and numbers
with as many digits as their interval deserves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from scalinglens.errors import QuantityError, did_you_mean

__all__ = [
    "COUNT_SUFFIXES",
    "PF_DAY",
    "QUANTITIES",
    "Quantity",
    "format_number",
    "format_quantity",
    "parse_quantity",
]

PF_DAY = 8.64e19  # FLOP: 1e15 FLOP/s for 86,400 s


@dataclass(frozen=True)
class Quantity:
    """One entry of the glossary.

    >>> QUANTITIES["tokens"].symbol, QUANTITIES["tokens"].unit
    ('D', 'tokens')
    """

    name: str
    symbol: str  # the letter of the papers, "" where there is none
    unit: str
    description: str
    aliases: tuple[str, ...] = ()  # other column names; case and separators matter for a single letter only


# name | symbol | unit | description | aliases, separated by commas
_GLOSSARY = """
params | N | parameters | parameters in total | N, n_params, num_params, nparams, param_count, n_parameters, num_parameters, parameters, parameter_count, total_params, params_total, total_parameters, total_parameter_count, model_params, model_parameters, model_size, modelsize, number_of_parameters
params_nonembedding | N | parameters | parameters without the embeddings | non_embedding_params, nonembedding_params, non_embedding_parameters, params_non_embedding, params_no_embed, params_no_emb, params_nonemb, params_non_emb, non_emb_params, n_no_emb, n_nonemb, n_non_emb, n_nonembedding, n_non_embedding, num_params_non_embedding, non_embedding_parameter_count
params_active | N | parameters | parameters active per token (mixture of experts) | active_params, n_active, active_parameters, num_active_params, params_active_precise, activated_params, Na
params_dense | N | parameters | parameters of the dense twin of a routed model | dense_params, dense_parameter_count, n_dense
params_nonzero | N | parameters | parameters that are not zero after pruning | nonzero_params, non_zero_params, n_nonzero
params_nonvocab | N | parameters | parameters without those of the vocabulary | nonvocab_params, non_vocab_params, n_nonvocab
params_encoder | N_e | parameters | parameters of the encoder | encoder_params, n_encoder
params_decoder | N_d | parameters | parameters of the decoder | decoder_params, n_decoder
params_peft | P | parameters | parameters trained in fine-tuning | peft_params, n_peft
tokens | D | tokens | training tokens seen, repetitions included | D, n_tokens, num_tokens, num_token, token_num, ntokens, token_count, train_tokens, training_tokens, tokens_train, tokens_seen, total_tokens, tokens_total, tokens_trained, num_train_tokens, n_train_tokens, pretraining_tokens, pretraining_data_size, throughput_total_tokens, number_of_tokens, data_tokens
tokens_unique | U | tokens | distinct training tokens | unique_tokens, n_unique_tokens, num_unique_tokens, unique_train_tokens, U_D
tokens_min | D | tokens | tokens at the least needed for a target loss | min_tokens
tokens_per_language | D | tokens | tokens of one language | per_language_tokens
tokens_inference | D_inf | tokens | tokens served over the lifetime | inference_tokens, served_tokens
tokens_input | - | tokens | tokens of a request's input | input_tokens
tokens_output | - | tokens | tokens of a request's output | output_tokens
tokens_teacher | D_T | tokens | training tokens of the teacher | teacher_tokens
finetune_tokens | D_F | tokens | fine-tuning tokens | fine_tune_tokens, finetuning_tokens
finetune_characters | D_F | characters | fine-tuning characters | fine_tune_characters
examples | n | examples | training examples, in the table's own unit | seen_examples, examples_seen, n_examples, num_examples, train_set_size, training_set_size, train_examples, training_examples
interactions | D | steps | steps taken in the environment | environment_steps, env_steps
samples | k | samples | answers drawn per problem | n_samples, num_samples
flops | C | FLOP | training compute | C, flop, training_flop, training_flops, train_flop, train_flops, total_flops, total_flop, compute, compute_flops, n_flops, num_flops, training_compute, training_compute_flop, flops_total
flops_train | C | FLOP | training compute, where another compute stands beside it |
loss | L | nats/token | cross-entropy, held out unless the table says otherwise | L, val_loss, valid_loss, validation_loss, loss_validation, loss_val, eval_loss, evaluation_loss, loss_eval, test_loss, loss_test, train_loss, training_loss, loss_train, final_loss, loss_final, final_val_loss, final_eval_loss, final_train_loss, cross_entropy, crossentropy, cross_entropy_loss, crossentropyloss, ce_loss, xent, test_cross_entropy, val_cross_entropy, eval_cross_entropy, train_cross_entropy, lm_loss, c4_eval_loss, nll, log_perplexity
loss_teacher | L_T | nats/token | cross-entropy of the teacher | teacher_loss
loss_supervised | L_S | nats/token | cross-entropy of the student trained alone | supervised_loss
error | - | fraction | error rate | error_rate, test_error, val_error, validation_error, top1_error, train_error
steps | S | steps | optimiser steps | step, n_steps, num_steps, train_steps, training_steps, iterations, iters, n_iters, num_iters, optimizer_steps, global_step, global_steps
batch_tokens | B | tokens/step | tokens per optimiser step | batch_size_in_tokens, batch_size_tokens, tokens_per_batch, tokens_per_step, global_batch_tokens, global_batch_size_tokens
batch_examples | B | sequences/step | sequences per optimiser step | bs, batch_size, batchsize, global_bs, global_batch_size, batch_size_sequences
learning_rate | eta | - | peak learning rate | lr, max_lr, peak_lr, lr_peak, lr_max, peak_learning_rate, max_learning_rate, learning_rate_peak
weight_decay | lambda | - | weight decay | wd
lr_first | - | - | learning rate of the first stage |
lr_second | - | - | learning rate of the second stage |
steps_first | - | steps | steps of the first stage |
steps_second | - | steps | steps of the second stage |
lr_sum | S_1 | - | sum of the learning rate over the steps |
lr_after | eta_k | - | learning rate after a drop of the schedule |
lr_since | S_k | - | sum of the learning rate since a drop of the schedule |
steps_since | - | steps | steps since a drop of the schedule |
lr_annealing | S_2 | - | annealing area of the learning-rate schedule |
epochs | - | passes | passes over the distinct tokens | epoch, n_epochs, num_epochs
width | d | units | width of the residual stream | d_model, hidden_size, hidden_dim, n_embd, model_width, embed_dim, embedding_dim
depth | l | layers | number of layers | n_layers, num_layers, n_layer, layers, num_blocks, n_blocks, model_depth
heads | - | heads | attention heads | n_heads, num_heads, n_head, attention_heads
kv_heads | - | heads | key-value heads | n_kv_heads, num_kv_heads
key_size | - | units | size of a key | kqv_size, head_dim, d_head, d_kv
ffw_size | - | units | width of the feed-forward layer | d_ff, ffn_size, ffn_dim, intermediate_size
sequence_length | - | tokens | tokens per sequence | seq_len, seq_length, context_length, context_size, n_ctx, max_seq_len, sequence_len
vocab | V | tokens | vocabulary size | vocab_size, vocabulary, vocabulary_size, n_vocab
x | x | - | the free variable of a one-variable law |
experts | E | experts | experts per layer | n_experts, num_experts, expert_count
granularity | G | - | granularity of the experts |
sparsity | S | fraction | share of weights or experts that is inactive |
streams | P | streams | parallel streams | parallel_streams, n_streams
languages | - | languages | number of languages | n_languages, num_languages
h1 | - | share | share of the first domain in the mixture |
h2 | - | share | share of the second domain in the mixture |
r1 | - | share | share of the first domain in the mixture |
r2 | - | share | share of the second domain in the mixture |
r3 | - | share | share of the third domain in the mixture |
bits | P | bits | bits of precision | precision_bits, n_bits
bits_weights | P_w | bits | bits of the weights | weight_bits
bits_activations | P_a | bits | bits of the activations | activation_bits
bits_kv | P_kv | bits | bits of the key-value cache | kv_bits
bits_post | P_post | bits | bits after training | post_bits
core_days | - | days | days times cores | tpu_core_days
chip_hours | - | hours | hours times chips | gpu_hours, accelerator_hours
chips | - | chips | number of accelerators | n_chips, n_gpus, num_gpus
days | - | days | duration in days |
years | - | years | calendar time in years |
elo | - | Elo | playing strength |
board_size | - | squares | side of the board |
kl | - | nats | divergence from the initial policy | kl_divergence
pc1 | - | - | first principal component of the benchmarks |
pc2 | - | - | second principal component of the benchmarks |
pc3 | - | - | third principal component of the benchmarks |
answer_tokens | - | tokens | length of an answer |
bytes | - | bytes | amount of memory or data |
capex | - | USD | price of the hardware |
lifetime_hours | - | hours | lifetime of the hardware |
network | - | fraction | network's share of the hardware's price |
tdp_kw | - | kW | power of a chip |
pue | - | - | power usage effectiveness |
load | - | fraction | average load of a chip |
kwh_price | - | USD/kWh | price of electricity |
peak | - | FLOP/s | peak rate of a chip |
mfu | - | fraction | share of the peak rate that is used |
price | - | USD | price |
fwd_student | - | FLOP/token | a forward pass of the student |
fwd_teacher | - | FLOP/token | a forward pass of the teacher |
use_logits | - | 0 or 1 | whether the teacher's logits are counted |
use_pretraining | - | 0 or 1 | whether the teacher's training is counted |
run | - | label | name of the run | run_id, run_name, runid, exp_name, experiment_name, hyper_id
seed | - | label | random seed | random_seed, rng_seed
"""  # noqa: E501  one entry per line is what makes this table readable


def _read_glossary(text: str) -> Mapping[str, Quantity]:
    entries = {}
    for line in text.strip().splitlines():
        name, symbol, unit, description, aliases = (part.strip() for part in line.split("|"))
        others = tuple(alias.strip() for alias in aliases.split(",") if alias.strip())
        dash = {"-": ""}
        entries[name] = Quantity(name, dash.get(symbol, symbol), dash.get(unit, unit), description, others)
    return MappingProxyType(entries)


QUANTITIES: Mapping[str, Quantity] = _read_glossary(_GLOSSARY)
"""Every canonical column by name; units of the laws' inputs are these."""

# Powers of ten of a suffix. Lower-case m is a million ("125m"): nothing counted here comes in thousandths.
COUNT_SUFFIXES: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("k", "thousand", "thousands"), 3),
        **dict.fromkeys(("m", "mn", "mio", "million", "millions"), 6),
        **dict.fromkeys(("b", "bn", "g", "billion", "billions"), 9),
        **dict.fromkeys(("t", "tn", "trillion", "trillions"), 12),
    }
)
_FLOP_PREFIXES = {"": 0, "k": 3, "m": 6, "g": 9, "t": 12, "p": 15, "e": 18, "z": 21, "y": 24}
_FLOP_PREFIXES |= {
    "kilo": 3,
    "mega": 6,
    "giga": 9,
    "tera": 12,
    "peta": 15,
    "exa": 18,
    "zetta": 21,
    "yotta": 24,
}
_PREFIX = "kilo|mega|giga|tera|peta|exa|zetta|yotta|k|m|g|t|p|e|z|y"
_NUMBER = re.compile(r"[+-]?(?:\d[\d_]*(?:\.[\d_]*)?|\.\d[\d_]*)(?:e[+-]?\d+)?", re.IGNORECASE)
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")  # 1,234,567.8
_FLOP = re.compile(rf"({_PREFIX})?[ -]?flops?", re.IGNORECASE)
_FLOP_DAY = re.compile(rf"({_PREFIX})[ -]?f(?:lops?)?(?:/?s)?[ -]?days?", re.IGNORECASE)
_UNIT_WORDS = {
    **dict.fromkeys(("token", "tokens", "tok"), "tokens"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "parameters"),
    **dict.fromkeys(("step", "steps"), "steps"),
    **dict.fromkeys(("nat", "nats", "nats/token"), "nats/token"),
}


def parse_quantity(text: str | float, *, expect: str | None = None) -> float:
    """Read a number with an optional suffix and unit, in the unit of the glossary.

    Args:
        text: such as "70B", "1.4T tokens", "5.76e23", "3 PF-day", "1_000", "20k", "2.5 ZFLOP"; or a number.
        expect: a name of `QUANTITIES`; a unit written in the text must then be that quantity's.

    Returns:
        The value, correctly rounded; compute in FLOP (1 PF-day = 8.64e19 FLOP).

    Raises:
        QuantityError: not a number, an unknown suffix, the wrong unit, or too large for a double.

    Cost: microseconds.

    >>> parse_quantity("70B"), parse_quantity("3 PF-day", expect="flops")
    (70000000000.0, 2.592e+20)
    """
    unit = _expected_unit(expect)
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        kind = type(text).__name__
        raise QuantityError(f"a quantity must be a number or text such as 70B, got {kind} {text!r}")
    if not isinstance(text, str):
        return _finite(float(text), repr(text))
    written = text.strip()
    if not written:
        raise QuantityError("the quantity is empty; write for example 70B, 1.4T or 3 PF-day")
    grouped = _GROUPED.match(written)
    number = grouped if grouped and not written[grouped.end() :].startswith(",") else _NUMBER.match(written)
    if number is None:
        raise QuantityError(f"{text!r} does not begin with a number; write for example 70B, 1.4T or 3 PF-day")
    digits = number.group().replace(",", "")
    if "__" in digits or re.search(r"_(?!\d)", digits):
        raise QuantityError(f"{text!r} has a misplaced underscore; write for example 1_000")
    exponent, factor, found = _suffix(written[number.end() :].strip(), text)
    if unit is not None and found not in (None, unit):
        raise QuantityError(f"{text!r} is in {found}, but {expect} is measured in {unit}")
    if unit == "nats/token" and exponent:
        raise QuantityError(f"{text!r} is no loss: a loss in {unit} carries no suffix such as B")
    mantissa, _, power = digits.replace("_", "").lower().partition("e")
    # shifting the exponent in the text rounds once; multiplying by 1e9 would round twice
    value = float(f"{mantissa}e{int(power or 0) + exponent}") if abs(int(power or 0)) < 10_000 else math.inf
    return _finite(value * factor, repr(text))


def _expected_unit(expect: str | None) -> str | None:
    if expect is None:
        return None
    if expect not in QUANTITIES:
        raise QuantityError(f'"{expect}" is not in the glossary{did_you_mean(expect, QUANTITIES)}')
    return QUANTITIES[expect].unit


def _suffix(suffix: str, text: str) -> tuple[int, float, str | None]:
    """Return (power of ten, factor, unit or None) of what follows the number."""
    if not suffix:
        return 0, 1.0, None
    if day := _FLOP_DAY.fullmatch(suffix):
        return _FLOP_PREFIXES[day.group(1).lower()], 86_400.0, "FLOP"
    if flop := _FLOP.fullmatch(suffix):
        return _FLOP_PREFIXES[(flop.group(1) or "").lower()], 1.0, "FLOP"
    if re.search(r"flops?/s", suffix, re.IGNORECASE):
        raise QuantityError(f"{text!r} is a rate, no amount of compute; multiply by the time, as in 3 PF-day")
    head, *rest = suffix.split()
    if head.lower() in COUNT_SUFFIXES and len(rest) <= 1:
        word = rest[0] if rest else ""
        if not word or word.lower() in _UNIT_WORDS or re.fullmatch("flops?", word, re.IGNORECASE):
            unit = _UNIT_WORDS.get(word.lower(), "FLOP") if word else None
            return COUNT_SUFFIXES[head.lower()], 1.0, unit
    if suffix.lower() in _UNIT_WORDS:
        return 0, 1.0, _UNIT_WORDS[suffix.lower()]
    raise QuantityError(f"{text!r} ends in {suffix!r}, which is no known unit; use k, M, B, T, FLOP or PF-day")


def _finite(value: float, shown: str) -> float:
    if math.isnan(value):
        raise QuantityError(f"{shown} is no number")
    if math.isinf(value):
        raise QuantityError(f"{shown} is too large for double precision")
    return value


def format_quantity(value: float, *, digits: int = 3) -> str:
    """Show a count with a suffix: k, M, B, T; beyond those as 5.76e23.

    Args:
        value: a number; a negative one keeps its sign, nan and inf are shown as such.
        digits: significant digits at most; 17 reads back exactly with `parse_quantity`.

    Returns:
        Text that `parse_quantity` reads.

    >>> format_quantity(7e10), format_quantity(1.4e12), format_quantity(5.76e23), format_quantity(999.9e6)
    ('70B', '1.4T', '5.76e23', '1B')
    """
    if not math.isfinite(value):
        return str(float(value))
    if value == 0:
        return "0"
    # rounding first, so that 999.9e6 becomes 1B and not 1000M
    rounded = Decimal(f"{Decimal(float(value)):.{digits - 1}e}")
    size = rounded.adjusted()
    if size >= 15 or size < -4:
        mantissa, _, power = f"{rounded:e}".partition("e")
        return f"{_trim(mantissa)}e{int(power)}"
    shift = max(size // 3 * 3, 0)
    return _trim(f"{rounded.scaleb(-shift):f}") + {0: "", 3: "k", 6: "M", 9: "B", 12: "T"}[shift]


def format_number(value: float, low: float | None = None, high: float | None = None) -> str:
    """Show `value` with the digits its interval deserves.

    Those are two digits of the interval's half width, and never fewer than three of the value itself.

    Args:
        value: the number; pass the ends of the interval through the same call to get "482 (297 to 744)".
        low, high: the interval; without one, four significant digits.

    Returns:
        Plain text; powers of ten beyond 1e6 and below 1e-4.

    >>> low, high = 297.1, 744.3
    >>> [format_number(number, low, high) for number in (482.01, low, high)]
    ['482', '297', '744']
    >>> format_number(0.347812, 0.3279, 0.3681), format_number(1.81724)
    ('0.348', '1.817')
    """
    if not math.isfinite(value):
        return str(float(value))
    half = (high - low) / 2 if low is not None and high is not None else math.nan
    size = math.floor(math.log10(abs(value))) if value else 0
    decimals = 3 - size
    if math.isfinite(half) and half > 0:
        deserved = 1 - math.floor(math.log10(half))
        decimals = min(max(deserved, 2 - size), 14 - size) if value else deserved  # a double holds 15 digits
    if value and not -4 <= size < 6:
        mantissa, _, power = f"{value:.{max(decimals + size, 0)}e}".partition("e")
        return f"{mantissa}e{int(power)}"
    if decimals >= 0:
        return f"{value:.{decimals}f}"
    return f"{round(value, decimals):.0f}"


def _trim(digits: str) -> str:
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
