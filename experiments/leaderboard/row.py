"""A row of the leaderboard: what is condensed, under which budget, and how it is judged. One small TOML file each."""

from __future__ import annotations

import difflib
import itertools
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dpcond.config import Config, checked
from dpcond.data.registry import SOURCES
from dpcond.errors import InputError
from dpcond.evaluate.protocols import PROTOCOLS
from dpcond.evaluate.tables import CLASSIFIERS
from dpcond.methods.auto import AUTO
from dpcond.methods.registry import METHODS

ROWS = Path(__file__).parent / "rows"
TUNING = Path(__file__).parent / "tuning.toml"

#: Fields that a file may give as a list: it then stands for one row per combination.
GRID = ("method", "epsilon", "ipc")

#: Judged beside the methods; none of them is a release. ``teacher`` is private, the others read real records as they are.
CEILINGS = ("teacher", "random-real", "real")

#: Protocols beside those of networks: scikit-learn's classifiers on a table, and a teacher's own predictions.
TABLE, DIRECT = "table", "direct"

NETWORKS = ("convnet", "mlp", "lenet", "resnet18")


class Row(BaseModel):
    """One line of the leaderboard; see the fields. Equal rows mean equal experiments."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="the file's, with the values of a grid behind it")
    section: Literal["frontier", "small", "table", "ceiling", "ablation", "curve"]
    data: str = Field(description="a built-in dataset")
    method: str = Field(description="a registered method; or teacher, random-real, real")
    options: dict[str, Any] = Field(default_factory=dict, description="the method's own")
    privacy: Literal["dp", "none"] = "dp"
    epsilon: float = Field(1.0, gt=0, description="target; of no meaning where nothing is promised")
    delta: float = Field(1e-5, gt=0, lt=1)
    adjacency: Literal["add_remove", "replace_one"] = "add_remove"
    public_counts: bool = Field(True, description="class counts declared public, as in the published tables")
    ipc: int = Field(10, ge=1)
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, description="condensation seeds, one network trained each")
    protocol: str = Field("dc", description="dc is the field's; quick a tenth of its cost, never to be mixed with it")
    models: tuple[str, ...] = Field(
        ("convnet",), min_length=1, description="networks; more than one: cross-architecture"
    )
    removes: Literal["", "noise", "features", "matching", "labels"] = Field(
        "", description="what an ablation takes away"
    )
    tuned_on: str = Field(
        "", description="what was tuned on evaluation data, or 'nothing'; default: what tuning.toml says of the method"
    )
    note: str = ""

    @property
    def condenses(self) -> bool:
        """Whether a release is made (a ceiling judges something else)."""
        return self.method not in CEILINGS

    @property
    def private(self) -> bool:
        """Whether an ε is promised."""
        return self.privacy == "dp"

    def identity(self) -> dict[str, Any]:
        """What a result must share with its row; seeds, models and remarks may grow."""
        return self.model_dump(
            mode="json", exclude={"name", "section", "seeds", "models", "removes", "tuned_on", "note"}
        )

    def config(self, seed: int, device: str = "auto") -> Config:
        """The condensation of one seed."""
        tree = {
            "method": self.method,
            "ipc": self.ipc,
            "seed": seed,
            "options": self.options,
            "privacy": {
                "mode": self.privacy,
                "epsilon": self.epsilon,
                "delta": self.delta,
                "adjacency": self.adjacency,
            },
            "engine": {"device": device},
        }
        return checked(Config, tree, f"row {self.name}")


def read_file(path: Path) -> list[Row]:
    """The rows of one file.

    Raises:
        InputError: one line: not TOML, an unknown key with the nearest one, or a value that is not allowed.
    """
    try:
        tree = tomllib.loads(path.read_text())
    except OSError as error:
        raise InputError(f"row {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"row {path}: not valid TOML ({error})") from None
    if "name" in tree:
        raise InputError(f"row {path}: 'name' is the file's own, leave it out")
    lacking = [
        field for field, about in Row.model_fields.items() if about.is_required() and field not in (*tree, "name")
    ]
    if lacking:
        raise InputError(f"row {path}: {lacking[0]!r} is missing")
    axes = [(field, tree[field]) for field in GRID if isinstance(tree.get(field), list)]
    rows = []
    for values in itertools.product(*(options for _, options in axes)):
        point = dict(zip((field for field, _ in axes), values, strict=True))
        name = "-".join(
            [path.stem, *(f"{value:g}" if isinstance(value, int | float) else str(value) for value in values)]
        )
        said = tuning().get(str(point.get("method", tree["method"])), "")
        rows.append(checked(Row, {"tuned_on": said, **tree, **point, "name": name}, f"row {path}"))
        _check(rows[-1], f"row {path}")
    if not rows:
        raise InputError(f"row {path}: an empty list stands for no row; give at least one value")
    return rows


@cache
def tuning() -> dict[str, str]:
    """What was tuned on evaluation data, by method."""
    return tomllib.loads(TUNING.read_text())


def _check(row: Row, where: str) -> None:
    """What types cannot say.

    Raises:
        InputError: an unknown dataset, protocol or model, or a combination that means nothing.
    """
    _known(where, "data", row.data, tuple(SOURCES))
    _known(where, "method", row.method, (AUTO, *CEILINGS, *METHODS))
    table = SOURCES[row.data].spec.kind == "table"
    protocols = (TABLE,) if table else (DIRECT,) if row.method == "teacher" else tuple(PROTOCOLS)
    _known(where, "protocol", row.protocol, protocols)
    for model in row.models:
        _known(where, "models", model, CLASSIFIERS if table else ("teacher",) if row.method == "teacher" else NETWORKS)
    if row.method in ("random-real", "real") and row.private:
        raise InputError(f'{where}: method {row.method!r} reads real records as they are: say privacy = "none"')
    if len(set(row.seeds)) < len(row.seeds) or min(row.seeds) < 0:
        raise InputError(f"{where}: seeds = {list(row.seeds)}: expected different numbers of at least 0")


def judged_by(row: Row, protocol: str, models: tuple[str, ...]) -> Row:
    """The row judged by another protocol or other models; InputError where that means nothing."""
    other = row.model_copy(update={"protocol": protocol, "models": models})
    _check(other, f"row {row.name}")
    return other


def read_rows(folder: Path = ROWS) -> dict[str, Row]:
    """All rows by name, in the order of their files."""
    rows = [row for path in sorted(folder.glob("*.toml")) for row in read_file(path)]
    return {row.name: row for row in rows}


def chosen(names: Iterable[str], folder: Path = ROWS) -> list[Row]:
    """Rows by name, by the name of a file with a grid, or by the path of a file."""
    rows, found = read_rows(folder), []
    for name in names:
        if name in rows:
            found.append(rows[name])
        elif (folder / f"{name}.toml").exists():
            found += read_file(folder / f"{name}.toml")
        elif name.endswith(".toml"):
            found += read_file(Path(name))
        else:
            _known("rows", "row", name, tuple(rows))
    return found


def _known(where: str, what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known)}"
        raise InputError(f"{where}: {what} = {value!r} is unknown: {hint}")
