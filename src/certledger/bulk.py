"""Many changes at once: registering a stream of certificates, and the sweep of the expired.

Batches of 1,000 events, each one transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cryptography import x509
from sqlalchemy import Connection

from certledger.errors import (
    DuplicateSerial,
    IllegalTransition,
    LedgerError,
    StorageError,
    UnknownSerial,
)
from certledger.eventstore.actor import Actor
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.certificates import describe_certificate, load_certificate
from certledger.eventstore.database import Database
from certledger.eventstore.event import Event
from certledger.eventstore.events import Issued
from certledger.eventstore.lifecycle import Expire, Issue
from certledger.eventstore.times import naive_utc
from certledger.projections.projector import remove_stray
from certledger.projections.queries import Due, due
from certledger.projections.rows import row_by_log
from certledger.unit_of_work import Context, UnitOfWork, recorded_before

BATCH: Final = 1_000

Done = Callable[[int], None]
"""Called after each batch with how much is done."""

_DECIMAL = re.compile(r"0|-?[1-9][0-9]{0,49}")


@dataclass(frozen=True, slots=True)
class Registration:
    """A certificate to register, and where it comes from."""

    certificate: x509.Certificate | bytes | str
    source: str = ""
    """A file and place in it, for messages."""
    key_type: object = CertType.DEVICE
    uuid: object = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a registration: an event, or the error that refused it."""

    source: str
    event: Event | None = None
    error: LedgerError | None = None

    @property
    def already_there(self) -> bool:
        """Whether this very certificate was registered before."""
        return isinstance(self.error, DuplicateSerial) and self.error.same_certificate


@dataclass(frozen=True, slots=True)
class _Parsed:
    source: str
    data: Issued
    event_id: str


def issue_many(
    database: Database,
    context: Context,
    registrations: Iterable[Registration],
    actor: Actor,
    note: Callable[[list[str]], None],
    progress: Done | None = None,
) -> Iterator[Outcome]:
    """Register certificates and yield an outcome for each, in order, after its batch is durable.

    A refused certificate does not hold up the others. `note` is told what was mended in the
    table. Raises `StorageError`; what was yielded before stays registered.
    """
    total = 0
    source = iter(registrations)
    while batch := list(islice(source, BATCH)):
        parsed = [_parse(registration, context, actor) for registration in batch]
        outcomes, notes = database.write(
            lambda connection, retrying, p=parsed: _issue_batch(  # type: ignore[misc] # binds the loop's value
                connection, retrying, p, context, actor
            )
        )
        note(notes)
        total += len(batch)
        if progress is not None:
            progress(total)
        yield from outcomes


def _parse(registration: Registration, context: Context, actor: Actor) -> _Parsed | Outcome:
    """Do before the lock all that needs no lock."""
    try:
        data = describe_certificate(
            load_certificate(registration.certificate),
            key_type=registration.key_type,
            uuid=registration.uuid,
            comment=actor.comment,
        )
    except LedgerError as error:
        return Outcome(registration.source, error=error)
    return _Parsed(registration.source, data, context.new_id())


def _issue_batch(
    connection: Connection,
    retrying: bool,
    batch: Sequence[_Parsed | Outcome],
    context: Context,
    actor: Actor,
) -> tuple[list[Outcome], list[str]]:
    expected = [Issue(item.data) for item in batch if isinstance(item, _Parsed)]
    unit = UnitOfWork(connection, context, expected)
    outcomes = []
    for item in batch:
        if isinstance(item, Outcome):
            outcomes.append(item)
            continue
        event = recorded_before(connection, item.event_id) if retrying else None
        try:
            event = event or unit.execute(Issue(item.data), item.event_id, actor)
            outcomes.append(Outcome(item.source, event=event))
        except StorageError:
            raise
        except LedgerError as error:
            outcomes.append(Outcome(item.source, error=error))
    return outcomes, unit.finish()


def expire_due(
    database: Database,
    context: Context,
    actor: Actor,
    note: Callable[[list[str]], None],
    progress: Done | None = None,
) -> int:
    """Expire every valid certificate whose end is past; return how many there were.

    The table proposes, the log decides: where they contradict, the row is set to what the log
    says. Raises `StorageError`; what `progress` was told before stays done.
    """
    now = naive_utc(context.clock())
    after: Due | None = None
    total = 0
    while True:
        candidates = database.read(lambda connection, a=after: due(connection, now, a, BATCH))  # type: ignore[misc] # binds the loop's value
        if not candidates:
            return total
        after = candidates[-1]
        ids = [context.new_id() for _ in candidates]
        count, notes = database.write(
            lambda connection, retrying, c=candidates, i=ids: _expire_batch(  # type: ignore[misc] # binds the loop's values
                connection, retrying, c, i, context, actor
            )
        )
        total += count
        note(notes)
        if progress is not None:
            progress(total)


def _expire_batch(
    connection: Connection,
    retrying: bool,
    candidates: Sequence[Due],
    ids: Sequence[str],
    context: Context,
    actor: Actor,
) -> tuple[int, list[str]]:
    stated = map(_stated_serial, candidates)
    expected = [Expire(serial) for serial in stated if serial is not None]
    unit = UnitOfWork(connection, context, expected)
    strays: list[str] = []
    count = 0
    for candidate, event_id in zip(candidates, ids, strict=True):
        if retrying and recorded_before(connection, event_id) is not None:
            count += 1
            continue
        serial = _present_serial(unit, connection, candidate)
        if serial is None:
            strays += remove_stray(connection, candidate.id)
            continue
        try:
            unit.execute(Expire(serial, comment=actor.comment), event_id, actor)
            count += 1
        except (IllegalTransition, UnknownSerial):
            unit.mend(serial)
    return count, strays + unit.finish()


def _stated_serial(candidate: Due) -> int | None:
    text = candidate.serial_number
    return int(text) if isinstance(text, str) and _DECIMAL.fullmatch(text) else None


def _present_serial(unit: UnitOfWork, connection: Connection, candidate: Due) -> int | None:
    """Return the serial number of the present certificate that a row is of, by its own words or
    else by its id; None where there is none.
    """
    stated = _stated_serial(candidate)
    if stated is not None and unit.state(stated).present:
        return stated
    row = row_by_log(connection, candidate.id)
    return None if row is None else int(row["serial_number"])
