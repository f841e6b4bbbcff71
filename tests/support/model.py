"""The model of `certledger.testing`, for the tests of everything else."""

from certledger.testing.model import Certificate, Model, Refusals, Retired, Row

__all__ = ["Certificate", "Model", "Refusals", "Retired", "Row"]
