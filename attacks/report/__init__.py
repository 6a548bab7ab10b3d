"""What an audit found: a dataclass, its JSON, and one self-contained HTML page."""

from attacks.report.report import AttackResult, Report

__all__ = ["AttackResult", "Report"]
