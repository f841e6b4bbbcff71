"""Many at once, on every database."""

from __future__ import annotations

from certledger.testing.concurrency import Concurrency


class TestConcurrency(Concurrency):
    """Eight processes, 32 threads."""
