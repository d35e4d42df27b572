"""The solvable models by name: one function each, numbers in, an `Answer` out.

A model is a function with keyword arguments only and one line in `MODELS`; the command line reads its options from the signature
and their help from the docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from scalinglens.errors import TheoryError
from scalinglens.named import Named, named

if TYPE_CHECKING:
    from scalinglens.theory.answer import Answer

__all__ = ["MODELS", "model"]


MODELS: Mapping[str, Named] = {
    "random-features": Named(
        "random_features.commands",
        "random_features",
        "losses of random features over time, N and P: the dynamical model",
    ),
    "frontier": Named("random_features.commands", "frontier", "the dynamical model's best size at each compute"),
    "early-stopping": Named(
        "random_features.commands", "early_stopping", "when to stop it, or how much weight decay to take instead"
    ),
    "exponents": Named("random_features.commands", "exponents", "its exponents by regime, and those of its relatives"),
    "joint-data-model": Named(
        "relatives", "joint_data_model", "random features at any size, data and ridge: the planar limit"
    ),
    "regimes": Named("relatives", "regimes", "local exponents of the four regimes of size and data"),
    "manifold": Named("relatives", "manifold", "exponent from the dimension of the data, given or estimated"),
    "information": Named("relatives", "information", "information bound, and the best split of compute"),
    "scale-time": Named(
        "scale_time_commands", "scale_time", "whether size and time are one resource for random subspaces"
    ),
    "collapse": Named("scale_time_commands", "collapse", "whether size and time are one resource in your runs"),
    "linear-gd": Named(
        "scale_time_commands", "linear_gd", "linear regression by gradient flow: double descent in closed form"
    ),
    "hutter": Named("quanta", "hutter", "learning curve of a memoriser on a Zipf tail"),
    "quanta": Named("quanta", "quanta", "the quantization model: loss over capacity and data"),
    "hierarchy": Named("hierarchy", "hierarchy", "samples that the random hierarchy model asks for, deep and shallow"),
    "learning-curve": Named(
        "learning_curve_command", "learning_curve", "losses of students of your own data, from its measured spectrum"
    ),
    "evidence": Named(
        "evidence_command", "evidence", "which model the data favour, from how each next example is predicted"
    ),
    "trajectories": Named(
        "trajectories_command",
        "trajectories",
        "tokens that fall, stagnate or rise over training, compared across sizes",
    ),
    "value-network": Named(
        "value_network_command", "value_network", "what one base learned, put on top of bases of other sizes"
    ),
}


def model(name: str) -> Callable[..., Answer]:
    """Return the function of a model.

    Raises:
        TheoryError: no such model; the nearest one is suggested.

    >>> model("frontier").__name__
    'frontier'
    """
    return named("model", name, MODELS, package="scalinglens.theory", error=TheoryError)
