"""A handler over a registry whose time obeys, and certificates of that time."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from types import ModuleType

import pytest
from sqlalchemy import ForeignKey, Table
from sqlalchemy.orm import Mapped, mapped_column

import certledger
from certledger.db.models import Base
from certledger.db.sync_db_manager import SyncDBHandler
from certledger.testing.clock import FakeClock
from certledger.testing.issue import Issue


@pytest.fixture
def handler(ledger: certledger.Ledger) -> SyncDBHandler:
    return SyncDBHandler.over(ledger)


@pytest.fixture
def issue(clock: FakeClock) -> Issue:
    """Makes certificates whose validity is told in days from the clock's now."""
    return Issue(clock)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the library logs, down to INFO."""
    with caplog.at_level(logging.INFO, logger=certledger.DEFAULT_LOGGER.name):
        yield caplog


@pytest.fixture
def callers_table() -> Iterator[type[Base]]:
    """A table that a caller declares, with a foreign key to ours."""

    class Owner(Base):
        __tablename__ = "owners"

        id: Mapped[int] = mapped_column(primary_key=True)
        certificate_id: Mapped[int] = mapped_column(ForeignKey("certificates.id"))
        name: Mapped[str]

    yield Owner
    table = Owner.__table__
    assert isinstance(table, Table)
    Base.registry._dispose_cls(Owner)
    Base.metadata.remove(table)


@pytest.fixture(scope="module")
def tiny_ca() -> Iterator[ModuleType]:
    """tiny_ca, without the console handler that it installs when it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = importlib.import_module("tiny_ca")
    logger = importlib.import_module("tiny_ca.settings").DEFAULT_LOGGER
    installed = list(logger.handlers)
    for handler in installed:
        logger.removeHandler(handler)
    yield module
    for handler in installed:
        logger.addHandler(handler)
