"""A worker process: reads jobs from stdin, one JSON line each, and writes answers to the descriptor it was given.

    python -m scalinglens.sweep.executors.worker DESCRIPTOR [BYTES]

It ends with its parent, so that an interrupted sweep leaves nothing behind. BYTES limits its address space: a training that
needs more ends as "out of memory", and its neighbours live.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time

__all__ = ["main"]

PR_SET_PDEATHSIG = 1


def main(words: list[str]) -> None:
    """Work until stdin ends."""
    descriptor, memory = int(words[0]), int(words[1]) if len(words) > 1 else 0
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    _end_with_parent()
    if memory:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    from scalinglens.sweep.job import run_job

    answers = os.fdopen(descriptor, "w", buffering=1)
    for line in sys.stdin:
        token, job = json.loads(line)
        answers.write(json.dumps([token, run_job(job)]) + "\n")


def _end_with_parent() -> None:
    parent = int(os.environ.get("SCALINGLENS_PARENT", os.getppid()))
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    if os.getppid() != parent:  # it went before we asked to be told
        sys.exit(1)
    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1:])
