"""`scalinglens plan` as users meet it."""

from __future__ import annotations

import inspect
import json

import pytest
import tyro  # noqa: F401  at collection: it hashes all of builtins, and a doctest may leave a dict there as builtins._

from scalinglens.cli.main import main
from scalinglens.plan.plan import plan
from scalinglens.plan.questions import QUESTIONS, question


def test_json_and_screen_say_what_python_says(run):
    words = ["plan", "fit.json", "--flops", "1e24", "--hardware", "h200:64", "--mfu", "0.35", "--instead", "params=7B"]
    found = json.loads(run(*words, "--json").stdout)
    assert found["schema"] == 1
    assert {"question", "answer", "near_optimal", "extrapolation_decades", "assumptions", "warnings"} <= set(found)
    size = found["answer"]["params"]
    assert size["low"] < size["value"] < size["high"]
    low, high = found["near_optimal"]["params"]
    assert low < size["value"] < high
    assert found["near_optimal"]["tolerance"] == 0.001
    assert found["extrapolation_decades"]["params"] > 1
    # 6ND is spent, at 35% of 64 peaks of 989 TFLOP/s
    assert 6 * size["value"] * found["answer"]["tokens"]["value"] == pytest.approx(1e24, rel=1e-9)
    assert found["answer"]["days"]["value"] == pytest.approx(1e24 / (64 * 989e12 * 0.35) / 86400, rel=1e-9)
    assert found["answer"]["waste"]["value"] > 0.1
    screen = run(*words).stdout
    assert "within 0.10% of the best" in screen
    assert "params by" in screen


def test_a_target_is_the_inverse_of_a_budget(run):
    loss = plan("besiroglu2024", flops=1e24).answer["loss"].value
    found = json.loads(run("plan", "besiroglu2024", "--target-loss", repr(loss), "--json").stdout)
    assert found["question"]["kind"] == "target"
    assert found["answer"]["flops"]["value"] == pytest.approx(1e24, rel=1e-9)
    assert set(found["spread"]) == set()


def test_days_and_dollars_are_budgets(run):
    one = json.loads(run("plan", "besiroglu2024", "--hardware", "h100:1024", "--days", "16.8", "--json").stdout)
    assert one["answer"]["flops"]["value"] == pytest.approx(16.8 * 86400 * 1024 * 989e12 * 0.4, rel=1e-9)
    words = ["plan", "besiroglu2024", "--hardware", "h100:8", "--dollars", "1e6", "--price", "2.5", "--json"]
    other = json.loads(run(*words).stdout)
    assert other["answer"]["dollars"]["value"] == pytest.approx(1e6, rel=1e-9)
    assert any("16 bytes per parameter" in warning for warning in other["warnings"])


def test_several_budgets_are_a_frontier(run, tmp_path):
    picture = tmp_path / "frontier.png"
    words = ["plan", "fit.json", "--flops", "1e20:1e24:5", "--bounds", "params=1M:", "--plot", str(picture), "--json"]
    found = json.loads(run(*words).stdout)
    assert len(found["rows"]) == 5
    assert found["exponents"]["params"]["low"] < found["exponents"]["params"]["high"]
    assert picture.stat().st_size > 10_000


def test_unique_and_served_tokens(run):
    found = json.loads(run("plan", "besiroglu2024", "--flops", "1e23", "--tokens-unique", "100B", "--json").stdout)[
        "answer"
    ]
    assert found["epochs"]["value"] > 1
    words = ["plan", "besiroglu2024", "--target-loss", "2.1", "--inference-tokens", "2T", "--json"]
    served = json.loads(run(*words).stdout)["answer"]
    assert served["flops_training"]["value"] + served["flops_inference"]["value"] == pytest.approx(
        served["flops"]["value"]
    )


def test_every_question_has_a_form_with_help_and_is_listed(capsys):
    assert main(["plan", "questions"]) == 0
    listed = capsys.readouterr().out
    for name, known in QUESTIONS.items():
        assert known.asks in listed
        signature = inspect.signature(question(name))
        assert all(p.kind is p.KEYWORD_ONLY for p in signature.parameters.values()), name
        assert main(["plan", name, "--help"]) == 0
        said = capsys.readouterr().out
        for parameter in signature.parameters:
            assert f"--{parameter.replace('_', '-')}" in said, (name, parameter)
        assert "--json" in said


def test_a_question(run):
    words = ["plan", "learning-rate", "--params-nonembedding", "1B", "--tokens", "100B", "--json"]
    found = json.loads(run(*words).stdout)
    assert found["answer"]["learning_rate"]["value"] == pytest.approx(1.6624e-3, rel=1e-4)
    assert len(found["spread"]) >= 4


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["besiroglu2024"], "a plan needs a budget or a target"),
        (["besiroglu2024", "--flops", "1e22", "--days", "3", "--hardware", "h100"], "flops and days are given"),
        (["besiroglu2024", "--days", "3"], "days is of a cluster; say which"),
        (["besiroglu2024", "--flops", "1e22", "--hardware", "h1000:8"], "h100"),
        (["besiroglu2024", "--flops", "1e22", "--hardware", "h100:0"], "number of chips is 0"),
        (["besiroglu2024", "--flops", "1e22", "--hardware", "h100", "--mfu", "40"], "for 40% write 0.4"),
        (["besiroglu2024", "--flops", "1e22", "--hardware", "h100", "--precision", "int3"], "int3"),
        (["besiroglu2024", "--flops", "1e22", "--bounds", "params=7B"], "is not LOW:HIGH"),
        (["besiroglu2024", "--flops", "1e21,1e22", "--days", "3"], "one budget at a time"),
        (["besiroglu2024", "--flops", "1e22", "--instead", "size=7B"], 'names "size"'),
        (["besirolgu2024", "--flops", "1e22"], 'did you mean "besiroglu2024"'),
        (["learning-rate", "--params-nonembedding", "1X", "--tokens", "1B"], "no known unit"),
        (["learning-rate", "--params-nonembedding", "-1", "--tokens", "1B"], "must be positive"),
    ],
)
def test_mistakes_end_in_a_sentence(capsys, words, says):
    assert main(["plan", *words]) == 2
    assert says in capsys.readouterr().err


def test_methods_compared_on_one_table(run):
    words = ["plan", "runs.csv", "--methods", "approach3,varpro,kaplan", "--flops", "1e22", "--boot", "0", "--json"]
    found = json.loads(run(*words).stdout)
    assert found["schema"] == 1
    assert "approach3" in json.dumps(found)
    screen = run(*words[:-1]).stdout
    assert "varpro" in screen
    assert "did you mean" in run("plan", "runs.csv", "--methods", "aproach3", "--flops", "1e22", status=2).stderr
