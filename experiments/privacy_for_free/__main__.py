"""python -m experiments.privacy_for_free --profile laptop|paper|smoke [--only E3 --only E5] [--data-root DIR] [--out DIR]"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from attacks.errors import InputError as AuditError
from dpcond.errors import InputError
from experiments.privacy_for_free.frame import Frame
from experiments.privacy_for_free.pools import read_pool
from experiments.privacy_for_free.profile import Profile, load_profile
from experiments.privacy_for_free.results import run_parts

app = typer.Typer(add_completion=False)


@app.command(help='The debate "Privacy for free?" from both sides: claim by claim, what was said and what we measure.')
def main(
    profile: Annotated[str, typer.Option(help="laptop, paper, smoke, or a .toml file")] = "laptop",
    only: Annotated[list[str] | None, typer.Option(help="a part, E1 to E20; may be repeated")] = None,
    data_root: Annotated[Path | None, typer.Option(help="folder of the datasets; else DPCOND_DATA")] = None,
    out: Annotated[Path | None, typer.Option(help="folder of results; else runs/privacy_for_free/PROFILE")] = None,
) -> None:
    """Finished cells and parts in `out` are kept: an interrupted run goes on where it was."""
    try:
        chosen = load_profile(profile)
        if chosen.without_data and not _found(chosen, data_root):
            _say(f"no data found (--data-root or DPCOND_DATA): profile {chosen.without_data} instead of {chosen.name}")
            chosen = load_profile(chosen.without_data)
        folder = out or Path("runs/privacy_for_free") / chosen.name
        page = run_parts(Frame(chosen, folder, data_root, _say), only or ())
    except (InputError, AuditError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(str(page))


def _found(profile: Profile, data_root: Path | None) -> bool:
    """Whether the datasets are there; a folder that was named must hold them."""
    if data_root is not None or "DPCOND_DATA" in os.environ:
        return True
    try:
        read_pool(profile.focus, profile.data[profile.focus], data_root)
    except InputError:
        return False
    return True


def _say(line: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    app()
