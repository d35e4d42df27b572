"""From the loss of a model to what it can do: two-step forecasts, capabilities of public models, checks of a task."""

from scalinglens.fit.downstream.capabilities import Capabilities, EmergentTask, FamilyLine, capabilities
from scalinglens.fit.downstream.links import LINKS, accuracy_link, fit_link
from scalinglens.fit.downstream.predictability import Check, predictability
from scalinglens.fit.downstream.rows import Checkpoints
from scalinglens.fit.downstream.two_step import TwoStep, two_step

__all__ = [
    "LINKS",
    "Capabilities",
    "Check",
    "Checkpoints",
    "EmergentTask",
    "FamilyLine",
    "TwoStep",
    "accuracy_link",
    "capabilities",
    "fit_link",
    "predictability",
    "two_step",
]
