"""Which two datasets count as neighbours: the relation that every ε is stated for."""

from __future__ import annotations

from enum import StrEnum

from dpcond.errors import InputError


class Adjacency(StrEnum):
    """Neighbouring relation: one record added or removed, or one record replaced by another."""

    ADD_REMOVE = "add_remove"
    REPLACE_ONE = "replace_one"

    @classmethod
    def parse(cls, value: object) -> Adjacency:
        """The relation called ``value``; raises InputError for anything else."""
        try:
            return cls(value)  # type: ignore[arg-type]
        except ValueError:
            names = " or ".join(repr(str(a)) for a in cls)
            raise InputError(f"adjacency {value!r}: expected {names}") from None
