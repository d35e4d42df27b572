"""What a user can get wrong in planning, and what the answer must say: one table of mistakes.

Each must raise the class given, with what is wrong, where, the value, and what to do; where the work can go on (`SAID`) the
doubt must be said aloud.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import scalinglens as sl
from scalinglens.errors import FitError, FormulaError, PlanError, SavedFitError, UnknownLawError
from scalinglens.plan.architecture.architecture import Architecture
from scalinglens.plan.cost import cost
from scalinglens.plan.counting import reconcile
from scalinglens.plan.frontier import frontier
from scalinglens.plan.hardware.hardware import hardware
from scalinglens.plan.inverse import cost_of, loss_at
from scalinglens.plan.plan import plan
from scalinglens.plan.regret import regret

LAW = "E + A/params^alpha + B/tokens^beta"
SAID = None  # no error: the doubt is said aloud
B = "besiroglu2024"


def runs(**columns: Any) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    params, tokens = 10 ** rng.uniform(7, 9.5, 40), 10 ** rng.uniform(8.5, 11, 40)
    tokens = columns.get("tokens", lambda n: tokens)(params)
    loss = (1.8 + 480 / params**0.35 + 2000 / tokens**0.37) * np.exp(0.002 * rng.standard_normal(40))
    return {"params": params, "tokens": tokens, "loss": loss}


def planned(source: Any = B, **options: Any) -> str:
    return repr(plan(source, **options))


class Case(NamedTuple):
    id: str
    user: str  # what the user does
    action: Callable[[], Any]
    expected: type[Exception] | None
    says: tuple[str, ...]  # regular expressions, each found in the answer


CASES = [
    # ---- what the plan rests on -------------------------------------------------------------------------------------
    Case("law_typo", "misspells a law", lambda: planned("besirolgu2024", flops=1e22),
         UnknownLawError, ('no law "besirolgu2024"', r'did you mean "besiroglu2024"')),
    Case("no_source", "passes a number in place of a fit", lambda: planned(7, flops=1e22),
         PlanError, ("got int", 'pass fit\\(runs, law\\), "fit.json"')),
    Case("empty_name", "passes an empty name", lambda: planned("", flops=1e22),
         PlanError, ("name of the law is empty",)),
    Case("no_file", "names a saved fit that is not there", lambda: planned("fti.json", flops=1e22),
         SavedFitError, ("there is no saved fit fti.json",)),
    Case("no_constants", "plans with a law that was never fitted", lambda: planned(LAW, flops=1e22),
         PlanError, ("no value for E, A, alpha", "fit it to runs", "constants=")),
    Case("unverified", "plans with a law whose constants are not verified", lambda: planned("farseer2025", flops=1e22),
         PlanError, ("farseer2025 has no value for", "unverified=True")),
    Case("unknown_constant", "misspells a constant", lambda: planned(LAW, flops=1e22, constants={"alhpa": 0.3}),
         PlanError, ('no parameter "alhpa"', 'did you mean "alpha"')),
    Case("nan_constant", "gives NaN for a constant",
         lambda: planned(LAW, flops=1e22, constants={"E": 1.8, "A": np.nan, "alpha": 0.3, "B": 1.0, "beta": 0.3}),
         PlanError, ("parameter A .* is nan", "finite number")),
    Case("not_identified", "plans with a fit that determines nothing",
         lambda: planned(sl.fit(runs(tokens=lambda n: 20 * n), LAW), flops=1e22),
         PlanError, ("no plan, because the fit is not_identified", "add runs that vary")),
    Case("no_draws", "plans with a fit without draws", lambda: planned(sl.fit(runs(), LAW), flops=1e21),
         SAID, ("! the fit has no draws, so the plan has no intervals", "--boot 1000")),
    Case("loss_of_compute", "asks for sizes of a law of compute alone", lambda: planned("gpt3_2020.L_C", flops=1e22),
         PlanError, ("gives loss from compute alone", "a law of params and tokens")),
    Case("schedule", "plans with a law of a schedule", lambda: planned("luo2025_mpl", flops=1e22),
         PlanError, ("follows a learning-rate schedule",)),
    # ---- the budget -------------------------------------------------------------------------------------------------
    Case("no_budget", "gives neither budget nor target", lambda: planned(),
         PlanError, ("needs a budget or a target", "flops=5.76e23", "target_loss=2.0")),
    Case("both", "gives a budget and a target", lambda: planned(flops=1e22, target_loss=2.0),
         PlanError, ("flops and target_loss are given", "keep one")),
    Case("zero_budget", "gives a budget of zero", lambda: planned(flops=0),
         PlanError, ("flops must be positive and finite, got 0",)),
    Case("negative_budget", "gives a negative budget", lambda: planned(flops=-1e22),
         PlanError, (r"flops must be positive and finite, got -1e\+22",)),
    Case("nan_budget", "gives NaN", lambda: planned(flops=float("nan")),
         PlanError, ("flops must be positive and finite, got nan",)),
    Case("endless_budget", "gives an infinite budget", lambda: planned(flops=float("inf")),
         PlanError, ("flops must be positive and finite, got inf",)),
    Case("word_budget", "gives a word", lambda: planned(flops="plenty"),
         PlanError, ("flops", "'plenty' does not begin with a number")),
    Case("tokens_as_flops", "gives tokens for compute", lambda: planned(flops="1T tokens"),
         PlanError, ("is in tokens, but flops is measured in FLOP",)),
    Case("two_budgets", "gives a list to one plan", lambda: planned(flops=[1e21, 1e22]),
         PlanError, ("flops is one number, got 2",)),
    Case("bad_among_budgets", "has one bad budget in a frontier", lambda: frontier(B, [1e21, -1e22]),
         PlanError, ("got -1e\\+22 at position 1",)),
    Case("no_budgets", "asks for a frontier of nothing", lambda: frontier(B, []),
         PlanError, ("the budget is empty",)),
    Case("other_unit", "gives FLOP where the cost is in dollars",
         lambda: planned(flops=1e22, cost="dollars = 2e-18*params*tokens"),
         PlanError, ("the cost is in USD", "give budget=")),
    Case("beyond_all_measure", "plans far beyond the data",
         lambda: planned(sl.fit(runs(), LAW, boot=50), flops=1e28),
         SAID, ("! beyond the runs of .* by decades: .*flops by", "extrapolates +params by")),
    # ---- the target -------------------------------------------------------------------------------------------------
    Case("below_floor", "asks for a loss below the floor", lambda: planned(target_loss=1.7),
         PlanError, ("no budget reaches a loss of 1.7 under besiroglu2024, whose floor is 1.817", "above it")),
    Case("below_floor_of_size", "asks of a small model what no data gives it",
         lambda: planned(target_loss=1.95, fix={"params": "1B"}),
         PlanError, ("no budget reaches a loss of 1.95", "with params 1B, whose floor is 2.17")),
    Case("negative_target", "asks for a negative loss", lambda: planned(target_loss=-2),
         PlanError, ("the target loss must be positive and finite, got -2",)),
    Case("suffixed_target", "gives a loss in tokens", lambda: cost_of(B, "2T tokens"),
         PlanError, ("is in tokens, but loss is measured in nats/token",)),
    Case("budget_unit", "asks for a frontier over tokens", lambda: frontier(B, ["1T tokens"]),
         PlanError, ("is in tokens, but flops is measured in FLOP",)),
    # ---- fixed inputs, bounds, options ---------------------------------------------------------------------------------
    Case("fix_typo", "misspells a fixed input", lambda: planned(flops=1e22, fix={"parms": 1e9}),
         PlanError, ('fix names "parms"', 'did you mean "params"', "law and cost hold params, tokens")),
    Case("fix_foreign", "fixes a quantity that the law does not know", lambda: planned(flops=1e22, fix={"vocab": 32000}),
         PlanError, ('fix names "vocab"', "neither besiroglu2024 nor its cost depends on")),
    Case("fix_zero", "fixes a size of zero", lambda: planned(flops=1e22, fix={"params": 0}),
         PlanError, ("params must be positive and finite, got 0",)),
    Case("fix_unit", "fixes a size in tokens", lambda: planned(flops=1e22, fix={"params": "7B tokens"}),
         PlanError, ("is in tokens, but params is measured in parameters",)),
    Case("fix_all", "fixes everything", lambda: planned(flops=1e22, fix={"params": 1e9, "tokens": 1e10}),
         PlanError, ("all inputs of besiroglu2024 are fixed", "free one")),
    Case("beyond_budget", "fixes a size beyond the budget with data that cannot shrink",
         lambda: planned(flops=1e18, fix={"params": "1T"}, bounds={"tokens": ("1B", None)}),
         PlanError, ("no choice of tokens with params 1T costs 1e\\+18 FLOP", "change them or the budget")),
    Case("fixed_and_bounded", "fixes and bounds the same",
         lambda: planned(flops=1e22, fix={"params": 1e9}, bounds={"params": (1, 2)}),
         PlanError, ("params is fixed and has bounds",)),
    Case("bounds_reversed", "gives bounds the wrong way", lambda: planned(flops=1e22, bounds={"params": ("70B", "7B")}),
         PlanError, ("bounds of params are 70B and 7B", "the first must be below")),
    Case("bounds_one", "gives one bound", lambda: planned(flops=1e22, bounds={"params": 1e9}),
         PlanError, ("bounds of params are two numbers",)),
    Case("at_bound", "bounds the size below the optimum", lambda: planned(flops=1e25, bounds={"params": (None, "7B")}),
         SAID, ("! the best params is at its bound",)),
    Case("tolerance", "gives a tolerance in percent", lambda: planned(flops=1e22, tolerance=5),
         PlanError, ("tolerance is a share", "write 0.001")),
    Case("level", "gives a level in percent", lambda: planned(flops=1e22, level=90),
         FitError, ("write 0.9 for 90 percent",)),
    Case("no_unique", "plans without the distinct tokens of a law that needs them",
         lambda: planned("muennighoff2023", flops=1e22),
         PlanError, ("tokens_unique costs nothing", "--fix tokens_unique")),
    Case("unique_twice", "gives the distinct tokens twice",
         lambda: planned("muennighoff2023", flops=1e22, tokens_unique=1e10, fix={"tokens_unique": 1e10}),
         PlanError, ("tokens_unique is given twice",)),
    Case("too_many_tokens", "plans more tokens per parameter than laws were tested on",
         lambda: planned(flops=1e24, fix={"params": "1B"}),
         SAID, ("! 166667 tokens per parameter are beyond",)),
    # ---- the cost ---------------------------------------------------------------------------------------------------
    Case("cost_foreign", "gives a cost over other inputs", lambda: planned(flops=1e22, cost="6*params_nonembedding*steps"),
         PlanError, ("no input in common",)),
    Case("cost_partly", "gives a cost that leaves an input free", lambda: planned(flops=1e22, cost="6*params"),
         PlanError, ("tokens costs nothing in 6\\*params", "--fix tokens=")),
    Case("cost_needs_more", "gives a cost with an input that nobody fixed",
         lambda: planned(flops=1e22, cost="sardana2023.cost"),
         PlanError, ("needs tokens_inference", "--fix tokens_inference=")),
    Case("cost_typo", "misspells an input of the cost", lambda: planned(flops=1e22, cost="6*params*tokns"),
         PlanError, ('"tokns", which is no quantity', 'did you mean "tokens"')),
    Case("cost_broken", "leaves the formula open", lambda: planned(flops=1e22, cost="6*params*"),
         FormulaError, ("the cost cannot be read",)),
    Case("cost_falls", "gives a cost that falls with the data", lambda: planned(flops=1e22, cost="params/tokens"),
         PlanError, ("does not rise with tokens",)),
    Case("cost_is_a_loss", "gives a loss as the cost", lambda: cost("besiroglu2024"),
         PlanError, ("gives loss, which is no cost",)),
    Case("no_least", "plans with a law that rises with the data",
         lambda: planned("A/params^alpha + B*tokens^beta", flops=1e22, constants={"A": 1.0, "alpha": 0.3, "B": 1.0, "beta": 0.1}),
         PlanError, ("no optimum of", "no least value", "give bounds")),
    Case("no_time", "gives a deadline of zero hours", lambda: loss_at(B, hours=0, rate=1e15),
         PlanError, ("hours must be positive and finite, got 0",)),
    Case("nan_tolerance", "gives NaN for the tolerance", lambda: planned(flops=1e22, tolerance=float("nan")),
         PlanError, ("tolerance is a share of the loss", "got nan")),
    Case("true_tolerance", "turns the near-optimal range on", lambda: frontier(B, 1e22, tolerance=True),
         PlanError, ("tolerance is a share of the loss", "got True")),
    Case("zero_bound", "gives zero for an open bound", lambda: planned(flops=1e22, bounds={"params": (0, "7B")}),
         PlanError, ("lower bound of params must be positive and finite, got 0",)),
    Case("nan_bound", "gives NaN for a bound", lambda: planned(flops=1e22, bounds={"tokens": (None, float("nan"))}),
         PlanError, ("upper bound of tokens must be positive and finite, got nan",)),
    Case("bound_unit", "bounds a size in tokens", lambda: planned(flops=1e22, bounds={"params": (None, "7B tokens")}),
         PlanError, ("upper bound of params", "is in tokens, but params is measured in parameters")),
    Case("cost_nan", "gives NaN for a constant of the cost",
         lambda: planned(flops=1e22, cost=cost("k*params*tokens", unit="FLOP", constants={"k": float("nan")})),
         PlanError, ("k",)),
    Case("cost_constant_typo", "misspells a constant of the cost",
         lambda: cost("k*params*tokens", unit="FLOP", constants={"kk": 6.0}),
         PlanError, ('has no "kk"', 'did you mean "k"')),
    Case("cost_of_nothing", "gives a number for the cost", lambda: cost("6"),
         FormulaError, ("the cost cannot be read", "'6' has no names in it")),
    Case("served_dollars", "adds served tokens to dollars",
         lambda: planned(budget=1e6, cost="dollars = 2e-18*params*tokens", inference_tokens="1T"),
         PlanError, ("served tokens add FLOP, and the cost is in USD",)),
    Case("deadline_in_dollars", "asks a deadline of a cost in dollars",
         lambda: loss_at(B, hours=1, rate=1e15, cost="dollars = 2e-18*params*tokens"),
         PlanError, ("a deadline buys FLOP, and the cost is in USD",)),
    Case("odd_allocation", "allocates a quantity that is not free", lambda: regret(B, {"parms": 1e9, "tokens": 1e10}),
         PlanError, ('allocation names "parms"', "it may name params, tokens")),
    Case("nan_allocation", "allocates NaN", lambda: regret(B, {"params": [1e9, float("nan")], "tokens": 1e10}),
         PlanError, ("params must be positive and finite, got nan at position 1",)),
    Case("contradiction", "allocates what is not the budget", lambda: regret(B, {"params": 1e9, "tokens": 1e10}, 1e22),
         PlanError, ("costs 6e\\+19 FLOP, not the budget of 1e\\+22", "leave one input or the budget out")),
    Case("free_price", "gives a price of zero", lambda: regret(B, {"params": 1e9, "tokens": 1e10}, price=0),
         PlanError, ("the price must be positive and finite, got 0",)),
    Case("too_large", "allocates more than the budget to one input",
         lambda: regret(B, {"params": 1e30}, 1e20, bounds={"tokens": (1e6, None)}),
         PlanError, ("no tokens makes the allocation cost 1e\\+20 FLOP",)),
    Case("chips", "asks for half a chip", lambda: hardware("h100", 0.5).days(1e22),
         PlanError, ("number of chips is 0.5", "whole number")),
    Case("mfu", "gives the utilisation in percent", lambda: hardware("h100").days(1e22, mfu=40),
         PlanError, ("mfu is 40", "for 40% write 0.4")),
    Case("heads", "takes heads that do not divide the width",
         lambda: Architecture(width=512, depth=8, heads=7, vocab=32_000),
         PlanError, ("heads = 7 does not divide width = 512", "choose heads of")),
    Case("counting", "misspells a way to count", lambda: reconcile(B, conventions=["non-embedding"]),
         PlanError, ('no convention "non-embedding"', "there are total, nonembedding")),
    Case("half_allocation", "asks for the regret of half an allocation", lambda: regret(B, {"params": 1e9}),
         PlanError, ("does not say tokens", "or the budget")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_answer(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if case.expected is not SAID:
        with pytest.raises(case.expected) as caught:
            case.action()
        assert isinstance(caught.value, sl.ScalingLensError)
        answer = str(caught.value)
        assert "\n" not in answer
    else:
        answer = str(case.action())
    answer = re.sub(r"\n +", " ", answer)  # long sentences are wrapped
    for pattern in case.says:
        assert re.search(pattern, answer), f"{pattern!r} is not said in:\n{answer}"
    assert not list(tmp_path.iterdir())


def test_table_is_broad() -> None:
    assert len(CASES) >= 74
    assert len({case.id for case in CASES}) == len(CASES)
