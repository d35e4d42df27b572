"""What training needs beyond the package itself."""

from __future__ import annotations

import importlib.util

from scalinglens.errors import ExperimentError

__all__ = ["require_torch"]


def require_torch() -> None:
    """Raise unless PyTorch is installed, without importing it.

    Raises:
        ExperimentError: it is not.
    """
    if importlib.util.find_spec("torch") is None:
        raise ExperimentError(
            "training needs PyTorch, which is not installed: pip install 'scalinglens[train]' (on a machine without a GPU first "
            "a CPU build of torch, see pytorch.org)"
        )
