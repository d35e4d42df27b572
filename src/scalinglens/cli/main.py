"""The command `scalinglens`: hand over to one file per command, and turn every way to end into an exit status.

Status 0: done. 2: a mistake in what was asked (one message, no traceback). 3: `fit --strict` and the fit is not
certified. 130: interrupted. Anything else is a defect of ours and keeps its traceback. Only the module of the command
that was asked for is imported, so that help and mistakes answer at once.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from types import FrameType

__all__ = ["COMMANDS", "main"]

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("Demo", "fit the runs of this project, predict new transformers, train them here and compare"),
    "fit": ("Fit", "fit a law to a table of runs, with a certificate and intervals"),
    "compare": ("Compare", "compare laws by what they forecast of runs that were held out"),
    "predict": ("Predict", "predict from a saved fit, or from a published law"),
    "plan": ("Plan", "plan a run from a fit or a law: how big, how long, how much; and questions beyond"),
    "design": ("Design", "choose which runs to make next: what they cost, and the interval they will buy"),
    "isoflop": ("Isoflop", "find the best model size of each compute budget, without a law"),
    "downstream": ("Downstream", "forecast the accuracy of a task by way of its loss"),
    "watch": ("Watch", "forecast the final loss of a job that still runs: is it worth continuing?"),
    "train": ("Train", "train one model on a world of known complexity, and show its learning curve"),
    "sweep": ("Sweep", "make many runs with any number of workers; safe to interrupt, and to start again"),
    "runs": ("List", "read the runs of a store into one table"),
    "theory": ("Query", "solve models of scaling: curves, frontiers, exponents, checked by simulation"),
    "coordcheck": ("Coordcheck", "check that what a network computes keeps its size as it grows wider"),
    "world": ("Shown", "worlds to learn: their complexity, exact floors, and samples as files"),
    "laws": ("Laws", "list the published laws, or show the card of one"),
    "data": ("Data", "list, fetch or check the public tables that published results rest on"),
}
"""Command -> the dataclass in `cli/COMMAND.py` that holds its options, and what it does."""

_EXAMPLES = """\
Start here:
  scalinglens demo
  scalinglens fit runs.csv --boot 1000 --save fit.json --plot fit.png
  scalinglens predict fit.json --params 70B --tokens 1.4T
  scalinglens laws hoffmann2022"""

_interrupted = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        arguments: words after the name of the program, by default those it was started with.

    >>> main(["--version"])
    scalinglens 0.1.0
    0
    """
    global _interrupted
    _interrupted = False
    words = list(sys.argv[1:] if arguments is None else arguments)
    before = _listen()
    try:
        status = _dispatch(words)
        sys.stdout.flush()
        return status
    except SystemExit as end:  # tyro has printed its help or its complaint
        return end.code if isinstance(end.code, int) else 0
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell reports SIGPIPE
    except BaseException as problem:
        if isinstance(problem, KeyboardInterrupt) or _interrupted:
            # an interrupt inside an import or a callback can surface as another exception
            print("scalinglens: interrupted", file=sys.stderr)
            return 128 + signal.SIGINT
        from scalinglens.errors import ScalingLensError

        if not isinstance(problem, ScalingLensError):
            raise
        print(f"scalinglens: {problem}", file=sys.stderr)
        return 2
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _dispatch(words: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without Greek letters must not end a command
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    name, *rest = words or ["--help"]
    if name in ("-h", "--help", "help"):
        if rest and rest[0] in COMMANDS:
            return _dispatch([rest[0], "--help"])
        print(_help())
        return 0
    if name in ("-V", "--version", "version"):
        from scalinglens import __version__

        print(f"scalinglens {__version__}")
        return 0
    if name not in COMMANDS:
        from scalinglens.errors import ScalingLensError, did_you_mean

        raise ScalingLensError(
            f'there is no command "{name}"{did_you_mean(name, COMMANDS)}; the commands are {", ".join(COMMANDS)} '
            "(scalinglens COMMAND --help says more)"
        )
    module = importlib.import_module(f"scalinglens.cli.{name}")
    return module.parse(rest).run()


def _help() -> str:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {says}" for name, (_, says) in COMMANDS.items())
    return (
        "usage: scalinglens COMMAND [options]\n\n"
        "Neural scaling laws you can trust: from a table of training runs to a certified law with honest intervals.\n\n"
        f"Commands:\n{listed}\n\n{_EXAMPLES}\n\n"
        "scalinglens COMMAND --help explains a command; every command has --json. scalinglens --version gives the version."
    )


def _listen() -> signal._HANDLER | None:
    """Let Ctrl-C raise KeyboardInterrupt here, and nothing in a forked worker; return the handler there was."""
    if threading.current_thread() is not threading.main_thread():
        return None
    parent = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        global _interrupted
        if os.getpid() != parent:
            os._exit(128 + number)
        _interrupted = True
        raise KeyboardInterrupt

    return signal.signal(signal.SIGINT, stop) or signal.default_int_handler
