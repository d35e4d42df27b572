"""A decoder-only transformer by its dimensions: what it holds, what it computes, what it keeps in memory.

Operations are counted in operations.py, memory in memory.py; both are methods here.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from scalinglens.errors import PlanError, did_you_mean
from scalinglens.plan.amounts import whole
from scalinglens.plan.architecture import memory, operations
from scalinglens.plan.architecture.itemised import Itemised

__all__ = ["CONVENTIONS", "Architecture"]

CONVENTIONS = operations.CONVENTIONS

BIASES = ("qkv", "output", "mlp")
NORMS = ("rms", "layer")


@dataclass(frozen=True)
class Architecture:
    """A decoder-only transformer by its dimensions.

    Attributes:
        width: of the residual stream. depth: number of layers. vocab: entries of the vocabulary.
        heads: query heads. kv_heads: key-value heads, fewer for grouped-query attention; by default as many as heads.
        key_size: of a head; by default width/heads.
        ffw: width of the MLP, of one expert where there are experts; by default 4*width, if gated the next multiple of
            256 (of 64 below width 1024) from 8/3*width on.
        sequence_length: tokens per training sequence.
        gated: an MLP of three matrices (SwiGLU, GeGLU) and not of two. tied: the head is the embedding table.
        experts, experts_active: routed experts per layer and how many a token visits. experts_shared: experts of the same
            width that every token visits. dense_layers: first layers without experts, of width ffw_dense.
        positions: entries of a learned position table, 0 for rotary or no positions.
        window: tokens that attention looks back on, None for all.
        biases: which projections have one, of "qkv", "output", "mlp". norm: "rms" (a weight) or "layer" (weight and
            bias), two per layer and a last one. qk_norm: a norm of each layer's queries and of its keys.

    Raises:
        PlanError: a dimension that is no positive whole number, or dimensions that contradict each other.

    >>> gpt2 = Architecture(width=768, depth=12, heads=12, vocab=50257, sequence_length=1024, positions=1024, tied=True,
    ...                     norm="layer", biases=("qkv", "output", "mlp"))
    >>> gpt2.params, gpt2.params_nonembedding
    (124439808, 85056000)
    >>> [round(gpt2.flops_per_token(convention) / 1e6, 1) for convention in ("6nd", "exact")]  # 1,024 tokens weigh
    [746.6, 854.4]
    """

    width: int
    depth: int
    heads: int
    vocab: int
    sequence_length: int = 2048
    kv_heads: int | None = None
    key_size: int | None = None
    ffw: int | None = None
    gated: bool = False
    tied: bool = False
    experts: int = 1
    experts_active: int = 1
    experts_shared: int = 0
    dense_layers: int = 0
    ffw_dense: int | None = None
    positions: int = 0
    window: int | None = None
    biases: tuple[str, ...] = ()
    norm: str = "rms"
    qk_norm: bool = False

    def __post_init__(self) -> None:
        least = {"experts_shared": 0, "dense_layers": 0, "positions": 0}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in ("gated", "tied", "qk_norm"):
                if not isinstance(value, bool):
                    raise PlanError(f"{field.name} is {value!r}; it must be True or False")
            elif field.name not in ("biases", "norm") and value is not None:
                object.__setattr__(self, field.name, whole(field.name, value, least.get(field.name, 1)))
        biases = (self.biases,) if isinstance(self.biases, str) else tuple(self.biases)
        object.__setattr__(self, "biases", tuple(name for name in BIASES if name in biases))
        for name in biases:
            if name not in BIASES:
                raise PlanError(f'there is no bias "{name}"{did_you_mean(name, BIASES)}; there are {", ".join(BIASES)}')
        if self.norm not in NORMS:
            raise PlanError(f'there is no norm "{self.norm}"{did_you_mean(str(self.norm), NORMS)}; write rms or layer')
        self._complete_attention()
        self._complete_mlp()

    def _complete_attention(self) -> None:
        if self.key_size is None:
            if self.width % self.heads:
                raise PlanError(
                    f"heads = {self.heads} does not divide width = {self.width}; choose heads of {_divisors(self.width)}, "
                    "or give key_size if the heads are not meant to fill the width"
                )
            object.__setattr__(self, "key_size", self.width // self.heads)
        if self.kv_heads is None:
            object.__setattr__(self, "kv_heads", self.heads)
        if self.heads % self.kv:
            raise PlanError(
                f"kv_heads = {self.kv_heads} does not divide heads = {self.heads}: each key-value head serves the same "
                f"number of query heads; choose kv_heads of {_divisors(self.heads)}"
            )

    def _complete_mlp(self) -> None:
        if self.ffw is None:
            step = 256 if self.width >= 1024 else 64
            rounded = -(-8 * self.width // (3 * step)) * step
            object.__setattr__(self, "ffw", rounded if self.gated else 4 * self.width)
        if self.experts_active > self.experts:
            raise PlanError(
                f"experts_active = {self.experts_active} of experts = {self.experts}: a token cannot visit more experts "
                "than there are; lower experts_active or raise experts"
            )
        if self.experts == 1 and (self.experts_shared or self.dense_layers or self.ffw_dense is not None):
            raise PlanError(
                f"experts_shared = {self.experts_shared}, dense_layers = {self.dense_layers} and ffw_dense = "
                f"{self.ffw_dense} mean something only with experts; give experts, or leave them out"
            )
        if self.dense_layers > self.depth:
            raise PlanError(f"dense_layers = {self.dense_layers} of depth = {self.depth}; it can be at most the depth")
        if self.ffw_dense is None and self.dense_layers:
            object.__setattr__(self, "ffw_dense", self.ffw)

    # ---- constructors -----------------------------------------------------------------------------------------------

    @staticmethod
    def from_config(config: Any) -> Architecture:
        """Read a configuration: a dictionary, JSON text or a JSON file; see `plan.configs.read_config`."""
        from scalinglens.plan.architecture.configs import read_config

        return read_config(config)

    @staticmethod
    def shaped(params: float | str, **options: Any) -> Architecture:
        """Find a sensible shape for a size; see `plan.shapes.shaped`."""
        from scalinglens.plan.architecture.shapes import shaped

        return shaped(params, **options)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values; `Architecture.from_config` reads them back."""
        return {**asdict(self), "biases": list(self.biases)}

    def columns(self) -> dict[str, float]:
        """Return the glossary's quantities of this architecture, as inputs for any law or cost."""
        return {
            "params": self.params,
            "params_active": self.params_active,
            "params_nonembedding": self.params_nonembedding,
            "params_nonvocab": self.params - self._vocabulary,
            "width": self.width,
            "depth": self.depth,
            "heads": self.heads,
            "kv_heads": self.kv,
            "key_size": self.key,
            "ffw_size": self.mlp_width,
            "vocab": self.vocab,
            "sequence_length": self.sequence_length,
            "experts": self.experts,
        }

    # ---- parameters -------------------------------------------------------------------------------------------------

    @property
    def key(self) -> int:
        """Size of a head, known after construction."""
        return self.key_size or self.width // self.heads

    @property
    def kv(self) -> int:
        """Number of key-value heads, known after construction."""
        return self.kv_heads or self.heads

    @property
    def mlp_width(self) -> int:
        """Width of the MLP or of one expert, known after construction."""
        return self.ffw or 4 * self.width

    @property
    def expert_layers(self) -> int:
        """Number of layers with experts."""
        return self.depth - self.dense_layers if self.experts > 1 else 0

    def parameters(self, *, active: bool = False) -> Itemised:
        """Return all parameters by part, whole numbers.

        Vocabulary: `embedding` [vocab, width] and, unless tied, `head` [width, vocab]; `positions` where they are learned;
        blocks: `attention`, `mlp`, `router`, `experts` (routed and shared), `biases`, `norms` (the last one included).

        Args:
            active: of the routed experts only as many as a token visits.
        """
        routed = self.experts_active if active else self.experts
        d, moe, dense = self.width, self.expert_layers, self.depth - self.expert_layers
        matrices = 3 if self.gated else 2
        biased = {"qkv": (self.heads + 2 * self.kv) * self.key, "output": d}
        biases = self.depth * sum(size for name, size in biased.items() if name in self.biases)
        if "mlp" in self.biases:
            each = (matrices - 1) * self.mlp_width + d
            biases += moe * (routed + self.experts_shared) * each + dense * ((matrices - 1) * self.dense_width + d)
        norm = d * (2 if self.norm == "layer" else 1)
        counts = {
            "embedding": self.vocab * d,
            "positions": self.positions * d,
            "attention": self.depth * 2 * d * self.key * (self.heads + self.kv),
            "mlp": dense * matrices * d * self.dense_width,
            "router": moe * d * self.experts,
            "experts": moe * (routed + self.experts_shared) * matrices * d * self.mlp_width,
            "biases": biases,
            "norms": (2 * self.depth + 1) * norm + (2 * self.depth * self.key if self.qk_norm else 0),
            "head": 0 if self.tied else self.vocab * d,
        }
        return Itemised(counts, "parameters")

    @property
    def dense_width(self) -> int:
        """Width of the MLP in layers without experts."""
        return self.mlp_width if self.experts == 1 else self.ffw_dense or self.mlp_width

    @property
    def _vocabulary(self) -> int:
        return self.vocab * self.width * (1 if self.tied else 2)

    @property
    def params(self) -> int:
        """Parameters in total, as a published size counts them."""
        return int(self.parameters().total)

    @property
    def params_active(self) -> int:
        """Parameters that one token meets: all but the experts it is not routed to, vocabulary included."""
        return int(self.parameters(active=True).total)

    @property
    def params_embedding(self) -> int:
        """Tables that are looked up: the embedding and learned positions, and the head only where it is the same table."""
        return (self.vocab + self.positions) * self.width

    @property
    def params_nonembedding(self) -> int:
        """Parameters without the embedding, learned positions and the head, tied or not: blocks and last norm."""
        return self.params - self._vocabulary - self.positions * self.width

    @property
    def params_active_nonembedding(self) -> int:
        """Active parameters without the embedding, learned positions and the head."""
        return self.params_active - self._vocabulary - self.positions * self.width

    # ---- operations and memory --------------------------------------------------------------------------------------

    forward_flops = operations.forward_flops
    training_flops = operations.training_flops
    flops_per_token = operations.flops_per_token
    prefill_flops = operations.prefill_flops
    decode_flops = operations.decode_flops
    generation_flops = operations.generation_flops
    weight_bytes = memory.weight_bytes
    weight_bytes_read = memory.weight_bytes_read
    kv_cache_bytes = memory.kv_cache_bytes
    training_bytes = memory.training_bytes


def _divisors(number: int) -> str:
    found = [n for n in range(1, min(number, 512) + 1) if number % n == 0]
    return ", ".join(map(str, found[-8:]))
