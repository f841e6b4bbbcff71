"""Which row a state demands, and making rows of `certificates` look like that."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, Insert, bindparam, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from certledger.eventstore.backends import backend_of
from certledger.eventstore.event import Event
from certledger.eventstore.events import Issued
from certledger.eventstore.lifecycle import Phase, State, fold
from certledger.eventstore.reader import read_entries, read_stream
from certledger.eventstore.statement import Statement
from certledger.eventstore.times import naive_utc
from certledger.projections.models import CERTIFICATES, retired

Row = dict[str, Any]
"""Column to value; datetimes are naive, in UTC."""

INSERT: Final = Statement(
    CERTIFICATES.insert().values({column.name: bindparam(column.name) for column in CERTIFICATES.c})
)
_INSERT_FREE: Final = Statement(lambda dialect: _insert_free(dialect.name))
_DELETE: Final = Statement(delete(CERTIFICATES).where(CERTIFICATES.c.id == bindparam("at_id")))
# Only of a value that must change: a foreign key of a caller's may point at the serial number.
_FREE_SERIAL: Final = Statement(
    update(CERTIFICATES)
    .where(
        CERTIFICATES.c.id == bindparam("at_id"),
        CERTIFICATES.c.serial_number.is_distinct_from(bindparam("wanted")),
    )
    .values(serial_number=bindparam("placeholder"))
)
_FREE_UUID: Final = Statement(
    update(CERTIFICATES)
    .where(
        CERTIFICATES.c.id == bindparam("at_id"),
        CERTIFICATES.c.uuid.is_distinct_from(bindparam("wanted")),
    )
    .values(uuid=None)
)
_UPDATE: Final = Statement(
    update(CERTIFICATES)
    .where(CERTIFICATES.c.id == bindparam("id"))
    .values({c.name: bindparam(c.name) for c in CERTIFICATES.c if not c.primary_key})
)
_HAS_ID: Final = Statement(select(CERTIFICATES.c.id).where(CERTIFICATES.c.id == bindparam("at_id")))
HOLDERS: Final = Statement(
    select(CERTIFICATES.c.id).where(
        or_(
            CERTIFICATES.c.id == bindparam("id"),
            CERTIFICATES.c.serial_number == bindparam("serial_number"),
            CERTIFICATES.c.uuid == bindparam("uuid"),
        )
    )
)
"""The rows that hold an id, a serial number or a uuid."""

INSERT_RETIRED: Final = Statement(
    retired.insert().values({column.name: bindparam(column.name) for column in retired.c})
)
DELETE_RETIRED: Final = Statement(delete(retired).where(retired.c.seq == bindparam("at_seq")))


def certificate_row(state: State) -> Row | None:
    """Return the row of a present certificate, None for one that is not present."""
    if not state.present:
        return None
    issued = state.certificate
    revoked = state.revoked if state.phase is Phase.REVOKED else None
    return {
        "id": state.issued_seq + 1,
        "serial_number": issued.serial_number,
        "common_name": issued.common_name,
        "status": state.phase.value,
        "not_valid_before": naive_utc(issued.not_valid_before),
        "not_valid_after": naive_utc(issued.not_valid_after),
        "key_type": issued.key_type.value,
        "certificate_pem": issued.certificate_pem,
        "revocation_date": naive_utc(revoked.revocation_date) if revoked else None,
        "revocation_reason": revoked.reason_code if revoked else None,
        "uuid": issued.uuid,
    }


def retired_row(before: State, deleted: Event) -> Row:
    """Return the row that a deletion leaves in `retired`."""
    revoked = before.revoked
    return {
        "seq": deleted.seq,
        "serial_number": before.certificate.serial_number,
        "last_state": before.phase.value,
        "revocation_date": naive_utc(revoked.revocation_date) if revoked else None,
        "revocation_reason": revoked.reason_code if revoked else None,
        "not_valid_after": naive_utc(before.certificate.not_valid_after),
    }


def _insert_free(dialect: str) -> Insert:
    values: dict[str, BindParameter[Any]] = {c.name: bindparam(c.name) for c in CERTIFICATES.c}
    match dialect:
        case "sqlite":
            return sqlite.insert(CERTIFICATES).values(values).on_conflict_do_nothing()
        case "postgresql":
            return postgresql.insert(CERTIFICATES).values(values).on_conflict_do_nothing()
    # MariaDB's INSERT IGNORE would also cut values short that are too long.
    return CERTIFICATES.insert().values(values)


def insert_free(connection: Connection, rows: Sequence[Row]) -> Callable[[], bool]:
    """Insert new rows; what is returned tells whether all of them could be, with no others in
    their way.
    """
    try:
        asked = _INSERT_FREE.ask_many(connection, rows)
    except connection.dialect.loaded_dbapi.Error as error:
        if not backend_of(connection).is_duplicate(error):
            raise
        return lambda: False
    return lambda: asked.count() == len(rows)


def has_row(connection: Connection, row: Row) -> bool:
    """Tell whether there is a row with the id of this one."""
    return bool(_HAS_ID.rows(connection, at_id=row["id"]))


def set_rows(connection: Connection, wanted: Mapping[int, Row | None]) -> None:
    """Make the rows with these ids look as wanted; None: no such row.

    Rows that exist are updated in place, as foreign keys of callers may point at them. Rows that
    hold a wanted serial number or uuid must be among the ids (`with_holders` finds them).
    """
    present = {key for key in wanted if _HAS_ID.rows(connection, at_id=key)}
    _DELETE.run_many(connection, [{"at_id": key} for key in present if wanted[key] is None])
    kept = [row for key in present if (row := wanted[key]) is not None]
    # Two rows that swapped a unique value are freed of it first. No serial number begins with ~;
    # the rest is random, so that nobody can have put the same into another row.
    token = secrets.token_hex(8)
    _FREE_SERIAL.run_many(
        connection,
        [
            {"at_id": row["id"], "wanted": row["serial_number"], "placeholder": f"~{token}~{at}"}
            for at, row in enumerate(kept)
        ],
    )
    _FREE_UUID.run_many(connection, [{"at_id": row["id"], "wanted": row["uuid"]} for row in kept])
    _UPDATE.run_many(connection, kept)
    INSERT.run_many(
        connection,
        [row for key, row in wanted.items() if row is not None and key not in present],
    )


def with_holders(
    connection: Connection, wanted: Mapping[int, Row | None], serials: Iterable[str] = ()
) -> dict[int, Row | None]:
    """Add to the wanted rows those that stand in their way, as the log wants them to be.

    `serials` names further serial numbers that no other row may hold.
    """
    complete = dict(wanted)
    pending = [_keys(row) for row in wanted.values() if row is not None]
    pending += [{"id": None, "serial_number": serial, "uuid": None} for serial in serials]
    while pending:
        for (found,) in HOLDERS.rows(connection, **pending.pop()):
            if found not in complete:
                row = complete[found] = row_by_log(connection, found)
                if row is not None:
                    pending.append(_keys(row))
    return complete


def _keys(row: Row) -> Row:
    return {name: row[name] for name in ("id", "serial_number", "uuid")}


def row_by_log(connection: Connection, row_id: int) -> Row | None:
    """Return what the log says that the row with an id must be, None where there is to be none."""
    entries = read_entries(connection, row_id - 1, row_id) if row_id > 0 else []
    if not entries:
        return None
    event = entries[0].event()
    if not isinstance(event.data, Issued):
        return None
    state = fold(read_stream(connection, event.subject))
    return certificate_row(state) if state.issued_seq == event.seq else None
