"""The floor of logits of rank d: limits, the published table."""

from types import SimpleNamespace

import numpy as np
import pytest

from scalinglens.errors import WorldError
from scalinglens.worlds.floor import logit_floor
from scalinglens.worlds.walks import kernel, walk


def test_it_vanishes_where_rank_does_not_bind_and_falls_with_width():
    world = kernel(nodes=24, seed=1)
    floors = [floor.excess for floor in logit_floor(world, [1, 3, 6, 12, 25], starts=1)]
    assert np.all(np.diff(floors) < 1e-9)
    assert floors[0] > 0.1
    assert floors[-1] < 1e-6


def test_rank_one_on_two_nodes_in_closed_form(tmp_path):
    # h = +-1, U free: logits U and -U. For W = [[p, q], [q, p]] that is exact
    path = tmp_path / "edges.txt"
    path.write_text("a a 3\na b 1\nb b 3\n")
    world = walk(graph="file", path=str(path))
    assert logit_floor(world, [1], starts=4)[0].excess < 1e-9


def test_the_gradient_is_that_of_the_loss(monkeypatch):
    from scipy.optimize import check_grad

    from scalinglens.worlds import floor

    seen = {}

    def look(fun, x, **options):
        seen.update(fun=fun, x=x)
        return SimpleNamespace(fun=1.0, nit=0, success=True)

    monkeypatch.setattr(floor, "minimize", look)
    logit_floor(kernel(nodes=6), [3], starts=1)
    value = lambda x: seen["fun"](x)[0]  # noqa: E731
    slope = lambda x: seen["fun"](x)[1]  # noqa: E731
    assert check_grad(value, slope, seen["x"]) < 1e-6


@pytest.mark.parametrize(
    ("nodes", "edges", "width", "published"),
    [(64, 256, 8, 0.101), (64, 256, 16, 0.0004), (128, 640, 8, 0.953), (128, 2048, 24, 0.196)],
)
@pytest.mark.slow
def test_sparse_graphs_have_a_threshold(nodes, edges, width, published):
    # study-random-walks 8.2: upper bounds by Adam on other draws of the graph; L-BFGS ends lower, by half at width 8
    found = logit_floor(walk(nodes=nodes, edges=edges), [width])[0].excess
    assert 0.2 * published - 4e-4 < found < 1.05 * published


def test_bad_input():
    with pytest.raises(WorldError, match="width 0 is a whole number from 1 on"):
        logit_floor(kernel(nodes=8), [0])
    with pytest.raises(WorldError, match="up to 4,096 nodes; this walk has 5,000"):
        logit_floor(walk(nodes=5000, edges=9000), [2])
