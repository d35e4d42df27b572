"""The first ladder, with nothing known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from scalinglens.plan.design import design
from scalinglens.plan.design.ladder import first_ladder, spread_of


@pytest.mark.parametrize("budget", [1e16, 1e19, 1e21])
@pytest.mark.parametrize("target", [1e22, 1e25])
def test_first_ladder_is_wide_and_off_the_diagonal(budget: float, target: float) -> None:
    found = design("prior", target={"flops": target}, budget=budget, most=12, draws=60)
    sizes, ratios, decades = spread_of(found.runs, "params", "tokens")
    assert found.first
    assert sizes >= 5
    assert ratios >= 3
    assert decades >= 1.0
    assert found.cost <= budget * (1 + 1e-8)
    assert np.corrcoef(np.log(found.runs["params"]), np.log(found.runs["tokens"]))[0, 1] < 0.95
    assert any("no runs yet" in warning for warning in found.warnings)


def test_ladder_shrinks_with_the_budget() -> None:
    grid = pd.DataFrame([(n, r * n, 6.0 * r * n * n) for n in np.geomspace(1e6, 1e9, 10) for r in (5.0, 20.0, 80.0)])
    grid.columns = ["params", "tokens", "cost"]
    tops = [grid["params"].iloc[first_ladder(grid, "params", "tokens", budget)].max() for budget in (1e16, 1e18, 1e20)]
    assert tops[0] < tops[1] < tops[2]
    assert first_ladder(grid, "params", "tokens", 1e9) == []


def test_a_grid_of_three_sizes_is_said_to_be_small() -> None:
    grid = {"params": [1e7, 3e7, 1e8], "tokens_per_param": [5.0, 20.0, 80.0]}
    found = design("prior", target={"flops": 1e22}, budget=1e19, candidates=grid, draws=60)
    assert any("3 sizes" in warning for warning in found.warnings)
