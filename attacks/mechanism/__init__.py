"""Audit of a mechanism, black box on its answers: does the code keep the epsilon that it claims?"""

from attacks.mechanism.gaussian import GaussianSum
from attacks.mechanism.multi_run import MechanismAudit, audit_mechanism
from attacks.mechanism.one_run import OneRunAudit, audit_one_run
from attacks.mechanism.protocol import Mechanism
from attacks.mechanism.scores import Score, poisson_log_ratio, weighted_sum

__all__ = [
    "GaussianSum",
    "Mechanism",
    "MechanismAudit",
    "OneRunAudit",
    "Score",
    "audit_mechanism",
    "audit_one_run",
    "poisson_log_ratio",
    "weighted_sum",
]
