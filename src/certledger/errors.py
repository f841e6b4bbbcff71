"""The errors of certledger.

::

    LedgerError
    ├── DuplicateSerial          a certificate with this serial number is already present
    ├── DuplicateUuid            another present certificate already has this uuid
    ├── UnknownSerial            no certificate with this serial number (or uuid) is present
    ├── IllegalTransition        the lifecycle does not allow this change now
    ├── ConcurrencyConflict      the stream is not at the expected version
    ├── CommandIdReused          the command id was used before for another command
    ├── InvalidCertificate       the input is no certificate that the registry can record
    ├── InvalidValue             an argument breaks a documented rule
    │   └── InvalidEvent         an event or the bytes of an entry break the event format
    │       └── EntryTooLarge    the entry would be longer than 65,535 bytes
    ├── UnknownEventType         the log holds an event type that this version does not know
    ├── ClockBehindLog           the clock is far behind the last entry of the log
    ├── CrlDisagreement          strict CRL: the table contradicts the log
    ├── ImportRejected           a file to be read in breaks its format, at a line
    ├── CopyRefused              the target of a copy holds something else than a part of it
    ├── NoCheckpoint             no stored checkpoint covers what a proof is wanted of
    ├── SigningRefused           the log is not a continuation of what was signed before
    ├── KeyRefused               a key file is open to others, damaged, or wants a passphrase
    ├── EvidenceError            a proof, checkpoint, tile or policy does not hold
    │   ├── MalformedEvidence    its bytes, or values for them, break the format
    │   └── EvidenceRefused      it is well formed but does not verify
    └── StorageError             the database, not the request, is the problem
        ├── NotARegistry         the database is not a certledger registry
        ├── FormatTooNew         the registry was written by a newer version
        ├── UpgradeNeeded        the tables are those of an older version
        ├── IncompleteCopy       the registry is a copy that was not finished
        ├── ReadOnlyRegistry     the registry cannot be written
        ├── BrokenTable          a table of the read model is not built as it must be
        ├── ConstraintFailed     a constraint of the database refused the change
        ├── LogCorrupt           what the log holds contradicts itself
        ├── UnreadableValue      a table holds a value that no registry writes
        └── StorageUnavailable   the database did not answer, or kept refusing

Catch `LedgerError` to handle them all::

    try:
        ledger.revoke(serial, reason="keyCompromise")
    except LedgerError as error:
        print(f"not revoked: {error}")
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


class LedgerError(Exception):
    """Every error that certledger raises on purpose."""


class DuplicateSerial(LedgerError):
    """A certificate with this serial number is already present."""

    def __init__(self, serial: int, *, same_certificate: bool, present: str, refused: str) -> None:
        self.serial = serial
        self.same_certificate = same_certificate
        if same_certificate:
            text = f"serial {serial} is already registered with this very certificate"
        else:
            text = (
                f"serial {serial} is held by another certificate: present {present}, "
                f"refused {refused}; serial numbers are unique per issuer only, "
                "so keep one registry for each CA"
            )
        super().__init__(text)


class DuplicateUuid(LedgerError):
    """Another present certificate already has this uuid."""

    def __init__(self, uuid: str, serial: int) -> None:
        self.uuid = uuid
        self.serial = serial
        super().__init__(
            f"uuid {uuid!r} belongs to the certificate with serial {serial}; "
            "delete that one first or choose another uuid"
        )


class UnknownSerial(LedgerError):
    """No certificate with this serial number (or uuid) is present."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not in the registry")


class IllegalTransition(LedgerError):
    """The lifecycle does not allow this change in the certificate's present state."""

    def __init__(self, serial: int | str, state: str, change: str, why: str = "") -> None:
        self.serial = serial
        self.state = state
        self.change = change
        text = f"serial {serial} is {state}: it cannot be {change}"
        super().__init__(f"{text}; {why}" if why else text)


class ConcurrencyConflict(LedgerError):
    """Somebody else appended to the stream since it was read."""

    def __init__(self, subject: str, expected: int, actual: int) -> None:
        self.subject = subject
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"stream {subject}: expected version {expected}, actual version {actual}; "
            "read the stream again and decide anew"
        )


class CommandIdReused(LedgerError):
    """The command id was used before for another type, subject or data."""

    def __init__(self, command_id: str, seq: int, what: str) -> None:
        self.command_id = command_id
        self.seq = seq
        super().__init__(
            f"command id {command_id!r} was used for entry {seq} with another {what}; "
            "use a new id for a new command"
        )


class InvalidCertificate(LedgerError):
    """The input is no certificate that the registry can record."""


class InvalidValue(LedgerError, ValueError):
    """An argument breaks a documented rule."""


class InvalidEvent(InvalidValue):
    """An event, or the bytes of an entry, break the event format."""


class EntryTooLarge(InvalidEvent):
    """The entry would be longer than a tlog-tiles bundle can hold (65,535 bytes)."""

    def __init__(self, size: int, limit: int) -> None:
        self.size = size
        self.limit = limit
        super().__init__(f"the entry has {size} bytes; at most {limit} can be recorded")


class UnknownEventType(LedgerError):
    """The log holds an event type that this version of the library does not know."""

    def __init__(self, seq: int | str, event_type: str) -> None:
        self.event_type = event_type
        super().__init__(
            f"entry {seq} has the type {event_type!r}, which this version does not know; "
            "upgrade certledger (reading and verifying the log still work)"
        )


class ClockBehindLog(LedgerError):
    """The clock is so far behind the last entry that appending would forge times."""

    def __init__(self, clock: datetime, head: datetime) -> None:
        self.clock = clock
        self.head = head
        super().__init__(
            f"the clock reads {clock:%Y-%m-%d %H:%M:%S}Z but the last entry was recorded at "
            f"{head:%Y-%m-%d %H:%M:%S}Z; set the clock, or, when the log's time is the wrong one, "
            "allow it (allow_clock_behind, on the command line --allow-clock-behind)"
        )


class CrlDisagreement(LedgerError):
    """A strict CRL was asked for and the table contradicts the log."""

    def __init__(self, serials: tuple[int, ...]) -> None:
        self.serials = serials
        named = ", ".join(str(serial) for serial in serials)
        super().__init__(
            f"the certificates table contradicts the log on serial {named}; no CRL was signed: "
            "see `certledger drift`, mend with `certledger rebuild`"
        )


class KeyRefused(LedgerError):
    """A key file cannot be made, or is open to others, damaged, or wants another passphrase."""


class EvidenceError(LedgerError):
    """A proof, a checkpoint, a tile or a policy does not hold."""


class MalformedEvidence(EvidenceError):
    """The bytes of a piece of evidence, or values for them, break its format."""


class EvidenceRefused(EvidenceError):
    """A piece of evidence is well formed but does not verify."""


class ImportRejected(LedgerError):
    """A file to be read in breaks its format or its rules; nothing of it was kept."""

    def __init__(self, file: object, line: int, why: str) -> None:
        self.file = str(file)
        self.line = line
        self.why = why
        super().__init__(f"{file}, line {line}: {why}")


class CopyRefused(LedgerError):
    """The target of a copy holds something else than a part of that copy, or is written to."""


class NoCheckpoint(LedgerError):
    """No stored checkpoint covers what a proof is wanted of: sign one first."""


class SigningRefused(LedgerError):
    """The log is not a continuation of what the key has signed before, so it signs no more."""


class StorageError(LedgerError):
    """The database, not the request, is the problem."""


class NotARegistry(StorageError):
    """The database is not a certledger registry, and is not made into one silently."""


class FormatTooNew(StorageError):
    """The registry was written by a newer version of certledger."""

    def __init__(self, what: str, found: object, known: object) -> None:
        super().__init__(
            f"the registry's {what} is {found}, this version of certledger knows {known}; "
            "upgrade certledger to open it"
        )


class UpgradeNeeded(StorageError):
    """The tables of the registry are those of an older version of certledger."""

    def __init__(self, database: object, found: str, known: str) -> None:
        self.found = found
        self.known = known
        super().__init__(
            f"the registry's schema is {found}, this version of certledger uses {known}; "
            f"upgrade the tables with `certledger --db '{database}' db upgrade`"
        )


class IncompleteCopy(StorageError):
    """The registry is the target of a `certledger copy` that was not finished."""

    def __init__(self, database: object, origin: str, present: int, wanted: int) -> None:
        self.origin = origin
        self.present = present
        self.wanted = wanted
        super().__init__(
            f"{database} is an unfinished copy of {origin}: {present} of {wanted} entries are "
            f"there; finish it with `certledger copy SRC '{database}'`"
        )


class ReadOnlyRegistry(StorageError):
    """The registry can be read here but not written."""


class BrokenTable(StorageError):
    """A table of the read model is missing or not built as this version builds it."""

    def __init__(self, table: str, faults: list[str]) -> None:
        self.table = table
        self.faults = tuple(faults)
        super().__init__(
            f"the table {table} is not built as it must be: {'; '.join(faults)}; "
            "make it anew from the log with `certledger rebuild --recreate`"
        )


class ConstraintFailed(StorageError):
    """A constraint of the database, such as a foreign key of the caller's, refused the change."""


class LogCorrupt(StorageError):
    """What the log holds contradicts itself: run `certledger verify`."""

    def __init__(self, what: str, seq: int | None = None) -> None:
        self.seq = seq
        place = "" if seq is None else f"entry {seq}: "
        super().__init__(f"{place}{what}; run `certledger verify` to see all of the damage")


class UnreadableValue(StorageError):
    """A table holds a value that no registry writes, so somebody edited it."""

    def __init__(self, why: str, row: Sequence[object] = ()) -> None:
        self.row = row
        super().__init__(
            f"a stored value cannot be read: {why}; see `certledger verify`, and mend the "
            "certificates table with `certledger rebuild`"
        )


class StorageUnavailable(StorageError):
    """The database did not answer, or kept refusing, until the time was up."""

    def __init__(self, why: str, *, attempts: int = 1, seconds: float = 0.0) -> None:
        self.attempts = attempts
        self.seconds = seconds
        text = why if attempts <= 1 else f"{why} (after {attempts} attempts in {seconds:.1f} s)"
        super().__init__(text)
