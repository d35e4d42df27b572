"""Parameters, operations and memory of architectures: published counts, brute force, catalogue laws, bad input."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scalinglens.errors import PlanError
from scalinglens.laws.catalogue import law
from scalinglens.plan.architecture.architecture import CONVENTIONS, Architecture
from scalinglens.plan.architecture.itemised import Itemised
from scalinglens.plan.architecture.shapes import shaped

LLAMA2 = Architecture(width=4096, depth=32, heads=32, ffw=11008, gated=True, vocab=32_000, sequence_length=4096)
GPT2 = {
    "model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "n_ctx": 1024,
    "vocab_size": 50257, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5, "architectures": ["GPT2LMHeadModel"],
}  # fmt: skip
LLAMA3 = {
    "model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 8192,
    "hidden_act": "silu", "rms_norm_eps": 1e-5, "tie_word_embeddings": False, "attention_bias": False, "rope_theta": 5e5,
}  # fmt: skip
MIXTRAL = {
    "model_type": "mixtral", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 32000, "max_position_embeddings": 32768,
    "num_local_experts": 8, "num_experts_per_tok": 2, "hidden_act": "silu", "tie_word_embeddings": False,
    "sliding_window": None,
}  # fmt: skip
GEMMA = {
    "model_type": "gemma", "hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
    "num_key_value_heads": 16, "head_dim": 256, "intermediate_size": 24576, "vocab_size": 256000, "hidden_act": "gelu",
}  # fmt: skip
QWEN = {
    "model_type": "qwen2", "hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28,
    "num_key_value_heads": 4, "intermediate_size": 18944, "vocab_size": 152064, "tie_word_embeddings": False,
    "sliding_window": 131072, "use_sliding_window": False, "hidden_act": "silu",
}  # fmt: skip
DEEPSEEK = {
    "model_type": "deepseek", "hidden_size": 2048, "num_hidden_layers": 28, "num_attention_heads": 16,
    "num_key_value_heads": 16, "intermediate_size": 10944, "moe_intermediate_size": 1408, "n_routed_experts": 64,
    "n_shared_experts": 2, "num_experts_per_tok": 6, "first_k_dense_replace": 1, "vocab_size": 102400,
    "hidden_act": "silu", "tie_word_embeddings": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "params"),
    [
        (GPT2, 124_439_808),  # positions, biases and norms counted, the tied embedding once
        (LLAMA3, 8_030_261_248),
        (MIXTRAL, 46_702_792_704),
        (GEMMA, 8_537_680_896),
        (QWEN, 7_615_616_512),
        (DEEPSEEK, 16_375_728_128),
    ],
    ids=["gpt2", "llama3-8b", "mixtral-8x7b", "gemma-7b", "qwen2.5-7b", "deepseekmoe-16b"],
)
def test_published_counts_from_configurations(config: dict[str, Any], params: int) -> None:
    """Counts of the published weights, to the last parameter."""
    assert Architecture.from_config(config).params == params


def test_published_counts() -> None:
    assert LLAMA2.params == 6_738_415_616
    mixtral = Architecture.from_config(MIXTRAL)
    assert f"{mixtral.params / 1e9:.1f} {mixtral.params_active / 1e9:.1f}" == "46.7 12.9"  # Jiang et al. 2024
    deepseek = Architecture.from_config(DEEPSEEK)
    assert f"{deepseek.params / 1e9:.1f} {deepseek.params_active / 1e9:.1f}" == "16.4 2.8"  # Dai et al. 2024
    gpt3 = Architecture(
        width=12288, depth=96, heads=96, vocab=50257, sequence_length=2048, positions=2048, tied=True, norm="layer",
        biases=("qkv", "output", "mlp"),
    )  # fmt: skip
    assert f"{gpt3.params:.4g}" == "1.746e+11"  # "175B"


def test_counts_by_part_add_up() -> None:
    gpt2 = Architecture.from_config(GPT2)
    parts = gpt2.parameters()
    assert parts.total == sum(parts.values()) == gpt2.params
    assert parts["head"] == 0
    assert parts["positions"] == 1024 * 768
    assert gpt2.params_embedding == (50257 + 1024) * 768
    assert gpt2.params_embedding + gpt2.params_nonembedding == gpt2.params  # the head is the embedding
    untied = replace(gpt2, tied=False)
    assert untied.params - gpt2.params == 50257 * 768
    assert untied.params_nonembedding == gpt2.params_nonembedding
    assert untied.params_active == untied.params


# ---- operations ------------------------------------------------------------------------------------------------------


def products(shape: Architecture, tokens: int, causal: bool) -> int:
    """The slow twin: every multiplication of matrices of a forward pass, one by one, attention row by row."""
    d, k = shape.width, shape.key
    total = 0
    for layer in range(shape.depth):
        for columns in (shape.heads * k, shape.kv * k, shape.kv * k):
            total += 2 * tokens * d * columns
        for row in range(tokens):
            for column in range(tokens):
                if shape.window is not None and not causal and column >= shape.window:
                    continue  # without a mask a window is a block of that many columns
                if causal and (column > row or (shape.window is not None and row - column >= shape.window)):
                    continue
                total += shape.heads * 2 * 2 * k
        total += 2 * tokens * shape.heads * k * d
        matrices = 3 if shape.gated else 2
        if shape.experts == 1 or layer < shape.dense_layers:
            width = shape.ffw_dense if shape.experts > 1 and shape.ffw_dense else shape.mlp_width
            total += matrices * 2 * tokens * d * width
        else:
            total += 2 * tokens * d * shape.experts
            total += tokens * (shape.experts_active + shape.experts_shared) * matrices * 2 * d * shape.mlp_width
    return total + 2 * tokens * d * shape.vocab


SMALL = [
    Architecture(width=12, depth=2, heads=3, vocab=7, sequence_length=9),
    Architecture(width=16, depth=3, heads=4, kv_heads=2, key_size=6, ffw=10, gated=True, vocab=11, sequence_length=8),
    Architecture(width=8, depth=3, heads=2, vocab=5, experts=5, experts_active=2, experts_shared=1, dense_layers=1, ffw_dense=20),
    Architecture(width=12, depth=2, heads=3, kv_heads=1, vocab=7, window=4, gated=True),
]  # fmt: skip


@pytest.mark.parametrize("shape", SMALL)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("tokens", [1, 3, 9])
def test_forward_is_every_product(shape: Architecture, causal: bool, tokens: int) -> None:
    got = shape.forward_flops(tokens, causal=causal)
    assert got.total == products(shape, tokens, causal)
    assert got.unit == "FLOP/sequence"
    assert shape.training_flops(tokens, causal=causal).total == 3 * got.total
    assert shape.flops_per_token(sequence_length=tokens, causal=causal) == 3 * got.total / tokens


@pytest.mark.parametrize("shape", SMALL)
def test_a_request_is_its_tokens_one_by_one(shape: Architecture) -> None:
    slow = shape.prefill_flops(5, causal=True)
    for context in range(6, 11):
        slow = slow.plus(shape.decode_flops(context))
    request = shape.generation_flops(5, 6)
    assert dict(request) == dict(slow)
    assert shape.generation_flops(5, 1).total == shape.prefill_flops(5, causal=True).total
    # with every position's logits the request costs what one forward pass over it costs
    whole = shape.forward_flops(10, causal=True)
    assert whole.total - request.total == 2 * shape.width * shape.vocab * (5 - 1)


def test_decode_of_a_dense_model_is_twice_the_weights_and_attention() -> None:
    plain = Architecture(width=64, depth=4, heads=4, vocab=1, sequence_length=128)
    matrices = plain.params_nonembedding - plain.parameters()["norms"]
    published = float(law("flops.inference").value(params=matrices + 64, depth=4, width=64, sequence_length=128))
    assert plain.decode_flops(128).total == pytest.approx(published, rel=1e-12)


# ---- conventions -----------------------------------------------------------------------------------------------------

STANDARD = Architecture(width=512, depth=8, heads=8, vocab=32_000, sequence_length=2048)


def test_every_convention_is_a_law_of_the_catalogue() -> None:
    d, n, t, v = 512, 8, 2048, 32_000
    by_hand = {
        "exact": 3 * (n * (24 * d * d + 4 * t * d) + 2 * d * v),
        "6nd": 6 * STANDARD.params,
        "kaplan": 6 * 12 * n * d * d + 6 * n * t * d,
        "palm": 6 * STANDARD.params + 12 * n * t * d,
        "deepseek": 72 * n * d * d + 12 * n * d * t,
        "chinchilla": 3 * (4 * v * d + n * (24 * d * d + 4 * t * d + 3 * 8 * t)),
    }
    assert set(by_hand) == set(CONVENTIONS)
    for name, value in by_hand.items():
        assert STANDARD.flops_per_token(name) == pytest.approx(value, rel=1e-12), name


def test_conventions_differ_by_what_they_say_they_count() -> None:
    exact = STANDARD.flops_per_token()
    once = STANDARD.flops_per_token("chinchilla") - 6 * 32_000 * 512 - 9 * 8 * 8 * 2048  # embedding, softmax
    assert once == pytest.approx(exact, rel=1e-12)
    assert STANDARD.flops_per_token("deepseek") == pytest.approx(exact - 6 * 512 * 32_000, rel=1e-12)
    # Kaplan's count is that of causal attention, whose mask leaves half of the pairs, without the head
    causal = STANDARD.flops_per_token(causal=True) - 6 * 512 * 32_000
    assert STANDARD.flops_per_token("kaplan") == pytest.approx(causal, rel=6 * 8 * 512 / causal * 1.01)


def test_checks_of_the_catalogue() -> None:
    assert f"{2048 * STANDARD.flops_per_token('chinchilla'):.5g}" == "9.2047e+11"
    assert f"{replace(STANDARD, sequence_length=4096).flops_per_token('deepseek') / 1e6:.1f}" == "352.3"
    wide = Architecture(width=2048, depth=24, heads=16, vocab=50257, sequence_length=2048)
    blocks = 12 * 24 * 2048**2  # Kaplan: N = 12 n_layer d^2
    assert wide.flops_per_token("kaplan") == pytest.approx(6.604e9 + 6 * (blocks - 1e9), rel=1e-4)


def test_palm_540b() -> None:
    """Chowdhery et al. 2022: 118 layers, 48 heads of 256, one key-value head; 3.2756e12 FLOP per token at 540e9."""
    palm = Architecture(
        width=18432, depth=118, heads=48, kv_heads=1, key_size=256, ffw=73728, gated=True, vocab=256_000, tied=True,
        sequence_length=2048,
    )  # fmt: skip
    assert palm.params == pytest.approx(540.35e9, rel=1e-4)
    nominal = palm.flops_per_token("palm") + 6 * (540e9 - palm.params)
    assert f"{nominal:.5g}" == "3.2756e+12"
    assert palm.flops_per_token() == pytest.approx(palm.flops_per_token("palm"), rel=1e-5)  # all but norms


def test_experts_are_counted_where_they_are_visited() -> None:
    mixtral = Architecture.from_config(MIXTRAL)
    assert mixtral.flops_per_token("6nd") == pytest.approx(6 * mixtral.params_active, rel=1e-12)
    forward = mixtral.forward_flops(1)
    assert forward["mlp"] == 0
    assert forward["experts"] == 32 * 2 * 3 * 2 * 4096 * 14336
    assert forward["router"] == 32 * 2 * 4096 * 8


# ---- memory ----------------------------------------------------------------------------------------------------------


def test_cache() -> None:
    llama3 = Architecture.from_config(LLAMA3)
    assert f"{llama3.kv_cache_bytes(8192):.5g}" == "1.0737e+09"
    assert llama3.kv_cache_bytes(8192) == 2 * 32 * 8 * 128 * 8192 * 2
    assert llama3.kv_cache_bytes(8192, batch=3, bytes_per_value=1) == 1.5 * llama3.kv_cache_bytes()
    assert replace(llama3, window=4096).kv_cache_bytes(8192) == llama3.kv_cache_bytes(4096)


def test_weights_read_in_a_step() -> None:
    assert LLAMA2.weight_bytes() == 2 * 6_738_415_616
    assert LLAMA2.weight_bytes_read() == 2 * (6_738_415_616 - 32_000 * 4096)  # a row of the embedding is nothing
    mixtral = Architecture.from_config(MIXTRAL)
    assert mixtral.weight_bytes_read(1) == 2 * (mixtral.params_active - 32_000 * 4096)
    rng = np.random.default_rng(0)  # how many of 8 experts do 4 tokens with 2 each visit?
    seen = np.mean([len({e for _ in range(4) for e in rng.choice(8, 2, replace=False)}) for _ in range(4000)])
    expert = 32 * 3 * 4096 * 14336 * 2
    visited = (mixtral.weight_bytes_read(4) - mixtral.weight_bytes_read(1)) / expert + 2
    assert visited == pytest.approx(seen, abs=0.05)
    assert mixtral.weight_bytes_read(10_000) == pytest.approx(2 * (mixtral.params - 32_000 * 4096))


def test_training_memory() -> None:
    memory = LLAMA2.training_bytes(2, sequence_length=1024, recomputation="full")
    assert memory["states"] == 16 * LLAMA2.params
    assert memory["activations"] == 2 * 1024 * 4096 * 32 * 2
    assert memory["logits"] == 2 * 1024 * 32_000 * 4
    less = [LLAMA2.training_bytes(1, recomputation=how).total for how in ("none", "selective", "full")]
    assert less == sorted(less, reverse=True)


# ---- the objects -----------------------------------------------------------------------------------------------------


def test_configurations_go_round(tmp_path: Path) -> None:
    for config in (GPT2, LLAMA3, MIXTRAL, GEMMA, QWEN, DEEPSEEK):
        shape = Architecture.from_config(config)
        assert Architecture.from_config(shape.to_dict()) == shape
        assert Architecture.from_config(json.dumps(shape.to_dict())) == shape
        path = tmp_path / "config.json"
        path.write_text(json.dumps(config))
        assert Architecture.from_config(path) == Architecture.from_config(str(path)) == shape
        assert pickle.loads(pickle.dumps(shape)) == shape
        assert hash(shape) == hash(Architecture.from_config(config))


def test_defaults_of_model_files() -> None:
    gpt2 = Architecture.from_config(GPT2)
    assert (gpt2.tied, gpt2.gated, gpt2.norm, gpt2.positions) == (True, False, "layer", 1024)
    assert gpt2.biases == ("qkv", "output", "mlp")
    assert Architecture.from_config(QWEN).biases == ("qkv",)
    assert Architecture.from_config(QWEN).window is None
    deepseek = Architecture.from_config(DEEPSEEK)
    assert (deepseek.ffw, deepseek.ffw_dense, deepseek.dense_layers, deepseek.experts_shared) == (1408, 10944, 1, 2)


def test_columns_feed_any_law() -> None:
    columns = STANDARD.columns()
    got = law("flops.palm").value(points={name: columns[name] for name in law("flops.palm").inputs})
    assert float(got) == STANDARD.flops_per_token("palm")


def test_itemised() -> None:
    count = LLAMA2.forward_flops(100)
    assert count.to_dict()["total"] == count.total
    assert pickle.loads(pickle.dumps(count)) is not count
    assert dict(pickle.loads(pickle.dumps(count))) == dict(count)
    assert str(count).splitlines()[-1].endswith("FLOP/sequence")
    assert "%" in str(Itemised({"a": 0}, "bytes"))
    with pytest.raises(PlanError, match=r'no part "heads".*did you mean "head"'):
        count["heads"]
    assert "heads" not in count


@pytest.mark.parametrize("size", ["1M", "20M", "124M", "1.3B", "6.7B", "13B", "70B", "175B", "540B"])
def test_shaped_hits_the_size_with_a_usual_ratio(size: str) -> None:
    vocab = 2048 if size == "1M" else 32_000
    shape = Architecture.shaped(size, vocab=vocab)
    target = float(size[:-1]) * {"M": 1e6, "B": 1e9}[size[-1]]
    assert shape.params == pytest.approx(target, rel=0.04)
    if target >= 1e8:
        assert 45 < shape.width / shape.depth < 150
    assert shape.width == shape.heads * shape.key


def test_shaped_by_other_counts() -> None:
    bare = shaped("1M", count="params_nonembedding", vocab=50_304)
    assert bare.params_nonembedding == pytest.approx(1e6, rel=0.05)
    mixture = shaped("13B", count="params_active", vocab=32_000, experts=8, experts_active=2, group=4)
    assert mixture.params_active == pytest.approx(13e9, rel=0.05)
    assert mixture.params > 2 * mixture.params_active
    assert mixture.heads == 4 * mixture.kv
    sizes = [shaped(float(n), vocab=32_000, count="params_nonembedding").params for n in np.geomspace(1e8, 1e11, 7)]
    assert sizes == sorted(sizes)


# ---- bad input -------------------------------------------------------------------------------------------------------

GOOD = {"width": 512, "depth": 8, "heads": 8, "vocab": 100}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"width": 0}, "width is 0; it must be a whole number of at least 1"),
        ({"depth": -3}, "depth is -3"),
        ({"depth": 2.5}, "depth is 2.5; it must be a whole number"),
        ({"vocab": "32k"}, "vocab is '32k'"),
        ({"vocab": True}, "vocab is True"),
        ({"heads": 7}, r"heads = 7 does not divide width = 512; choose heads of .*8, 16.*or give key_size"),
        ({"kv_heads": 3}, r"kv_heads = 3 does not divide heads = 8.*choose kv_heads of 1, 2, 4, 8"),
        ({"kv_heads": 16}, "kv_heads = 16 does not divide heads = 8"),
        ({"ffw": 0}, "ffw is 0"),
        ({"experts": 4, "experts_active": 5}, r"experts_active = 5 of experts = 4.*lower experts_active"),
        ({"experts_active": 2}, "experts_active = 2 of experts = 1"),
        ({"dense_layers": 1}, "mean something only with experts"),
        ({"experts": 4, "dense_layers": 9}, "dense_layers = 9 of depth = 8"),
        ({"biases": ("kqv",)}, r'no bias "kqv".*did you mean "qkv"'),
        ({"norm": "layernorm"}, r'no norm "layernorm".*rms or layer'),
        ({"gated": 1}, "gated is 1; it must be True or False"),
        ({"window": 0}, "window is 0"),
    ],
)
def test_impossible_dimensions(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Architecture(**{**GOOD, **changed})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: a.flops_per_token("chinchila"), r'no convention "chinchila".*did you mean "chinchilla"'),
        (lambda a: a.flops_per_token("palm", causal=True), r'published formula.*use "exact" with causal=True'),
        (lambda a: a.forward_flops(0), "sequence_length is 0"),
        (lambda a: a.forward_flops(8, logits="first"), "logits is 'first'; write \"all\""),
        (lambda a: a.decode_flops(-1), "context is -1"),
        (lambda a: a.generation_flops(10, 0), "answer is 0"),
        (lambda a: a.kv_cache_bytes(8, batch=0), "batch is 0"),
        (lambda a: a.weight_bytes(0), "bytes_per_param is 0; it must be a positive number"),
        (lambda a: a.training_bytes(recomputation="fully"), r'no recomputation "fully".*did you mean "full"'),
    ],
)
def test_impossible_questions(call: Any, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        call(Architecture(**GOOD))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"width": 512, "depth": 8, "heads": 8}, "has no vocab; write vocab or one of vocab_size"),
        (
            {"hidden_sze": 512, "num_hidden_layers": 8, "model_type": "llama"},
            r'has no width \(did you mean "hidden_sze"',
        ),
        ({**GOOD, "widht": 3}, r'"widht" is no dimension.*did you mean "width"'),
        ({**GOOD, "hidden_size": 64}, "width = 512 and hidden_size = 64 both give the width; keep one"),
        ({**LLAMA3, "kv_lora_rank": 512}, "kv_lora_rank = 512: latent attention, which is not counted"),
        ({**LLAMA3, "is_encoder_decoder": True}, "an encoder and a decoder"),
        ({**MIXTRAL, "decoder_sparse_step": 2}, "decoder_sparse_step = 2.*dense_layers"),
        ("{not json", "is not JSON"),
        ("nowhere/config.json", "cannot read the configuration nowhere/config.json"),
        ("[1]", "cannot read"),
        (17, "got int"),
    ],
)
def test_unreadable_configurations(config: Any, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        Architecture.from_config(config)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"params": "1M", "vocab": 50_304},
            r"no shape has 1M params within 5%.*embedding of 50304 tokens; lower vocab",
        ),
        ({"params": 0}, "the size is 0"),
        ({"params": -7e9}, "the size is -"),
        ({"params": "7B", "count": "parms"}, r'no count "parms".*did you mean "params"'),
        ({"params": "7B", "width": 4096}, "width is what is looked for"),
        ({"params": "7B", "aspect": 0}, "aspect is 0; it must be a positive number"),
    ],
)
def test_impossible_sizes(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        shaped(**arguments)
