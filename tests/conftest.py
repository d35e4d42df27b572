"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def _data_folder() -> Path:
    return Path(os.environ.get("SCALINGLENS_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def table() -> Callable[[str], Path]:
    """Return the path of a public table, as in table("epoch-chinchilla/svg_extracted_data.csv").

    The tables are not part of the repository: without them the test is skipped, unless SCALINGLENS_REQUIRE_DATA=1
    (set in CI), which turns the skip into a failure.
    """

    def find(name: str) -> Path:
        path = _data_folder() / name
        if not path.exists():
            reason = f"the public table {path} is absent; set SCALINGLENS_DATA to the folder of the tables"
            if os.environ.get("SCALINGLENS_REQUIRE_DATA") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return find
