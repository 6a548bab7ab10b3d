"""A cell of the grid: one condensation setting, run on K random halves of one pool."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Method = Literal["dm", "dc", "dsa", "kip", "subset", "linear_dm"]
Init = Literal["member", "nonmember", "public", "noise", "mean"]


@dataclass(frozen=True)
class Cell:
    """`data` is a name of the profile's datasets. `steps`, `pool` and `classes` replace the profile's where given.

    init: member = records of the run's own half; nonmember = records of the same dataset that are in no run; public = records of
    another dataset; noise = uniform; mean = the class mean of the members and a little noise.
    `soft`: labels are learnt too (kip only). `canaries`: so many of each family are appended to the pool.
    """

    data: str
    method: Method
    ipc: int
    init: Init = "noise"
    soft: bool = False
    steps: int | None = None
    pool: int | None = None
    classes: int | None = None
    canaries: int = 0

    @property
    def key(self) -> str:
        """A name fit for a file: the fields that are not at their default."""
        parts = [self.data, self.method, f"ipc{self.ipc}", self.init]
        optional = [(f.name, getattr(self, f.name)) for f in fields(self) if f.name in _OPTIONAL]
        return "-".join(parts + [f"{name}{value}" for name, value in optional if value])


_OPTIONAL = ("soft", "steps", "pool", "classes", "canaries")
