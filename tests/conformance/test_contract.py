"""The contract on every database."""

from __future__ import annotations

from certledger.testing.contract import Contract, Managing


class TestContract(Contract):
    """Every rule, by the synchronous and the asynchronous handler."""


class TestManaging(Managing):
    """What our handlers have besides."""
