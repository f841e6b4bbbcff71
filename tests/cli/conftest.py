"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import Commands


@pytest.fixture
def run(file: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """The command line on the registry of the test, which is not there yet."""
    for name in ("COLUMNS", "CERTLEDGER_DB", "CERTLEDGER_CA_KEY_PASSPHRASE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return Commands(file)
