"""Membership-inference audits of released synthetic sets: attacks, valid statistics, a report. Knows nothing of how sets are made.

report = attacks.audit(attacks.ReleaseSet.read("release.npz"), members, nonmembers)
report = attacks.audit_procedure(procedure, pool, shadows=64)
"""

from typing import Any

from attacks.errors import InputError

__all__ = ["InputError", "Records", "ReleaseSet", "Report", "audit", "audit_mechanism", "audit_procedure"]

_HOMES = {
    "Records": "attacks.records",
    "ReleaseSet": "attacks.release_set",
    "Report": "attacks.report",
    "audit": "attacks.release_audit",
    "audit_mechanism": "attacks.mechanism",
    "audit_procedure": "attacks.procedure_audit",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'attacks' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
