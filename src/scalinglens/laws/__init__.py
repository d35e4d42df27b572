"""What may be true: laws as formulas, and the catalogue of published ones. The package is callable: `scalinglens.laws()`."""

from collections.abc import Callable

from scalinglens.verbs import make_callable


def _names() -> Callable[[], tuple[str, ...]]:
    from scalinglens.laws.catalogue import laws

    return laws


make_callable(__name__, _names)
