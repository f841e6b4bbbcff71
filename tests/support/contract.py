"""The rules of `certledger.testing`, for the tests of what only our facade has."""

from certledger.testing.rules import RULES, covers

__all__ = ["RULES", "covers"]
