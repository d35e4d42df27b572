"""The JavaScript of every law, run by Node, gives what Python gives."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

from scalinglens.laws.card import laws_dict
from scalinglens.laws.catalogue import law, laws, typed_law
from scalinglens.laws.law import Law

ROWS = 5

PROGRAM = """
const cases = JSON.parse(require("fs").readFileSync(0, "utf8"));
const answers = cases.map(({code, rows}) => { const law = eval(code); return rows.map((row) => law(row)); });
process.stdout.write(JSON.stringify(answers));
"""


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None and os.environ.get("SCALINGLENS_REQUIRE_NODE") != "1":
        pytest.skip("node is not installed, so the JavaScript of the laws cannot be run")
    assert found, "SCALINGLENS_REQUIRE_NODE is 1 but there is no node"
    return found


def run(node: str, cases: list[dict[str, Any]]) -> list[list[float]]:
    """Run all cases in one process; a result that is no finite number comes back as None."""
    done = subprocess.run([node, "-e", PROGRAM], input=json.dumps(cases), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def case(found: Law, constants: Any, inputs: Any) -> dict[str, Any]:
    columns = {name: np.ravel(values) for name, values in {**constants, **inputs}.items()}
    rows = [{name: float(values[i]) for name, values in columns.items()} for i in range(ROWS)]
    return {"code": found.javascript(), "rows": rows}


def test_every_law_equals_python(node: str, points: Any) -> None:
    # laws that are the root of an equation, or a sum over a schedule, say that they have no JavaScript
    with_code = [entry["name"] for entry in laws_dict()["laws"] if entry["javascript"]]
    without = [name for name in laws() if "{" not in name and (law(name).between or law(name).scheduled)]
    assert len(with_code) == len(laws()) - len(without)
    names = [name.replace("{n}", str(n)) for name in with_code for n in ((1, 2, 3) if "{n}" in name else (1,))]
    found = [law(name, unverified=True) for name in names]
    drawn = [points(each, ROWS) for each in found]
    answers = run(node, [case(each, *where) for each, where in zip(found, drawn, strict=True)])
    for name, each, where, got in zip(names, found, drawn, answers, strict=True):
        # exp of the two languages differs in the last bit; 1 - exp(-x) at small x makes more of it
        tolerance = 1e-8 if name == "schaeffer2023.edit_distance" else 1e-12
        assert None not in got, name
        np.testing.assert_allclose(np.array(got, dtype=float), each.value(*where), rtol=tolerance, atol=0, err_msg=name)


def test_names_collide_with_nothing(node: str) -> None:
    # reserved words of JavaScript and the names of our own functions are good names of parameters
    found = typed_law(
        "y = var*sigmoid(lse*params) + sig*x^function + new/params^max0 + Math + e + arguments + toString"
    )
    assert {"var", "lse", "sig", "function", "new", "Math", "toString"} <= set(found.parameters)
    rng = np.random.default_rng(1)
    constants = {name: rng.uniform(0.1, 0.9, ROWS) for name in found.parameters}
    inputs = {"params": rng.uniform(1, 9, ROWS), "x": rng.uniform(1, 9, ROWS)}
    (got,) = run(node, [case(found, constants, inputs)])
    np.testing.assert_allclose(got, found.value(constants, inputs), rtol=1e-13)


def test_frozen_text() -> None:
    assert (
        law("kaplan2020.L_N").javascript()
        == """({Nc: $Nc, alphaN: $alphaN, params_nonembedding: $params_nonembedding}) => {
  const $0 = $alphaN;
  const $1 = $Nc;
  const $2 = Math.log($1);
  const $3 = $params_nonembedding;
  const $4 = Math.log($3);
  const $5 = $4 * (-1.0);
  const $7 = $2 + $5;
  const $8 = $0 * $7;
  return Math.exp($8);
}"""
    )
