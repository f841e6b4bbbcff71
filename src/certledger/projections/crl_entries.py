"""Which certificates belong on a CA's CRL: told by the log alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from sqlalchemy import Connection

from certledger.errors import InvalidCertificate, LogCorrupt
from certledger.eventstore.certificates import load_certificate
from certledger.eventstore.event import Event
from certledger.eventstore.events import CrlPublished, Revoked
from certledger.eventstore.lifecycle import Phase, State, evolve, stream_of
from certledger.eventstore.reader import PAGE, LogQuery, read_page, read_stream

EARLIEST: Final = datetime(1950, 1, 1, tzinfo=UTC)
"""The first instant that a revocation date can name (RFC 5280 §5.1.2.6 by way of §4.1.2.5)."""

_FEW = 20

IssuedHere = Callable[[x509.Certificate], bool]
"""Tells whether a certificate is one of the CA's."""


@dataclass(frozen=True, slots=True)
class CrlEntry:
    """A revoked certificate as the CRL lists it (RFC 5280 §5.3); instants in whole seconds."""

    serial: int
    revocation_date: datetime
    reason_code: int
    invalidity_date: datetime | None


@dataclass(frozen=True, slots=True)
class Life:
    """What the log says of one serial number, as far as a CRL is concerned."""

    serial: int
    known: bool
    """Whether a certificate was ever registered under it."""
    of_issuer: bool
    """Whether the latest registration is a certificate of the CA."""
    phase: Phase
    not_valid_after: datetime
    revoked: Revoked | None
    """The revocation of the latest registration, also of a deleted one."""
    revoked_seq: int
    retired: frozenset[int]
    """The positions of all deletions of a certificate that was revoked."""
    positions: frozenset[int]


def read_life(connection: Connection, serial: int, issued_here: IssuedHere) -> Life:
    """Fold a serial's stream, the bytes of each entry held against their leaf hash.

    Raises `LogCorrupt`, or `UnknownEventType` where the stream cannot be understood.
    """
    state, revoked_seq = State(), -1
    retired, positions = set(), set()
    for event in read_stream(connection, stream_of(serial)):
        state = evolve(state, event)
        positions.add(event.seq)
        if state.phase is Phase.REVOKED:
            revoked_seq = event.seq
        if state.phase is Phase.DELETED and state.revoked is not None:
            retired.add(event.seq)
    issued = state.issued
    return Life(
        serial=serial,
        known=issued is not None,
        of_issuer=_is_of_issuer(state, issued_here),
        phase=state.phase,
        not_valid_after=EARLIEST if issued is None else issued.not_valid_after,
        revoked=state.revoked,
        revoked_seq=revoked_seq,
        retired=frozenset(retired),
        positions=frozenset(positions),
    )


def _is_of_issuer(state: State, issued_here: IssuedHere) -> bool:
    if state.issued is None:
        return False
    try:
        return issued_here(load_certificate(state.issued.certificate_pem))
    except InvalidCertificate as error:
        raise LogCorrupt(str(error), state.issued_seq) from error


def revoked_lives(connection: Connection, issued_here: IssuedHere) -> dict[int, Life]:
    """Return the lives of all serials that were ever revoked.

    The cost grows with the revocations of the log, not with its certificates. Raises
    `LogCorrupt`, also for a revocation that its stream lacks.
    """
    lives: dict[int, Life] = {}
    for event in _events(connection, LogQuery(type=Revoked.event_type)):
        if not isinstance(event.data, Revoked):
            message = f"its column says {Revoked.event_type}, its bytes say {event.type}"
            raise LogCorrupt(message, event.seq)
        serial = event.data.serial
        if serial not in lives:
            lives[serial] = read_life(connection, serial, issued_here)
        if event.seq not in lives[serial].positions:
            # A falsified look-up column would otherwise take the certificate off the CRL.
            message = f"it is not found in its stream, {event.subject}"
            raise LogCorrupt(message, event.seq)
    return lives


def read_published(connection: Connection, subject: str) -> Iterator[Event]:
    """Yield the events of a CRL stream, newest first, without reading more than is asked for."""
    query = LogQuery(type=CrlPublished.event_type, reverse=True)
    for event in _events(connection, query, page_size=_FEW):
        if event.subject == subject:
            yield event


def _events(connection: Connection, query: LogQuery, page_size: int = PAGE) -> Iterator[Event]:
    after: int | None = None
    while page := read_page(connection, query, after, page_size):
        for entry in page:
            yield entry.event()
        after = page[-1].seq


def is_listed(life: Life, now: datetime, last: CrlPublished | None) -> bool:
    """Tell whether a certificate belongs on the CRL that is made now, after the CRL `last`.

    A revoked one does while it is in its validity, and after that until it was on one CRL whose
    thisUpdate is past its end (RFC 5280 §3.3). `last` stands for all CRLs before it: they are
    older and were built from less of the log.
    """
    if life.revoked is None or not life.of_issuer:
        return False
    return (
        life.not_valid_after >= now
        or last is None
        or last.this_update <= life.not_valid_after
        or life.revoked_seq >= last.log_size
    )


def entry_of(life: Life, revoked: Revoked, this_update: datetime) -> CrlEntry:
    """Return the entry of a revoked certificate on a CRL issued at `this_update`.

    Its date is that of the revocation, within what can be told: not before 1950, where UTCTime
    begins, nor after the CRL itself, as when the clock was set back, for some software takes a
    certificate with a date to come for not yet revoked.
    """
    date = max(EARLIEST, min(revoked.revocation_date, this_update))
    invalidity = revoked.invalidity_date
    return CrlEntry(
        serial=life.serial,
        revocation_date=date.replace(microsecond=0),
        reason_code=revoked.reason_code,
        invalidity_date=invalidity and invalidity.replace(microsecond=0),
    )
