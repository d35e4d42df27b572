"""Training needs PyTorch, which the package does not depend on: without it these tests are skipped, unless
SCALINGLENS_REQUIRE_TORCH=1 (set in continuous integration) makes that a failure."""

import importlib.util
import os

import pytest

if importlib.util.find_spec("torch") is None:
    if os.environ.get("SCALINGLENS_REQUIRE_TORCH") == "1":
        pytest.fail("SCALINGLENS_REQUIRE_TORCH is 1 but PyTorch is not installed; run `make torch`", pytrace=False)
    collect_ignore_glob = ["*.py"]
