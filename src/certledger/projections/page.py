"""A page of the log turned into changes of the scratch tables.

What one page does to a row is added up in memory and written at its end, many rows at a time.
Nothing is kept from page to page, so the memory needed does not grow with the log.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from certledger.errors import LogCorrupt, UnknownEventType
from certledger.eventstore.events import (
    CrlPublished,
    Deleted,
    EventData,
    Expired,
    Issued,
    Revoked,
)
from certledger.eventstore.lifecycle import Phase, State
from certledger.eventstore.statement import Statement
from certledger.eventstore.tables import log_entry
from certledger.eventstore.times import naive_utc
from certledger.projections.rows import Row, certificate_row
from certledger.projections.scratch_tables import scratch_certificates, scratch_retired
from certledger.projections.status import CertificateStatus

_rows = scratch_certificates.c
_CHANGING: Final = ("status", "revocation_date", "revocation_reason")
_KEPT: Final = ("id", "serial_number", "not_valid_after", *_CHANGING)

_insert_rows = Statement(insert(scratch_certificates))
_insert_retired = Statement(insert(scratch_retired))
_update_row = Statement(
    update(scratch_certificates)
    .where(_rows.id == bindparam("at"))
    .values({name: bindparam(f"new_{name}", type_=_rows[name].type) for name in _CHANGING})
)
_delete_row = Statement(delete(scratch_certificates).where(_rows.id == bindparam("at")))
# One row or none: of a subject's registrations only that of the present certificate has a row here.
# Uses the unique index on (subject, streamversion); of the type it says nothing, as a planner that
# knows nothing yet of a new log would go through all entries of that type.
_select_present = Statement(
    select(*[_rows[name] for name in _KEPT])
    .join_from(log_entry, scratch_certificates, _rows.id == log_entry.c.seq + 1)
    .where(
        log_entry.c.subject == bindparam("subject"),
        log_entry.c.streamversion < bindparam("before"),
    )
)

# The same where the scratch tables are not in the database of the log.
_select_before = Statement(
    select(log_entry.c.seq).where(
        log_entry.c.subject == bindparam("subject"),
        log_entry.c.streamversion < bindparam("before"),
    )
)
_select_row = Statement(select(*[_rows[name] for name in _KEPT]).where(_rows.id == bindparam("at")))

_FROM: Final[dict[type, frozenset[str]]] = {
    Revoked: frozenset({CertificateStatus.VALID, CertificateStatus.EXPIRED}),
    Expired: frozenset({CertificateStatus.VALID}),
    Deleted: frozenset(
        {CertificateStatus.VALID, CertificateStatus.EXPIRED, CertificateStatus.REVOKED}
    ),
}
"""The statuses that a change may find."""


class Change(NamedTuple):
    """What an entry of the log changes."""

    seq: int
    subject: str
    streamversion: int
    type: str
    data: EventData | Row
    """Of an issued event the row that it makes."""


def change_of(
    seq: int, subject: str, streamversion: int, event_type: str, data: EventData
) -> Change:
    """Return what an entry changes."""
    if isinstance(data, Issued):
        row = certificate_row(State(streamversion + 1, Phase.VALID, data, seq))
        return Change(seq, subject, streamversion, event_type, row or {})
    return Change(seq, subject, streamversion, event_type, data)


class Page:
    """The changes of one page, in the order of the log."""

    def __init__(self, connection: Connection, log: Connection) -> None:
        """Take the connection of the scratch tables, and that to the log."""
        self._connection = connection
        self._log = log
        self._present: dict[str, Row | None] = {}
        """By subject: the row as it stands now, None where there is none."""
        self._new: dict[object, Row] = {}
        self._changed: dict[object, Row] = {}
        self._gone: list[object] = []
        self._retired: list[Row] = []

    def apply(self, change: Change) -> None:
        """Add what a change does.

        Raises `LogCorrupt` for a change that the row's status does not allow, `UnknownEventType`
        for a type that this version does not know.
        """
        match change.data:
            case dict() as row:
                self._issue(change, row)
            case Revoked() as data:
                self._change(
                    change,
                    status=CertificateStatus.REVOKED.value,
                    revocation_date=naive_utc(data.revocation_date),
                    revocation_reason=data.reason_code,
                )
            case Expired():
                self._change(change, status=CertificateStatus.EXPIRED.value)
            case Deleted():
                self._delete(change)
            case CrlPublished():
                pass
            case _:
                raise UnknownEventType(change.seq, change.type)

    def write(self) -> None:
        """Write it all into the scratch tables."""
        _insert_rows.run_many(self._connection, list(self._new.values()))
        _update_row.run_many(
            self._connection,
            [
                {"at": key} | {f"new_{name}": row[name] for name in _CHANGING}
                for key, row in self._changed.items()
            ],
        )
        _delete_row.run_many(self._connection, [{"at": key} for key in self._gone])
        _insert_retired.run_many(self._connection, self._retired)

    def _issue(self, change: Change, row: Row) -> None:
        if self._find(change) is not None:
            message = f"{change.subject} is registered while it is present"
            raise LogCorrupt(message, change.seq)
        self._present[change.subject] = self._new[row["id"]] = row

    def _change(self, change: Change, **values: object) -> None:
        row = self._found(change)
        row.update(values)
        if row["id"] not in self._new:
            self._changed[row["id"]] = row

    def _delete(self, change: Change) -> None:
        row = self._found(change)
        self._retired.append(
            {
                "seq": change.seq,
                "serial_number": row["serial_number"],
                "last_state": row["status"],
                "revocation_date": row["revocation_date"],
                "revocation_reason": row["revocation_reason"],
                "not_valid_after": row["not_valid_after"],
            }
        )
        self._present[change.subject] = None
        if self._new.pop(row["id"], None) is None:
            self._changed.pop(row["id"], None)
            self._gone.append(row["id"])

    def _found(self, change: Change) -> Row:
        row = self._find(change)
        status = None if row is None else row["status"]
        if row is None or status not in _FROM[type(change.data)]:
            message = f"{change.subject} is {status or 'absent'}: {change.type} cannot follow"
            raise LogCorrupt(message, change.seq)
        return row

    def _find(self, change: Change) -> Row | None:
        """Return the row of the certificate as it stands before the change."""
        subject = change.subject
        if subject not in self._present:
            self._present[subject] = self._stored(change) if change.streamversion else None
        return self._present[subject]

    def _stored(self, change: Change) -> Row | None:
        place = {"subject": change.subject, "before": change.streamversion}
        if self._log is self._connection:
            rows = _select_present.rows(self._connection, **place)
        else:
            seqs = [seq for (seq,) in _select_before.rows(self._log, **place)]
            rows = [row for seq in seqs for row in _select_row.rows(self._connection, at=seq + 1)]
        return dict(zip(_KEPT, rows[0], strict=True)) if rows else None
