"""What `certledger.testing` has for tests of a facade, for the tests of ours."""

from certledger.testing.issue import Issue
from certledger.testing.told import lines, worst

__all__ = ["Issue", "lines", "worst"]
