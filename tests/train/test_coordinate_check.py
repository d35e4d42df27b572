"""The coordinate check tells parameterizations that follow the width from those that do not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scalinglens.cli.main import main
from scalinglens.errors import ExperimentError
from scalinglens.train.coordinate_check import coordinate_check
from scalinglens.train.settings import Parameterization, Settings, Training
from scalinglens.worlds.walks import walk

WORLD = walk(graph="er", nodes=64, edges=256)


def checked(name, learning_rate=0.02, widths=(32, 64, 128)):
    settings = Settings(
        parameterization=Parameterization(name), training=Training(learning_rate=learning_rate, batch=16)
    )
    return coordinate_check(WORLD, settings, widths=widths, steps=5)


@pytest.mark.slow
def test_mup_is_flat_from_32_to_512():
    check = checked("mup", widths=(32, 64, 128, 256, 512))
    assert check.passed
    assert max(map(abs, check.slopes.values())) < 0.1
    assert max(map(abs, check.change_slopes.values())) < 0.1


def test_mup_is_flat_and_one_learning_rate_is_not():
    check, matched = checked("mup"), checked("matched")
    assert check.passed
    assert not matched.passed
    assert max(matched.slopes.values()) > 1
    for place, sizes in check.sizes.items():  # both are the same network at the base width
        np.testing.assert_allclose(sizes[0], matched.sizes[place][0], rtol=1e-4)


def test_the_head_of_absolute_mup_that_is_not_tied_learns_too_little():
    """nanoGPT-mup gives it learning rate 1/d and multiplier d^-1/2: together d^-3/2 where d^-1 is due."""
    slopes = checked("mup-absolute", 0.64).slopes
    assert slopes.pop("logits") == pytest.approx(-0.5, abs=0.2)
    assert max(map(abs, slopes.values())) < 0.1


def test_what_is_shown(tmp_path, capsys):
    words = "coordcheck --widths 16,32 --steps 2 --seeds 1 --json --plot".split()
    assert main([*words, str(tmp_path / "check.png")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [check["parameterization"] for check in found["checks"]] == ["mup", "standard"]
    assert found["checks"][0]["widths"] == [16, 32]
    assert {place["place"] for place in found["checks"][0]["places"]} == {
        "embedding", "attention 1", "mlp 1", "attention 2", "mlp 2", "logits"
    }  # fmt: skip
    assert (tmp_path / "check.png").stat().st_size > 1000
    text = str(checked("mup", widths=(16, 32)))
    assert "slope" in text
    assert "logits" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--widths 32", "a slope needs two widths"),
        ("--widths 32,sixty", "--widths 32,sixty: widths are whole numbers"),
        ("--widths 32,63", "model.width = 63"),
        ("--parameterization mupp", '(did you mean "mup"?)'),
        ("--steps 0", "a slope needs two widths, a step"),
        ("--learning-rate -1", "training.learning_rate = -1.0 must be above 0"),
        ("--plot check.gif", "pictures end in .png"),
    ],
)
def test_mistakes(words, says, capsys):
    assert main(["coordcheck", *words.split()]) == 2
    assert says in capsys.readouterr().err


def test_one_width_is_refused():
    with pytest.raises(ExperimentError, match="a slope needs two widths"):
        coordinate_check(WORLD, Settings(), widths=(32,))
