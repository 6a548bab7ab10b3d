"""A row that runs in seconds: digits, a few frequencies and steps."""

from __future__ import annotations

from pathlib import Path

import pytest

SMALL = """
section = "small"
data = "digits"
method = "merf"
epsilon = 2.0
ipc = 2
seeds = [0, 1]
protocol = "quick"
tuned_on = "nothing"
options = { frequencies = 32, steps = 5 }
"""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A folder with one row, ``small``."""
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "small.toml").write_text(SMALL)
    return folder
