"""Help, version, statuses, streams and interrupts: what all commands share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import scalinglens as sl
from scalinglens.cli.main import COMMANDS, main
from scalinglens.cli.progress import bar

SCRIPT = Path(sys.executable).with_name("scalinglens")


def test_help_names_every_command(run) -> None:
    text = run("--help").stdout
    for command, (_, says) in COMMANDS.items():
        assert f"  {command}" in text
        assert says in text
    assert run().stdout == text  # no words at all: help
    assert run("help").stdout == text


@pytest.mark.parametrize(
    ("command", "options"),
    [
        (
            "fit",
            "--law --map --x --where --duplicates --target --loss --delta --space --asymmetry --weights --pin --tie --boot "
            "--groups --interval --level --starts --seed --save --plot --json --strict",
        ),
        ("predict", "--at --points --level --law-only --json"),
        ("laws", "--unverified --latex --javascript --json"),
        ("demo", "--out --seed --json"),
    ],
)
def test_help_of_a_command(run, command: str, options: str) -> None:
    text = run(command, "--help").stdout
    assert f"usage: scalinglens {command}" in text
    assert all(option in text for option in options.split())
    assert "None" not in text
    assert "''" not in text
    assert run("help", command).stdout == text


def test_version(run) -> None:
    assert run("--version").stdout == f"scalinglens {sl.__version__}\n"


@pytest.mark.skipif(not SCRIPT.exists(), reason="the package is not installed as a script")
def test_the_installed_script_is_the_module(run) -> None:
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout == run("--help").stdout


@pytest.mark.parametrize("code", ["import scalinglens", "from scalinglens.cli.main import main; main(['--help'])"])
def test_start_is_quick(code: str) -> None:
    times = []
    for _ in range(3):  # the best of three: the machine may be busy
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.5


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["predict", "--help"], ["laws", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = f"import sys; from scalinglens.cli.main import main; main({words}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"pandas", "scipy", "sympy", "matplotlib"} & set(loaded)


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("scalinglens.laws.card.laws_dict", broken)
    with pytest.raises(ZeroDivisionError):
        main(["laws"])


def test_a_reader_that_has_seen_enough(desk: Path) -> None:
    command = f"{sys.executable} -m scalinglens laws --json | head -1"
    done = subprocess.run(command, shell=True, cwd=desk, capture_output=True, text=True, check=False)
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_a_terminal_without_greek_letters(desk: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "scalinglens", "fit", "--help"]
    done = subprocess.run(command, cwd=desk, env=environment, capture_output=True, check=False)
    assert done.returncode == 0
    assert done.stdout.isascii()


# ---- Ctrl-C -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to_group", [False, True], ids=["process", "terminal"])
@pytest.mark.parametrize("after", [0.05, 0.5, 2.5])  # while starting, importing, resampling
def test_interrupt(desk: Path, tmp_path: Path, after: float, to_group: bool) -> None:
    words = ["fit", str(desk / "runs.csv"), "--boot", "2000000", "--save", "fit.json", "--plot", "fit.png"]
    code = "import sys; print(flush=True); from scalinglens.cli.main import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )
    assert process.stdout is not None
    process.stdout.readline()  # Python runs: before that an interrupt is none of our business
    time.sleep(after)
    (os.killpg if to_group else os.kill)(process.pid, signal.SIGINT)  # a terminal tells the workers, too
    begin = time.monotonic()
    _, complaint = process.communicate(timeout=30)
    assert time.monotonic() - begin < 5
    if after > 0.05:
        assert process.returncode == 130
        assert complaint == "scalinglens: interrupted\n"
    else:  # it may hit before the first line of ours
        assert process.returncode in (130, -signal.SIGINT)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):  # no worker is left behind
        os.killpg(process.pid, 0)


# ---- progress -----------------------------------------------------------------------------------------------------------


def test_bar_appears_on_a_terminal_only(desk: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "scalinglens", "fit", "runs.csv", "--boot", "30000", "--json"]
    process = subprocess.Popen(command, cwd=desk, stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
    assert process.stdout is not None
    with process.stdout:
        screen = process.stdout.read()
    assert process.wait() == 0
    os.close(ours)
    assert b"fitting" in seen
    assert b"/30000" in seen
    assert screen.startswith("{")


def test_bar_leaves_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with bar("counting") as progress:
        progress(1, 2)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert capsys.readouterr() == ("", "")
