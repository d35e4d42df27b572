"""What the tests of the laws share: every law of the catalogue, and random points inside its domains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from scalinglens.laws.catalogue import law, laws
from scalinglens.laws.law import Law

COUNTS = (1, 2, 3)  # templates are tested with one, two and three parts

# powers of ten between which inputs are drawn; every other input is drawn between 1 and 1000
RANGES = {
    "params": (7, 11),
    "params_nonembedding": (7, 11),
    "params_active": (7, 11),
    "params_dense": (7, 11),
    "params_nonzero": (7, 11),
    "params_nonvocab": (7, 11),
    "tokens": (9, 13),
    "tokens_unique": (9, 13),
    "examples": (5, 9),
    "flops": (18, 25),
    "flops_train": (18, 25),
    "loss": (0.1, 0.7),
    "loss_teacher": (0.1, 0.7),
    "loss_supervised": (0.1, 0.7),
    "error": (-2, -0.1),
    "sparsity": (-2, -0.1),
    "learning_rate": (-5, -2),
    "lr_first": (-4, -3),
    "lr_second": (-5, -4),
    "weight_decay": (-2, 0),
    "bits": (0.5, 1.5),
    "bits_weights": (0.5, 1.5),
    "bits_activations": (0.5, 1.5),
    "bits_kv": (0.5, 1.5),
    "bits_post": (0.5, 1.5),
    "answer_tokens": (0, 1),
    "samples": (0, 2),
    "days": (0, 1),
    "board_size": (0.5, 1),
}


def instances() -> list[str]:
    """Names of all laws, templates with each of `COUNTS`."""
    return [name.replace("{n}", str(n)) for name in laws() for n in (COUNTS if "{n}" in name else (1,))]


def distinct() -> list[str]:
    """One name for each different formula with its domains; constants are no matter.

    Laws that are the root of an equation or a sum over a schedule are left out: the value is no plain formula; they have
    their oracles in test_implicit.py and test_drops.py.
    """
    seen: dict[object, str] = {}
    for name in instances():
        found = law(name, unverified=True)
        if found.between or found.scheduled:
            continue
        domains = tuple((parameter, found.domain(parameter)) for parameter in found.parameters)
        seen.setdefault((found.formula, found.inputs, domains), name)
    return list(seen.values())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that take `every_name` run for every published law, those that take `form_name` for every formula."""
    if "every_name" in metafunc.fixturenames:
        metafunc.parametrize("every_name", instances())
    if "form_name" in metafunc.fixturenames:
        metafunc.parametrize("form_name", distinct())


def _parameter(law: Law, name: str, rng: np.random.Generator, size: int) -> np.ndarray:
    domain = law.domain(name)
    if name in law.constants and law.constants[name] != 0:
        drawn = law.constants[name] * np.exp(rng.uniform(-0.1, 0.1, size))
        return np.clip(drawn, domain.low, domain.high)
    if np.isfinite(domain.high) and np.isfinite(domain.low):
        width = min(domain.high, domain.low + 1) - domain.low
        return domain.low + width * rng.uniform(0.1, 0.9, size)
    drawn = rng.uniform(0.1, 0.9, size) if law.coordinates.get(name) == "linear" else np.exp(rng.normal(0, 1, size))
    return drawn * (domain.sign or rng.choice([-1.0, 1.0], size))


def _input(law: Law, name: str, rng: np.random.Generator, size: int) -> np.ndarray:
    if name in law.domains:
        return _parameter(law, name, rng, size)
    if name[0] in "hr" and name[1:].isdigit():
        return rng.uniform(0.05, 0.95, size)
    return 10 ** rng.uniform(*RANGES.get(name, (0, 3)), size)


@pytest.fixture
def points() -> Callable[[Law, int], tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Draw (constants, inputs) of a law, so many rows, where its value is a finite number other than zero."""

    def draw(law: Law, rows: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        rng = np.random.default_rng(7)
        for _ in range(50):
            constants = {name: _parameter(law, name, rng, 400) for name in law.parameters}
            inputs = {name: _input(law, name, rng, 400) for name in law.inputs}
            value = law.value(constants, inputs)
            good = np.flatnonzero(np.isfinite(value) & (np.abs(value) > 1e-200))[:rows]
            if len(good) == rows:
                return {k: v[good] for k, v in constants.items()}, {k: v[good] for k, v in inputs.items()}
        raise AssertionError(f"no valid points found for {law.name}")

    return draw
