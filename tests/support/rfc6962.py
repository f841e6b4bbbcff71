"""The definition of `certledger.testing`, for the tests of everything else."""

from certledger.testing.rfc6962 import largest_power_of_two_below, naive_root

__all__ = ["largest_power_of_two_below", "naive_root"]
