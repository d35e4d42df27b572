"""`scalinglens laws` lists every law of the catalogue and shows the card of any."""

from __future__ import annotations

import json

import scalinglens as sl
from scalinglens.laws.card import card, card_dict, laws_dict


def test_list_has_every_law_on_a_line(run) -> None:
    lines = run("laws").stdout.splitlines()
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert tuple(names) == sl.laws()
    assert max(map(len, lines)) < 140
    assert any("besiroglu2024 " in line and "E + A/params^alpha" in line and "2404.10102" in line for line in lines)


def test_help_shows_that_the_law_may_be_left_out(run) -> None:
    assert "usage: scalinglens laws [-h] [NAME|FORMULA] [--unverified]" in run("laws", "--help").stdout


def test_list_as_json(run) -> None:
    words = json.loads(run("laws", "--json").stdout)
    assert words == laws_dict()
    assert words["schema"] == 1
    assert [entry["name"] for entry in words["laws"]] == list(sl.laws())


def test_card(run) -> None:
    assert run("laws", "besiroglu2024").stdout == card("besiroglu2024") + "\n"
    assert run("laws", "E + A/params^alpha").stdout == card("E + A/params^alpha") + "\n"


def test_card_as_json(run) -> None:
    words = json.loads(run("laws", "besiroglu2024", "--json").stdout)
    expected = card_dict("besiroglu2024")
    assert words == {"schema": expected.pop("schema"), "laws": [expected]}


def test_unverified_constants(run) -> None:
    name = next(name for name in sl.laws() if "{" not in name and card_dict(name)["unverified"]["count"])
    assert run("laws", name, "--unverified").stdout == card(sl.law(name, unverified=True), unverified=True) + "\n"
    assert run("laws", name).stdout == card(name) + "\n"
    assert run("laws", name, "--unverified").stdout != run("laws", name).stdout


def test_one_form_alone(run) -> None:
    law = sl.law("besiroglu2024")
    assert run("laws", "besiroglu2024", "--latex").stdout == law.latex() + "\n"
    assert run("laws", "besiroglu2024", "--javascript").stdout == law.javascript() + "\n"
