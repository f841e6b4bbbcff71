"""The lifecycle, on every database."""

from __future__ import annotations

from certledger.testing.lifecycle import Lifecycle


class TestLifecycle(Lifecycle):
    """Long histories."""
