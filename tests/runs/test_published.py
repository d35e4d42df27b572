"""The index of public tables against the tables themselves, and where they are looked for."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from scalinglens.errors import RunsError
from scalinglens.laws.catalogue import families
from scalinglens.runs.published import (
    EVIDENCE,
    as_frame,
    cache_folder,
    check_published,
    find_published,
    published,
    read_published,
)

FILES = [file.key for table in published() for file in table.files]


@pytest.fixture
def shared(table, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = table("parscale/losses.csv").parents[1]
    monkeypatch.setenv("SCALINGLENS_DATA", str(folder))
    return folder


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No tables, and an empty cache."""
    monkeypatch.delenv("SCALINGLENS_DATA", raising=False)
    monkeypatch.setenv("SCALINGLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_every_folder_and_file_is_indexed(shared: Path) -> None:
    inside = {f"{path.parent.name}/{path.name}" for path in shared.glob("*/*") if path.name != "SOURCE.md"}
    assert set(FILES) == inside
    assert {path.name for path in shared.iterdir()} == {table.name for table in published()}


def test_checksums_and_sizes(shared: Path) -> None:
    assert {one.outcome for one in check_published()} == {"right"}
    assert len(check_published()) == len(FILES)


@pytest.mark.parametrize("key", FILES)
def test_rows_and_columns(shared: Path, key: str) -> None:
    name, _, rest = key.partition("/")
    file = published(name).file(rest)
    if key.endswith(("csv", "csv.gz", "jsonl")):
        frame = (
            pd.read_json(shared / key, lines=True)
            if key.endswith("jsonl")
            else pd.read_csv(shared / key, low_memory=False)
        )
        assert len(frame) == file.rows
        assert not file.mapping or {*published(name).columns} & {*frame.columns}


def test_every_column_told_is_in_some_file(shared: Path) -> None:
    for entry in published():
        there: set[str] = set()
        for file in entry.files:
            if file.name.endswith("jsonl"):
                there |= set(pd.read_json(shared / file.key, lines=True).columns)
            elif "csv" in file.name:
                there |= set(pd.read_csv(shared / file.key, nrows=1, encoding="utf-8-sig").columns)
        assert set(entry.columns) <= there, entry.name


# rows that the published analyses use
SELECTED = {
    "bnsl-4digit-addition/points.csv": 14,
    "epoch-chinchilla/svg_extracted_data.csv": 240,
    "gadre-overtraining/losses_long.csv": 104,
    "isoflop-collection/isoflops.csv": 124,
    "parscale/losses.csv": 24,
}


@pytest.mark.parametrize("key", [k for t in published() for f in t.files if f.reads == "runs" for k in [f.key]])
def test_runs_are_read_with_the_mapping(shared: Path, key: str) -> None:
    name, _, rest = key.partition("/")
    file = published(name).file(rest)
    runs = read_published(key)
    assert runs.rows_read == file.rows
    assert len(runs) > 0.8 * file.rows or file.duplicates == "drop"
    assert {quantity for quantity, column in file.mapping.items() if column} <= set(runs.columns)
    assert not any("not the indexed file" in note for note in runs.notes)
    if file.where:
        assert len(read_published(key, where="published")) == SELECTED[key]


def test_mapping_can_be_overridden(shared: Path) -> None:
    other = read_published("steplaw/dense_lr_bs_loss.csv", loss="loss", where="learning_rate < 4e-3")
    assert 0 < len(other) < 1911
    assert other.columns["loss"].source == "loss"
    assert published("parscale").read().columns["streams"].source == "parallel_streams"


def test_an_altered_file_is_noted_and_found_by_check(table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = table("parscale/losses.csv").read_bytes()
    (tmp_path / "parscale").mkdir()
    monkeypatch.setenv("SCALINGLENS_DATA", str(tmp_path))
    altered = tmp_path / "parscale" / "losses.csv"
    altered.write_bytes(content.replace(b"1.1722", b"1.1723"))
    assert any("not the indexed file" in note for note in read_published("parscale").notes)
    assert check_published("parscale")[0].outcome == "differs"
    altered.write_bytes(content + b"\n")
    found = check_published("parscale/losses.csv")[0]
    assert (found.outcome, found.says.split(":")[0]) == ("differs", "1,544 bytes instead of 1,543")


def test_first_the_named_folder_then_the_cache(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = cache_folder() / "parscale" / "losses.csv"
    cached.parent.mkdir(parents=True)
    cached.write_text("cached")
    assert find_published("parscale") == cached
    given = nowhere / "given" / "parscale" / "losses.csv"
    given.parent.mkdir(parents=True)
    given.write_text("given")
    monkeypatch.setenv("SCALINGLENS_DATA", str(nowhere / "given"))
    assert find_published("parscale") == given
    monkeypatch.setenv("SCALINGLENS_DATA", str(nowhere / "absent"))
    assert find_published("parscale") == cached


def test_cache_has_the_place_of_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCALINGLENS_CACHE", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_folder() == Path("/x/scalinglens/data")
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "scalinglens" / "data"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache_folder() == Path("/local/scalinglens/data")


def test_absent_files_say_how_to_get_them(nowhere: Path) -> None:
    with pytest.raises(RunsError, match="fetch it with: scalinglens data fetch llama2-digitised"):
        read_published("llama2-digitised")
    with pytest.raises(RunsError, match=r"cannot be fetched \(constants of parametric_fit\.py.*set SCALINGLENS_DATA"):
        read_published("parscale")
    assert check_published("parscale")[0].outcome == "absent"


def test_wrong_names_are_refused_with_the_nearest(shared: Path) -> None:
    with pytest.raises(RunsError, match='did you mean "gemstones"'):
        published("gemstone")
    with pytest.raises(RunsError, match=r'did you mean "fit_hot\.jsonl"'):
        read_published("gemstones/fit_hot.json")
    with pytest.raises(RunsError, match=r"gemstones has several files; name one of fit_hot\.jsonl"):
        read_published("gemstones")
    with pytest.raises(RunsError, match="holds no runs but 1,000 bootstrap fits"):
        read_published("steplaw/1004_fitted_lr_bs_scaling_model_parameters.csv")
    with pytest.raises(RunsError, match="no published selection"):
        read_published("llama2-digitised", where="published")


def test_the_index_contradicts_itself_nowhere() -> None:
    for table in published():
        assert table.title
        assert table.verifies
        assert table.licence
        assert table.paper.startswith("arXiv ") or table.name == "english-docs"
        assert {law.partition(".")[0] for law in table.laws} <= set(families())
        for file in table.files:
            assert len(file.sha256) == 64
            assert file.reads in ("runs", "table", "json", "text")
            assert bool(file.derived) != bool(file.path), file.key  # exact at the origin, or made from it
            assert file.evidence in EVIDENCE
            assert bool(file.evidence) == bool(file.path)
            assert not file.path or file.url.startswith(
                f"https://raw.githubusercontent.com/{file.repository}/{file.commit}/"
            )


def test_as_data(shared: Path) -> None:
    words = json.loads(json.dumps([table.to_dict() for table in published()]))
    assert [entry["name"] for entry in words] == [table.name for table in published()]
    hot = next(f for e in words for f in e["files"] if f["name"] == "fit_hot.jsonl")
    assert hot["mapping"] == {"params": "params_active_precise", "loss": "final_loss"}
    assert Path(hot["found"]).is_file()
    frame = as_frame()
    assert len(frame) == len(FILES)
    assert frame["found"].all()
    assert "read with params='params_active_precise'" in str(published("gemstones"))
