"""Drift, rebuild, verify, the guards of the log, proofs and CRLs."""

from certledger.testing.checks.guarding import Guarding
from certledger.testing.checks.mending import Mending
from certledger.testing.checks.proving import Proving

__all__ = ["Checks"]


class Checks(Mending, Guarding, Proving):
    """Everything that finds and mends what is not as the log says."""
