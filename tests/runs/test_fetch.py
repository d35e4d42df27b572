"""Downloads against a server of our own that also misbehaves; nothing half-written may remain."""

from __future__ import annotations

import functools
import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from scalinglens.errors import FetchError, OutputError, RunsError
from scalinglens.runs import fetch as module
from scalinglens.runs.fetch import download, fetch_published
from scalinglens.runs.published import cache_folder, published, read_published

CONTENT = b"params,loss\n1e6,4.2\n4e6,3.6\n" * 5000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """Answers of a server: each request takes the next of `plan`, the last one for ever."""

    address: str
    plan: list[str]
    asked: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def server() -> Iterator[Server]:
    known = Server("", ["good"])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known.asked.append(self.path)
            kind = known.plan[min(len(known.asked), len(known.plan)) - 1]
            if kind.isdigit():
                self.send_error(int(kind))
                return
            if kind == "silent":
                known.released.wait(30)
                return
            content = b"x" * len(CONTENT) if kind == "other" else CONTENT + b"more" if kind == "long" else CONTENT
            self.send_response(200)
            if kind != "nolength":
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if kind == "trickle":
                while not known.released.wait(0.05):
                    self.wfile.write(b"1")
                    self.wfile.flush()
            self.wfile.write(content[: len(content) // 2] if kind in ("cut", "nolength") else content)

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:  # the client has seen enough
                self.close_connection = True

        def log_message(self, *words: object) -> None:
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    known.address = f"http://127.0.0.1:{made.server_port}"
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield known
    known.released.set()
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setenv("no_proxy", "*")


def get(server: Server, place: Path, **options) -> None:
    download(f"{server.address}/t.csv", place, size=len(CONTENT), digest=DIGEST, **options)


def test_a_good_answer_is_written_whole(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    place = tmp_path / "new" / "t.csv"
    get(server, place, progress=lambda done, total: told.append((done, total)))
    assert place.read_bytes() == CONTENT
    assert [path.name for path in place.parent.iterdir()] == ["t.csv"]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize(("kind", "says", "asked"), [
    ("404", "answers 404 Not Found: the file is not there any more", 1),
    ("403", "answers 403 Forbidden", 1),
    ("503", r"answers 503 Service Unavailable \(asked 3 times\); try again later", 3),
    ("429", "answers 429 Too Many Requests", 3),
    ("other", "is not the indexed file: its sha256 begins with", 1),
    ("long", "sends more than the 140,000 bytes of the indexed file", 1),
    ("cut", "broke off after [0-9,]+ of 140,000 bytes", 3),
    ("nolength", "broke off after 70,000 of 140,000 bytes", 3),
    ("silent", r"did not answer for 0\.2 s", 3),
])  # fmt: skip
def test_misbehaviour_is_told_apart_and_leaves_nothing(
    server: Server, tmp_path: Path, kind: str, says: str, asked: int
) -> None:
    assert len(CONTENT) == 140_000
    server.plan = [kind]
    with pytest.raises(FetchError, match=says):
        get(server, tmp_path / "new" / "t.csv", timeout=0.2 if kind == "silent" else 10)
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == asked


def test_a_server_that_trickles_is_given_up(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOWEST", 1e6)
    server.plan = ["trickle"]
    begin = time.monotonic()
    with pytest.raises(FetchError, match="is too slow"):
        get(server, tmp_path / "t.csv", timeout=0.3, attempts=1)
    assert time.monotonic() - begin < 20  # and not for ever
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_recovers_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.plan = ["cut", "500", "good"]
    get(server, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_an_older_file_survives_a_failure(server: Server, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("older")
    server.plan = ["other"]
    with pytest.raises(FetchError):
        get(server, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "older"
    assert len(list(tmp_path.iterdir())) == 1


def test_no_server_no_network_no_address(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    options = {"size": 1, "digest": "", "attempts": 2}
    with pytest.raises(FetchError, match=r"cannot be reached .*is there a network\? \(asked 2 times\)"):
        download(f"http://127.0.0.1:{port}/t", tmp_path / "a" / "t", **options)
    with pytest.raises(FetchError, match="cannot be reached"):
        download("http://no-such-host.invalid/t", tmp_path / "a" / "t", **options)
    with pytest.raises(FetchError, match="no address of the web"):
        download("file:///etc/passwd", tmp_path / "a" / "t", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot make the folder .*SCALINGLENS_CACHE"):
        get(server, tmp_path / "file" / "t.csv")
    assert server.asked == []


# ---- tables of the index, from a mirror -------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def mirror(table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server of the public tables; there is no other folder of them, and the cache is empty."""
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


def test_a_table_is_fetched_once_and_then_read(mirror: str) -> None:
    told: list[tuple[int, int]] = []
    with pytest.raises(RunsError, match="not here"):
        read_published("gemstones/fit_hot.jsonl")
    first = fetch_published("gemstones", base=mirror, progress=lambda *words: told.append(words))
    assert [one.outcome for one in first] == ["fetched"] * 8  # a mirror can hold derived files, too
    total = sum(file.size for file in published("gemstones").files)
    assert told[-1] == (total, total)
    assert len(read_published("gemstones/fit_hot_100b+.jsonl")) == 770
    again = fetch_published("gemstones", base="http://no-such-host.invalid")
    assert {one.outcome for one in again} == {"here"}


def test_a_damaged_file_of_the_cache_is_fetched_again(mirror: str) -> None:
    (one,) = fetch_published("parscale/losses.csv", base=mirror + "/")
    assert one.path is not None
    good = one.path.read_bytes()
    one.path.write_bytes(good[:-20])
    assert fetch_published("parscale", base=mirror)[0].outcome == "fetched"
    assert one.path.read_bytes() == good


def test_derived_files_are_refused_with_the_reason(mirror: str) -> None:
    with pytest.raises(
        FetchError, match=r"losses\.csv: constants of parametric_fit\.py, written as a table.*SCALINGLENS_DATA"
    ):
        fetch_published("parscale")
    with pytest.raises(FetchError, match="published_parameters"):
        fetch_published("gemstones/published_parameters.json")
    assert not cache_folder().exists()


def test_of_a_mixed_table_the_exact_files_are_asked_for(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(module, "download", lambda url, place, **options: asked.append(url))
    outcome = {one.file.name: one.outcome for one in fetch_published("hitchhiker-colpret")}
    assert {name for name, word in outcome.items() if word == "derived"} == {"t5_pile.csv", "loss_curves_192.csv.gz"}
    assert len(asked) == 5
    assert asked[0].endswith(
        "/IBM/ColPret/7b37633d9f74b976ef54234d12f8a10d66861d56/aggregated_eval/opt_trajectories.csv"
    )
    fetch_published("gemstones/fit_hot_100b+.jsonl")
    assert asked[-1].endswith("/wandb_dfs/wandb_df_for_fitting_hot_100b%2B.jsonl")


def test_unknown_tables_are_refused(mirror: str) -> None:
    with pytest.raises(RunsError, match='did you mean "parscale"'):
        fetch_published("parscal", base=mirror)
