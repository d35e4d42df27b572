"""`scalinglens watch` on logs that grow, break off and begin again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from scalinglens.cli.main import main
from scalinglens.fit.curves.live import forecast_run

STEPS = np.arange(0, 40_000, 100)


def _loss(steps: np.ndarray, seed: int = 0) -> np.ndarray:
    return 2.0 + 8.0 * (steps + 50.0) ** -0.35 + 0.01 * np.random.default_rng(seed).normal(size=len(steps))


def _write(path: Path, steps: np.ndarray, loss: np.ndarray) -> Path:
    path.write_text(
        "step,train/loss\n" + "".join(f"{s},{y!r}\n" for s, y in zip(steps.tolist(), loss.tolist(), strict=True))
    )
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return _write(tmp_path / "metrics.csv", STEPS, _loss(STEPS))


class TestOnce:
    def test_json_is_the_forecast_of_python(self, run, log: Path) -> None:
        done = run("watch", str(log), "--final-steps", "100k", "--target", "2.2", "--json")
        assert done.returncode == 0
        assert json.loads(done.stdout) == forecast_run(STEPS, _loss(STEPS), final=100_000, target=2.2).to_dict()

    def test_screen_says_the_same(self, run, log: Path) -> None:
        done = run("watch", str(log), "--final-steps", "100k", "--target", "2.0")
        assert done.returncode == 0
        assert done.stdout.startswith("stop: the target 2.0000 is reached with probability")
        assert "90% interval" in done.stdout

    def test_against_an_earlier_run(self, run, log: Path, tmp_path: Path) -> None:
        long = np.arange(0, 100_000, 100)
        earlier = _write(tmp_path / "earlier.csv", long, _loss(long, 1) + 0.1)
        done = run("watch", str(log), "--final-steps", "100k", "--against", str(earlier), "--json")
        words = json.loads(done.stdout)
        assert words["verdict"] == "continue"
        assert words["against"] == str(earlier)
        assert words["probability"] > 0.95

    def test_tokens_schedule_and_mapping_in_json_lines(self, run, tmp_path: Path) -> None:
        path = tmp_path / "m.jsonl"
        rows = zip((STEPS * 1e6).tolist(), _loss(STEPS).tolist(), strict=True)
        path.write_text(
            "".join(json.dumps({"tokens_seen": t, "eval": {"ce": y}}) + "\n" for t, y in rows) + '{"tokens_seen"'
        )
        done = run(
            "watch", str(path), "--final-tokens", "100B", "--map", "loss=eval/ce", "--json",
            "--schedule", "cosine(3e-4, steps=1000, warmup=10)",
        )  # fmt: skip
        words = json.loads(done.stdout)
        assert words["unit"] == "tokens"
        assert "follows cosine(peak=0.0003" in words["assumptions"][0]

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["absent.csv", "--final-steps", "1k"], "there is no file absent.csv"),
            (["LOG"], "one of --final-steps 100k and --final-tokens 300B"),
            (["LOG", "--final-steps", "1k", "--final-tokens", "1B"], "one of --final-steps"),
            (["LOG", "--final-steps", "many"], "does not begin with a number"),
            (["LOG", "--final-steps", "0"], "at least one of its steps"),
            (["LOG", "--final-tokens", "1B"], "has no column of tokens, but the end of the run is given in tokens"),
            (["LOG", "--final-steps", "1k", "--map", "loss=ce"], "has no column 'ce'"),
            (["LOG", "--final-steps", "1k", "--schedule", "cosin(1)"], '(did you mean "cosine"?)'),
            (["LOG", "--final-steps", "1k", "--target", "2", "--against", "x"], "keep one"),
            (["LOG", "--final-steps", "1k", "--against", "absent.csv"], "has no rows to compare with"),
            (["LOG", "--final-steps", "1k", "--level", "90"], "lies between 0 and 1"),
            (["LOG", "--final-steps", "1k", "--follow", "--every", "0"], "lie between 0.05 and 86400"),
        ],
    )
    def test_mistakes(self, log: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["watch", *(str(log) if word == "LOG" else word for word in words)]) == 2
        assert message in capsys.readouterr().err


class TestFollow:
    def test_a_growing_file_until_its_end(self, tmp_path: Path) -> None:
        """A job writes its log while it is watched: not there yet, cut lines, a restart; then it ends."""
        path = tmp_path / "metrics.csv"
        steps = np.arange(0, 20_000, 100)
        loss = _loss(steps)

        def job() -> None:
            time.sleep(0.5)
            with path.open("w") as file:
                file.write("step,loss\n")
                for i in [*range(120), *range(100, 200)]:  # killed at 120, resumed from 100
                    text = f"{steps[i]},{loss[i]}\n"
                    file.write(text[:5])
                    file.flush()
                    time.sleep(0.005)
                    file.write(text[5:])
                    if i == 119:
                        file.write("step,loss\n")
                    file.flush()

        writer = threading.Thread(target=job)
        command = [
            sys.executable,
            "-m",
            "scalinglens",
            "watch",
            str(path),
            "--final-steps",
            "20k",
            "--follow",
            "--json",
        ]
        with subprocess.Popen(
            [*command, "--every", "0.2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as watch:
            writer.start()
            out, err = watch.communicate(timeout=60)
            writer.join()
        assert watch.returncode == 0
        words = [json.loads(line) for line in out.splitlines()]
        assert {w["schema"] for w in words} == {1}
        assert words[-1]["reason"] == "the run has ended"
        assert words[-1]["rows"] == 199  # step 0 has no logarithm
        assert any("went back 1 times" in warning for warning in words[-1]["warnings"])
        assert err.count("waiting for rows") <= 1

    @pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
    def test_ctrl_c_ends_cleanly(self, log: Path) -> None:
        command = [sys.executable, "-m", "scalinglens", "watch", str(log), "--final-steps", "100k", "--follow"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
            assert watch.stdout is not None
            assert watch.stdout.readline().startswith("continue")
            time.sleep(0.3)  # the rest of the first forecast, then it sleeps
            watch.send_signal(signal.SIGINT)
            _, err = watch.communicate(timeout=20)
        assert watch.returncode == 0
        assert "stopped following" in err
        assert "Traceback" not in err
