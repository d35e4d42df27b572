"""The catalogue: every law loads, every recorded check holds, nothing unverified slips out, nothing has been lost."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib import resources

import pytest

from scalinglens.errors import FormulaError, UnknownLawError
from scalinglens.laws import catalogue
from scalinglens.laws.catalogue import EVIDENCE, check, families, half_digit, law, laws, open_laws, siblings
from scalinglens.laws.formula import names
from scalinglens.laws.law import Law
from scalinglens.quantities import QUANTITIES

# A family that disappears from the folder is missed here.
FAMILIES = """
abnar2025 alabdulmohsin2022 alabdulmohsin2023 atlas2025 bahri2021 bergsma2025 besiroglu2024 bhagia2024
boopathy2024 brown2024_monkeys busbridge2025 caballero2022 cherti2022 clark2022 cost coupled_power_mean
deepseek2024 droppo2021 du2024 farseer2025 flops frantar2023 gadre2024 gao2022 ghorbani2021 gordon2021
goyal2024 gpt3_2020 gpt4_2023 hagele2024 henighan2020 hernandez2021 hestness2017 hilton2023 ho2024
hoffmann2022 hutter2021 isik2024 jones2021 kaplan2020 khatri2025 krajewski2024 kumar2024 ling_leverage2025
llama3_2024 lourie2025 ludziejewski2025 luo2025_mpl maloney2022 mccandlish2018 memory michaud2023 minicpm2024
muennighoff2023 o1_style paquette2024 parscale2025 pearce2024 porian2024 rosenfeld2019 ruan2024 sardana2023
schaeffer2023 schaeffer2025 sharma_kaplan2020 shukor2025 snell2024 sorscher2022 steplaw2025 tao2024 tay2022
time tissue2024 wu2024 xiao2024_densing ye2024 zhai2021 zhang2024_cbs zhang2024_ft
""".split()


def published_constants() -> list[tuple[str, str]]:
    """(law, parameter) of every published constant, unverified ones included."""
    closed = [name for name in laws() if "{" not in name]
    return [(name, parameter) for name in closed for parameter in law(name, unverified=True).constants]


class TestEveryLaw:
    def test_checks_hold(self, every_name: str) -> None:
        for result in check(every_name):
            assert result.passed, f"{every_name} at {dict(result.inputs)}: printed {result.printed}, got {result.got}"

    def test_is_complete(self, every_name: str) -> None:
        found = law(every_name, unverified=True)
        assert found.name == every_name
        assert found.inputs or every_name == "ho2024.doubling"
        assert found.source
        assert found.about["title"]
        assert found.output in QUANTITIES or found.output.isidentifier()
        for parameter, value in found.constants.items():
            assert value in found.domain(parameter), f"{parameter} = {value} is outside {found.domain(parameter)}"
            assert found.tags[parameter] in EVIDENCE
        assert set(found.about["errors"]) <= set(found.constants)
        assert set(found.about["conventions"]) <= {found.output, *found.inputs, *found.parameters}
        assert pickle.loads(pickle.dumps(found)) == found
        assert hash(pickle.loads(pickle.dumps(found))) == hash(found)

    def test_is_plain_ascii(self) -> None:
        for item in (resources.files("scalinglens.laws") / "catalogue").iterdir():
            assert item.read_text(encoding="utf-8").isascii(), item.name

    def test_every_entry_of_every_file_is_reachable_once(self) -> None:
        found = []
        for item in (resources.files("scalinglens.laws") / "catalogue").iterdir():
            data = tomllib.loads(item.read_text())
            assert data["id"] == item.name.removesuffix(".toml")
            assert data.get("default", "main") in {**data.get("entries", {}), **data.get("open", {})}
            found += [data["id"] if key == "main" else f"{data['id']}.{key}" for key in data.get("entries", {})]
        assert sorted(found) == list(laws())
        assert len(set(found)) == len(found)


class TestNothingLost:
    def test_families(self) -> None:
        assert set(FAMILIES) <= set(families())

    def test_size(self) -> None:
        # numbers of the first release; an open law may become a law, and nothing else may go
        assert len(laws()) >= 275
        assert len(laws()) + len(open_laws()) >= 293
        assert len(open_laws()) >= 10
        assert sum(len(check(name)) for name in laws() if "{" not in name) >= 250

    def test_constants(self) -> None:
        assert len(published_constants()) >= 500

    @pytest.mark.parametrize("family", FAMILIES)
    def test_family_name_alone_is_a_law_or_says_what_it_needs(self, family: str) -> None:
        try:
            assert law(family).name.partition(".")[0] == family
        except UnknownLawError as problem:
            assert "is not one closed formula; it needs: " in str(problem)  # noqa: PT017  either end is fine


class TestNegativeControl:
    @pytest.mark.parametrize("name", ["hoffmann2022.a3_tex", "kaplan2020.L_ND", "caballero2022.n1", "abnar2025"])
    def test_an_altered_constant_fails_its_check(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert all(result.passed for result in check(name))
        true = law(name, unverified=True)
        for parameter, value in true.constants.items():
            altered = replace(true, constants={**true.constants, parameter: value * 1.05})
            monkeypatch.setattr(catalogue, "_published", lambda _, altered=altered: altered)
            assert not all(result.passed for result in check(name)), parameter

    def test_tolerance_is_half_the_last_printed_digit(self) -> None:
        assert half_digit("2.8300") == 5e-5
        assert half_digit("30815") == 0.5
        assert half_digit("1.123e6") == 500
        assert half_digit("-0.5E-3") == pytest.approx(5e-5)


class TestUnverified:
    def test_constants_only_behind_the_flag(self) -> None:
        weak = [(name, p) for name, p in published_constants() if law(name, unverified=True).tags[p] == "U"]
        assert len(weak) >= 50
        for name, parameter in weak:
            assert parameter not in law(name).constants
            assert parameter in law(name, unverified=True).constants
            assert parameter in law(name).parameters

    def test_others_are_there_without_it(self) -> None:
        assert dict(law("kaplan2020.L_NS").constants) == {"Sc": 2100.0, "alphaS": 0.76}


class TestNames:
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            (
                "hofmann2022",
                'there is no law "hofmann2022" (did you mean "hoffmann2022"?); `scalinglens laws` lists all',
            ),
            ("hoffmann2022.a3_text", 'the family hoffmann2022 has no law "hoffmann2022.a3_text" (did you mean '),
            ("besiroglu", '(did you mean "besiroglu2024"?)'),
            ("nonsense", 'there is no law "nonsense"; `scalinglens laws` lists all'),
            ("sardana2023.optimum", '"sardana2023.optimum" is not one closed formula; it needs: 1-D root in params'),
            ("caballero2022.n13", '"n13": the count must be between 1 and 12'),
            ("caballero2022.n0", '"n0": the count must be between 1 and 12'),
            ("", 'there is no law ""'),
        ],
    )
    def test_unknown(self, name: str, message: str) -> None:
        with pytest.raises(UnknownLawError) as caught:
            law(name)
        assert message in str(caught.value)

    def test_neither_name_nor_formula(self) -> None:
        with pytest.raises(UnknownLawError, match="a law is given by name or formula, got int"):
            law(3)  # type: ignore[arg-type]
        with pytest.raises(FormulaError):
            law("caballero2022.n{n}")

    def test_a_law_is_passed_through(self) -> None:
        found = law("besiroglu2024")
        assert law(found) is found
        assert law(" besiroglu2024 ") == found

    def test_default_says_which_it_is(self) -> None:
        assert law("hoffmann2022").name == "hoffmann2022.a3_tex"

    def test_siblings(self) -> None:
        assert siblings("hoffmann2022.a3_tex") == tuple(
            f"hoffmann2022.{name}" for name in ("D_opt", "L_opt", "N_opt", "a3_hybrid", "a3_printed")
        )
        assert siblings("a + b*x^c") == ()


class TestTemplates:
    @pytest.mark.parametrize("template", [name for name in laws() if "{n}" in name])
    @pytest.mark.parametrize("count", [1, 2, 7, 12])
    def test_any_count(self, template: str, count: int) -> None:
        found = law(template.replace("{n}", str(count)))
        numbered = {int(n) for name in names(found.tree) for n in re.findall(r"[1-9][0-9]?$", name)}
        assert "#" not in found.formula
        assert "<<" not in found.formula
        if not template.startswith("goyal"):  # its passes share their parameters
            assert numbered == set(range(1, count + 1))

    def test_breaks(self) -> None:
        three = law("caballero2022.n3")
        assert len(three.parameters) == 3 + 3 * 3
        assert str(three.domain("f3")) == "(0.005, 10]"
        assert three.domain("c3").sign == 0

    def test_conventions_are_numbered(self) -> None:
        assert set(law("shukor2025.mixture3").about["conventions"]) == {"h1", "h2", "h3"}


class TestCost:
    def test_imports_are_light(self) -> None:
        program = (
            "import sys, scalinglens.laws.catalogue as c; c.law('besiroglu2024').latex(); c.check('besiroglu2024');"
            "print([m for m in ('sympy', 'pandas', 'scipy', 'matplotlib') if m in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    def test_only_one_file_is_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read: list[str] = []
        original = catalogue._family.__wrapped__
        monkeypatch.setattr(catalogue, "_family", lambda family: read.append(family) or original(family))
        catalogue._published.cache_clear()
        law("besiroglu2024.precise")
        assert set(read) <= {"besiroglu2024", "hoffmann2022"}  # the form is stored with hoffmann2022

    def test_law_is_what_it_says(self) -> None:
        with pytest.raises(
            FormulaError, match=r'the constant of "alhpa" belongs to no name in .* \(did you mean "alpha"'
        ):
            Law("wrong", "A/params^alpha", constants={"alhpa": 1.0})


def test_the_readme_counts_the_catalogue() -> None:
    """Every number in the README comes from the repository: these from the catalogue itself."""
    from pathlib import Path

    from scalinglens.laws import catalogue

    forms = sum(len(catalogue._family(family).get("forms", {})) for family in catalogue.families())
    names = catalogue.laws()
    checks = sum(len(catalogue.check(name)) for name in names if "{n}" not in name)
    said = f"{forms} formulas of {len(catalogue.families())} families under {len(names)} names, with {checks} numeric checks"
    assert said in (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_unequal_passes_of_goyal_hold_the_equal_ones() -> None:
    """n equal passes over a pool are the counts pool, 2 pool, ...; a half pass more lies between n and n + 1."""
    values = {"a": 3.0, "b": -0.2, "tau": 3.0, "d": 0.1}
    for passes in (1, 2, 4):
        growth = {f"r{j}": j / (j - 1) for j in range(2, passes + 1)}
        equal = law(f"goyal2024.n{passes}").value(values, examples=1e6)
        assert law(f"goyal2024.unequal_n{passes}").value(values, r1=1e6, **growth) == pytest.approx(equal, rel=1e-12)
    two, more, three = (
        float(law("goyal2024.unequal_n3").value(values, r1=1e6, r2=2.0, r3=last)) for last in (1.0, 1.25, 1.5)
    )
    assert two > more > three
    assert two == pytest.approx(float(law("goyal2024.n2").value(values, examples=1e6)))


def test_atlas_with_one_language_is_its_block_of_effective_tokens() -> None:
    """L with sources of no transfer is E + A/N^alpha + B/S^beta with the catalogue's own S."""
    constants = {"E": 1.0, "A": 100.0, "alpha": 0.4, "B": 1e4, "beta": 0.3, "lam": 0.065, "U1": 1e11, "U2": 1e12}
    effective = law("atlas2025.S").value({"lam": 0.065}, tokens=3e11, tokens_unique=1e11)
    expected = 1.0 + 100 / 1e9**0.4 + 1e4 / effective**0.3
    got = law("atlas2025.L").value({**constants, "tau2": 0.0}, params=1e9, tokens=4e11, h1=0.75, h2=0.25)
    assert got == pytest.approx(expected, rel=1e-12)
    helped = law("atlas2025.L").value({**constants, "tau2": 0.3}, params=1e9, tokens=4e11, h1=0.75, h2=0.25)
    assert helped < got
