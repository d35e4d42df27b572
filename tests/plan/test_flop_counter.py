"""Operations and parameters against PyTorch: a transformer written here by itself, and PyTorch's own FLOP counter.

Needs PyTorch, which the package does not depend on: without it the module is skipped, unless SCALINGLENS_REQUIRE_TORCH=1 (set in
CI), which turns the skip into a failure. The big models run on the `meta` device, where shapes are computed and numbers are not.
"""

from __future__ import annotations

import importlib.util
import os
import random

import pytest

if importlib.util.find_spec("torch") is None:
    if os.environ.get("SCALINGLENS_REQUIRE_TORCH") == "1":
        pytest.fail("SCALINGLENS_REQUIRE_TORCH is 1 but PyTorch is not installed; run `make torch`", pytrace=False)
    pytest.skip("PyTorch is not installed; this file compares with its FLOP counter", allow_module_level=True)

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scalinglens.plan.architecture.architecture import Architecture

DENSE = Architecture(
    width=768, depth=12, heads=12, vocab=50257, sequence_length=1024, positions=1024, tied=True, norm="layer",
    biases=("qkv", "output", "mlp"),
)  # fmt: skip
GATED = Architecture(
    width=4096, depth=32, heads=32, kv_heads=8, ffw=14336, gated=True, vocab=128_256, sequence_length=512
)
EXPERTS = Architecture(
    width=4096, depth=32, heads=32, kv_heads=8, ffw=14336, gated=True, vocab=32_000, sequence_length=256, experts=8,
    experts_active=2,
)  # fmt: skip


class Attention(nn.Module):
    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        d, size, biases = shape.width, shape.key_size, shape.biases
        self.shape = shape
        self.queries = nn.Linear(d, shape.heads * size, bias="qkv" in biases)
        self.keys = nn.Linear(d, shape.kv_heads * size, bias="qkv" in biases)
        self.values = nn.Linear(d, shape.kv_heads * size, bias="qkv" in biases)
        self.attention_output = nn.Linear(shape.heads * size, d, bias="output" in biases)
        self.norms = nn.ModuleList([nn.RMSNorm(size), nn.RMSNorm(size)] if shape.qk_norm else [])

    def forward(self, x, cache=None):
        def split(y):
            return y.unflatten(-1, (-1, self.shape.key_size)).transpose(-3, -2)

        q, k, v = split(self.queries(x)), split(self.keys(x)), split(self.values(x))
        if self.norms:
            q, k = self.norms[0](q), self.norms[1](k)
        if cache is not None:  # earlier tokens of the context
            past = torch.zeros(*k.shape[:-2], cache, k.shape[-1], device=k.device)
            k, v = torch.cat([past, k], -2), torch.cat([past, v], -2)
        with sdpa_kernel(SDPBackend.MATH):  # two products of matrices, which the counter sees
            y = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None, enable_gqa=True)
        return self.attention_output(y.transpose(-3, -2).flatten(-2))


class MLP(nn.Module):
    def __init__(self, shape: Architecture, width: int) -> None:
        super().__init__()
        biased = "mlp" in shape.biases
        self.gate = nn.Linear(shape.width, width, bias=biased) if shape.gated else None
        self.up = nn.Linear(shape.width, width, bias=biased)
        self.down = nn.Linear(width, shape.width, bias=biased)

    def forward(self, x):
        return self.down(F.gelu(self.up(x)) if self.gate is None else F.silu(self.gate(x)) * self.up(x))


class Experts(nn.Module):
    """Every token goes to the experts of its highest logits; without numbers (meta) to each expert in turn."""

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.active = shape.experts_active
        self.router = nn.Linear(shape.width, shape.experts, bias=False)
        self.routed = nn.ModuleList(MLP(shape, shape.ffw) for _ in range(shape.experts))
        self.shared = nn.ModuleList(MLP(shape, shape.ffw) for _ in range(shape.experts_shared))

    def forward(self, x):
        flat = x.flatten(0, -2)
        weights = self.router(flat).softmax(-1)
        count = len(self.routed)
        if x.device.type == "meta":
            chosen = (torch.arange(len(flat))[:, None] + torch.arange(self.active)) % count
        else:
            chosen = weights.topk(self.active, -1).indices
        out = torch.zeros_like(flat)
        for number, expert in enumerate(self.routed):
            rows = (chosen == number).any(-1).nonzero()[:, 0].to(x.device)
            out = out.index_add(0, rows, weights[rows, number : number + 1] * expert(flat[rows]))
        for expert in self.shared:
            out = out + expert(flat)
        return out.view_as(x)


class Block(nn.Module):
    def __init__(self, shape: Architecture, layer: int) -> None:
        super().__init__()
        make = nn.LayerNorm if shape.norm == "layer" else nn.RMSNorm
        self.first, self.second = make(shape.width), make(shape.width)
        self.attention = Attention(shape)
        if shape.experts == 1:
            self.mlp = MLP(shape, shape.ffw)
        elif layer < shape.dense_layers:
            self.mlp = MLP(shape, shape.ffw_dense)
        else:
            self.mlp = Experts(shape)

    def forward(self, x, cache=None):
        x = x + self.attention(self.first(x), cache)
        return x + self.mlp(self.second(x))


class Transformer(nn.Module):
    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        make = nn.LayerNorm if shape.norm == "layer" else nn.RMSNorm
        self.embedding = nn.Embedding(shape.vocab, shape.width)
        self.positions = nn.Embedding(shape.positions, shape.width) if shape.positions else None
        self.blocks = nn.ModuleList(Block(shape, layer) for layer in range(shape.depth))
        self.last = make(shape.width)
        self.head = nn.Linear(shape.width, shape.vocab, bias=False)
        if shape.tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens, cache=None, last=False):
        x = self.embedding(tokens)
        if self.positions is not None:
            x = x + self.positions(torch.arange(tokens.shape[-1], device=tokens.device))
        for block in self.blocks:
            x = block(x, cache)
        return self.head(self.last(x[:, -1:] if last else x))


def built(shape: Architecture, device: str) -> Transformer:
    with torch.device(device):
        return Transformer(shape)


def counted(shape: Architecture, device: str, sequences: int = 1) -> tuple[int, int, dict[str, int]]:
    """Operations of the forward pass, of forward and backward, and those of each kind of module, forward."""
    model = built(shape, device)
    tokens = torch.randint(shape.vocab, (sequences, shape.sequence_length)).to(device)
    with FlopCounterMode(display=False) as counter:
        logits = model(tokens)
    forward, modules = counter.get_total_flops(), counter.get_flop_counts()
    with FlopCounterMode(display=False) as counter:
        logits.sum().backward()
    kinds: dict[str, int] = {}
    for name, found in modules.items():
        kind = name.rsplit(".", 1)[-1]
        kinds[kind] = kinds.get(kind, 0) + sum(found.values())
    return forward, forward + counter.get_total_flops(), kinds


def random_architecture(seed: int) -> Architecture:
    draw = random.Random(seed)
    kv_heads, group, size = draw.choice([1, 2, 3]), draw.choice([1, 2, 4]), draw.choice([4, 8])
    experts = draw.choice([1, 1, 4, 6])
    routed = {
        "experts": experts, "experts_active": draw.randint(1, experts), "experts_shared": draw.randint(0, 2),
        "dense_layers": draw.randint(0, 1), "ffw_dense": 40,
    }  # fmt: skip
    return Architecture(
        width=draw.choice([12, 24, 48]), depth=draw.randint(1, 3), heads=kv_heads * group, kv_heads=kv_heads, key_size=size,
        ffw=draw.choice([8, 20, 64]), vocab=draw.randint(5, 60), sequence_length=draw.randint(2, 17),
        gated=draw.random() < 0.5, tied=draw.random() < 0.5, positions=draw.choice([0, 32]),
        norm=draw.choice(["rms", "layer"]), qk_norm=draw.random() < 0.3,
        biases=tuple(name for name in ("qkv", "output", "mlp") if draw.random() < 0.5),
        **(routed if experts > 1 else {}),
    )  # fmt: skip


@pytest.mark.parametrize("shape", [DENSE, GATED, EXPERTS], ids=["gpt2", "llama3-8b", "mixtral"])
def test_published_architectures(shape: Architecture) -> None:
    forward, training, kinds = counted(shape, "meta")
    assert forward == shape.forward_flops().total
    assert training == shape.training_flops().total
    for part in ("queries", "keys", "values", "attention_output", "router", "head"):
        assert kinds.get(part, 0) == shape.forward_flops()[part], part
    assert sum(p.numel() for p in built(shape, "meta").parameters()) == shape.params


@pytest.mark.parametrize("seed", range(16))
def test_random_architectures_with_real_routing(seed: int) -> None:
    shape = random_architecture(seed)
    torch.manual_seed(seed)
    forward, training, _ = counted(shape, "cpu", sequences=3)
    assert forward == 3 * shape.forward_flops().total
    assert training == 3 * shape.training_flops().total
    assert sum(p.numel() for p in built(shape, "cpu").parameters()) == shape.params


@pytest.mark.parametrize("shape", [DENSE, GATED, EXPERTS], ids=["gpt2", "llama3-8b", "mixtral"])
def test_prefill_and_decode(shape: Architecture) -> None:
    model = built(shape, "meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 100, dtype=torch.long, device="meta"), last=True)
    assert counter.get_total_flops() == shape.prefill_flops(100).total
    written = 0
    for context in (101, 102, 103):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(torch.zeros(1, 1, dtype=torch.long, device="meta"), cache=context - 1)
        assert counter.get_total_flops() == shape.decode_flops(context).total
        written += counter.get_total_flops()
    # a request: the prompt gives the first token, each of three more is a step
    answer = shape.generation_flops(100, 4, causal=False).total - shape.prefill_flops(100).total
    assert answer == written
