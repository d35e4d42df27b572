"""Ruan et al. 2024, arXiv 2405.10938: principal components of benchmark scores, and sigmoids of them for emergent tasks.

The paper prints that three components explain about 97 % and the first about 80 %. Its errors per task are not printed, so
the second half compares with an independent search: SciPy's robust least squares from many starts.

Discrepancy with an earlier reading of these tables. Test errors of compute on both transliteration tasks (0.138 and 0.346)
were those of a local optimum: at the best objective they are 0.025 and 0.051, so the components' lead there, called 2-7
times, is none. Components win 3 of 8 tasks beyond the cut, and lead in the fit of all eight.

Quirks: FLOPs are in 1e21; BLEU is in percent; emergent scores are missing for up to 13 of 73 models, task by task.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

from scalinglens.fit.downstream import capabilities

METRICS = ["MMLU", "ARC-C", "HellaSwag", "Winograd", "TruthfulQA", "GSM8K", "XWinograd", "HumanEval"]
CUT = 84e21 * (1 + 1e-9)
# task -> test error on compute and on components, train error lower with components
TASKS = {
    "parsinlu_qa_2_acc": (0.0299, 0.0145),
    "word_unscrambling_2_exact_match": (0.0683, 0.0999),
    "ipa_transliterate_2_exact_match": (0.0253, 0.0271),
    "ipa_transliterate_2_bleu": (0.0513, 0.0468),
    "arithmetic_3ds_2_acc": (0.0018, 0.0386),
    "arithmetic_3da_2_acc": (0.0076, 0.0096),
    "arithmetic_2dm_2_acc": (0.1299, 0.0464),
}
SATURATED = "arithmetic_2da_2_acc"  # errors of 1e-4 to 1e-3: every model beyond the cut answers everything


@pytest.fixture(scope="module")
def benchmarks(table):
    return pd.read_csv(table("observational-scaling/base_llm_benchmark_eval.csv"))


@pytest.fixture(scope="module")
def emergent(table):
    found = pd.read_csv(table("observational-scaling/base_llm_emergent_capability_eval.csv")).set_index("Model")
    found["ipa_transliterate_2_bleu"] /= 100
    return found


@pytest.fixture(scope="module")
def abilities(benchmarks):
    return capabilities(benchmarks, METRICS, flops="FLOPs (1E21)", flops_unit=1e21)


@pytest.mark.parametrize(("metrics", "complete", "rows", "shares", "three"), [
    (METRICS, True, 124, (0.8431, 0.0997, 0.0309), 0.9736),
    (METRICS, False, 148, (0.8530, 0.0939, 0.0265), 0.9734),
    ([name for name in METRICS if name != "TruthfulQA"], False, 148, (0.8607, 0.0912, 0.0261), 0.9780),
])  # fmt: skip
def test_three_components_explain_97_percent(benchmarks, metrics, complete, rows, shares, three):
    chosen = benchmarks.dropna(subset=metrics) if complete else benchmarks
    found = capabilities(chosen, metrics)
    assert len(found.models) == rows
    assert found.explained[:3] == pytest.approx(shares, abs=0.002)
    assert found.explained[:3].sum() == pytest.approx(three, abs=0.002)
    assert found.explained.sum() == pytest.approx(1.0)


def test_first_component_is_ability_in_everything(abilities):
    assert abilities.loadings[0] == pytest.approx([0.441, 0.316, 0.330, 0.229, 0.089, 0.590, 0.215, 0.377], abs=0.002)
    assert abilities.missing.sum(axis=0).tolist() == [0, 3, 0, 0, 0, 0, 16, 21]


def test_first_component_is_linear_in_log_compute_within_families(abilities):
    """R2 of the 13 families of four models or more; StableLM has the same compute and different data."""
    fits = {line.family: line.r2 for line in abilities.lines if line.component == 1 and line.models >= 4}
    assert len(fits) == 13
    assert np.median(list(fits.values())) == pytest.approx(0.970, abs=0.002)
    known = {"Llama": 0.978, "Qwen1.5": 0.970, "Pythia": 0.984, "OPT": 0.985, "BLOOM": 0.984, "Cerebras-GPT": 0.858}
    for family, r2 in {**known, "StableLM": 0.075}.items():
        assert fits[family] == pytest.approx(r2, abs=0.002), family


def fitted(abilities, emergent, task, on):
    scores = emergent[task].dropna()
    return abilities.emergent(scores, on=on, train=abilities.flops <= CUT, name=task)


def errors(abilities, emergent, task):
    """Test and train error on compute and on components, over models with known compute."""
    both = [fitted(abilities, emergent, task, on) for on in ("compute", "components")]
    known = np.isfinite(abilities.flops)
    return [(item.mse(train=False, among=known), item.mse(train=True)) for item in both]


def test_models_with_both_tables(abilities, emergent):
    known = np.isfinite(abilities.flops) & np.isin(abilities.models, emergent.index)
    assert (known.sum(), (known & (abilities.flops <= CUT)).sum()) == (73, 44)


@pytest.mark.parametrize("task", TASKS)
def test_errors_beyond_the_cut(abilities, emergent, task):
    """44 models for up to six parameters are a loose fit: tolerance 30 %, and who wins where it is not close."""
    (compute, train_compute), (components, train_components) = errors(abilities, emergent, task)
    assert (compute, components) == pytest.approx(TASKS[task], rel=0.3)
    assert train_components < train_compute
    told = TASKS[task]
    if max(told) > 1.3 * min(told):
        assert (components < compute) == (told[1] < told[0])


def test_a_saturated_task_has_no_error_to_compare(abilities, emergent):
    (compute, train_compute), (components, train_components) = errors(abilities, emergent, SATURATED)
    assert max(compute, components) < 2e-3
    assert train_components < train_compute


def independent(z, y, rng, starts):
    """The least objective that SciPy finds from scattered starts."""
    inputs = z.shape[1]

    def residuals(p):
        return p[0] + p[1] / (1 + np.exp(-np.clip(z @ p[2:-1] + p[-1], -500, 500))) - y

    low, high = [0, 0, *[-np.inf] * (inputs + 1)], [0.5, 1, *[np.inf] * (inputs + 1)]
    best = np.inf
    for _ in range(starts):
        slopes = rng.normal(size=inputs + 1) * 10 ** rng.uniform(-0.5, 1.2)
        begin = np.r_[rng.uniform(0.01, 0.3), rng.uniform(0.1, 0.95), slopes]
        found = least_squares(residuals, begin, bounds=(low, high), loss="huber", f_scale=0.01, max_nfev=300)
        best = min(best, found.cost)
    return best


@pytest.mark.parametrize("task", ["ipa_transliterate_2_exact_match", "ipa_transliterate_2_bleu"])
def test_errors_of_an_earlier_reading_were_a_local_optimum(abilities, emergent, task):
    """No start of an independent search gets below our objective; its test error is far from 0.138 and 0.346."""
    found = fitted(abilities, emergent, task, "compute")
    best = independent(found.z[found.train], found.observed[found.train], np.random.default_rng(0), starts=12)
    assert found.fit.value <= best * (1 + 1e-6)
    assert found.mse(train=False, among=np.isfinite(abilities.flops)) < 0.06


def test_components_forecast_new_models(abilities, benchmarks):
    """Models projected from their own scores land where the decomposition put them; one missing score moves them little."""
    assert abilities.project(abilities.filled[:5]) == pytest.approx(abilities.scores[:5], abs=1e-9)
    partial = abilities.filled[:5].copy()
    partial[:, METRICS.index("HumanEval")] = np.nan
    spread = abilities.scores[:, 0].std()
    assert np.abs(abilities.project(partial) - abilities.scores[:5])[:, 0].max() < 0.5 * spread
