"""A driver in a process of its own, to be killed: the same command goes on.

    python drive.py STORE TRAINER [SECONDS BETWEEN CHECKPOINTS]

With the toy trainer the sweep is the 40 runs of conftest.py, with the real one 40 small transformers on walks.
"""

from __future__ import annotations

import json
import sys

from scalinglens.sweep.driver import run_sweep
from scalinglens.sweep.executors import executor
from scalinglens.sweep.experiment import Experiment, WorldWords
from scalinglens.sweep.store import open_store
from scalinglens.sweep.sweep import Sweep


def sweep_of(trainer: str) -> Sweep:
    base = Experiment(WorldWords("walk", {"nodes": 16, "edges": 32}))
    if not trainer.startswith("toy"):
        base = base.having({"tokens": 80_000, "evaluations": 6, "evaluation_tokens": 1000})
    return Sweep(tuple(base.having({"seed": s, "width": w}) for w in (8, 16, 24, 32) for s in range(10)), members=4)


def main(url: str, trainer: str, every: float) -> None:
    crew = executor("local", workers=2)
    report = run_sweep(sweep_of(trainer), open_store(url), executor=crew, trainer=trainer, every=every)
    print(json.dumps(report.to_dict()))
    sys.exit(0 if report.complete else 3)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 60.0)
