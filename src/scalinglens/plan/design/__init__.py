"""Which runs to make next. The package is callable: `scalinglens.plan.design(fit, target=..., budget=...)`."""

from scalinglens.plan.design.design import design
from scalinglens.plan.design.result import Design
from scalinglens.verbs import make_callable

__all__ = ["Design", "design"]

make_callable(__name__, lambda: design)
