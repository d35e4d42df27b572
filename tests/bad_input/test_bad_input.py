"""What a user can get wrong, and what the answer must say: one table of mistakes.

A mistake through a public Python function must raise the class given; on the command line it must end with status 2 and one
line on stderr, without a traceback. Where the work can go on (status 0) the doubt must be said aloud. Every answer names
what is wrong, where, with the value, and what to do.
"""

from __future__ import annotations

import gzip
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import scalinglens as sl
from scalinglens.cli.main import main
from scalinglens.errors import (
    FitError,
    FormulaError,
    OutputError,
    QuantityError,
    RunsError,
    UnknownLawError,
)

LAW = "E + A/params^alpha + B/tokens^beta"
SAID = 0  # no error: the doubt is said aloud, and the status is 0


def chinchilla(rows: int = 40) -> pd.DataFrame:
    """Losses of a known law with 0.2% scatter, sizes and tokens varied independently."""
    rng = np.random.default_rng(1)
    params = 10 ** rng.uniform(7, 9.5, rows)
    tokens = 10 ** rng.uniform(8.5, 11, rows)
    loss = (1.8 + 480 / params**0.35 + 2000 / tokens**0.37) * np.exp(0.002 * rng.standard_normal(rows))
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})


def spoiled(column: str, row: int | slice, value: object) -> pd.DataFrame:
    frame = chinchilla().astype(object)
    frame.loc[row, column] = value
    return frame


def read(source: object) -> str:
    return sl.read_runs(source).summary()


def fitted(frame: pd.DataFrame, law: str = LAW, **options: Any) -> str:
    return repr(sl.fit(frame, law, **options))


def predict(**points: Any) -> str:
    return str(sl.Fit.load("fit.json").predict(**points))


class Case(NamedTuple):
    id: str
    user: str  # what the user does
    action: Callable[[], str] | str  # a call in Python that returns what is printed, or the words after `scalinglens`
    expected: type[Exception] | int  # class of the error, or the exit status
    says: tuple[str, ...]  # regular expressions, each found in the answer


FRAME = chinchilla()
CASES = [
    # ---- the file ---------------------------------------------------------------------------------------------------
    Case("no_file", "names a file that is not there", "fit rums.csv",
         2, ("rums.csv does not exist", 'did you mean "runs.csv"', "check the path")),
    Case("empty_file", "passes an empty file", "fit empty.csv",
         2, ("empty.csv is empty", "begins with a line of column names")),
    Case("folder", "passes a folder", "fit folder",
         2, ("^scalinglens: folder is a directory; name one file$",)),
    Case("no_name", "passes an empty name", lambda: read(""),
         RunsError, ("name of the file of runs is empty", "pass its path")),
    Case("cut_gzip", "passes the first half of a csv.gz", "fit cut.csv.gz",
         2, ("cut.csv.gz is cut", r"\d+ bytes are there", "copy or download the file again")),
    Case("cut_json_lines", "passes JSON lines whose last line is cut", "fit cut.jsonl",
         SAID, (r"20 of 21 rows", r"dropped 1: line 21 is cut", r"the last line \(21\) is cut")),
    Case("broken_json_lines", "passes JSON lines broken in the middle", "fit broken.jsonl",
         2, ("broken.jsonl, line 21 is not complete JSON", "mend or delete the line")),
    Case("picture", "passes a picture", "fit picture.png",
         2, ("picture.png is a binary file", "pass CSV, TSV, JSON")),
    Case("no_table", "passes a number in place of a table", lambda: read(7),
         RunsError, ("cannot read runs from int", "pass a path, a pandas or Polars frame")),
    # ---- its columns ------------------------------------------------------------------------------------------------
    Case("strange_names", "has columns a, b, c", lambda: read(FRAME.set_axis(["a", "b", "c"], axis=1)),
         RunsError, ("no column of frame is recognised", "'a', 'b', 'c'", "--map loss=")),
    Case("no_loss", "fits a table without losses", lambda: fitted(FRAME.drop(columns="loss")),
         RunsError, ("have no column 'loss'", "known are params, tokens", "--map loss=")),
    Case("no_tokens", "fits N and D to a table without D", "fit sizes.csv",
         2, ("sizes.csv have no column 'tokens'", "known are params, loss", "--map tokens=")),
    Case("law_needs_more", "fits a law of unique tokens to a table without them", "fit runs.csv --law muennighoff2023",
         2, ("no column 'tokens_unique'", "known are params, tokens, flops, loss", "--map tokens_unique=")),
    Case("other_count", "has total sizes where a law counts without embeddings",
         "fit runs.csv --law 'E + A/params_nonembedding^alpha'",
         2, ("no column 'params_nonembedding'", "--map params_nonembedding=params ", "counting conventions differ")),
    Case("words_for_tokens", "has words where tokens are needed", "fit words.csv",
         2, ("no column 'tokens'; known are params, loss; not recognised but numeric: 'token_factor'",
             "--map tokens=token_factor ")),
    Case("two_sizes", "has two columns that could be the size",
         lambda: read(FRAME.rename(columns={"params": "num_params"}).assign(n_params=FRAME.params * 1.1)),
         RunsError, ("2 columns of frame could be params", r"'num_params' \(median 177M\)", "--map params=n_params")),
    Case("map_absent", "maps to a column that is not there", "fit runs.csv --map params=Size",
         2, ("mapping of params to 'Size'", "no column 'Size'", "known are params, tokens, loss")),
    Case("map_typo", "maps a quantity that does not exist", "fit runs.csv --map parms=params",
         2, ('no quantity "parms"', r'did you mean "params"\?', "write params=")),
    Case("map_half", "forgets the = of --map", "fit runs.csv --map params",
         2, ("--map 'params' is not NAME=VALUE", "write it as in --map")),
    Case("x_twice", "says twice what x is", "fit runs.csv --x params --map x=tokens",
         2, ("--x params and --map x=tokens both say", "keep one")),
    # ---- its numbers ------------------------------------------------------------------------------------------------
    Case("tokens_in_billions", "has tokens in billions", lambda: read(FRAME.assign(tokens=FRAME.tokens / 1e9)),
         SAID, (r"warning: tokens runs from 0\.3\d* to 81", r'map tokens="tokens \* 1e9"')),
    Case("perplexity_beside_nats", "mixes perplexities with losses in nats",
         lambda: read(spoiled("loss", slice(5, 30), list(np.exp(FRAME.loss[5:31])))),
         SAID, (r"warning: \d+ of 40 losses exceed 13\.8 nats", "perplexities beside nats", "where=")),
    Case("nan", "has a NaN among the losses", lambda: read(spoiled("loss", 3, np.nan)),
         SAID, ("39 of 40 rows", r"dropped 1: missing value in column loss \(row 3\)")),
    Case("infinite", "has infinitely many tokens", lambda: read(spoiled("tokens", 3, np.inf)),
         SAID, (r"dropped 1: infinite value in column tokens \(row 3\)",)),
    Case("negative_loss", "has a negative loss", lambda: read(spoiled("loss", 3, -2.0)),
         SAID, (r"dropped 1: non-positive value in column loss \(row 3\)",)),
    Case("zero_loss", "has a loss of zero", lambda: read(spoiled("loss", 3, 0.0)),
         SAID, (r"dropped 1: non-positive value in column loss \(row 3\)",)),
    Case("text_among_numbers", "wrote `diverged` for a loss", lambda: read(spoiled("loss", 3, "diverged")),
         SAID, (r"dropped 1: text that is no number in column loss, first 'diverged' \(row 3\)",)),
    Case("only_text", "has no number among the losses", lambda: read(FRAME.assign(loss="oops")),
         RunsError, ("no run of frame can be used", "dropped 40", "first 'oops'", "map other columns")),
    Case("duplicates", "has five rows twice", lambda: read(pd.concat([FRAME, FRAME.iloc[:5]])),
         SAID, ("warning: 5 of 45 rows are exact duplicates", "first row 40", 'duplicates="drop"')),
    Case("no_such_duplicates", "misspells what to do with duplicates", "fit runs.csv --duplicates remove",
         2, ('duplicates must be "keep" or "drop"', "'remove'")),
    # ---- the filter -------------------------------------------------------------------------------------------------
    Case("where_unknown", "filters by an unknown column", "fit runs.csv --where 'los < 3'",
         2, ("where 'los < 3'", "no column 'los'", r'did you mean "loss"\?')),
    Case("where_equals", "writes = for ==", "fit runs.csv --where 'loss = 3'",
         2, ("cannot read 'loss = 3'", "equality is written ==")),
    Case("where_and", "writes & for and", "fit runs.csv --where 'loss < 3 & params > 1e8'",
         2, ("operator & is not allowed", "write and, or, not")),
    Case("where_attack", "hides a program in a filter", 'fit runs.csv --where \'__import__("os").system("id")\'',
         2, ("where", "not allowed|only a named function|unknown function")),
    Case("where_nothing", "filters every run away", "fit runs.csv --where 'loss > 100'",
         2, ("where loss > 100 leaves none of the 40 runs of runs.csv", r"loss runs from 2\.23\d* to 4\.17", "loosen")),
    Case("where_nothing_text", "filters by a word that is not there", "fit runs.csv --where \"set == 'pile'\"",
         2, ("where set == 'pile' leaves none of the 40 runs of runs.csv; set is 'c4'; loosen",)),
    Case("where_some", "filters some runs away", lambda: sl.read_runs(
             FRAME.assign(loss=[9.0, *FRAME.loss[1:]]), where="loss < 9").summary(),
         SAID, ("rows are counted from 0", r"dropped 1: fails where loss < 9 \(row 0\)")),
    # ---- the law ----------------------------------------------------------------------------------------------------
    Case("law_typo", "misspells a law", "fit runs.csv --law hofmann2022",
         2, ('no law "hofmann2022"', r'did you mean "hoffmann2022"\?', "scalinglens laws")),
    Case("law_member", "asks for a law that its family lacks", "laws kaplan2020.nope",
         2, ('kaplan2020 has no law "kaplan2020.nope"', "it has kaplan2020.L_N")),
    Case("formula_cut", "leaves a formula unfinished", "fit runs.csv --law 'E + A/params^'",
         2, (r"cannot read 'E \+ A/params\^'", "allowed are names, numbers")),
    Case("formula_letters", "uses the paper's letters", lambda: fitted(FRAME, "E + A/N^alpha"),
         FormulaError, ("has no input", "write params for N")),
    Case("formula_typo", "misspells the only input", "fit runs.csv --law 'E+A/paramz^alpha'",
         2, (r"E\+A/paramz\^alpha", "input", "params")),
    Case("formula_function", "uses an unknown function", lambda: fitted(FRAME, "E + sine(params)"),
         FormulaError, ('unknown function "sine" at character 5', "known are drops, exp, log", r"E \+ sine\(params\)")),
    Case("formula_call", "hides a call in a formula", lambda: fitted(FRAME, "__import__('os').system('id')"),
         FormulaError, ("only a named function can be called", "character 1", "__import__")),
    Case("formula_attribute", "hides an attribute in a formula", lambda: fitted(FRAME, "E + A/params.__class__"),
         FormulaError, ("attribute access", "character 7 is not allowed", "allowed are")),
    Case("formula_tower", "writes a number that fills the memory", lambda: fitted(FRAME, "9**9**9**9*params"),
         FormulaError, ("is not a finite number", r"9\*\*9\*\*9\*\*9\*params")),
    Case("law_number", "passes a number in place of a law", lambda: str(sl.law(7)),  # type: ignore[arg-type]
         UnknownLawError, ("given by name or formula, got int",)),
    # ---- parameters -------------------------------------------------------------------------------------------------
    Case("pin_unknown", "pins a parameter that the law lacks", "fit runs.csv --pin gamma=1",
         2, ('no parameter "gamma" to pin', "it has E, A, alpha, B, beta")),
    Case("pin_outside", "pins an exponent below zero", "fit runs.csv --pin alpha=-1",
         2, (r"alpha cannot be pinned at -1\.0", r"its domain is \(0, 2\]", "give a number inside")),
    Case("pin_text", "pins to a word", "fit runs.csv --pin E=low",
         2, ("--pin E=low", "'low' does not begin with a number", "as in --pin E=1.8")),
    Case("pin_text_python", "pins to a word in Python", lambda: fitted(FRAME, pin={"E": "low"}),
         FitError, ("E cannot be pinned at 'low'", "give a number")),
    Case("pin_twice", "pins a parameter twice", "fit runs.csv --pin E=1 --pin E=2",
         2, ("--pin names E twice", "'1' and '2'", "keep one")),
    Case("tie_itself", "ties a parameter to itself", "fit runs.csv --tie beta=beta",
         2, ('"beta" cannot be tied to itself',)),
    Case("tie_unknown", "ties a parameter to a name that the law lacks", "fit runs.csv --tie beta=gamma",
         2, ("beta", "gamma", "E, A, alpha, B, beta|alpha")),
    # ---- how to fit -------------------------------------------------------------------------------------------------
    Case("loss_typo", "misspells the loss", "fit runs.csv --loss hubber",
         2, ('unknown loss "hubber"', r'did you mean "huber"\?', "known are huber, squares, lad, likelihood")),
    Case("space_typo", "misspells the space", "fit runs.csv --space logs",
         2, ('unknown space "logs"', r'did you mean "log"\?', "known are log, linear")),
    Case("delta_zero", "sets delta to zero", "fit runs.csv --delta 0",
         2, ("delta must be a positive number", "got 0")),
    Case("boot_negative", "asks for -5 refits", "fit runs.csv --boot -5",
         2, ("boot is a number of refits, 0 or more", "got -5")),
    Case("boot_one", "asks for one refit", "fit runs.csv --boot 1",
         2, ("boot=1", "90% interval", "1000")),
    Case("boot_word", "asks for many refits", "fit runs.csv --boot many",
         2, ("--boot", "'many'", "scalinglens fit --help")),
    Case("level_percent", "writes the level in percent", "fit runs.csv --level 90",
         2, ("between 0 and 1, got 90", "write 0.9 for 90 percent")),
    Case("interval_typo", "asks for an unknown interval", "fit runs.csv --interval percentiles",
         2, ('unknown interval "percentiles"', r'did you mean "percentile"\?')),
    Case("bca_alone", "asks for BCa intervals without refits", "fit runs.csv --interval bca",
         2, ("bca intervals come from bootstrap draws", "add boot=1000")),
    Case("groups_unknown", "groups by an unknown column", "fit runs.csv --boot 20 --groups parms",
         2, ("no column 'parms'", r'did you mean "params"\?', "known are params, tokens")),
    Case("groups_single", "groups by a column with one label", "fit runs.csv --boot 20 --groups set",
         2, (r"all 40 runs belong to one group \(c4\)", "name other groups")),
    Case("weights_length", "passes seven weights for forty runs", lambda: fitted(FRAME, weights=np.ones(7)),
         FitError, ("40 runs but 7 weights", "give one weight per run")),
    Case("weights_negative", "passes a negative weight", lambda: fitted(FRAME, weights=np.r_[1.0, -2.0, np.ones(38)]),
         FitError, ("not negative", "weight 1 is -2")),
    Case("weights_text", "weights by a column of words", "fit runs.csv --weights set",
         2, ("column set of runs.csv is no number", "first 'c4' at row 0")),
    Case("target_input", "fits an input of the law", "fit runs.csv --target params",
         2, ('"params" is an input of the law', "cannot be what it is fitted to")),
    Case("option_typo", "misspells an option", "fit runs.csv --bot 100",
         2, ("--bot", "Perhaps you meant", "--boot")),
    # ---- what the data cannot tell ----------------------------------------------------------------------------------
    Case("few_rows", "fits three parameters to four runs", lambda: fitted(FRAME.iloc[:4], "E + A/params^alpha"),
         SAID, ("only 4 runs: a law of more than 4 free parameters cannot be fitted",)),
    Case("three_rows", "fits five parameters to three runs", lambda: fitted(FRAME.iloc[:3]),
         FitError, (r"3 runs cannot determine 5 parameters \(E, A, alpha, B, beta\)", "add runs, pin")),
    Case("one_size", "has one model size only", lambda: fitted(FRAME.assign(params=1e8), boot=20),
         SAID, ("not_identified", "params takes one value only", "add runs of other sizes", "intervals are refused")),
    Case("constant_loss", "has the same loss everywhere", lambda: fitted(FRAME.assign(loss=2.5), boot=20),
         SAID, ("not_identified", r"constant in all 40 runs: loss = 2\.5", "intervals are refused")),
    Case("one_ratio", "trained every model on 20 tokens per parameter", "fit ratio.csv --boot 20",
         SAID, ("not_identified", "tokens / params is 20 in every run", "add runs off that line", "refused")),
    Case("one_ratio_strict", "insists on a certified fit there", "fit ratio.csv --strict", 3, ("not_identified",)),
    # ---- what is written --------------------------------------------------------------------------------------------
    Case("save_nowhere", "saves into a folder that is not there", "fit runs.csv --save no/such/fit.json",
         2, ("cannot write no/such/fit.json", "does not exist", "make the folder first")),
    Case("save_picture", "saves the fit as a picture", "fit runs.csv --save x.png",
         2, ("cannot write x.png", r"a saved fit ends in \.json", r"write x\.json")),
    Case("save_folder", "saves over a folder", "fit runs.csv --save folder",
         2, ("cannot write folder: it is a directory", "name a file in it")),
    Case("save_below_file", "saves below a file", "fit runs.csv --save runs.csv/fit.json",
         2, ("cannot write runs.csv/fit.json", "is no folder")),
    Case("save_python", "saves into a missing folder in Python", lambda: str(sl.Fit.load("fit.json").save("no/fit.json")),
         OutputError, ("cannot write no/fit.json", "does not exist", "make the folder first")),
    Case("plot_gif", "draws a GIF", "fit runs.csv --plot fit.gif",
         2, ("cannot write fit.gif", r"\.png, \.pdf, \.svg", "write fit.png")),
    Case("plot_python", "draws a bitmap in Python", lambda: str(sl.Fit.load("fit.json").plot("fit.bmp")),
         OutputError, ("cannot write fit.bmp", "write fit.png")),
    Case("demo_file", "runs the demo into a file", "demo --out runs.csv",
         2, ("cannot make the folder runs.csv", "choose another with --out")),
    # ---- saved fits -------------------------------------------------------------------------------------------------
    Case("fit_cut", "predicts from half a file", "predict cut.json --params 1B --tokens 1T",
         2, ("cut.json is not complete JSON", "cut off: save the fit again")),
    Case("fit_altered", "predicts from a fit changed by hand", "predict altered.json --params 1B --tokens 1T",
         2, ("altered.json was altered after it was saved", "fit again")),
    Case("fit_json", "predicts from other JSON", "predict runs.json --params 1B --tokens 1T",
         2, ("runs.json is not a saved fit", "scalinglens fit RUNS --save fit.json")),
    Case("fit_csv", "predicts from the table", "predict runs.csv --params 1B --tokens 1T",
         2, ("runs.csv is not a saved fit", "--save fit.json")),
    Case("fit_absent", "predicts from a file that is not there", "predict fti.json --params 1B --tokens 1T",
         2, ("there is no saved fit fti.json", "check the path")),
    # ---- points -----------------------------------------------------------------------------------------------------
    Case("no_point", "forgets the tokens", "predict fit.json --params 70B",
         2, ('needs "tokens"', r"\(--tokens 1e9\)")),
    Case("negative_point", "predicts at -1 tokens", "predict fit.json --params 70B --tokens -1",
         2, ('"tokens" is -1', "finite and positive")),
    Case("bananas", "predicts at 70 bananas", "predict fit.json --params '70 bananas' --tokens 1T",
         2, ("--params 70 bananas", "ends in 'bananas', which is no known unit", "use k, M, B, T")),
    Case("bananas_python", "predicts at 70 bananas in Python", lambda: predict(params="70 bananas", tokens=1e12),
         QuantityError, ("'70 bananas' ends in 'bananas'", "use k, M, B, T")),
    Case("quantity", "reads 70 bananas", lambda: str(sl.parse_quantity("70 bananas")),
         QuantityError, ("'70 bananas' ends in 'bananas'", "use k, M, B, T")),
    Case("far_point", "forgets the B of 70B", "predict fit.json --params 70 --tokens 1.4T",
         SAID, ("! params 70 is .* times below", "! tokens 1.4T is .* times above")),
    Case("far_point_json", "forgets it and wants JSON", "predict fit.json --params 70 --tokens 1T --json",
         SAID, (r'"warnings": \[\s*"params 70 is',)),
    Case("wrong_unit", "gives the size in FLOP", "predict fit.json --params '3 PF-day' --tokens 1T",
         2, ("'3 PF-day' is in FLOP", "params is measured in parameters")),
    Case("point_typo", "misspells an input", "predict fit.json --params 1B --tokns 1T",
         2, ("no input 'tokns'", 'did you mean "--tokens"', "it needs --params, --tokens")),
    Case("point_foreign", "gives an input that the law does not take", "predict fit.json --params 1B --flops 1e21",
         2, ("no input 'flops'", "it needs --params, --tokens")),
    Case("point_lengths", "gives three sizes and two token counts", "predict fit.json --params 1B,2B,3B --tokens 1T,2T",
         2, ("values differ: 3 of params, 2 of tokens", "one value of an input, or one per point")),
    Case("point_range", "leaves out the count of a range", "predict fit.json --params 1B:2B --tokens 1T",
         2, ("LOW:HIGH:COUNT, got 2 parts", "--params 1B:100B:5")),
    Case("point_no_value", "leaves out a value", "predict fit.json --params --tokens 1T",
         2, ("--params needs a value", "for example --params 70B")),
    Case("point_table", "predicts at a table without tokens", "predict fit.json --points sizes.csv",
         2, ('needs "tokens"', "--tokens 1e9")),
    Case("predict_level", "writes the level in percent", "predict fit.json --params 1B --tokens 1T --level 95",
         2, ("between 0 and 1, got 95", "write 0.95 for 95 percent")),
    Case("predict_published", "asks a published law for an interval", "predict besiroglu2024 --params 1B --tokens 1T --level 0.8",
         2, ("a published law has no intervals", "--level cannot be met", "--boot 1000 --save fit.json")),
    Case("predict_formula", "predicts from a bare formula", "predict 'E + A/params^alpha' --params 1B",
         2, ("has no value for E, A, alpha", "fit the law to runs, or give the values")),
    # ---- the command itself -----------------------------------------------------------------------------------------
    Case("command_typo", "misspells a command", "fti runs.csv",
         2, ('no command "fti"', r'did you mean "fit"\?', "demo, fit, compare, predict, .*laws")),
    Case("latex_of_all", "asks for the LaTeX of no law", "laws --latex",
         2, ("--latex needs a law", "scalinglens laws besiroglu2024 --latex")),
    Case("two_outputs", "asks for LaTeX and JSON", "laws besiroglu2024 --latex --json",
         2, ("--latex and --json exclude each other",)),
]  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the cases name."""
    folder = tmp_path_factory.mktemp("desk")
    FRAME.assign(set="c4").to_csv(folder / "runs.csv", index=False)
    FRAME.drop(columns="tokens").to_csv(folder / "sizes.csv", index=False)
    words = FRAME.drop(columns="tokens").assign(tokenizer="gpt2", token_factor=20.0)
    words.to_csv(folder / "words.csv", index=False)
    FRAME.assign(tokens=20 * FRAME.params).to_csv(folder / "ratio.csv", index=False)
    (folder / "empty.csv").write_bytes(b"")
    (folder / "folder").mkdir()
    packed = gzip.compress(FRAME.to_csv(index=False).encode())
    (folder / "cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    lines = FRAME.to_json(orient="records", lines=True).splitlines()
    (folder / "cut.jsonl").write_text("\n".join([*lines[:20], '{"params": 1']))
    (folder / "broken.jsonl").write_text("\n".join([*lines[:20], '{"params": 1', *lines[20:]]))
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    (folder / "runs.json").write_text(FRAME.to_json(orient="records"))
    sl.fit(FRAME, LAW, boot=50).save(folder / "fit.json")
    text = (folder / "fit.json").read_text()
    (folder / "cut.json").write_text(text[: len(text) // 2])
    words = json.loads(text)
    words["saved"]["values"]["E"] = 1.0
    (folder / "altered.json").write_text(json.dumps(words))
    return folder


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_answer(case: Case, desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(desk)
    files = sorted(desk.rglob("*"))
    if isinstance(case.action, str):
        status = main(shlex.split(case.action))
        screen, complaint = capsys.readouterr()
        assert status == case.expected, screen + complaint
        answer = complaint if status == 2 else screen + complaint
        assert "Traceback" not in answer
        if status == 2 and "--help" not in answer:  # but for the boxes that tyro draws
            assert re.fullmatch(r"scalinglens: [^\n]+\n", complaint)
    elif isinstance(case.expected, type):
        with pytest.raises(case.expected) as caught:
            case.action()
        assert isinstance(caught.value, sl.ScalingLensError)
        answer = str(caught.value)
    else:
        answer = case.action()
    for pattern in case.says:
        assert re.search(pattern, answer), f"{pattern!r} is not said in:\n{answer}"
    assert sorted(desk.rglob("*")) == files, "a mistake must leave no files behind"


def test_table_is_broad() -> None:
    assert len(CASES) >= 90
    assert len({case.id for case in CASES}) == len(CASES)
    python = [case for case in CASES if not isinstance(case.action, str)]
    assert len(python) >= 25
    assert len(CASES) - len(python) >= 50
