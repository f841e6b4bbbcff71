"""Fixtures of the tests of copies: one original for all, and empty places to copy it to."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certledger import Ledger, Registration
from certledger.eventstore.database import Database
from certledger.testing.certificates import make_ca, make_certificate
from certledger.testing.clock import FakeClock
from tests.copying.contents import SIZE, url_of
from tests.support.log import ORIGIN
from tests.support.populated import populate
from tests.support.servers import empty_place
from tests.support.signed import OTHER_KEY, sign_log


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a registry in which everything has happened. A copy never changes it."""
    folder = tmp_path_factory.mktemp("original")
    file = folder / "original.db"
    clock = FakeClock(datetime(2026, 1, 5, tzinfo=UTC))
    with Ledger(url_of(file), origin=ORIGIN, clock=clock) as ledger:
        populate(ledger, clock)
        sign_log(ledger.database, folder, clock)
        fill_up(ledger, SIZE - 4)
        sign_log(ledger.database, folder, clock)
        sign_log(ledger.database, folder, clock, OTHER_KEY)
        clock.step(seconds=1)
        ledger.revoke(10_000, "keyCompromise")
        ledger.delete(10_001)
        ca = make_ca()
        ledger.crl(ca.certificate, ca.key)
        ledger.revoke(10_500, "superseded")
        assert ledger.head().size == SIZE
    return file


def fill_up(ledger: Ledger, size: int) -> None:
    """Register certificates until the log has so many entries."""
    missing = size - ledger.head().size
    certificates = (
        Registration(make_certificate(f"host-{serial}.example.org", serial=serial))
        for serial in range(10_000, 10_000 + missing)
    )
    assert all(outcome.event for outcome in ledger.issue_many(certificates))


@pytest.fixture
def source_file(original: Path, tmp_path: Path) -> Path:
    """The same registry, for a test that changes it."""
    return Path(shutil.copyfile(original, tmp_path / "source.db"))


@pytest.fixture
def target_file(tmp_path: Path) -> Path:
    """Where there is nothing yet."""
    return tmp_path / "target.db"


@pytest.fixture
def target(target_file: Path) -> Iterator[Database]:
    """A database in which there is nothing yet."""
    database = Database(url_of(target_file))
    yield database
    database.close()


@pytest.fixture
def place_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Makes an empty place of a kind, as often as it is called, and gives its URL."""
    with ExitStack() as stack:

        def make(kind: str) -> str:
            if kind == "sqlite":
                return url_of(tmp_path / f"place-{len(list(tmp_path.iterdir()))}.db")
            server = request.getfixturevalue(f"{kind}_server")
            return stack.enter_context(empty_place(kind, server)).url

        yield make
