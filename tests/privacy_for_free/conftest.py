"""One finished run of the smoke profile, shared by the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments.privacy_for_free.__main__ import app


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of results, with results.json and page.html."""
    out = tmp_path_factory.mktemp("smoke")
    done = CliRunner().invoke(app, ["--profile", "smoke", "--out", str(out)])
    assert done.exit_code == 0, done.output
    return out
