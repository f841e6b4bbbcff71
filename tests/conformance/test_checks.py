"""Drift, rebuild, verify and proofs, on every database."""

from __future__ import annotations

from certledger.testing.checks import Checks


class TestChecks(Checks):
    """What finds and mends."""
