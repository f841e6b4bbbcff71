"""The certificates of `certledger.testing` for long histories, for the tests of everything else."""

from certledger.testing.histories import CERTIFICATES, NAMES, SERIALS
from certledger.testing.prepared import START, Prepared, prepare

__all__ = ["CERTIFICATES", "NAMES", "SERIALS", "START", "Prepared", "prepare"]
