"""Fixtures of all tests: a registry in a real SQLite file, and a clock that obeys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

import certledger
from tests.support.clock import FakeClock

# How long an example takes says more about the machine than about the code.
hypothesis.settings.register_profile("certledger", deadline=None)
hypothesis.settings.load_profile("certledger")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the registry of the test lies."""
    return tmp_path / "registry.db"


@pytest.fixture
def url(file: Path) -> str:
    return f"sqlite:///{file}"


@pytest.fixture
def ledger(url: str, clock: FakeClock) -> Iterator[certledger.Ledger]:
    """An empty registry whose time is the fixture `clock`'s."""
    with certledger.Ledger(url, clock=clock) as opened:
        yield opened
