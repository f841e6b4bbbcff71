"""The projector of `certificates` and `retired`: it runs in the transaction of the append.

It sets a row to the evolved state, and wins over rows that were edited behind its back: an edited
table can never stop a revocation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, bindparam, delete, select, update

from certledger.eventstore.event import Event
from certledger.eventstore.events import Deleted
from certledger.eventstore.lifecycle import State
from certledger.eventstore.statement import Statement
from certledger.projections.models import CERTIFICATES
from certledger.projections.rows import (
    DELETE_RETIRED,
    INSERT_RETIRED,
    Row,
    certificate_row,
    has_row,
    insert_free,
    retired_row,
    row_by_log,
    set_rows,
    with_holders,
)

# Only where the row is in every column as the log left it. Then its serial number and uuid are its
# own, and no other row can hold them. The comparison is the database's, as an edited value may be
# one that cannot even be read.
_AS_THE_LOG_LEFT_IT: Final = and_(
    CERTIFICATES.c.id == bindparam("at_id"),
    *(
        column.is_not_distinct_from(bindparam(f"old_{column.name}"))
        for column in CERTIFICATES.c
        if not column.primary_key
    ),
)
_CHANGE: Final = Statement(
    update(CERTIFICATES)
    .where(_AS_THE_LOG_LEFT_IT)
    .values(
        status=bindparam("new_status"),
        revocation_date=bindparam("new_date"),
        revocation_reason=bindparam("new_reason"),
    )
)
_SAME: Final = Statement(select(CERTIFICATES.c.id).where(_AS_THE_LOG_LEFT_IT))
_DELETE: Final = Statement(delete(CERTIFICATES).where(_AS_THE_LOG_LEFT_IT))


@dataclass(frozen=True, slots=True)
class Change:
    """A recorded event with the state before and after it."""

    event: Event
    before: State
    after: State


def project(connection: Connection, changes: Sequence[Change]) -> list[str]:
    """Bring the read model to the state after the changes.

    Returns what was found to contradict the log, and was mended, in words.
    """
    return ask_to_project(connection, changes)()


def ask_to_project(connection: Connection, changes: Sequence[Change]) -> Callable[[], list[str]]:
    """Send the changes of rows that are as the log left them; what is returned mends the others,
    and says in words what had to be.
    """
    retired = _retire(connection, changes)
    inserts: list[tuple[Row, State, State]] = []
    in_place: list[tuple[Callable[[], bool], State, State]] = []
    for before, after in _by_serial(changes):
        old, new = certificate_row(before), certificate_row(after)
        if old is None and new is not None:
            inserts.append((new, before, after))
        else:
            in_place.append((_set_in_place(connection, old, new), before, after))
    inserted = insert_free(connection, [row for row, _, _ in inserts])

    def mend() -> list[str]:
        notes = retired()
        mends = [(before, after) for is_set, before, after in in_place if not is_set()]
        if not inserted():
            mends += [(old, new) for row, old, new in inserts if not _is_there(connection, row)]
        for before, after in mends:
            notes += _mend(connection, before, after)
        return notes

    return mend


def _by_serial(changes: Sequence[Change]) -> list[tuple[State, State]]:
    """Join the changes of one certificate to one step."""
    if len(changes) == 1:
        return [(changes[0].before, changes[0].after)]
    steps: dict[str, tuple[State, State]] = {}
    for change in changes:
        first = steps.get(change.event.subject, (change.before, change.after))[0]
        steps[change.event.subject] = (first, change.after)
    return list(steps.values())


def _is_there(connection: Connection, row: Row) -> bool:
    """Tell whether there is a row that is in every column as wanted."""
    expected = {f"old_{name}": value for name, value in row.items()}
    return bool(_SAME.rows(connection, at_id=row["id"], **expected))


def _set_in_place(connection: Connection, old: Row | None, new: Row | None) -> Callable[[], bool]:
    """Change or delete a row that is as the log left it; what is returned tells whether that was
    possible.
    """
    if old is None or (new is not None and new["id"] != old["id"]):
        # Deleted and issued again in one batch: the long way is right too.
        return lambda: old is new
    expected = {f"old_{name}": value for name, value in old.items()}
    if new is None:
        deleted = _DELETE.ask(connection, at_id=old["id"], **expected)
        return lambda: deleted.count() == 1
    changed = _CHANGE.ask(
        connection,
        at_id=old["id"],
        new_status=new["status"],
        new_date=new["revocation_date"],
        new_reason=new["revocation_reason"],
        **expected,
    )
    return lambda: changed.count() == 1


def _mend(connection: Connection, before: State, after: State) -> list[str]:
    """Set a certificate's row and all that stands in its way to what the log says."""
    serial = after.certificate.serial_number
    wanted: dict[int, Row | None] = {}
    for state in (before, after):
        if state.issued is not None:
            wanted[state.issued_seq + 1] = None
    row = certificate_row(after)
    if row is not None:
        wanted[row["id"]] = row
    old = certificate_row(before)
    found = _describe(connection, old)
    if row is not None and (old is None or old["id"] != row["id"]) and has_row(connection, row):
        found.append(f"row {row['id']} was there before its certificate")
    complete = with_holders(connection, wanted, [serial])
    set_rows(connection, complete)
    strays = sorted(set(complete) - set(wanted))
    if strays:
        found.append(f"rows in the way, set to what the log says: id {', '.join(map(str, strays))}")
    return [f"serial {serial}: the certificates table was edited: {what}" for what in found]


def _describe(connection: Connection, expected: Row | None) -> list[str]:
    """Say how a certificate's row differs from what the log left."""
    if expected is None:
        return []
    same = [c.is_not_distinct_from(bindparam(c.name)) for c in CERTIFICATES.c]
    query = select(*same).where(CERTIFICATES.c.id == bindparam("id"))
    rows = connection.execute(query, expected).all()
    if not rows:
        return [f"row {expected['id']} was missing"]
    names = [c.name for c, equal in zip(CERTIFICATES.c, rows[0], strict=True) if not equal]
    return [f"row {expected['id']} differed in {', '.join(names)}"] if names else []


def _retire(connection: Connection, changes: Sequence[Change]) -> Callable[[], list[str]]:
    rows = [
        retired_row(change.before, change.event)
        for change in changes
        if isinstance(change.event.data, Deleted)
    ]
    strays = [(row, DELETE_RETIRED.ask(connection, at_seq=row["seq"])) for row in rows]
    INSERT_RETIRED.ask_many(connection, rows)
    return lambda: [
        f"serial {row['serial_number']}: a row of retired stood in the way: seq {row['seq']}"
        for row, asked in strays
        if asked.count()
    ]


def mend_serial(connection: Connection, state: State) -> list[str]:
    """Set a certificate's row to what its state demands, without a change."""
    return _mend(connection, state, state)


def remove_stray(connection: Connection, row_id: int) -> list[str]:
    """Set a row that names no present certificate to what the log says of its id."""
    set_rows(connection, with_holders(connection, {row_id: row_by_log(connection, row_id)}))
    return [f"id {row_id}: the certificates table was edited: the row was not the log's"]
