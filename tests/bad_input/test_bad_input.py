"""What a user can get wrong, and what the answer must say: one table of mistakes.

A mistake through a public Python function must raise the class given; on the command line it must end with status 2 and one
line on stderr, without a traceback. Where the work can go on (status 0) the doubt must be said aloud. Every answer names
what is wrong, where, with the value, and what to do.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

import scalinglens as sl
from scalinglens.cli.main import main
from scalinglens.errors import (
    ExpressionError,
    FitError,
    FormulaError,
    OutputError,
    PredictionError,
    QuantityError,
    RunsError,
    SavedFitError,
    UnknownLawError,
)

LAW = "E + A/params^alpha + B/tokens^beta"
SAID = None  # no error: the answer is what is printed


def chinchilla(rows: int = 40) -> pd.DataFrame:
    """Losses of a known law with 0.2% scatter, sizes and tokens varied independently."""
    rng = np.random.default_rng(1)
    params = 10 ** rng.uniform(7, 9.5, rows)
    tokens = 10 ** rng.uniform(8.5, 11, rows)
    loss = (1.8 + 480 / params**0.35 + 2000 / tokens**0.37) * np.exp(0.002 * rng.standard_normal(rows))
    return pd.DataFrame({"params": params, "tokens": tokens, "loss": loss})


def spoiled(column: str, row: int, value: object) -> pd.DataFrame:
    frame = chinchilla().astype(object)
    frame.loc[row, column] = value
    return frame


def read(frame: pd.DataFrame | dict, **options) -> str:
    return sl.read_runs(frame, **options).summary()


def fitted(frame: pd.DataFrame | dict, law: str = LAW, **options) -> str:
    return repr(sl.fit(frame, law, **options))


def predict(**points) -> str:
    return str(sl.Fit.load("fit.json").predict(**points))


class Case(NamedTuple):
    id: str
    user: str  # what the user does
    action: Callable[[], str] | list[str]  # a call in Python, or the words after `scalinglens`
    expected: type[Exception] | int | None  # class of the error, exit status, or SAID
    says: tuple[str, ...]  # regular expressions, each to be found in the answer


FRAME = chinchilla()
CASES = [
    # ---- the file ----------------------------------------------------------------------------------------------------
    Case("no_file", "names a file that is not there", ["fit", "rums.csv"], 2, ("rums.csv does not exist", r'did you mean "runs.csv"', "check the path")),
    Case("empty", "passes an empty file", ["fit", "empty.csv"], 2, ("empty.csv is empty", "line of column names")),
    Case("folder", "passes a folder", ["fit", "folder"], 2, ("folder is a directory", "name one file")),
    Case("cut_gz", "passes half of a csv.gz", ["fit", "cut.csv.gz"], 2, ("cut.csv.gz is cut", "copy or download the file again")),
    Case("cut_jsonl", "passes JSON lines cut in the middle", ["fit", "cut.jsonl"], SAID, ("x",)),
    Case("binary", "passes a picture", ["fit", "picture.png"], 2, ("picture.png is a binary file", "CSV, TSV, JSON")),
]
CASES = [
("cut_jsonl", ["fit", "cut.jsonl"]), ("cut_jsonl_mid", ["fit", "mid.jsonl"]),
("nocols",lambda: read(FRAME.rename(columns={"params":"a","tokens":"b","loss":"c"}))),
("noloss",lambda: fitted(FRAME.drop(columns="loss"))),
("notokens",lambda: fitted(FRAME.drop(columns="tokens"))),
("tokbillion",lambda: read(FRAME.assign(tokens=FRAME.tokens/1e9))),
("ppl",lambda: read(FRAME.assign(val_ppl=np.exp(FRAME.loss)))),
("pplonly",lambda: read(FRAME.assign(loss=np.exp(FRAME.loss)))),
("bits",lambda: read(FRAME.assign(loss_bits=FRAME.loss/np.log(2)).drop(columns="loss"))),
("ambig",lambda: read(FRAME.assign(n_params=FRAME.params*1.1).rename(columns={"params":"num_params"}))),
("nan",lambda: read(spoiled("loss",3,np.nan))),
("inf",lambda: read(spoiled("tokens",3,np.inf))),
("neg",lambda: read(spoiled("loss",3,-2.0))),
("zero",lambda: read(spoiled("loss",3,0.0))),
("text",lambda: read(spoiled("loss",3,"diverged"))),
("alltext",lambda: read(FRAME.assign(loss="oops"))),
("dups",lambda: read(pd.concat([FRAME,FRAME.iloc[:5]]))),
("onesize",lambda: fitted(FRAME.assign(params=1e8), boot=20)),
("three",lambda: fitted(FRAME.iloc[:3])),
("const",lambda: fitted(FRAME.assign(loss=2.5),boot=20)),
("ratio",lambda: fitted(FRAME.assign(tokens=20*FRAME.params),boot=20)),
("typo law",["fit","runs.csv","--law","hofmann2022"]),
("syntax",["fit","runs.csv","--law","E + A/params^"]),
("attack",lambda: fitted(FRAME,"__import__('os').system('id')")),
("attack2",lambda: fitted(FRAME,"E + A/params.__class__")),
("attack3",lambda: fitted(FRAME,"9**9**9**9*params")),
("noinput",lambda: fitted(FRAME,"E + A/N^alpha")),
("fn",lambda: fitted(FRAME,"E + sine(params)")),
("pin",["fit","runs.csv","--pin","gamma=1"]),
("pin2",["fit","runs.csv","--pin","alpha=-1"]),
("pin3",["fit","runs.csv","--pin","E"]),
("pin4",["fit","runs.csv","--pin","E=low"]),
("pin5",["fit","runs.csv","--pin","E=1", "--pin", "E=2"]),
("tie",["fit","runs.csv","--tie","beta=beta"]),
("tie2",["fit","runs.csv","--tie","gamma=beta"]),
("where",["fit","runs.csv","--where","los < 3"]),
("where=",["fit","runs.csv","--where","loss = 3"]),
("where&",["fit","runs.csv","--where","loss < 3 & params > 1e8"]),
("wherex",["fit","runs.csv","--where","__import__('os')"]),
("wherenone",["fit","runs.csv","--where","loss > 100"]),
("map",["fit","runs.csv","--map","params=Size"]),
("map2",["fit","runs.csv","--map","parms=params"]),
("map3",["fit","runs.csv","--map","where=params"]),
("mapoff",["fit","runs.csv","--map","tokens="]),
("groups",["fit","runs.csv","--boot","10","--groups","corpus"]),
("groups1",["fit","runs.csv","--boot","10","--groups","set"]),
("groups noboot",["fit","runs.csv","--groups","corpus"]),
("boot",["fit","runs.csv","--boot","-5"]),
("boot",["fit","runs.csv","--boot","many"]),
("level",["fit","runs.csv","--level","90"]),
("starts",["fit","runs.csv","--starts","0"]),
("seed",["fit","runs.csv","--seed","-1"]),
("delta",["fit","runs.csv","--delta","0"]),
("loss",["fit","runs.csv","--loss","hubber"]),
("space",["fit","runs.csv","--space","logs"]),
("interval",["fit","runs.csv","--interval","bootstrap"]),
("bca",["fit","runs.csv","--interval","bca"]),
("asym",["fit","runs.csv","--asymmetry","-1"]),
("target",["fit","runs.csv","--target","perplexity"]),
("target",["fit","runs.csv","--target","params"]),
("weights",["fit","runs.csv","--weights","w"]),
("weights",["fit","runs.csv","--weights","set"]),
("weights",lambda: fitted(FRAME,weights=np.ones(7))),
("weights",lambda: fitted(FRAME,weights=-np.ones(40))),
("groupslen",lambda: fitted(FRAME,boot=5,groups=np.ones(7))),
("x",["fit","runs.csv","--law","a + b*x^c"]),
("x",["fit","runs.csv","--law","a + b*x^c", "--x", "nope"]),
("x",["fit","runs.csv","--x", "params", "--map", "x=tokens"]),
("needs col",["fit","runs.csv","--law","muennighoff2023"]),
("save",["fit","runs.csv","--save","no/such/fit.json"]),
("save",["fit","runs.csv","--save","folder"]),
("save",["fit","runs.csv","--save","runs.csv/fit.json"]),
("plot",["fit","runs.csv","--plot","fit.gif"]),
("plot",["fit","runs.csv","--plot","fit"]),
("plotpy",lambda: str(sl.Fit.load("fit.json").plot("fit.bmp"))),
("savepy",lambda: str(sl.Fit.load("fit.json").save("no/fit.json"))),
("cutfit",["predict","cutfit.json","--params","1B"]),
("altered",["predict","altered.json","--params","1B"]),
("nofit",["predict","runs.json","--params","1B"]),
("csv fit",["predict","runs.csv","--params","1B"]),
("missing fit",["predict","fti.json","--params","1B"]),
("predict notok",["predict","fit.json","--params","1B"]),
("predict none",["predict","fit.json"]),
("predict -1",["predict","fit.json","--params","1B","--tokens","-1"]),
("predict bananas",["predict","fit.json","--params","70 bananas","--tokens","1T"]),
("predict unit",["predict","fit.json","--params","70 tokens","--tokens","1T"]),
("predict unk",["predict","fit.json","--params","1B","--tokns","1T"]),
("predict flops",["predict","fit.json","--params","1B","--flops","1T"]),
("predict lens",["predict","fit.json","--params","1B,2B,3B","--tokens","1T,2T"]),
("predict range",["predict","fit.json","--params","1B:2B","--tokens","1T"]),
("predict range0",["predict","fit.json","--params","0:2B:4","--tokens","1T"]),
("predict noval",["predict","fit.json","--params","--tokens","1T"]),
("predict twice",["predict","fit.json","--params","1","--params","1T"]),
("predict lvl",["predict","fit.json","--params","1B","--tokens","1T","--level","90"]),
("predict law lvl",["predict","besiroglu2024","--params","1B","--tokens","1T","--noise"]),
("predict formula",["predict","E + A/params^alpha","--params","1B"]),
("predict points",["predict","fit.json","--points","nope.csv"]),
("predict pts",["predict","fit.json","--points","sizes.csv"]),
("py -1",lambda: predict(params=1e9,tokens=-1)),
("py text",lambda: predict(params="70 bananas",tokens=1e9)),
("py text ok",lambda: predict(params="70B",tokens=1e9)),
("py nan",lambda: predict(params=np.nan,tokens=1e9)),
("quantity",lambda: str(sl.parse_quantity("70 bananas"))),
("quantity",lambda: str(sl.parse_quantity("3 PF-day",expect="tokens"))),
("laws",["laws","chinchila"]),
("laws",["laws","--latex"]),
("laws",["laws","kaplan2020.nope"]),
("cmd",["fti","runs.csv"]),
("law py",lambda: str(sl.law(7))),
("read py",lambda: read(7)),
("read none",lambda: read(None)),
("demo",["demo","--out","runs.csv"]),
("pinpy",lambda: fitted(FRAME,pin={"E":"low"})),
("bootpy",lambda: fitted(FRAME,boot=1.5)),
("levelpy",lambda: fitted(FRAME,level="90%")),
("lawpy",lambda: fitted(FRAME,law=None)),
("unident",["fit","ratio.csv","--boot","20","--json"]),
]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    FRAME.assign(set="c4").to_csv("runs.csv", index=False)
    FRAME.drop(columns="tokens").to_csv("sizes.csv", index=False)
    FRAME.assign(tokens=20*FRAME.params).to_csv("ratio.csv", index=False)
    Path("empty.csv").write_bytes(b"")
    Path("folder").mkdir()
    packed = gzip.compress(FRAME.to_csv(index=False).encode())
    Path("cut.csv.gz").write_bytes(packed[: len(packed) // 2])
    lines = FRAME.to_json(orient="records", lines=True)
    Path("cut.jsonl").write_text(lines[: len(lines) // 2])
    Path("mid.jsonl").write_text(lines[: len(lines) // 2]+"\n"+lines)
    Path("picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    Path("runs.json").write_text(FRAME.to_json(orient="records"))
    sl.fit(FRAME, LAW, boot=50).save("fit.json")
    text = Path("fit.json").read_text()
    Path("cutfit.json").write_text(text[: len(text) // 2])
    words = json.loads(text)
    words["saved"]["values"]["E"] = 1.0
    Path("altered.json").write_text(json.dumps(words))
    return tmp_path

def test_print(desk, capsys):
    out=[]
    for id, a in CASES:
        if isinstance(a, list):
            try: s=main(a)
            except Exception as e: s=f"CRASH {type(e).__name__} {e}"
            o,e=capsys.readouterr()
            out.append(f"## {id} {a} -> {s}\n{e if s else e+o}")
        else:
            try: out.append(f"## {id} OK\n{a()}")
            except Exception as e: out.append(f"## {id} {type(e).__name__}{'' if isinstance(e,sl.ScalingLensError) else ' CRASH'}\n{e}")
    Path("/tmp/bad.txt").write_text("\n".join(out))
