"""`scalinglens data` lists, fetches and checks the public tables."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scalinglens.cli.data import parse
from scalinglens.errors import FetchError, OptionError
from scalinglens.runs.published import published


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def mirror(table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    folder = table("parscale/losses.csv").parents[1]
    monkeypatch.delenv("SCALINGLENS_DATA", raising=False)
    monkeypatch.setenv("SCALINGLENS_CACHE", str(tmp_path / "cache"))
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    made.daemon_threads = True
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join()
    made.server_close()


def data(*words: str) -> int:
    return parse(words).run()


def test_fetch_check_and_list_in_turn(mirror: str, run, capsys: pytest.CaptureFixture[str]) -> None:
    done = run("data", "fetch", "parscale", "--from", mirror)
    assert done.stdout.startswith("parscale/losses.csv: fetched, ")
    assert data("check", "--json") == 0
    words = json.loads(capsys.readouterr().out)
    assert words["schema"] == 1
    outcome = {entry["file"]: entry["outcome"] for entry in words["files"]}
    assert outcome.pop("parscale/losses.csv") == "right"
    assert set(outcome.values()) == {"absent"}
    path = next(entry["path"] for entry in words["files"] if entry["path"])
    Path(path).write_text("params,loss\n")
    assert data("check", "parscale") == 3
    assert "12 bytes instead of 1,543" in capsys.readouterr().out
    assert data("fetch", "parscale", "--from", mirror, "--json") == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["outcome"] == "fetched"
    assert data("check", "parscale") == 0
    assert "1 right, 0 differ, 0 absent" in capsys.readouterr().out


def test_list(mirror: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert data("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.split()[0] in {t.name for t in published()} for line in lines if line.startswith("  ")) == 19
    assert max(map(len, lines)) < 140
    assert data("list", "--json") == 0
    tables = json.loads(capsys.readouterr().out)["tables"]
    assert [entry["name"] for entry in tables] == [table.name for table in published()]
    assert data("list", "steplaw", "parscale") == 0
    assert capsys.readouterr().out == f"{published('steplaw')}\n\n{published('parscale')}\n"


def test_mistakes_are_refused(mirror: str, run) -> None:
    with pytest.raises(OptionError, match='did you mean "fetch"'):
        data("fetsh", "parscale")
    with pytest.raises(OptionError, match="needs the name of a table"):
        data("fetch")
    with pytest.raises(OptionError, match="--from belongs to data fetch"):
        data("check", "--from", mirror)
    with pytest.raises(OptionError, match="above 0, got 0"):
        data("fetch", "parscale", "--timeout", "0")
    with pytest.raises(FetchError, match="404"):
        data("fetch", "parscale", "--from", mirror + "/elsewhere")
    assert "cannot be fetched" in run("data", "fetch", "parscale", status=2).stderr
