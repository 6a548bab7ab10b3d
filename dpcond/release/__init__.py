"""The bundle that leaves the house: written whole, decodable from its own JSON, verifiable from its own ledger."""

from dpcond.release.exporting import export
from dpcond.release.privacy_statement import not_private, statement
from dpcond.release.reading import read
from dpcond.release.release import Release
from dpcond.release.reuse import verified
from dpcond.release.verification import Check, VerifyReport, verify

__all__ = ["Check", "Release", "VerifyReport", "export", "not_private", "read", "statement", "verified", "verify"]
