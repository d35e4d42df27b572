"""Texts, files of tokens and chains of n-grams: what goes in comes out, in any chunking; entropies by brute force."""

import gzip
import json
import lzma
import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalinglens.errors import OutputError, WorldError
from scalinglens.worlds.catalogue import build
from scalinglens.worlds.corpus import Corpus, tokens, write_sample
from scalinglens.worlds.grams import gram_counts
from scalinglens.worlds.ngrams import ngram, ngrams
from scalinglens.worlds.order import shuffled
from scalinglens.worlds.text import text
from scalinglens.worlds.walks import walk

PROSE = (
    "The quick brown fox jumps over the lazy dog, naïvely.\n" * 40
    + "A walk ends where it began; so does this text.\n" * 40
)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SCALINGLENS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3000), st.integers(0, 10**9))
def test_the_order_is_a_permutation(size, key):
    found = shuffled(np.arange(size), size, key=(key, 1))
    np.testing.assert_array_equal(np.sort(found), np.arange(size))


def test_orders_of_different_keys_are_unrelated():
    orders = np.array([shuffled(np.arange(1000), 1000, key=(k,)) for k in range(40)])
    correlations = np.corrcoef(np.vstack((np.arange(1000), orders)))[np.triu_indices(41, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(1000)
    assert np.std(correlations) == pytest.approx(1 / np.sqrt(1000), rel=0.15)  # as for random permutations


@pytest.mark.parametrize("tokenizer", ["byte", "character", "bpe"])
def test_text_comes_back_and_is_the_same_however_it_is_packed(tmp_path, tokenizer):
    if tokenizer == "bpe":
        pytest.importorskip("tokenizers")
    plain = tmp_path / "plain.txt"
    plain.write_text(PROSE, encoding="utf-8")
    for name, opener in (("packed.xz", lzma.open), ("packed.gz", gzip.open)):
        with opener(tmp_path / name, "wb") as stream:
            stream.write(PROSE.encode())
    worlds = [
        text(path=str(tmp_path / name), tokenizer=tokenizer, vocab=300)
        for name in ("plain.txt", "packed.xz", "packed.gz")
    ]
    first = worlds[0]
    assert first.tokenizer.decode(np.concatenate((first.train, first.kept_back))) == PROSE
    assert len(first.kept_back) == np.ceil(0.05 * (len(first.train) + len(first.kept_back)))
    for other in worlds[1:]:
        np.testing.assert_array_equal(other.train, first.train)
    again = text(path=str(plain), tokenizer=tokenizer, vocab=300)
    assert again.name == first.name
    assert again.tokenizer.decode(again.train[:20]) == first.tokenizer.decode(first.train[:20])


def test_rare_characters_become_one_token(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("aaaabbbc" * 10)
    world = text(path=str(path), tokenizer="character", vocab=3, reserved=0.1)
    assert world.vocab == 3
    assert world.train[:8].tolist() == [1, 1, 1, 1, 2, 2, 2, 0]


def test_each_token_is_predicted_once_an_epoch():
    world = Corpus("count", 1000, np.arange(101), np.arange(50))
    windows = world.windows(11)
    drawn = world.sample(2 * windows, length=11, seed=3)
    assert windows == 10
    for epoch in (drawn[:10], drawn[10:]):
        assert sorted(epoch[:, 1:].ravel()) == list(range(1, 101))
    assert not np.array_equal(drawn[:10], drawn[10:])
    assert not np.array_equal(drawn, world.sample(20, length=11, seed=4))
    assert world.sample(4, length=11, held_out=True).max() < 50


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 200), st.integers(0, 100), st.integers(0, 100))
def test_any_chunking_gives_the_same_sequences(first, one, two):
    line = np.random.default_rng(0).integers(5, size=700)
    for world in (Corpus("line", 5, line, line), ngrams(line, 5, order=3)):
        whole = world.sample(one + two, length=7, seed=1, first=first)
        parts = [
            world.sample(one, length=7, seed=1, first=first),
            world.sample(two, length=7, seed=1, first=first + one),
        ]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_folder_keeps_back_the_end_of_each_file(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "b.txt").write_text("b" * 100)
    (tmp_path / "deep" / "a.txt").write_text("a" * 100)
    (tmp_path / ".hidden").write_text("h" * 100)
    world = text(path=str(tmp_path), reserved=0.1)
    assert bytes(world.train) == b"b" * 90 + b"a" * 90
    assert bytes(world.kept_back) == b"b" * 10 + b"a" * 10


def test_what_is_packed_is_found_again_and_repaired(tmp_path, cache):
    path = tmp_path / "a.txt"
    path.write_text(PROSE)
    first = text(path=str(path))
    packed = list((cache / "tokens").iterdir())
    assert len(packed) == 1
    content = bytes(first.train)
    (packed[0] / "train.bin").write_bytes(content[:-1])  # a crash of the machine
    assert bytes(text(path=str(path)).train) == content
    assert [p.name for p in (cache / "tokens").iterdir()] == [packed[0].name]


def test_a_closed_cache_is_said(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text(PROSE)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SCALINGLENS_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(OutputError, match="SCALINGLENS_CACHE"):
        text(path=str(tmp_path / "a.txt"))


def test_streams_of_hugging_face(monkeypatch):
    rows = [{"text": "one document"}, {"text": "another"}] * 5
    asked = []
    package = types.ModuleType("datasets")
    package.load_dataset = lambda *words, **options: asked.append((words, options)) or iter(rows)
    monkeypatch.setitem(sys.modules, "datasets", package)
    world = text(path="hf://some/set:small", reserved=0.1)
    assert asked[0] == (("some/set", "small"), {"split": "train", "streaming": True})
    assert bytes(world.train).startswith(b"one document\fanother\fone")
    package.load_dataset = lambda *words, **options: (_ for _ in ()).throw(ConnectionError("no route"))
    with pytest.raises(WorldError, match="cannot be streamed: no route; is there a network"):
        text(path="hf://some/other")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(WorldError, match="needs the package datasets"):
        text(path="hf://some/third")


def test_tokens_written_are_tokens_read(tmp_path):
    world = walk(nodes=16, edges=40)
    path = str(tmp_path / "steps.npy")
    assert write_sample(world, path, tokens=40_000, length=20) == 2000
    again = tokens(path=path, reserved=0.25)
    assert (again.vocab, again.entropy_rate) == (16, world.entropy_rate)
    stored = np.load(path)
    np.testing.assert_array_equal(stored, world.sample(2000, length=20))
    assert again.windows(20) == 1500
    drawn = again.sample(1500, length=20)
    np.testing.assert_array_equal(np.unique(drawn, axis=0), np.unique(stored[:1500], axis=0))
    assert tokens(path=path, sha256=again.name.split()[2]).name.startswith("tokens steps.npy")
    raw = tmp_path / "raw.bin"
    raw.write_bytes(stored.astype(np.uint16).tobytes())
    (tmp_path / "raw.bin.json").write_text(
        json.dumps({"vocab": 16, "dtype": "uint16", "length": 20, "entropy_rate": 1.5, "entropy_error": float("nan")})
    )
    world = tokens(path=str(raw), reserved=0.25)
    assert world.entropy_error is None
    np.testing.assert_array_equal(world.train, stored[:1500])


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("vocab", [3, 5000])  # counted in a table, and sorted
def test_runs_are_counted_as_by_hand(order, vocab):
    rows = np.random.default_rng(order).integers(3, size=(7, 30)) * (vocab // 3)
    expected: dict[int, int] = {}
    for row in rows.tolist():
        for at in range(30 - order + 1):
            code = sum(token * vocab ** (order - 1 - k) for k, token in enumerate(row[at : at + order]))
            expected[code] = expected.get(code, 0) + 1
    codes, counts = gram_counts(rows, vocab, order)
    assert dict(zip(codes.tolist(), counts.tolist(), strict=True)) == expected
    assert codes.tolist() == sorted(expected)


@pytest.mark.parametrize("order", [2, 3, 4])
def test_continuations_and_entropy_of_a_chain_by_brute_force(order):
    world = ngrams(np.random.default_rng(1).integers(3, size=60), 3, order=order)
    drawn = world.sample(200_000, length=order + 1, seed=2)
    # the exact answer after 1 .. order tokens against frequencies among many sequences
    known = world.next_token(drawn[:2000])
    np.testing.assert_allclose(known.sum(-1), 1, rtol=1e-5)
    for t in range(order):
        prefix, which, many = np.unique(drawn[:, : t + 1], axis=0, return_inverse=True, return_counts=True)
        best = int(np.argmax(many))
        following = np.bincount(drawn[which.ravel() == best, t + 1], minlength=3) / many[best]
        exact = world.next_token(prefix[best])[-1]
        assert np.abs(following - exact).max() < 5 * np.sqrt(0.25 / many[best])
    # a step of the chain has the entropy of its last position
    last = world.next_token(drawn[:, :order])[:, -1].astype(float)
    entropy = -np.sum(last * np.log(np.maximum(last, 1e-30)), axis=1)
    assert entropy.mean() == pytest.approx(world.entropy_rate, abs=5 * entropy.std() / np.sqrt(len(drawn)))


def test_the_chain_of_a_circle_is_its_counts():
    line = np.array([0, 1, 2, 1, 0, 2, 0])  # ends where it began, so that counts of tokens are the stationary law
    world = ngrams(line, 3, order=2)
    np.testing.assert_allclose(world.unigram, [2 / 6, 2 / 6, 2 / 6], atol=1e-12)
    assert world.entropy_rate == pytest.approx(np.log(2))
    assert world.kept == 1


def test_cut_off_and_dead_ends_are_dropped():
    line = np.array([0, 1] * 50 + [2, 0, 1, 0, 3])
    world = ngrams(line, 4, order=2, cutoff=1)
    assert (world.states.tolist(), world.entropy_rate) == ([0, 1], 0.0)
    assert world.kept == pytest.approx(101 / 104)  # 0 1 comes 51 times and 1 0 fifty times
    with pytest.raises(WorldError, match=r"does not show the tokens \[2\]"):
        world.next_token(np.array([2]))
    with pytest.raises(WorldError, match="cutoff = 1000 times; lower it"):
        ngrams(line, 4, order=2, cutoff=1000)


def test_english_bigrams(table, tmp_path):
    path = str(table("english-docs/english-docs.txt.xz"))
    world = ngram(path=path, limit=2_000_000, cutoff=5)
    source = text(path=path, limit=2_000_000)
    pairs = gram_counts(source.train, 256, 2)[1]
    single = gram_counts(source.train, 256, 1)[1]
    entropies = [-(c / c.sum()) @ np.log(c / c.sum()) for c in (single, pairs)]
    assert world.entropy_rate == pytest.approx(entropies[1] - entropies[0], abs=0.02)  # the cut-off takes little
    assert source.describe().values["bigram_entropy"] == pytest.approx(entropies[1] - entropies[0], abs=0.01)
    again = ngram(path=path, limit=2_000_000, cutoff=5)  # from the kept counts
    np.testing.assert_array_equal(again.sample(5, length=9), world.sample(5, length=9))


def _files(folder):
    (folder / "short.txt").write_text("ab")
    (folder / "latin.txt").write_bytes(b"abc\n" * 9 + b"\xe9\xe9")
    (folder / "cut.xz").write_bytes(lzma.compress(b"x" * 9999)[:-9])
    (folder / "empty").mkdir()
    np.save(folder / "float.npy", np.ones(9))
    np.save(folder / "line.npy", np.arange(9))
    (folder / "strange.bin").write_bytes(b"123")
    (folder / "odd.npy").write_bytes(b"no array")


@pytest.mark.parametrize(
    ("kind", "words", "says"),
    [
        ("text", {}, "the world 'text' needs world.path"),
        ("text", {"path": ""}, "path = '' names nothing"),
        ("text", {"path": "none.txt"}, "there is no such file or folder"),
        ("text", {"path": "$NO_SUCH/a.txt"}, "no environment variable NO_SUCH"),
        ("text", {"path": "empty"}, "the folder has no file in it"),
        ("text", {"path": "short.txt"}, "too short a text"),
        ("text", {"path": "short.txt", "tokenizer": "bpr"}, r'no tokenizer "bpr" \(did you mean "bpe"\?\)'),
        ("text", {"path": "latin.txt", "tokenizer": "character"}, "no UTF-8 text at byte 36"),
        ("text", {"path": "latin.txt", "sha256": "0000"}, "not sha256 = 0000"),
        ("text", {"path": "latin.txt", "reserved": 1.0}, "reserved = 1.0 is a number between 0 and 1"),
        ("text", {"path": "latin.txt", "limit": -3}, "limit = -3 is a whole number from 0 on"),
        ("text", {"path": "latin.txt", "tokenizer": "character", "vocab": 1}, "vocab = 1 is a whole number from 2"),
        ("text", {"path": "cut.xz"}, "cannot read .*cut.xz: .*is the file whole"),
        ("text", {"path": "latin.txt", "limt": 3}, r'no word of the world .text. \(did you mean "limit"\?\)'),
        ("ngram", {"path": "latin.txt", "order": 1}, "order = 1 is a whole number from 2 on"),
        ("ngram", {"path": "latin.txt", "cutoff": -1}, "cutoff = -1"),
        ("ngram", {"path": "latin.txt", "order": 9}, r"more than 2\^63 runs of 9"),
        ("tokens", {"path": "line.txt"}, "must end in .npy or .bin"),
        ("tokens", {"path": "gone.npy"}, "cannot read gone.npy: No such file"),
        ("tokens", {"path": "odd.npy"}, "cannot read odd.npy"),
        ("tokens", {"path": "float.npy", "vocab": 3}, r"holds float64 of shape \(9,\)"),
        ("tokens", {"path": "line.npy"}, "vocab = 0: give the size of the vocabulary"),
        ("tokens", {"path": "line.npy", "vocab": 8}, "holds tokens 0 to 8, but vocab = 8 allows 0 to 7"),
        ("tokens", {"path": "line.npy", "vocab": 9, "sha256": "12"}, "not sha256 = 12; it has changed"),
        ("tokens", {"path": "strange.bin", "vocab": 9}, "strange.bin.json beside it must name the dtype"),
        ("txt", {}, r'there is no world "txt" \(did you mean "text"\?\)'),
    ],
)
def test_bad_input(kind, words, says, tmp_path, monkeypatch):
    _files(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WorldError, match=says):
        build(kind, **words)


def test_sequences_longer_than_there_are():
    with pytest.raises(WorldError, match="length = 20: short has only 9 tokens; ask for shorter"):
        Corpus("short", 9, np.arange(9), np.arange(9)).sample(1, length=20)
