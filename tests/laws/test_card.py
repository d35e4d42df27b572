"""The law card as text and as data."""

from __future__ import annotations

import json

from scalinglens.laws.card import card, card_dict, laws_dict
from scalinglens.laws.catalogue import law, laws, open_laws, typed_law

FROZEN = r"""caballero2022.n1
Broken neural scaling laws
Caballero et al. 2022, arXiv 2210.14891

  y = a + b*x^(-c0)*(1 + (x/d1)^(1/f1))^(-c1*f1)   [that of the data]
  LaTeX: a + b x^{-c_{0}} \left(1 + \left(\frac{x}{d_{1}}\right)^{1/f_{1}}\right)^{-c_{1} f_{1}}
  Released simulation.

Inputs
  x   x   the free variable of a one-variable law

Parameters
  name   domain        estimated as   published    evidence
  a      positive      logarithm      0.41388453   verified
  b      positive      logarithm      2.27727229   verified
  c0     real          itself         0.05507735   verified
  d1     positive      logarithm      612.58362    verified
  f1     (0.005, 10]   logarithm      0.05919304   verified
  c1     real          itself         5.66290382   verified

Checks
  printed 0.41573   got 0.415728   agrees   x = 2000        verified
  printed 2.1810    got 2.18098    agrees   x = 100         verified
  printed 1.6815    got 1.68153    agrees   x = 612.58362   verified

Notes
  - n breaks give 3 + 3n parameters.
"""


def test_frozen_text() -> None:
    assert card("caballero2022.n1").startswith(FROZEN)
    assert card("caballero2022.n1").endswith("Same family\n  caballero2022.n2, caballero2022.n{n}")


def test_every_law_has_a_card_of_both_kinds(every_name: str) -> None:
    for unverified in (False, True):
        words = card_dict(every_name, unverified=unverified)
        assert json.loads(json.dumps(words)) == words
        text = card(every_name, unverified=unverified)
        assert text.startswith(f"{every_name}\n")
        assert words["formula"] in text
        assert "DISAGREES" not in text
        assert not any(line != line.rstrip() for line in text.splitlines())
        assert text.isascii()


def test_standard_errors_and_evidence() -> None:
    words = card_dict("besiroglu2024")
    first = words["parameters"][0]
    assert first == {
        "name": "E",
        "domain": "positive",
        "coordinate": "log",
        "constant": 1.8172,
        "error": 0.03,
        "evidence": "verified",
        "convention": "",
    }
    assert "  A       positive   logarithm      482.01      124.58           verified" in card("besiroglu2024")
    assert words["inputs"][0]["convention"] == "total, embeddings included"


def test_convention_of_the_output() -> None:
    assert "\n  params: total, embeddings included\n" in card("hoffmann2022.N_opt")
    assert card_dict("porian2024.N_opt")["output"]["convention"]
    assert not card_dict("kaplan2020.S_min")["output"]["convention"]  # steps is an input as well, and is told of there


def test_unverified_constants_are_counted_and_not_shown() -> None:
    hidden, shown = card("kaplan2020.L_NS"), card("kaplan2020.L_NS", unverified=True)
    assert "2 more published constants are unverified and not shown; see them with unverified=True" in hidden
    assert "65000000000000" not in hidden
    assert "Checks" not in hidden  # a check would vouch for constants nobody sees
    assert "  Nc       positive   logarithm      6.5e13      unverified" in shown
    assert "printed 2.4005" in shown
    assert "not shown" not in shown
    # the same whichever way the law was asked for
    assert card(law("kaplan2020.L_NS", unverified=True)) == hidden
    assert law("kaplan2020.L_NS").card(unverified=True) == shown
    assert card_dict("kaplan2020.L_NS")["unverified"] == {"count": 2, "shown": False}


def test_no_card_leaks_an_unverified_constant(every_name: str) -> None:
    full = law(every_name, unverified=True)
    weak = {name for name in full.constants if full.tags[name] == "U"}
    for entry in card_dict(full)["parameters"]:
        assert (entry["constant"] is None) == (entry["name"] in weak or entry["name"] not in full.constants)


def test_a_tied_law_is_not_vouched_for() -> None:
    words = card_dict(law("besiroglu2024").with_ties({"beta": "alpha"}))
    assert words["checks"] == []
    assert words["derived"] == {"beta": "alpha"}
    assert [entry["name"] for entry in words["parameters"]] == ["E", "A", "alpha", "B"]
    assert "  with beta = alpha" in card(law("besiroglu2024").with_ties({"beta": "alpha"}))


def test_a_typed_law_has_a_short_card() -> None:
    words = card_dict(typed_law("E + A/params^alpha"))
    assert (words["title"], words["checks"], words["siblings"]) == ("", [], [])
    assert card("E + A/params^alpha").splitlines()[0] == "E + A/params^alpha"


def test_table_of_contents() -> None:
    words = laws_dict()
    assert json.loads(json.dumps(words)) == words
    assert words["schema"] == 1
    assert [entry["name"] for entry in words["laws"]] == list(laws())
    assert len(words["open"]) == len(open_laws())
    by_name = {entry["name"]: entry for entry in words["laws"]}
    assert by_name["besiroglu2024"] == {
        "name": "besiroglu2024",
        "formula": "E + A/params^alpha + B/tokens^beta",
        "inputs": ["params", "tokens"],
        "parameters": ["E", "A", "alpha", "B", "beta"],
        "output": "loss",
        "unit": "nats/token",
        "source": by_name["besiroglu2024"]["source"],
        "title": "Chinchilla Scaling: A replication attempt",
        "constants": True,
        "javascript": True,
        "template": None,
    }
    assert by_name["caballero2022.n{n}"]["template"] == "caballero2022.n2"
    assert not by_name["zhai2021"]["constants"]  # all of them unverified
