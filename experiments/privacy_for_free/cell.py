"""A cell of the grid: one condensation setting, run on K random halves of one pool."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

Method = Literal["dm", "dc", "dsa", "kip", "linear_dm", "subset", "full"]
Init = Literal["member", "nonmember", "public", "noise", "mean"]


@dataclass(frozen=True)
class Cell:
    """`data` is a name of the profile's datasets. `steps`, `pool` and `classes` replace the profile's where given.

    init: member = records of the run's own half; nonmember = records of the same dataset that are in no run; public = records of
    another dataset; noise = uniform; mean = the class mean of the members and a little noise.
    method "subset" releases `ipc` members a class as they are: in each run those from which the other methods start with init "member"; "full"
    releases all members. `soft`: labels are learnt too (kip only). `canaries`: so many of each family are appended to the pool.
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
        optional = [f for f in fields(self) if f.name not in ("data", "method", "ipc", "init")]
        return "-".join(
            parts + [f"{f.name}{getattr(self, f.name)}" for f in optional if getattr(self, f.name) != f.default]
        )
