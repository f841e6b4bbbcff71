"""The clean log."""

from __future__ import annotations

import pytest

from tests.tampering.registry import Log, clean_log


@pytest.fixture(scope="session")
def log() -> Log:
    return clean_log()
