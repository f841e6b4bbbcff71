"""What a handler tells: records, and lines of its log."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pytest

from certledger.db.base_db import BaseDB
from certledger.db.models import CertificateRecord

COLUMNS = [column.name for column in CertificateRecord.__table__.columns]


def uuids(records: Iterable[CertificateRecord]) -> list[str | None]:
    return [record.uuid for record in records]


def record_of(handler: BaseDB, serial: int) -> CertificateRecord:
    """The record of a serial number, which must be there."""
    record = handler.get_by_serial(serial)
    assert record is not None
    return record


def shown(handler: BaseDB) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """All that a handler shows, to be compared with another time."""
    records = handler.list_all(limit=10_000)
    rows = [tuple(getattr(record, name) for name in COLUMNS) for record in records]
    return rows, [tuple(row) for row in handler.get_revoked_certificates()]


def lines(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    """The messages of one level."""
    return [record.getMessage() for record in log.records if record.levelno == level]


def worst(log: pytest.LogCaptureFixture) -> logging.LogRecord:
    """The record of the highest level."""
    return max(log.records, key=lambda record: record.levelno)
