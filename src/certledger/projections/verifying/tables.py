"""Holding the tables of the read model against the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, func, select

from certledger.errors import BrokenTable, LogCorrupt, UnknownEventType
from certledger.projections.differences import CERTIFICATE_ROWS, PAIRS, Difference
from certledger.projections.page import Change
from certledger.projections.progress import Progress
from certledger.projections.scratch import Scratch
from certledger.projections.scratch_tables import scratch_certificates
from certledger.projections.structure import check_structure
from certledger.projections.verifying.entry import CheckedEntry
from certledger.projections.verifying.finding import Finding, serial_in
from certledger.projections.verifying.stored import shown, told
from certledger.projections.walk import walk


class TablesCheck:
    """Replays the entries as they are checked, and then compares the tables with the outcome."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._stopped: Finding | None = None
        """Why the tables cannot be compared."""

    def begin(self) -> None:
        """See, in a transaction, whether the tables can be compared at all."""
        try:
            check_structure(self._scratch.registry, tuple(pair.table for pair in PAIRS))
        except BrokenTable as error:
            self._stopped = Finding("finding", "structure", None, told(error))

    def add(self, entries: Sequence[CheckedEntry]) -> None:
        """Replay the next entries, in a transaction."""
        if self._stopped is not None:
            return
        try:
            self._scratch.take(map(_change, entries))
        except (LogCorrupt, UnknownEventType) as error:
            self._stopped = _not_comparable(error)

    def differences(self, progress: Progress) -> Iterator[Finding]:
        """Report every row that is not what the log demands."""
        if self._stopped is None:
            try:
                with self._scratch.transaction():
                    twice = list(_shared_uuids(self._scratch.connection))
                yield from twice
                for _, _, _, differences in walk(self._scratch, progress):
                    yield from map(_drifted, differences)
            except (LogCorrupt, UnknownEventType) as error:
                self._stopped = _not_comparable(error)
        if self._stopped is not None:
            yield self._stopped


def _change(entry: CheckedEntry) -> Change:
    if entry.change is None:
        message = "its bytes and its columns contradict each other, or cannot be read"
        raise LogCorrupt(message, entry.seq)
    return Change(*entry.change)


def _not_comparable(error: LogCorrupt | UnknownEventType) -> Finding:
    message = f"the tables cannot be compared with the log: {told(error)}"
    if isinstance(error, UnknownEventType):
        return Finding("note", "drift", None, message)
    return Finding("finding", "drift", error.seq, message)


def _shared_uuids(connection: Connection) -> Iterator[Finding]:
    rows = scratch_certificates.c
    last = (
        select(func.max(rows.id).label("id"))
        .where(rows.uuid.is_not(None))
        .group_by(rows.uuid)
        .having(func.count() > 1)
    )
    ids = [row_id for (row_id,) in connection.execute(last)]
    shared = (
        select(rows.uuid, rows.id, rows.serial_number).where(rows.id.in_(ids)).order_by(rows.id)
    )
    for name, row_id, serial in connection.execute(shared):
        message = f"the uuid {shown(name)} belongs to several present certificates"
        yield Finding("finding", "lifecycle", row_id - 1, message, int(serial))


def _drifted(difference: Difference) -> Finding:
    table = difference.table
    row = f"{table}, row {difference.key}, serial {shown(difference.serial_number)}"
    seq = difference.key - 1 if table == CERTIFICATE_ROWS.table.name else difference.key
    # Of a changed row it is the log's, of an unexpected one what the row says.
    serial = serial_in(f"certificate/{difference.serial_number}")
    seq_or_none = seq if difference.kind != "unexpected" else None
    if difference.kind == "missing":
        message = f"{row}: the log has it, the table has not"
    elif difference.kind == "unexpected":
        message = f"{row}: the table has it, the log has not"
    else:
        columns = "; ".join(
            f"{name} is {shown(found)}, by the log {shown(wanted)}"
            for name, (found, wanted) in difference.columns.items()
        )
        message = f"{row}: {columns}"
    return Finding("finding", "drift", seq_or_none, message, serial)
