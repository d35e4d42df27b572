"""The worlds by name: one function each, plain words in, a world out.

A world is a function with keyword arguments only and one line in `WORLDS`; the words of an experiment's [world] table are
checked against the signature.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from scalinglens.errors import QuantityError, WorldError, did_you_mean
from scalinglens.named import Named, named
from scalinglens.quantities import parse_quantity

__all__ = ["WORLDS", "build", "completed", "maker", "words_of"]


WORLDS: Mapping[str, Named] = {
    "walk": Named("walks", "walk", "random walks on a graph, whose entropy rate is exact"),
    "kernel": Named("walks", "kernel", "walks on a complete graph whose log-weights have a power-law spectrum"),
    "ngram": Named("ngrams", "ngram", "the Markov chain of a text's n-grams, whose entropy rate is exact"),
    "text": Named("text", "text", "a text by bytes, characters or byte pairs"),
    "hierarchy": Named(
        "hierarchy_worlds", "hierarchy", "sentences of the random hierarchy model, whose floor is exact"
    ),
    "tokens": Named("corpus", "tokens", "a file of tokens, such as one sampled from a trained model"),
    "parity": Named("parity", "parity", "multitask sparse parity: skills of falling frequency (a task of vectors)"),
    "hierarchy-classes": Named("hierarchy_worlds", "hierarchy_classes", "classes of the random hierarchy model (task)"),
    "regression": Named(
        "regression", "regression", "linear targets seen through random features, power-law spectrum (task)"
    ),
    "teacher": Named("teacher", "teacher", "what a random perceptron answers (task)"),
    "digits": Named("digits", "digits", "1,797 handwritten digits of scikit-learn (task)"),
}

_SAYS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


def maker(kind: str) -> Callable[..., Any]:
    """Return the function that makes worlds of a kind.

    Raises:
        WorldError: no such kind; the nearest one is suggested.

    >>> maker("walk").__name__
    'walk'
    """
    return named("world", kind, WORLDS, package="scalinglens.worlds", error=WorldError)


def completed(kind: str, words: Mapping[str, Any]) -> dict[str, Any]:
    """Return the words that make a world, checked, with the defaults of those that were not given.

    Args:
        kind: a name of `WORLDS`. words: arguments of its function; whole numbers may be text such as "10k".

    Raises:
        WorldError: an unknown word or a wrong type, with the nearest valid one.

    >>> completed("kernel", {"nodes": "1k"})
    {'nodes': 1000, 'spread': 1.5, 'seed': 0}
    """
    defaults = _defaults(kind)
    for name in words:
        if name not in defaults:
            raise WorldError(
                f"world.{name} = {words[name]!r} is no word of the world {kind!r}{did_you_mean(name, defaults)}; "
                f"it has {', '.join(defaults)}"
            )
    for name, default in defaults.items():
        if default is inspect.Parameter.empty and name not in words:
            raise WorldError(f"the world {kind!r} needs world.{name}")
    types = {name: str if default is inspect.Parameter.empty else type(default) for name, default in defaults.items()}
    return {name: _read(name, words.get(name, default), types[name]) for name, default in defaults.items()}


def build(kind: str, **words: Any) -> Any:
    """Return the world that words describe.

    >>> build("kernel", nodes=64).vocab
    64
    """
    return maker(kind)(**completed(kind, words))


def words_of(kind: str) -> tuple[str, ...]:
    """Return the names of the words that make a world.

    >>> words_of("kernel")
    ('nodes', 'spread', 'seed')
    """
    return tuple(_defaults(kind))


@functools.cache
def _defaults(kind: str) -> dict[str, Any]:
    return {name: each.default for name, each in inspect.signature(maker(kind)).parameters.items()}


def _read(name: str, value: Any, kind: type) -> Any:
    if kind in (int, float) and isinstance(value, str):
        try:
            value = parse_quantity(value)
        except QuantityError as problem:
            raise WorldError(f"world.{name} = {value!r} must be {_SAYS[kind]}: {problem}") from None
        value = int(value) if kind is int and value == int(value) else value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise WorldError(f"world.{name} = {value!r} must be {_SAYS[kind]}")
    return value
