"""The log of a running job in every state a file can be in."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from scalinglens.errors import RunsError
from scalinglens.fit.curves.metrics import MetricsLog


def _log(path: Path, text: str, **columns: str) -> MetricsLog:
    path.write_text(text)
    log = MetricsLog(path, columns)
    log.read()
    return log


def _steps(log: MetricsLog) -> list[float]:
    found = log.column("steps")
    return [] if found is None else found.tolist()


class TestReads:
    def test_csv_and_json_lines_give_the_same(self, tmp_path: Path) -> None:
        rows = [(10 * i, 3.0 - 0.01 * i, 1e-3) for i in range(20)]
        plain = _log(tmp_path / "a.csv", "step,loss,lr\n" + "".join(f"{s},{y},{r}\n" for s, y, r in rows))
        lines = "".join(json.dumps({"step": s, "train": {"loss": y}, "opt/lr": r}) + "\n" for s, y, r in rows)
        nested = _log(tmp_path / "a.jsonl", lines)
        for name in ("steps", "loss", "learning_rate"):
            assert np.array_equal(plain.column(name), nested.column(name)), name
        assert nested.columns == {"steps": "step", "loss": "train/loss", "learning_rate": "opt/lr"}
        assert plain.column("tokens") is None

    @pytest.mark.parametrize("separator", [",", "\t", ";"])
    def test_separators_quotes_and_windows_ends(self, tmp_path: Path, separator: str) -> None:
        text = (
            separator.join(["step", '"train loss"', "note"]) + "\r\n" + separator.join(["1", "2.5", '"a b"']) + "\r\n"
        )
        log = _log(tmp_path / "a.csv", text, loss="train loss")
        assert log.column("loss") == [2.5]

    def test_the_plain_loss_before_that_of_an_evaluation(self, tmp_path: Path) -> None:
        log = _log(tmp_path / "a.csv", "step,val_loss,train_loss\n1,,3.0\n2,2.9,2.8\n")
        assert log.columns["loss"] == "train_loss"
        assert _log(tmp_path / "b.csv", "step,val_loss,train_loss\n1,,3\n2,2.9,2.8\n", loss="val_loss").column(
            "loss"
        ) == [2.9]

    def test_only_what_is_new_is_read(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        log = _log(path, "step,loss\n1,3.0\n2,2.")
        assert _steps(log) == [1.0]  # the last line has no end yet
        assert not log.read()
        with path.open("a") as file:
            file.write("5\n3,2.4\n")
        assert log.read()
        assert log.column("loss").tolist() == [3.0, 2.5, 2.4]  # type: ignore[union-attr]

    def test_header_again_and_steps_going_back(self, tmp_path: Path) -> None:
        log = _log(tmp_path / "a.csv", "step,loss\n1,3\n2,2.9\n3,2.8\nstep,loss\n2,2.7\n3,2.6\n")
        assert _steps(log) == [1, 2, 3]
        assert log.column("loss").tolist() == [3, 2.7, 2.6]  # type: ignore[union-attr]
        assert (log.resumes, log.repeats) == (1, 1)

    def test_losses_that_are_no_numbers(self, tmp_path: Path) -> None:
        log = _log(tmp_path / "a.csv", "step,loss\n1,3\n2,nan\n3,inf\n4,2.8\n5,NaN\n")
        assert (_steps(log), log.not_numbers, log.diverged) == ([1, 4], 3, None)
        with (tmp_path / "a.csv").open("a") as file:
            file.write("6,nan\n7,nan\n")
        log.read()
        assert log.diverged == 5
        json_log = _log(
            tmp_path / "a.jsonl", '{"step": 1, "loss": NaN}\n{"step": 2, "loss": null}\n{"step": 3, "loss": 2}\n'
        )
        assert (_steps(json_log), json_log.not_numbers) == ([3], 1)

    def test_lines_of_rubbish(self, tmp_path: Path) -> None:
        log = _log(tmp_path / "a.csv", "step,loss\n1,3\ngarbage\n2,2.9,7\n,2.8\n\n\xff\xfe,1\n3,2.7\n")
        assert (_steps(log), log.unread) == ([1, 3], 4)
        lines = '{"step": 1, "loss": 3}\n{"step": 2, "lo\n[1, 2]\nTraceback:\n{"eval": 1}\n{"step": 3, "loss": 2}\n'
        json_log = _log(tmp_path / "a.jsonl", lines)
        assert (_steps(json_log), json_log.unread) == ([1, 3], 3)

    def test_absent_then_there_then_truncated_then_replaced(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        log = MetricsLog(path)
        assert not log.exists
        assert not log.read()
        path.write_text("step,loss\n1,3\n2,2.9\n3,2.8\n")
        assert log.read()
        path.write_text("step,loss\n1,4\n")  # shorter than what was read
        assert log.read()
        assert (_steps(log), log.restarts) == ([1], 1)
        other = tmp_path / "new"
        other.write_text("iteration,loss\n5,1\n6,1\n7,1\n8,1\n")
        other.replace(path)
        assert log.read()
        assert (_steps(log), log.restarts) == ([5, 6, 7, 8], 2)
        path.unlink()
        assert not log.read()
        assert _steps(log) == [5, 6, 7, 8]

    def test_a_writer_killed_in_the_middle_of_a_line(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        code = (
            "import sys, time\n"
            f"f = open({str(path)!r}, 'w'); f.write('step,loss\\n')\n"
            "for i in range(1000):\n"
            "    f.write(f'{i},{3 - i / 1000}\\n'); f.flush()\n"
            "f.write('1000,2.'); f.flush(); print('ready', flush=True); time.sleep(60)\n"
        )
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
            log = MetricsLog(path)
            for _ in range(200):
                log.read()
                time.sleep(0.002)
                if len(log) > 10:
                    break
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            writer.kill()
        log.read()
        assert _steps(log) == list(range(1000))
        assert log.unread == 0
        with path.open("a") as file:  # the job begins again from an earlier checkpoint, on a line that was cut
            file.write("\n900,2.1\n901,2.09\n")
        log.read()
        assert _steps(log)[-2:] == [900, 901]
        assert log.resumes == 1


class TestRefuses:
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (b"\x1f\x8b\x08\x00abc\n", "is compressed"),
            (b"step\0loss\n", "is no text"),
            (b"when,what\n1,2\n", "has no column of loss; it has when, what"),
            (b"time,loss\n1,2\n", "has no column of steps or tokens"),
            (b'{"a": 1}\n' * 6, "has no column of loss; it has a"),
        ],
    )
    def test_files_that_are_no_log(self, tmp_path: Path, data: bytes, message: str) -> None:
        (tmp_path / "a").write_bytes(data)
        with pytest.raises(RunsError, match=message):
            MetricsLog(tmp_path / "a").read()

    def test_folder(self, tmp_path: Path) -> None:
        with pytest.raises(RunsError, match="Is a directory"):
            MetricsLog(tmp_path).read()

    def test_columns(self, tmp_path: Path) -> None:
        with pytest.raises(RunsError, match=r'no "los" \(did you mean "loss"\?\)'):
            MetricsLog(tmp_path / "a", {"los": "x"})
        with pytest.raises(RunsError, match=r"no column 'train_los' \(did you mean"):
            _log(tmp_path / "a", "step,train_loss\n1,2\n", loss="train_los")
