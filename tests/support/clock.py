"""The clock of `certledger.testing`, for the tests of everything else."""

from certledger.testing.clock import FakeClock

__all__ = ["FakeClock"]
