"""The queries of the contract, on the read model."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.types import NullType

from certledger.eventstore.backends import backend_of
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.statement import Statement
from certledger.projections.models import CERTIFICATES, CertificateRecord, record_of, retired
from certledger.projections.status import CertificateStatus

_C = CERTIFICATES.c
_VALID = CertificateStatus.VALID.value
_DEFAULT_TYPE: Final = CertType.DEVICE.value


class RevokedRow(NamedTuple):
    """What a CRL lists of a certificate."""

    serial_number: str
    revocation_date: datetime
    """Naive, in UTC."""
    revocation_reason: int


_BY_SERIAL: Final = Statement(
    select(CERTIFICATES).where(_C.serial_number == bindparam("serial_number"))
)
# Those not past their end first, then the latest start, then the latest registration.
_BY_NAME: Final = Statement(
    select(CERTIFICATES)
    .where(_C.common_name == bindparam("common_name"), _C.status == _VALID)
    .order_by(
        case((_C.not_valid_after >= bindparam("now"), 0), else_=1),
        _C.not_valid_before.desc(),
        _C.id.desc(),
    )
    .limit(1)
)
_EXPIRING: Final = Statement(
    select(CERTIFICATES)
    .where(
        _C.status == _VALID,
        _C.not_valid_after > bindparam("now"),
        _C.not_valid_after <= bindparam("until"),
    )
    .order_by(_C.not_valid_after, _C.id),
    varies=True,
)
# Ends are compared and given back as they are stored: an edited one may be no date at all.
_stored_end = type_coerce(_C.not_valid_after, NullType())


def _due(*past: ColumnElement[bool]) -> Statement:
    return Statement(
        select(_stored_end, _C.id, _C.serial_number)
        .where(_C.status == _VALID, _C.not_valid_after < bindparam("now"), *past)
        .order_by(_C.not_valid_after, _C.id)
        .limit(bindparam("limit")),
        varies=True,
    )


_DUE_FIRST: Final = _due()
_DUE_NEXT: Final = _due(
    or_(
        _stored_end > bindparam("after_end", type_=NullType()),
        and_(_stored_end == bindparam("same_end", type_=NullType()), _C.id > bindparam("after_id")),
    )
)
_COUNTS: Final = Statement(select(_C.status, func.count()).group_by(_C.status))
_COUNT_RETIRED: Final = Statement(select(func.count()).select_from(retired))


def _revoked_of(table: object) -> Select[tuple[str, datetime, int]]:
    columns = getattr(table, "c")  # noqa: B009 # both tables have these columns
    return select(columns.serial_number, columns.revocation_date, columns.revocation_reason).where(
        columns.revocation_date > bindparam("since"),
        columns.not_valid_after > bindparam("now"),
    )


# A revoked certificate whose row was deleted stays revoked.
_both = union_all(_revoked_of(CERTIFICATES), _revoked_of(retired)).subquery()
_REVOKED: Final = Statement(
    select(_both.c.serial_number, _both.c.revocation_date, _both.c.revocation_reason).order_by(
        _both.c.revocation_date, _both.c.serial_number
    ),
    varies=True,
)


def get_by_serial(connection: Connection, serial: int) -> CertificateRecord | None:
    """Return a present certificate, whatever its status."""
    rows = _BY_SERIAL.rows(connection, serial_number=str(serial))
    return record_of(rows[0]) if rows else None


def get_by_name(
    connection: Connection, common_name: str, now: datetime
) -> CertificateRecord | None:
    """Return the best valid certificate of a name: one not past its end (naive UTC) before one
    that is, then the one that began last, then the one registered last.
    """
    rows = _BY_NAME.rows(connection, common_name=common_name, now=now)
    return record_of(rows[0]) if rows else None


def list_certificates(
    connection: Connection, filters: Mapping[str, str], limit: int, offset: int
) -> list[CertificateRecord]:
    """Return certificates, newest first; `filters` are values of `status` and `key_type`."""
    statement = _list_statement(frozenset(filters), _is_rare(filters))
    rows = statement.rows(connection, limit=limit, offset=offset, **filters)
    return [record_of(row) for row in rows]


@cache
def _list_statement(filters: frozenset[str], rare: bool) -> Statement:
    return Statement(
        _filtered(select(CERTIFICATES), filters, rare)
        .order_by(_C.id.desc())
        .limit(bindparam("limit"))
        .offset(bindparam("offset")),
        varies=True,
    )


def page_below(
    connection: Connection, filters: Mapping[str, str], below: int, limit: int
) -> list[CertificateRecord]:
    """Return the next certificates of a listing, newest first, with ids below `below`."""
    statement = _page_statement(frozenset(filters), _is_rare(filters))
    rows = statement.rows(connection, below=below, limit=limit, **filters)
    return [record_of(row) for row in rows]


@cache
def _page_statement(filters: frozenset[str], rare: bool) -> Statement:
    query = select(CERTIFICATES).where(_C.id < bindparam("below"))
    return Statement(
        _filtered(query, filters, rare).order_by(_C.id.desc()).limit(bindparam("limit")),
        varies=True,
    )


def count_certificates(connection: Connection, filters: Mapping[str, str]) -> int:
    """Return how many certificates `list_certificates` could give."""
    statement = _count_statement(frozenset(filters), _is_rare(filters))
    ((count,),) = statement.rows(connection, **filters)
    return int(count)


@cache
def _count_statement(filters: frozenset[str], rare: bool) -> Statement:
    query = select(func.count()).select_from(CERTIFICATES)
    return Statement(_filtered(query, filters, rare), varies=True)


def _filtered(query: Select[Any], filters: frozenset[str], rare: bool) -> Select[Any]:
    for name in sorted(filters):
        query = query.where(_C[name] == bindparam(name))
    # In these very words, so that the planner sees that the partial index has all of them.
    return query.where(_C.key_type != literal_column(f"'{_DEFAULT_TYPE}'")) if rare else query


def _is_rare(filters: Mapping[str, str]) -> bool:
    return filters.get("key_type", _DEFAULT_TYPE) != _DEFAULT_TYPE


def expiring(connection: Connection, now: datetime, until: datetime) -> list[CertificateRecord]:
    """Return the valid certificates with now < end <= until (naive UTC), soonest first."""
    return [record_of(row) for row in _EXPIRING.rows(connection, now=now, until=until)]


class Due(NamedTuple):
    """A row that says valid though its end is past: a candidate for the sweep."""

    end: Any
    """As it is stored."""
    id: int
    serial_number: Any
    """Decimal text, unless somebody edited it."""


def due(connection: Connection, now: datetime, after: Due | None, limit: int) -> list[Due]:
    """Return the rows that say valid though their end is before `now` (naive UTC), by end and id,
    past the row `after`.
    """
    with backend_of(connection).values_as_stored(connection):
        if after is None:
            rows = _DUE_FIRST.rows(connection, now=now, limit=limit)
        else:
            end, row_id, _ = after
            rows = _DUE_NEXT.rows(
                connection, now=now, after_end=end, same_end=end, after_id=row_id, limit=limit
            )
    return [Due(*row) for row in rows]


def revoked(connection: Connection, now: datetime, since: datetime) -> list[RevokedRow]:
    """Return the revocations after `since` of certificates whose end is after `now` (naive UTC),
    those of deleted rows too, by date and serial number.
    """
    return [RevokedRow(*row) for row in _REVOKED.rows(connection, since=since, now=now)]


def counts(connection: Connection) -> dict[str, int]:
    """Return how many present certificates have each status."""
    return {status: int(count) for status, count in _COUNTS.rows(connection)}


def count_retired(connection: Connection) -> int:
    """Return how many deletions there were."""
    ((count,),) = _COUNT_RETIRED.rows(connection)
    return int(count)
