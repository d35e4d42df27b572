"""Training speed beside a plain PyTorch loop of the same model, in the manner of nanoGPT.

python -m benchmarks.training

The plain loop is what one writes first: a module per layer, PyTorch's attention, norm, cross-entropy, AdamW and clipping, batches
cut from an array of tokens. Both train the same shape (2 layers, 4 heads, normalised queries and keys, 32 x 50 tokens a step).

- single: one run on one thread, our step against theirs, steps of both in turn so that a noisy machine disturbs both alike.
- sweep: two of our processes with one thread each, against the plain loop with two threads: finished runs per hour.

Written to benchmarks/results/training.json with commit and machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

from benchmarks.__main__ import RESULTS, commit, machine

SHAPES = ((256, 32), (1024, 128))  # vocabulary, width
BATCH, LENGTH, HEADS, DEPTH = 32, 50, 4, 2
SECONDS = 20.0  # of every measurement
ROUNDS = 3


def ours(vocab: int, width: int):
    """One step of a run with the default settings, data included."""
    import torch

    from scalinglens.train.settings import Model, Settings, Training
    from scalinglens.train.subject import Subject
    from scalinglens.worlds.walks import walk

    settings = Settings(model=Model(width=width), training=Training(batch=BATCH, sequence_length=LENGTH))
    subject = Subject(walk(nodes=vocab, edges=5 * vocab), [settings], device=torch.device("cpu"))

    def step(number: int) -> None:
        subject.optimizer.step(subject.gradients(number)[1], 0.5)

    return step


def plain(vocab: int, width: int):
    """One step of the plain loop."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    size = width // HEADS
    angle = torch.outer(torch.arange(LENGTH), 10_000.0 ** (-torch.arange(0, size, 2) / size))
    cos, sin = angle.cos(), angle.sin()

    def rotated(x):
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
            self.up, self.down = nn.Linear(width, 4 * width, bias=False), nn.Linear(4 * width, width, bias=False)

        def forward(self, x):
            B, T, d = x.shape
            parts = self.qkv(F.rms_norm(x, (d,))).split(d, 2)
            q, k, v = (part.view(B, T, HEADS, size).transpose(1, 2) for part in parts)
            q, k = rotated(F.rms_norm(q, (size,))), rotated(F.rms_norm(k, (size,)))
            seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(seen.transpose(1, 2).reshape(B, T, d))
            return x + self.down(F.gelu(self.up(F.rms_norm(x, (d,)))))

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.head = nn.Embedding(vocab, width), nn.Linear(width, vocab, bias=False)
            self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))

        def forward(self, tokens, targets):
            x = self.embedding(tokens)
            for block in self.blocks:
                x = block(x)
            logits = self.head(F.rms_norm(x, (width,)))
            return F.cross_entropy(logits.view(-1, vocab), targets.view(-1))

    torch.manual_seed(0)
    model = Plain()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.01)
    data = torch.randint(vocab, (1_000_000,))

    def step(number: int) -> None:
        starts = torch.randint(len(data) - LENGTH - 1, (BATCH,))
        tokens = torch.stack([data[i : i + LENGTH] for i in starts])
        targets = torch.stack([data[i + 1 : i + LENGTH + 1] for i in starts])
        model(tokens, targets).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def single(vocab: int, width: int) -> dict[str, float]:
    """Median seconds per step of both, taken in turn on one thread."""
    import torch

    torch.set_num_threads(1)
    steps = {"ours": ours(vocab, width), "plain": plain(vocab, width)}
    times: dict[str, list[float]] = {name: [] for name in steps}
    until, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < until or number < 25:
        for name, step in steps.items():
            started = time.perf_counter()
            step(number)
            if number >= 5:  # the first ones allocate
                times[name].append(time.perf_counter() - started)
        number += 1
    return {name: float(np.median(taken)) for name, taken in times.items()}


def rate(method: str, vocab: int, width: int, threads: int) -> float:
    """Steps per second of one process."""
    import torch

    torch.set_num_threads(threads)
    step = {"ours": ours, "plain": plain}[method](vocab, width)
    for number in range(5):
        step(number)
    started, number = time.monotonic(), 0
    while time.monotonic() < started + SECONDS:
        step(number + 5)
        number += 1
    return number / (time.monotonic() - started)


def processes(method: str, vocab: int, width: int, *, count: int, threads: int) -> float:
    """Steps per second of several processes together."""
    words = [sys.executable, "-m", "benchmarks.training", method, str(vocab), str(width), str(threads)]
    quiet = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    running = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=quiet) for _ in range(count)]
    return sum(float(each.communicate()[0]) for each in running)


def main() -> None:
    rows: list[dict[str, Any]] = []
    for vocab, width in SHAPES:
        alone = [single(vocab, width) for _ in range(ROUNDS)]
        pair = [
            (
                processes("ours", vocab, width, count=2, threads=1),
                processes("plain", vocab, width, count=1, threads=2),
            )
            for _ in range(ROUNDS)
        ]
        tokens = BATCH * LENGTH
        row = {
            "vocab": vocab,
            "width": width,
            "single_tokens_per_second": {
                n: tokens / float(np.median([a[n] for a in alone])) for n in ("ours", "plain")
            },
            "single_ratio": float(np.median([a["plain"] / a["ours"] for a in alone])),
            "single_ratios": [a["plain"] / a["ours"] for a in alone],
            "sweep_tokens_per_second": {
                "ours, two processes of one thread": tokens * float(np.median([p[0] for p in pair])),
                "plain, one process of two threads": tokens * float(np.median([p[1] for p in pair])),
            },
            "sweep_ratio": float(np.median([p[0] / p[1] for p in pair])),
            "sweep_ratios": [p[0] / p[1] for p in pair],
        }
        rows.append(row)
        ratios = f"single {row['single_ratio']:.2f}x, sweep {row['sweep_ratio']:.2f}x the plain loop"
        print(f"vocabulary {vocab}, width {width}: {ratios}", flush=True)
    import torch

    result = {
        "shapes": rows,
        "torch": torch.__version__,
        "load": os.getloadavg(),
        "commit": commit(),
        "machine": machine(),
    }
    (RESULTS / "training.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) == 5:
        print(rate(sys.argv[1], *map(int, sys.argv[2:])))
    else:
        main()
