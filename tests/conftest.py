"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real datasets: DPCOND_DATA, else ../shared/data beside the repository; skips when absent."""
    for folder in (os.environ.get("DPCOND_DATA"), REPOSITORY.parent / "shared" / "data"):
        if folder and Path(folder).is_dir():
            return Path(folder)
    pytest.skip("no real data here: set DPCOND_DATA to a folder that holds them")
