"""A Ray cluster of two nodes on this machine, one of which is killed in the middle of a sweep.

    python two_nodes.py STORE

Started by test_executors.py in a process of its own. Prints the report of the sweep, how many runs were there when the node was
killed, and the nodes that did the work.
"""

from __future__ import annotations

import json
import sys
import threading
import time

import ray
from ray.cluster_utils import Cluster

from scalinglens.sweep.driver import run_sweep
from scalinglens.sweep.executors import executor
from scalinglens.sweep.experiment import Experiment, WorldWords
from scalinglens.sweep.store import open_store
from scalinglens.sweep.sweep import Sweep


def toy_sweep() -> Sweep:
    base = Experiment(WorldWords("walk", {"nodes": 16, "edges": 32}))
    return Sweep(tuple(base.having({"seed": s, "width": w}) for w in (8, 16, 24) for s in range(8)), members=2)


def main(path: str) -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    assert cluster.wait_for_nodes() is None
    nodes = sum(node["Alive"] for node in ray.nodes())
    store = open_store(path)
    killed: dict[str, int] = {}

    def kill() -> None:
        while len(store.finished()) < 4 or len(store.running()) < 2:
            time.sleep(0.05)
        killed["finished"] = len(store.finished())
        cluster.remove_node(second, allow_graceful=False)

    thread = threading.Thread(target=kill)
    thread.start()
    report = run_sweep(toy_sweep(), store, executor=executor("ray"), trainer="toy_trainer:train")
    thread.join()
    deadline = time.monotonic() + 60  # Ray learns of a killed node by its missing heartbeats
    while (alive := sum(node["Alive"] for node in ray.nodes())) == nodes and time.monotonic() < deadline:
        time.sleep(0.2)
    print(
        "REPORT " + json.dumps({**report.to_dict(), "nodes": nodes, "alive": alive, "when_killed": killed["finished"]})
    )
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
