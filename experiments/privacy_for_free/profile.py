"""The sizes of everything, as typed TOML: what a profile runs, and nothing that is decided after a result is seen."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from attacks.errors import InputError
from experiments.privacy_for_free.cell import Cell, Init, Method

FOLDER = Path(__file__).parent / "profiles"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dataset(Strict):
    """Candidates, auxiliary and test records of `source`, other records of `public`; images averaged over shrink × shrink pixels."""

    source: str
    public: str
    pool: int = Field(ge=40)
    auxiliary: int = Field(ge=40)
    test: int = Field(ge=40)
    shrink: int = Field(1, ge=1)


class Students(Strict):
    """Networks trained on each release."""

    each: int = Field(1, ge=1)
    network: Literal["mlp", "convnet"] = "mlp"
    steps: int = Field(60, ge=1)
    full_steps: int = Field(120, ge=1)  # where all members are the training set


class Block(Strict):
    """A block of the grid: every combination of these."""

    data: str
    methods: tuple[Method, ...]
    ipc: tuple[int, ...]
    inits: tuple[Init, ...]

    def cells(self) -> list[Cell]:
        """The cells of this block; a subset has no start."""
        return [
            Cell(self.data, method, ipc, init) for ipc in self.ipc for method in self.methods for init in self.inits
        ]


class Profile(Strict):
    """`focus` is the dataset of the parts that vary one thing; `few` and `many` its images per class; options by method, then by ipc."""

    name: str
    without_data: str = ""  # the profile to run where the datasets are not found
    shadows: int = Field(ge=8)
    targets: int = Field(ge=50)
    seed: int = 0
    device: str = "cpu"  # of condensers and students; the rest is arithmetic on scores
    focus: str
    few: int = 10
    many: int = 50
    data: dict[str, Dataset]
    students: Students
    options: dict[str, dict[str, Any]]  # of the condensers, e.g. options.dm.steps; options.kip.at50.steps for ipc 50
    grid: tuple[Block, ...]
    parts: dict[str, dict[str, Any]] = {}  # sizes of single parts: parts.E12.canaries

    def cells(self) -> list[Cell]:
        """The grid, without repetition."""
        return list(dict.fromkeys(cell for block in self.grid for cell in block.cells()))

    def method_options(self, method: str, ipc: int) -> dict[str, Any]:
        """Options of a condenser at so many images per class."""
        given = self.options.get(method, {})
        common = {name: value for name, value in given.items() if not name.startswith("at")}
        return common | given.get(f"at{ipc}", {})

    def part(self, id: str) -> dict[str, Any]:
        """Sizes of one part."""
        return self.parts.get(id, {})


def load_profile(name: str) -> Profile:
    """A profile by name, or a path to a TOML file. Raises InputError on what it does not understand."""
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise InputError(f"profile {name!r}: choose {known}, or give a .toml file")
    try:
        profile = Profile(**tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        raise InputError(f"profile {path.name}: {'.'.join(map(str, first['loc']))} {first['msg']}") from error
    for used in {profile.focus, *(block.data for block in profile.grid)} - set(profile.data):
        raise InputError(f"profile {path.name}: dataset {used!r} is not described under [data]")
    return profile
