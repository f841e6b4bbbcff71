"""A registry with a past, and one with a long log."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from certledger.bulk import Registration
from certledger.ledger import Ledger
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support.populated import Populated, Registry, populate

LONG = 2_500
"""Entries of the long log: more than two pages."""


@pytest.fixture
def populated(ledger: Ledger, clock: FakeClock) -> Populated:
    """What `ledger` holds then."""
    return populate(ledger, clock)


@pytest.fixture(scope="session")
def _long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("long") / "registry.db"
    with Ledger(f"sqlite:///{file}") as ledger:
        certificates = (
            Registration(make_certificate(f"host-{number}", serial=number), str(number))
            for number in range(1, LONG + 1)
        )
        assert all(outcome.error is None for outcome in ledger.issue_many(certificates))
    return file


@pytest.fixture
def long(_long_file: Path, tmp_path: Path) -> Iterator[Registry]:
    """A copy of a registry with 2,500 certificates."""
    file = tmp_path / "long.db"
    shutil.copy(_long_file, file)
    with Ledger(f"sqlite:///{file}") as ledger:
        yield Registry(ledger, file)
