"""The tables of the read model. All of them can be rebuilt from the log."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any, Final, cast

from sqlalchemy import Column, Index, Integer, MetaData, Table
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Mapper,
    class_mapper,
    mapped_column,
)
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.instrumentation import ClassManager, manager_of_class

from certledger.eventstore.cert_type import CertType
from certledger.eventstore.columns import (
    TABLE_OPTIONS,
    ExactText,
    LongText,
    NaiveUtc,
    Position,
)
from certledger.projections.status import CertificateStatus

PROJECTOR_VERSION: Final = 1
"""Raised when the projector makes other rows of the same log; then a rebuild is due."""


class Base(DeclarativeBase):
    """Callers declare tables of their own on this base, for example with a foreign key to
    `certificates.id`.
    """


class CertificateRecord(Base):
    """One present certificate: a row of the table `certificates`."""

    __tablename__ = "certificates"
    __table_args__ = TABLE_OPTIONS

    id: Mapped[int] = mapped_column(Position, primary_key=True, autoincrement=True)
    """The position of the issuing event + 1, so that a rebuild gives identical rows."""
    serial_number: Mapped[str] = mapped_column(ExactText(50), unique=True, index=True)
    common_name: Mapped[str] = mapped_column(ExactText(512))
    status: Mapped[str] = mapped_column(ExactText(16), default=CertificateStatus.VALID.value)
    not_valid_before: Mapped[datetime] = mapped_column(NaiveUtc)
    not_valid_after: Mapped[datetime] = mapped_column(NaiveUtc, index=True)
    key_type: Mapped[str] = mapped_column(ExactText(16), default=CertType.DEVICE.value)
    certificate_pem: Mapped[str] = mapped_column(LongText())
    revocation_date: Mapped[datetime | None] = mapped_column(NaiveUtc)
    revocation_reason: Mapped[int | None] = mapped_column(Integer)
    uuid: Mapped[str | None] = mapped_column(ExactText(255), unique=True, index=True)


CERTIFICATES = cast("Table", CertificateRecord.__table__)

# Looking up a name. With the status in it, as the planner otherwise takes an index on that alone.
Index("ix_certificates_common_name_status", CERTIFICATES.c.common_name, CERTIFICATES.c.status)
# The sweep, and what expires soon.
Index(
    "ix_certificates_status_not_valid_after",
    CERTIFICATES.c.status,
    CERTIFICATES.c.not_valid_after,
)
# Listings, newest first.
Index("ix_certificates_status_id", CERTIFICATES.c.status, CERTIFICATES.c.id)
# The default type is left out where the database can: its newest rows are found without an index,
# and an append has one page less to write.
Index(
    "ix_certificates_key_type_id",
    CERTIFICATES.c.key_type,
    CERTIFICATES.c.id,
    sqlite_where=CERTIFICATES.c.key_type != CertType.DEVICE.value,
    postgresql_where=CERTIFICATES.c.key_type != CertType.DEVICE.value,
)
# What goes on a CRL: few rows, hence partial where the database can.
Index(
    "ix_certificates_revocation_date",
    CERTIFICATES.c.revocation_date,
    sqlite_where=CERTIFICATES.c.revocation_date.is_not(None),
    postgresql_where=CERTIFICATES.c.revocation_date.is_not(None),
)

metadata = MetaData()

retired = Table(
    "retired",
    metadata,
    # Of the deleted event.
    Column("seq", Position, primary_key=True, autoincrement=False),
    Column("serial_number", ExactText(50), nullable=False, index=True),
    Column("last_state", ExactText(16), nullable=False),
    Column("revocation_date", NaiveUtc),
    Column("revocation_reason", Integer),
    Column("not_valid_after", NaiveUtc, nullable=False),
    **TABLE_OPTIONS,
)
Index(
    "ix_retired_revocation_date",
    retired.c.revocation_date,
    sqlite_where=retired.c.revocation_date.is_not(None),
    postgresql_where=retired.c.revocation_date.is_not(None),
)

projection = Table(
    "projection",
    metadata,
    Column("name", ExactText(64), primary_key=True),
    # Of a read model that may lag; the row `certificates` never does and leaves it at 0.
    Column("position", Position, nullable=False),
    Column("version", Integer, nullable=False),
    **TABLE_OPTIONS,
)

_COLUMNS = tuple(column.name for column in CERTIFICATES.c)


@cache
def _mapping() -> tuple[ClassManager[CertificateRecord], Mapper[CertificateRecord]]:
    mapper = class_mapper(CertificateRecord)  # sets up the mappings, which happens at first use
    return manager_of_class(CertificateRecord), mapper


def record_of(row: tuple[Any, ...]) -> CertificateRecord:
    """Make a detached record of a row with all columns, without the cost of an ORM session."""
    manager, mapper = _mapping()
    record = manager.new_instance()
    record.__dict__.update(zip(_COLUMNS, row, strict=True))
    # What has a key and no session is detached. `make_transient_to_detached` also looks for what
    # is not loaded, which costs more than all else here.
    instance_state(record).key = mapper.identity_key_from_primary_key(row[:1])
    return record
