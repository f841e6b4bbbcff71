"""Those who may only read, on every database."""

from __future__ import annotations

from certledger.testing.reading import Reading


class TestReading(Reading):
    """Roles, users, files."""
