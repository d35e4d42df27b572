"""What an architecture computes: operations of training, of reading a prompt and of writing tokens.

Counted are the multiplications of matrices, an addition and a multiplication each (2mnk for [m, k] by [k, n]): what a FLOP
counter counts and what the field compares. Biases, norms, activations, rotations of positions, the softmax and the embedding
lookup are left out; they are small beside these. The other conventions of the literature are read from the catalogue of laws
(`flops.*`), never written again here. These functions are methods of `Architecture`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.laws.catalogue import law
from scalinglens.plan.amounts import whole
from scalinglens.plan.architecture.itemised import Itemised

if TYPE_CHECKING:
    from scalinglens.plan.architecture.architecture import Architecture

__all__ = [
    "CONVENTIONS",
    "check_convention",
    "decode_flops",
    "flops_per_token",
    "forward_flops",
    "generation_flops",
    "prefill_flops",
    "span",
    "training_flops",
]

CONVENTIONS: Mapping[str, str] = {
    "exact": "every matrix multiplication of this architecture, attention over all positions unless causal",
    "6nd": "6 times the active parameters, embeddings included (flops.6nd)",
    "kaplan": "6 times the weights of the blocks, without embeddings, head, biases and norms, plus attention as "
    "6*depth*sequence_length*width (flops.kaplan)",
    "palm": "6 times the active parameters plus 12*depth*heads*key_size*sequence_length (flops.palm)",
    "chinchilla": "Hoffmann et al. appendix F: one-hot embedding, softmax and head counted; plain MLP, one key per "
    "query head (flops.chinchilla_full)",
    "deepseek": "72*depth*width^2 + 12*depth*width*sequence_length: blocks of the standard shape, no vocabulary "
    "(flops.deepseek)",
}
"""How training operations per token are counted: name -> what is counted."""
_LAWS = {name: "flops.chinchilla_full" if name == "chinchilla" else f"flops.{name}" for name in CONVENTIONS}


def forward_flops(
    shape: Architecture, sequence_length: int | None = None, *, causal: bool = False, logits: str = "all"
) -> Itemised:
    """Count one forward pass over one sequence exactly.

    Per layer, for T tokens of width d: projections 2 T d key_size (2 heads + 2 kv_heads), scores and their product
    with the values 4 heads key_size T^2, MLP 2 T d ffw (3 matrices if gated, else 2) for each expert visited, router
    2 T d experts; once: head 2 T d vocab.

    Args:
        sequence_length: T in tokens; by default that of the architecture.
        causal: count only the T(T+1)/2 pairs of positions that a causal mask leaves, as the best kernels do; a FLOP
            counter, PaLM's convention and MFU count all T^2.
        logits: "all" positions, as in training, or the "last" alone, as when a prompt is read.

    Returns:
        FLOP per sequence by part; whole numbers, exact.

    Raises:
        PlanError: a length that is no positive whole number, or unknown logits.

    >>> from scalinglens.plan.architecture.architecture import Architecture
    >>> tiny = Architecture(width=8, depth=1, heads=2, kv_heads=1, vocab=10, sequence_length=4)
    >>> tiny.forward_flops().to_dict()["scores"] == 2 * 2 * 4 * 4 * 4
    True
    """
    tokens = shape.sequence_length if sequence_length is None else whole("sequence_length", sequence_length)
    if logits not in ("all", "last"):
        raise PlanError(f'logits is {logits!r}; write "all" for training or "last" for reading a prompt')
    pairs = _pairs(shape, tokens, causal)
    return _flops(shape, tokens, pairs, tokens if logits == "all" else 1, "FLOP/sequence")


def training_flops(shape: Architecture, sequence_length: int | None = None, *, causal: bool = False) -> Itemised:
    """Count forward and backward over one sequence exactly: three times the forward pass.

    Each multiplication of matrices needs two of the same size in the backward pass, one for either factor; the first
    layer is no exception, because the embedding learns too. Recomputation of activations is not counted (that would
    be HFU, not MFU).

    >>> from scalinglens.plan.architecture.architecture import Architecture
    >>> tiny = Architecture(width=8, depth=1, heads=2, vocab=10, sequence_length=4)
    >>> tiny.training_flops().total == 3 * tiny.forward_flops().total
    True
    """
    return forward_flops(shape, sequence_length, causal=causal).scaled(3)


def _flops(shape: Architecture, tokens: int, pairs: int, logits: int, unit: str) -> Itemised:
    d, moe, dense = shape.width, shape.expert_layers, shape.depth - shape.expert_layers
    mlp = 2 * tokens * d * (3 if shape.gated else 2)
    each = {
        "embedding": 0,  # a lookup; the convention "chinchilla" counts it as a multiplication by a one-hot vector
        "queries": shape.depth * 2 * tokens * d * shape.heads * shape.key,
        "keys": shape.depth * 2 * tokens * d * shape.kv * shape.key,
        "values": shape.depth * 2 * tokens * d * shape.kv * shape.key,
        "scores": shape.depth * 2 * shape.heads * shape.key * pairs,
        "weighted_values": shape.depth * 2 * shape.heads * shape.key * pairs,
        "attention_output": shape.depth * 2 * tokens * d * shape.heads * shape.key,
        "mlp": dense * mlp * shape.dense_width,
        "router": moe * 2 * tokens * d * shape.experts,
        "experts": moe * mlp * shape.mlp_width * (shape.experts_active + shape.experts_shared),
        "head": 2 * logits * d * shape.vocab,
    }
    return Itemised(each, unit)


def _pairs(shape: Architecture, tokens: int, causal: bool) -> int:
    """How many pairs of a query and a key one head scores."""
    seen = span(shape, tokens)
    return seen * (seen + 1) // 2 + (tokens - seen) * seen if causal else tokens * seen


def span(shape: Architecture, tokens: int) -> int:
    """How many tokens a query can look back on, itself included."""
    return tokens if shape.window is None else min(tokens, shape.window)


def flops_per_token(
    shape: Architecture, convention: str = "exact", *, sequence_length: int | None = None, causal: bool = False
) -> float:
    """Return the operations of training per token under a convention, forward and backward.

    Args:
        convention: a name of `CONVENTIONS`; all but "exact" are laws of the catalogue, which describe a standard dense
            transformer: for experts they get the active parameters, for other shapes they are as wrong as published.
        sequence_length: by default that of the architecture.
        causal: for "exact" only, as in `forward_flops`.

    Raises:
        PlanError: an unknown convention, or causal attention asked of a published formula.

    Cost: microseconds for "exact", a law evaluation otherwise.

    >>> from scalinglens.plan.architecture.architecture import Architecture
    >>> palm = Architecture(width=18432, depth=118, heads=48, kv_heads=1, key_size=256, ffw=73728, gated=True,
    ...                     vocab=256_000, tied=True)
    >>> f"{palm.params:.4e} {palm.flops_per_token('palm'):.3e} {palm.flops_per_token():.3e}"
    '5.4036e+11 3.278e+12 3.278e+12'
    """
    check_convention(convention)
    tokens = shape.sequence_length if sequence_length is None else whole("sequence_length", sequence_length)
    if convention == "exact":
        return training_flops(shape, tokens, causal=causal).total / tokens
    if causal:
        raise PlanError(
            f'the convention "{convention}" is a published formula without a causal mask; use "exact" with causal=True'
        )
    points = {**shape.columns(), "sequence_length": tokens, "tokens": 1.0, "params": shape.params_active}
    if convention == "kaplan":  # N = 2 d depth (2 d_attention + d_ffw): their count leaves out biases and norms
        parts = shape.parameters(active=True)
        points["params_nonembedding"] = sum(parts[name] for name in ("attention", "mlp", "router", "experts"))
    counted = law(_LAWS[convention])
    value = float(counted.value(points={name: points[name] for name in counted.inputs}))
    return value / tokens if counted.output == "flops_per_sequence" else value


def prefill_flops(shape: Architecture, prompt: int, *, causal: bool = False) -> Itemised:
    """Count reading a prompt of that many tokens exactly, with the logits of its last position alone.

    >>> from scalinglens.plan.architecture.architecture import Architecture
    >>> tiny = Architecture(width=8, depth=1, heads=2, vocab=10)
    >>> tiny.prefill_flops(5)["head"]
    160
    """
    return forward_flops(shape, whole("prompt", prompt), causal=causal, logits="last")


def decode_flops(shape: Architecture, context: int) -> Itemised:
    """Count writing one token exactly, when attention sees `context` tokens, itself included.

    Twice the weights it meets plus 4 depth heads key_size context (`flops.inference` says 4 depth width context, and
    counts the embedding table among the weights).

    >>> from scalinglens.plan.architecture.architecture import Architecture
    >>> llama = Architecture(width=4096, depth=32, heads=32, ffw=11008, gated=True, vocab=32000)
    >>> met = llama.params_nonembedding - 65 * 4096 + 32000 * 4096  # the weights without norms, and the head
    >>> llama.decode_flops(2048).total == 2 * met + 4 * 32 * 4096 * 2048
    True
    """
    context = whole("context", context)
    return _flops(shape, 1, span(shape, context), 1, "FLOP/token")


def generation_flops(shape: Architecture, prompt: int, answer: int, *, causal: bool = True) -> Itemised:
    """Count answering one request exactly: the prompt once, then every further token at its growing context.

    Args:
        prompt, answer: tokens read and written; the first token written comes out of the prompt's last position.
        causal: whether the prompt is read with the masked half left out, as in `forward_flops`.
    """
    prompt, answer = whole("prompt", prompt), whole("answer", answer)
    read = prefill_flops(shape, prompt, causal=causal)
    if answer == 1:
        return Itemised(read, "FLOP/request")
    last = prompt + answer - 1
    pairs = _pairs(shape, last, True) - _pairs(shape, prompt, True)
    return Itemised(read.plus(_flops(shape, answer - 1, pairs, answer - 1, "")), "FLOP/request")


def check_convention(name: str) -> str:
    """Return the name of a convention, or say which there are."""
    if name not in CONVENTIONS:
        near = did_you_mean(str(name), CONVENTIONS)
        raise PlanError(f'there is no convention "{name}"{near}; there are {", ".join(CONVENTIONS)}')
    return name
