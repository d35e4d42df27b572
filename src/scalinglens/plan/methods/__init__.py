"""Every method of compute-optimal planning on one table, with its bias and its price: `compare_methods(runs, flops=1e24)`."""

from scalinglens.plan.methods.command import methods_command
from scalinglens.plan.methods.compare import METHODS, answer_of, compare_methods
from scalinglens.plan.methods.result import Methods, Row
from scalinglens.plan.methods.task import REFUSALS, Answer, Refused, Task

__all__ = [
    "METHODS",
    "REFUSALS",
    "Answer",
    "Methods",
    "Refused",
    "Row",
    "Task",
    "answer_of",
    "compare_methods",
    "methods_command",
]
