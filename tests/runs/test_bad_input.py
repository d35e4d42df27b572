"""Every damaged or doubtful source ends in a sentence with the place and the remedy, or is read and said aloud."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scalinglens.errors import RunsError, ScalingLensError
from scalinglens.runs import read_runs

CSV = "params,tokens,loss\n1e6,2e7,5.0\n1e7,4e8,4.0\n1e8,1e9,3.5\n"
FRAME = pd.read_csv(io.StringIO(CSV))


def parquet() -> bytes:
    return pd.DataFrame({"params": [1e6, 1e7], "tokens": [1e8, 1e9], "loss": [4.0, 3.0]}).to_parquet()


# name of the file, its bytes, what the message must say
FILES: list[tuple[str, bytes, tuple[str, ...]]] = [
    ("empty.csv", b"", ("empty.csv is empty",)),
    ("blank.csv", b" \n\n", ("is empty",)),
    ("bom.csv", b"\xef\xbb\xbf", ("is empty",)),
    ("header.csv", b"params,tokens,loss\n", ("holds column names (params, tokens, loss) but no rows",)),
    ("ragged.csv", b"params,loss\n1e6,5\n1e7\n1e8,3\n", ("ragged.csv, line 3 has 1 fields, the header has 2", "'1e7'")),
    ("wide.csv", b"params,loss\n1e6,5\n1e7,4,9\n", ("line 3 has 3 fields, the header has 2",)),
    ("quote.csv", b'run,loss\na,5\n"b,4\nc,3\n', ("line 3: a quote is opened and not closed",)),
    ("twice.csv", b"loss,params,loss\n5,1e6,4\n", ("names column 'loss' twice (columns 1 and 3)", "rename one")),
    ("nohead.csv", b"1e6,2e7,5.0\n1e7,4e8,4.0\n", ("line 1 holds numbers (1e6, 2e7, 5.0)", "add a first line such as")),
    ("comma.csv", b"params;loss\n1000000;1,234\n", ("line 2: '1,234' in column 'loss' can be 1.234 or 1234",)),
    ("cut.csv.gz", gzip.compress(CSV.encode() * 50)[:-30], ("is cut: the compressed data end before their end mark",)),
    ("bad.csv.gz", gzip.compress(CSV.encode())[:12] + b"\x00" * 40, ("it cannot be unpacked", "again")),
    ("image.csv", b"\x89PNG\r\n\x1a\n\0\0\0", ("is a binary file (a zero byte at line 3", "pass CSV, TSV, JSON")),
    ("noise.csv", bytes(range(1, 32)) * 4 + b"\xff\x81\xfe", ("is a binary file",)),
    ("sheet.xlsx", b"PK\x03\x04rest", ("a zip archive or a spreadsheet (.xlsx); export it as CSV",)),
    ("runs.pkl", b"\x80\x04rest", ("Python pickle, which is never loaded because it can run code",)),
    ("cut.parquet", parquet()[:-100], ("is a Parquet file that is cut: its end mark is missing",)),
    ("bad.parquet", parquet()[:40] + b"\0" * 9 + parquet()[-8:], ("is a damaged Parquet file",)),
    ("fake.parquet", b"PAR1 this is not PAR1", ("is a damaged Parquet file",)),
    ("half.json", b'[{"loss": 3.0}, {"lo', ("half.json, line 1, column", "the file ends in the middle of it")),
    ("typo.json", b'[{"loss": 3.0},\n {"loss" 2.0}]', ("typo.json, line 2, column 10", "Expecting ':' delimiter")),
    (
        "middle.jsonl",
        b'{"loss": 3}\n{"lo\n{"loss": 2}\n',
        ("middle.jsonl, line 2 is not complete JSON", "mend or delete"),
    ),
    ("lines.jsonl", b'{"loss": 3}\n7\n', ("line 2 holds '7', not a record",)),
    ("number.json", b"[1, 2]", ("item 0 of", "is int '1', not a record such as")),
    ("twice.json", b'[{"loss": 3.0, "loss": 2.0}]', ("has the key 'loss' twice in one object",)),
    ("none.json", b"[]", ("holds an empty list; write one object per run",)),
    ("single.json", b'{"a": 1.0, "b": 2.0}', ("maps names to single values", "write a list of objects")),
    ("uneven.json", b'{"loss": [1, 2], "params": [1]}', ("has 2 values in column 'loss' but 1 in 'params'",)),
    ("deep.json", b"[" * 100_000, ("cannot be read as JSON",)),
    ("text.json", b"params,loss\n1,2\n", ("is not JSON: it begins with 'params,loss",)),
    ("two.csv", b"val_loss,train_loss\n3,2\n4,3\n", ("2 columns of", "'val_loss' (median 3.5)", "--map loss=val_loss")),
    ("both.csv", b"loss,eval_loss\n3,2\n4,3\n", ("'loss' (median 3.5), 'eval_loss' (median 2.5)",)),
    ("sizes.csv", b"N,model_size,loss\n1e6,2e6,3\n", ("could be params: 'N' (median 1M), 'model_size' (median 2M)",)),
    ("names.csv", b"a,b\n1,2\n", ("no column of", "is recognised as params, tokens, flops or loss", "'a', 'b'")),
    (
        "words.csv",
        b"params,loss\n1e6,low\n1e7,high\n",
        ("no run of", "text that is no number in column loss, first 'low'"),
    ),
    ("zero.csv", b"params,loss\n1e6,0\n1e7,-1\n", ("2 for: non-positive value in column loss",)),
]


@pytest.mark.parametrize(("name", "content", "says"), FILES, ids=[name for name, _, _ in FILES])
def test_bad_file(tmp_path: Path, name: str, content: bytes, says: tuple[str, ...]) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RunsError) as caught:
        read_runs(path)
    message = str(caught.value)
    assert name in message
    for part in says:
        assert part in message
    assert len(message) < 600


@pytest.mark.parametrize(
    ("source", "options", "says"),
    [
        (42, {}, "cannot read runs from int; pass a path, a pandas or Polars frame"),
        (None, {}, "cannot read runs from NoneType"),
        ([], {}, "holds no columns"),
        ({}, {}, "the dict holds no columns"),
        ([{"loss": 1.0}, 3], {}, "item 1 of the list is int '3'"),
        ({"loss": [1.0, 2.0], "params": [1.0]}, {}, "2 values in column 'loss' but 1 in 'params'"),
        ({"loss": np.ones((2, 2))}, {}, "has shape (2, 2)"),
        ({"N": [1e6], "loss": [3.0]}, {"params": "M"}, "there is no column 'M'"),
        (
            {"Model Size": [1e6], "loss": [3.0]},
            {"params": "Model Sise"},
            "no column 'Model Sise' to map params to (did you",
        ),
        ({"N": [1e6], "loss": [3.0]}, {"parms": "N"}, 'no quantity "parms" (did you mean "params"?)'),
        ({"N": [1e6], "loss": [3.0]}, {"lr": "N"}, 'no quantity "lr" (did you mean "learning_rate"?)'),
        ({"N": [1e6], "loss": [3.0]}, {"params": ["N"]}, "must be a column, a formula or a number, got list"),
        ({"N": [1e6], "loss": [3.0]}, {"params": "N +"}, "nor a formula"),
        ({"N": [1e6], "loss": [3.0]}, {"params": "__import__('os')"}, "nor a formula"),
        ({"N": [1e6], "loss": [3.0]}, {"params": float("nan")}, "is not a finite number"),
        ({"N": [1e6], "loss": [3.0]}, {"duplicates": "maybe"}, 'duplicates must be "keep" or "drop", got \'maybe\''),
        ({"N": [1e6], "loss": [3.0]}, {"where": "los < 3"}, "there is no column 'los' (did you mean \"loss\"?)"),
        (
            {"N": [1e6], "loss": [3.0]},
            {"where": "loss < 2"},
            "leaves none of the 1 runs of frame; loss runs from 3 to 3",
        ),
    ],
)
def test_bad_object_or_option(source: object, options: dict[str, object], says: str) -> None:
    with pytest.raises(RunsError) as caught:
        read_runs(source, **options)  # type: ignore[arg-type]
    assert says in str(caught.value)


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text(CSV)
    (tmp_path / "none").mkdir()
    for path, says in [
        (tmp_path, f"is a directory; it holds runs.csv; name one file, as in {tmp_path / 'runs.csv'}"),
        ("", "the name of the file of runs is empty; pass its path"),
        (tmp_path / "none", "is a directory; name one file"),
        (tmp_path / "run.csv", 'does not exist (did you mean "runs.csv"?)'),
        (tmp_path / "no" / "runs.csv", "does not exist: there is no folder"),
        ("https://example.org/runs.csv", "is an address, not a file; download it first"),
        ("a\0b", "cannot be opened"),
        ("x" * 5000, "cannot be opened"),
    ]:
        with pytest.raises(RunsError) as caught:
            read_runs(path)
        assert says in str(caught.value)
        assert "cannot be opened" in says or "cannot be opened" not in str(caught.value)  # one remedy, not two


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("a.csv", b"\xef\xbb\xbf" + CSV.encode(), ""),
        ("a.csv", CSV.encode("utf-16"), "the file is UTF-16 text"),
        ("a.csv", CSV.replace("\n", "\r\n").encode(), ""),
        ("a.csv", CSV.replace("\n", "\r").encode(), ""),
        ("a.csv", CSV.encode()[:-1], ""),
        ("a.tsv", CSV.replace(",", "\t").encode(), ""),
        ("a.csv", CSV.replace(",", ";").encode(), "separated by semicolons"),
        ("a.csv", CSV.replace(",", ";").replace(".", ",").encode(), "commas are decimal commas in 'loss'"),
        ("a.txt", CSV.replace(",", "  ").encode(), "separated by blanks"),
        ("a.csv", CSV.replace("\n", ",\n").replace("loss,", "loss").encode(), "a separator too many"),
        ("a.csv", (CSV + "1e9,2").encode(), "the last line (5) is cut after 2 of 3 fields"),
        ("a.csv", gzip.compress(CSV.encode(), mtime=0), "compressed with gzip, which its name does not say"),
        ("a.csv.gz", CSV.encode(), "ends in .gz, but it is not compressed"),
        ("a.parquet", CSV.encode(), "says Parquet, the content is a text table"),
        ("a.csv", FRAME.to_parquet(), "says a text table, the content is Parquet"),
        ("a.jsonl", FRAME.to_json(orient="records").encode(), ""),
        ("a.json", FRAME.to_json(orient="records", lines=True).encode(), ""),
        ("a.json", FRAME.to_json(orient="split", index=False).encode(), ""),
        ("a.json", FRAME.to_json(orient="columns").encode(), ""),
        ("a.json", FRAME.to_json(orient="index").encode(), "names of runs"),
        (
            "a.json",
            json.dumps({"name": "x", "runs": FRAME.to_dict("records")}).encode(),
            'the runs were found under "runs"',
        ),
        ("a.csv", CSV.replace("params", "params,params").replace("1e6", "1e6,1e6").replace("1e7", "1e7,1e7")
         .replace("1e8", "1e8,1e8").encode(), "stands twice with the same values; one was kept"),
    ],
)  # fmt: skip
def test_read_and_said_aloud(tmp_path: Path, name: str, content: bytes, note: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    runs = read_runs(path)
    assert runs.column("params").tolist() == [1e6, 1e7, 1e8]
    assert runs.column("tokens").tolist() == [2e7, 4e8, 1e9]
    assert runs.column("loss").tolist() == [5.0, 4.0, 3.5]
    assert any(note in said for said in runs.notes) if note else not runs.notes
    assert note in runs.summary()


def test_cut_last_line_of_a_live_log_is_dropped_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"N": 1e6, "loss": 5}\n{"N": 1e7, "loss": 4}\n{"N": 1e8, "lo')
    runs = read_runs(path)
    assert (len(runs), runs.rows_read) == (2, 3)
    assert [(gone.reason, gone.rows) for gone in runs.dropped] == [("line 3 is cut", (2,))]
    assert 'the last line (3) is cut (\'{"N": 1e8, "lo\') and was left out' in runs.notes


def test_any_bytes_are_read_or_refused(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    whole = [CSV.encode(), gzip.compress(CSV.encode()), parquet(), b'[{"loss": 3.0, "N": 1e6}]\n']
    path = tmp_path / "runs.csv"
    for trial in range(300):
        content = bytearray(whole[trial % 4])
        for _ in range(generator.integers(1, 6)):
            content[generator.integers(len(content))] = generator.integers(256)
        path.write_bytes(bytes(content[: generator.integers(1, len(content) + 1)]))
        with contextlib.suppress(ScalingLensError):
            read_runs(path)
