"""Losses without a law: a smooth function of what was varied. The package is callable: `surface(runs)`."""

from scalinglens.fit.surface.frontier import Frontier, frontier
from scalinglens.fit.surface.regression import surface
from scalinglens.fit.surface.surface import Rise, Surface
from scalinglens.verbs import make_callable

__all__ = ["Frontier", "Rise", "Surface", "frontier", "surface"]

make_callable(__name__, lambda: surface)
