"""What was measured: tables of training runs, read, recognised, cleaned and checked."""

from scalinglens.runs.read import read_runs
from scalinglens.runs.table import Column, Dropped, Runs

__all__ = ["Column", "Dropped", "Runs", "read_runs"]
