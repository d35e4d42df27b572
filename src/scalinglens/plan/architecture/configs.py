"""Reading an architecture from a configuration: our own fields, or the names that model repositories use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.plan.architecture.architecture import Architecture

__all__ = ["read_config"]

_ALIASES: Mapping[str, tuple[str, ...]] = {
    "width": ("hidden_size", "n_embd", "d_model", "dim", "model_width"),
    "depth": ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "layers"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "n_heads"),
    "kv_heads": ("num_key_value_heads", "n_kv_heads", "num_kv_heads", "n_head_kv"),
    "key_size": ("head_dim", "d_head", "kqv_size"),
    "ffw": ("ffw_size", "intermediate_size", "n_inner", "ffn_dim", "d_ff", "ffn_hidden_size", "ffn_size"),
    "vocab": ("vocab_size", "n_vocab", "padded_vocab_size"),
    "sequence_length": (
        "max_position_embeddings",
        "n_positions",
        "n_ctx",
        "max_seq_len",
        "max_sequence_length",
        "seq_len",
    ),
    "tied": ("tie_word_embeddings", "tie_embeddings"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"),
    "experts_active": ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "top_k_experts"),
    "experts_shared": ("n_shared_experts", "num_shared_experts"),
    "dense_layers": ("first_k_dense_replace",),
    "window": ("sliding_window",),
}
_EXPERT_WIDTH = ("moe_intermediate_size", "expert_ffn_hidden_size")
# what the libraries of these models assume where their file is silent
_GATED = frozenset(
    "llama mistral mixtral qwen2 qwen3 qwen2_moe qwen3_moe gemma phi3 deepseek olmo olmo2 olmoe granite".split()
)
_PLAIN = frozenset("gpt2 gpt_neo gpt_neox gptj opt bloom phi falcon gpt_bigcode starcoder2 mpt".split())
_UNTIED = frozenset(
    "llama mistral mixtral qwen2 qwen3 qwen2_moe qwen3_moe gpt_neox gptj phi phi3 deepseek olmo2 olmoe".split()
)
_ALL_BIASES = frozenset("gpt2 opt bloom gpt_neox phi gpt_bigcode".split())
_QK_NORM = frozenset(("qwen3", "qwen3_moe"))
_REFUSED: Mapping[str, str] = {
    "kv_lora_rank": "latent attention",
    "is_encoder_decoder": "an encoder and a decoder",
    "shared_expert_intermediate_size": "a shared expert of another width with a gate",
    "ssm_cfg": "a state-space model",
    "state_size": "a state-space model",
    "mlp_only_layers": "experts in chosen layers",
    "vision_config": "an image encoder",
}
_FOREIGN = (
    "model_type",
    "architectures",
    "transformers_version",
    "torch_dtype",
)  # marks of a file that says more than we need


def read_config(config: Mapping[str, Any] | str | Path) -> Architecture:
    """Read an architecture from a configuration.

    Args:
        config: a dictionary, JSON text, or the path of a JSON file; with our own names (`width`, `depth`, ...) or those of
            a Hugging Face `config.json` (`hidden_size`, `num_hidden_layers`, `num_key_value_heads`, ...). Such a file also
            holds much that does not matter here; in any other dictionary an unknown name is an error.

    Returns:
        The architecture. What a file of a known `model_type` leaves out has that model's default; its sequence length is the
        longest context that the file names, which may be longer than the sequences of training.

    Raises:
        PlanError: no JSON, a name that is missing, unknown or twice there, or a kind of model that we do not count.

    Cost: microseconds.

    >>> mixtral = read_config({"model_type": "mixtral", "hidden_size": 4096, "num_hidden_layers": 32, "vocab_size": 32000,
    ...     "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336, "num_local_experts": 8,
    ...     "num_experts_per_tok": 2, "tie_word_embeddings": False})
    >>> mixtral.params, mixtral.params_active
    (46702792704, 12879925248)
    """
    words = _load(config)
    known = [field.name for field in fields(Architecture)]
    foreign = any(mark in words for mark in _FOREIGN) or any(a in words for a in ("hidden_size", "n_embd"))
    for key, meaning in _REFUSED.items():
        if words.get(key):
            raise PlanError(
                f"the configuration has {key} = {str(words[key])[:40]}: {meaning}, which is not counted here; "
                "give the dimensions of the nearest plain decoder, or your own FLOP count"
            )
    found: dict[str, Any] = {}
    used: dict[str, str] = {}
    for name in known:
        for alias in (name, *_ALIASES.get(name, ())):
            if words.get(alias) is None:
                continue
            if name in used and found[name] != words[alias]:
                raise PlanError(
                    f"{used[name]} = {found[name]} and {alias} = {words[alias]} both give the {name}; keep one"
                )
            found[name], used[name] = words[alias], alias
    if not foreign:
        readable = (*known, *(alias for names in _ALIASES.values() for alias in names), *_EXPERT_WIDTH)
        for key in words:
            if key not in readable:
                raise PlanError(
                    f'"{key}" is no dimension of an architecture{did_you_mean(key, readable)}; there are {", ".join(known)}'
                )
    missing = [name for name in ("width", "depth", "heads", "vocab") if name not in found]
    if missing:
        name = missing[0]
        near = next((hint for alias in (name, *_ALIASES[name]) if (hint := did_you_mean(alias, words))), "")
        raise PlanError(
            f"the configuration has no {name}{near}; write {name} or one of {', '.join(_ALIASES[name][:3])}"
        )
    _experts(words, found)
    if foreign:
        _defaults(words, found)
    if isinstance(found.get("biases"), list):
        found["biases"] = tuple(found["biases"])
    return Architecture(**found)


def _experts(words: Mapping[str, Any], found: dict[str, Any]) -> None:
    """Fewer than two experts are none; where experts have a width of their own, the other is that of dense layers."""
    if found.get("experts", 1) in (0, 1):
        for name in ("experts", "experts_active", "experts_shared", "dense_layers", "ffw_dense"):
            found.pop(name, None)
        return
    for step in ("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq"):
        if words.get(step, 1) not in (1, None):
            raise PlanError(
                f"the configuration has {step} = {words[step]}: layers with and without experts take turns, which is not "
                "counted here; give dense_layers, the number of layers without experts, instead"
            )
    width = next((words[name] for name in _EXPERT_WIDTH if words.get(name) is not None), None)
    if width is not None:
        dense = found.pop("ffw", None)
        found["ffw"] = width
        if found.get("dense_layers"):
            found.setdefault("ffw_dense", dense)


def _defaults(words: Mapping[str, Any], found: dict[str, Any]) -> None:
    """Fill what a file of a model repository leaves to its library."""
    kind = str(words.get("model_type", "")).lower()
    if "gated" not in found:
        smooth = str(words.get("hidden_act", "")).lower() in ("silu", "swiglu", "geglu", "reglu")
        found["gated"] = kind in _GATED or (kind not in _PLAIN and smooth)
    found.setdefault("tied", kind not in _UNTIED)  # the library's default is True
    if "norm" not in found:
        found["norm"] = (
            "layer" if kind in _PLAIN or "layer_norm_epsilon" in words or "layer_norm_eps" in words else "rms"
        )
    if "biases" not in found:
        flags = {"qkv": "attention_bias", "output": "attention_bias", "mlp": "mlp_bias"}
        told = [part for part, flag in flags.items() if words.get(flag)]
        if kind in _ALL_BIASES:
            told = ["qkv", "output", "mlp"]
        elif kind == "qwen2":
            told = ["qkv"]
        found["biases"] = tuple(told)
    if "positions" not in found and kind in ("gpt2", "gpt_bigcode", "opt"):
        found["positions"] = found.get("sequence_length", 0) + (
            2 if kind == "opt" else 0
        )  # opt keeps two rows for padding
    found.setdefault("qk_norm", kind in _QK_NORM)
    if words.get("use_sliding_window") is False:
        found.pop("window", None)
    if words.get("multi_query") and "kv_heads" not in found:
        found["kv_heads"] = 1


def _load(config: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    if isinstance(config, Mapping):
        return dict(config)
    if not isinstance(config, str | Path):
        raise PlanError(
            f"a configuration is a dictionary, JSON text or the path of a JSON file, got {type(config).__name__}"
        )
    text = str(config)
    where = "the text"
    if not text.lstrip().startswith("{"):
        where = f"the file {text}"
        try:
            text = Path(config).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise PlanError(
                f"cannot read the configuration {config}: {problem}; give the path of a config.json"
            ) from None
    try:
        words = json.loads(text)
    except json.JSONDecodeError as problem:
        raise PlanError(f"{where} is not JSON: {problem}; give a config.json or a dictionary") from None
    if not isinstance(words, dict):
        raise PlanError(f"{where} holds {type(words).__name__} and not an object of names and numbers")
    return words
