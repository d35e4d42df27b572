"""Sums over the drops of a schedule against sums written out in Python, their derivatives against differences."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from scalinglens.cli.main import main
from scalinglens.errors import FormulaError, PredictionError, ScheduleError
from scalinglens.laws.catalogue import check, law, open_laws
from scalinglens.laws.schedule import Schedule

WARM = {"peak": 3e-4, "warmup": 300}
SCHEDULES = {
    "cosine": Schedule.cosine(end=3e-5, steps=4000, **WARM),
    "cosine to zero": Schedule.cosine(steps=4000, **WARM),
    "constant": Schedule.constant(steps=4000, **WARM),
    "jump": Schedule.two_stage(second=9e-5, switch=2000, steps=4000, **WARM),
    "decay": Schedule.wsd(end=3e-5, steps=4000, decay_from=3000, **WARM),
    "no order at all": Schedule(3e-4 * np.exp(np.random.default_rng(0).normal(0, 0.3, 3000))),
    "a single step": Schedule(np.array([3e-4])),
}
MPL = {"L0": 2.3, "A": 0.7, "alpha": 0.42, "B": 520.0, "C": 2.0, "beta": 0.59, "gamma": 0.63}
TISSUE = {"L0": 2.6, "A": 0.43, "alpha": 0.55, "C": 0.41, "lam": 0.995}


def written_out(schedule: Schedule, step: int, kernel: Callable[[float, float, int], float]) -> float:
    """The sum over k = 1..t as it stands in the paper."""
    total = 0.0
    for k in range(1, step + 1):
        fall = schedule.rates[k - 1] - schedule.rates[k]
        if fall:
            mass = float(np.sum(schedule.rates[k : step + 1]))
            total += fall * kernel(float(schedule.rates[k]), mass, step - k + 1)
    return total


def steps_of(schedule: Schedule) -> list[int]:
    return [t for t in (1, 2, 17, 299, 300, 301, 900, 1999, 2000, 2001, 2999, 3500, 3998) if t < schedule.steps] or [0]


class TestValues:
    @pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "cosine to zero"])
    def test_multi_power_law(self, name: str) -> None:
        schedule, p = SCHEDULES[name], MPL

        def kernel(rate: float, mass: float, since: int) -> float:
            return 1 - (1 + p["C"] * rate ** -p["gamma"] * mass) ** -p["beta"]

        steps = steps_of(schedule)
        sums = [float(np.sum(schedule.rates[: t + 1])) for t in steps]
        true = [
            p["L0"] + p["A"] * s ** -p["alpha"] - p["B"] * written_out(schedule, t, kernel)
            for t, s in zip(steps, sums, strict=True)
        ]
        # 6 Gauss points on blocks no longer than their distance: relative error of the kernel about 6^-12
        np.testing.assert_allclose(
            law("luo2025_mpl").value(p, steps=steps, schedule=schedule), true, rtol=0, atol=2e-10
        )

    @pytest.mark.parametrize("name", list(SCHEDULES))
    def test_tissue_is_its_recursion(self, name: str) -> None:
        schedule, p = SCHEDULES[name], TISSUE
        momentum, area, areas = 0.0, 0.0, [0.0]
        for k in range(1, schedule.steps):
            momentum = p["lam"] * momentum + schedule.rates[k - 1] - schedule.rates[k]
            area += momentum
            areas.append(area)
        steps = steps_of(schedule)
        true = [p["L0"] + p["A"] * schedule.mass[t] ** -p["alpha"] - p["C"] * areas[t] for t in steps]
        np.testing.assert_allclose(law("tissue2024").value(p, steps=steps, schedule=schedule), true, rtol=0, atol=1e-11)

    def test_constant_and_two_stage_formulas_are_special_cases(self) -> None:
        full = law("luo2025_mpl")
        constant = law("luo2025_mpl.constant").value({"SW": 0.0}, learning_rate=3e-4, steps=10_000)
        assert full.value(None, steps=9_999, schedule="constant(3e-4, steps=10000)") == pytest.approx(
            constant, rel=1e-13
        )
        two = law("luo2025_mpl.two_stage").value(
            {"SW": 0.0}, lr_first=3e-4, steps_first=8000, lr_second=9e-5, steps_second=2000
        )
        schedule = "two_stage(3e-4, second=9e-5, switch=8000, steps=10000)"
        assert full.value(None, steps=9_999, schedule=schedule) == pytest.approx(two, rel=1e-13)

    def test_a_learning_rate_of_zero_is_a_limit(self) -> None:
        value = law("luo2025_mpl").value(MPL, steps=[3998, 3999], schedule=SCHEDULES["cosine to zero"])
        assert np.all(np.isfinite(value))
        assert abs(value[1] - value[0]) < 1e-3

    def test_shapes(self) -> None:
        one, many = law("luo2025_mpl"), [SCHEDULES["cosine"], SCHEDULES["jump"], SCHEDULES["decay"]]
        each = one.value(MPL, steps=[3000, 3000, 3000], schedule=many)
        assert each.shape == (3,)
        assert [float(one.value(MPL, steps=3000, schedule=s)) for s in many] == pytest.approx(each.tolist(), rel=1e-14)
        draws = one.value(
            MPL | {"B": np.array([[500.0], [520.0]])}, {"steps": np.array([[3000] * 3]), "schedule": many}
        )
        np.testing.assert_allclose(draws[1], each, rtol=1e-14)
        beside = one.value(MPL | {"B": np.array([520.0, 520.0, 520.0])}, steps=[3000] * 3, schedule=many)
        np.testing.assert_allclose(beside, each, rtol=1e-14)

    def test_further_inputs_and_other_kernels(self) -> None:
        typed = law("E + A/params^a + K*lr_sum^(-b) - B*drops(1 - exp(-c*lr_since*params^d))")
        assert typed.inputs == ("steps", "schedule", "params")
        values = {"E": 1.0, "A": 10.0, "a": 0.3, "K": 0.5, "b": 0.5, "B": 300.0, "c": 2.0, "d": 0.1}
        schedule = SCHEDULES["decay"]
        got = typed.value(values, steps=3500, schedule=schedule, params=[1e6, 1e8])
        for n, value in zip((1e6, 1e8), got, strict=True):
            area = written_out(schedule, 3500, lambda rate, mass, since, n=n: 1 - np.exp(-2.0 * mass * n**0.1))
            true = 1 + 10 * n**-0.3 + 0.5 * schedule.mass[3500] ** -0.5 - 300 * area
            assert value == pytest.approx(true, abs=1e-9)


class TestDerivatives:
    @pytest.mark.parametrize(("name", "values"), [("luo2025_mpl", MPL), ("tissue2024", TISSUE)])
    def test_gradient_and_hessian_are_differences(self, name: str, values: dict[str, float]) -> None:
        found = law(name)
        compiled = found.compiled("fit")
        x = found.input_arrays({"steps": [400, 2500, 3900], "schedule": [SCHEDULES["cosine"]] * 3})
        fixed = compiled.prepare(x)
        logs = [found.coordinates[p] == "log" for p in found.parameters]
        u = np.array([np.log(values[p]) if log else values[p] for p, log in zip(found.parameters, logs, strict=True)])

        def run(at: np.ndarray) -> list[np.ndarray]:
            return [np.broadcast_to(part, (1, 3))[0] for part in compiled.run(tuple(at[:, None, None]), fixed)]

        here = run(u)
        gradient = dict(zip(compiled.gradient, here[1:], strict=False))
        hessian = dict(zip(compiled.hessian, here[1 + len(gradient) :], strict=True))
        assert set(gradient) == set(range(len(u)))
        for i in range(len(u)):
            step = 1e-6 * np.eye(len(u))[i]
            ahead, behind = run(u + step), run(u - step)
            np.testing.assert_allclose(gradient[i], (ahead[0] - behind[0]) / 2e-6, rtol=2e-6, atol=1e-8)
            for (j, k), second in hessian.items():
                if j == i or k == i:
                    other = k if j == i else j
                    slope = (ahead[1 + list(gradient).index(other)] - behind[1 + list(gradient).index(other)]) / 2e-6
                    np.testing.assert_allclose(second, slope, rtol=2e-5, atol=1e-6)

    def test_fits_and_values_agree(self) -> None:
        found = law("luo2025_mpl")
        x = found.input_arrays({"steps": [400, 2500, 3900], "schedule": [SCHEDULES["cosine"]] * 3})
        compiled = found.compiled("fit")
        u = [np.log(MPL[p]) if found.coordinates[p] == "log" else MPL[p] for p in found.parameters]
        with np.errstate(all="ignore"):
            coarse = compiled.run(tuple(np.array([[v]]) for v in u), compiled.prepare(x))[0]
        np.testing.assert_allclose(coarse[0], found.value(MPL, steps=x[0], schedule=x[1]), atol=1e-7)


class TestWords:
    def test_inputs_parameters_latex(self) -> None:
        full = law("luo2025_mpl")
        assert full.inputs == ("steps", "schedule")
        assert full.parameters == ("L0", "A", "alpha", "B", "C", "gamma", "beta")
        assert r"\sum_{k \le t} (\eta_{k-1} - \eta_k) \left[" in full.latex()
        assert "learning rate at every step" in full.card()

    def test_catalogue_has_both_and_their_checks_hold(self) -> None:
        assert not {"tissue2024", "luo2025_mpl"} & {item.name for item in open_laws()}
        assert all(result.passed for name in ("luo2025_mpl", "tissue2024") for result in check(name))
        assert len(check("luo2025_mpl")) == 2

    @pytest.mark.parametrize(
        ("formula", "message"),
        [
            ("L0 + A*lr_sum^(-a) + lr_since", '"lr_since" stands outside drops'),
            ("L0 + drops(1 - drops(lr_since))", "drops(...) stands inside another one"),
            ("L0 + B*drops(lr_sum*c)", "lr_sum stands inside drops"),
            ("L0 + B*drops(a, b)", "drops(...) takes one argument, got 2"),
        ],
    )
    def test_refuses_with_reason(self, formula: str, message: str) -> None:
        with pytest.raises(FormulaError) as caught:
            law(formula)
        assert message in str(caught.value)

    def test_no_javascript_and_no_elasticities(self) -> None:
        with pytest.raises(FormulaError, match="has no JavaScript, because it sums over the steps"):
            law("luo2025_mpl").javascript()
        with pytest.raises(PredictionError, match="a schedule is no number"):
            law("luo2025_mpl").elasticities(MPL, steps=10, schedule=SCHEDULES["jump"])

    def test_bad_points(self) -> None:
        full = law("luo2025_mpl")
        with pytest.raises(ScheduleError, match="needs the learning-rate schedule"):
            full.value(MPL, steps=10)
        with pytest.raises(ScheduleError, match="step 9999 is outside"):
            full.value(MPL, steps=9999, schedule=SCHEDULES["jump"])
        with pytest.raises(ScheduleError, match="still zero at step 0"):
            full.value(MPL, steps=[10, 0], schedule=SCHEDULES["jump"])
        with pytest.raises(PredictionError, match='"steps" is -1'):
            full.value(MPL, steps=-1, schedule=SCHEDULES["jump"])


def test_predict_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    schedule = "cosine(peak=3e-4, end=3e-5, steps=24000, warmup=2160)"
    assert main(["predict", "luo2025_mpl", "--steps", "5k,23999", "--schedule", schedule, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["predictions"]
    values = law("luo2025_mpl").value(None, steps=[5000, 23_999], schedule=schedule)
    assert [row["loss"]["value"] for row in rows] == values.tolist()
    assert rows[0]["schedule"] == schedule
