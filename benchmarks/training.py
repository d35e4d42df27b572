"""How fast models train, against a plain PyTorch loop of the same model in the manner of nanoGPT, in one run.

    python -m benchmarks.training [ROUNDS]

`single`: tokens per second of one training, with one and with two threads each. `sweep`: finished runs per hour, of the plain
loop one run after another with all threads of the machine, which is what such scripts do, and of `scalinglens sweep` with two
workers of one thread, its start, its store and its evaluation at the end included. Shapes are (vocabulary, width) = (256, 32)
and (1,024, 128), with 2 layers, 50 tokens, 32 sequences a step. Rounds alternate; medians and ratios are printed and written
to benchmarks/results/training.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.__main__ import RESULTS, commit, machine
from benchmarks.training_plain import Plain, train_plain
from scalinglens.train.loop import train_runs
from scalinglens.train.settings import Model, Settings, Training
from scalinglens.worlds.walks import walk

# vocabulary, width, steps of a single training, steps of each run of a sweep
SHAPES = {"256x32": (256, 32, 200, 400), "1024x128": (1024, 128, 30, 240)}
RUNS = 8  # of a sweep
SWEEP = """
members = {members}
[base.world]
kind = "walk"
nodes = {vocab}
edges = {edges}
[base.training]
tokens = {tokens}
evaluations = 1
evaluation_tokens = 1600
[[grid]]
width = {width}
learning_rate = [0.01, 0.02, 0.03, 0.04]
seed = [0, 1]
"""
MEMBERS = {"256x32": 4, "1024x128": 1}  # in one program: what the caches hold


def single(vocab: int, width: int, steps: int, threads: int) -> tuple[float, float]:
    """Tokens per second of the plain loop and of ours."""
    torch.set_num_threads(threads)
    world = walk(nodes=vocab, edges=5 * vocab)
    tokens = world.sample(4096, length=51)
    _, plain = train_plain(tokens, Plain(vocab, width, steps))
    how = Settings(Model(width=width), training=Training(tokens=1600 * steps, evaluations=1, evaluation_tokens=50))
    begin = time.perf_counter()
    train_runs(world, [how])
    return 1600 * steps / plain, 1600 * steps / (time.perf_counter() - begin)


def sweep(name: str, vocab: int, width: int, steps: int) -> tuple[float, float]:
    """Finished runs per hour of the plain loop, one after another, and of a sweep."""
    torch.set_num_threads(2)
    tokens = walk(nodes=vocab, edges=5 * vocab).sample(4096, length=51)
    begin = time.perf_counter()
    for run in range(RUNS):
        train_plain(tokens, Plain(vocab, width, steps, seed=run))
    plain = time.perf_counter() - begin
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sweep.toml"
        file.write_text(
            SWEEP.format(members=MEMBERS[name], vocab=vocab, edges=5 * vocab, tokens=1600 * steps, width=width)
        )
        words = [
            sys.executable,
            "-m",
            "scalinglens",
            "sweep",
            str(file),
            "--store",
            f"{folder}/store",
            "--workers",
            "2",
        ]
        begin = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        ours = time.perf_counter() - begin
    return 3600 * RUNS / plain, 3600 * RUNS / ours


def summary(pairs: list[tuple[float, float]], unit: str) -> dict[str, Any]:
    plain, ours = np.median(np.array(pairs), axis=0)
    ratios = [b / a for a, b in pairs]
    return {"unit": unit, "plain": plain, "scalinglens": ours, "ratio": float(np.median(ratios)), "ratios": ratios}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    singles: dict[str, list[tuple[float, float]]] = {}
    sweeps: dict[str, list[tuple[float, float]]] = {}
    for number in range(rounds):
        for name, (vocab, width, steps, longer) in SHAPES.items():
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
            for threads in (1, 2):
                singles.setdefault(f"{name}, threads {threads}", []).append(single(vocab, width, steps, threads))
            sweeps.setdefault(name, []).append(sweep(name, vocab, width, longer))
    found = {
        "single": {name: summary(pairs, "tokens/s") for name, pairs in singles.items()},
        "sweep": {name: summary(pairs, "finished runs/hour, two workers") for name, pairs in sweeps.items()},
        "shapes": SHAPES,
        "runs": RUNS,
        "members": MEMBERS,
        "cuda": torch.cuda.is_available(),
        "commit": commit(),
        "machine": {**machine(), "torch": torch.__version__},
    }
    (RESULTS / "training.json").write_text(json.dumps(found, indent=1) + "\n")
    for kind in ("single", "sweep"):
        for name, each in found[kind].items():
            print(
                f"{kind:<7}{name:<22}{each['plain']:>10,.0f}{each['scalinglens']:>10,.0f} {each['unit']}: {each['ratio']:.2f}x"
            )


if __name__ == "__main__":
    main()
