"""Certificate revocation lists (RFC 5280 §5): built from the log, signed, recorded in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from certledger.crl_issuer import Issuer
from certledger.errors import (
    ConcurrencyConflict,
    CrlDisagreement,
    InvalidCertificate,
    InvalidValue,
    LogCorrupt,
)
from certledger.eventstore.actor import Actor
from certledger.eventstore.append import REFUSED_AFTER, NewEvent, Tail
from certledger.eventstore.database import Database
from certledger.eventstore.event import Event
from certledger.eventstore.events import CrlPublished
from certledger.eventstore.head import read_head
from certledger.eventstore.reasons import UNSPECIFIED, reason_flag
from certledger.eventstore.times import aware_utc, naive_utc
from certledger.projections.crl_entries import (
    CrlEntry,
    entry_of,
    is_listed,
    read_life,
    read_published,
    revoked_lives,
)
from certledger.projections.crl_tables import called_revoked, disagreeing_serials
from certledger.unit_of_work import Context, recorded_before

MAX_NUMBER: Final = 2**159 - 1
"""The largest CRL number of 20 octets (RFC 5280 §5.2.3)."""

TRIES: Final = 20
"""How often a CRL is built again because somebody else published one meanwhile."""


@dataclass(frozen=True, slots=True)
class CrlContent:
    """What a CRL is to say, and what of the log it was read from."""

    entries: tuple[CrlEntry, ...]
    """By revocation date, then serial."""
    number: int
    this_update: datetime
    stream_version: int
    """How many CRLs this key had signed before."""
    log_size: int
    disagreeing: tuple[int, ...]
    """Serials on which the tables contradict the log."""


@dataclass(frozen=True, slots=True)
class SignedCrl:
    """A CRL, and the event that records it."""

    crl: x509.CertificateRevocationList
    event: Event
    disagreeing: tuple[int, ...]
    """Serials on which the tables contradict the log, which was signed."""


def publish_crl(
    database: Database,
    context: Context,
    issuer: Issuer,
    actor: Actor,
    *,
    days: int,
    number: int | None = None,
    strict: bool = False,
) -> SignedCrl:
    """Build a CRL from the log, sign it, and record it.

    Raises `InvalidValue` for a number that is not greater than the last, or a bad `days`;
    `CrlDisagreement` when `strict` and the tables contradict the log; then nothing is recorded.
    """
    tries = TRIES
    while True:
        tries -= 1
        # Read before the snapshot: what is not on this CRL was recorded after its thisUpdate.
        now = context.clock()
        content = database.read(lambda c, at=now: crl_content(c, issuer, at, number))  # type: ignore[misc] # the default binds the loop's value
        if strict and content.disagreeing:
            raise CrlDisagreement(content.disagreeing)
        crl = sign_crl(issuer, content, next_update(content.this_update, days))
        data = published_data(issuer, content, crl, actor.comment)
        new = NewEvent(issuer.subject, data, actor, context.new_id())
        try:
            event = _record(database, context, new, content.stream_version)
        except ConcurrencyConflict:
            if not tries:
                raise
        else:
            return SignedCrl(crl, event, content.disagreeing)


def _record(database: Database, context: Context, new: NewEvent, expected_version: int) -> Event:
    def work(connection: Connection, retrying: bool) -> Event:
        tail = Tail(connection, context.clock, allow_clock_behind=context.allow_clock_behind)
        found = recorded_before(connection, new.id) if retrying else None
        if found is not None:
            return found
        (event,) = tail.append([new], expected_version=expected_version)
        tail.flush()
        return event

    return database.write(work)


def crl_content(
    connection: Connection, issuer: Issuer, now: datetime, number: int | None = None
) -> CrlContent:
    """Read what the CA's next CRL is to say, in the caller's one snapshot.

    `number` is the CRL's; None for the last one + 1. Raises `InvalidValue` where it is not
    greater than the last, `LogCorrupt` where the log cannot be trusted.
    """
    second = aware_utc(naive_utc(now)).replace(microsecond=0)
    newest, covering = _last_published(connection, issuer)
    last = None if newest is None else _data(newest)
    this_update = _this_update(second, last)
    lives = revoked_lives(connection, issuer.issued)
    called = called_revoked(connection)
    for serial in called.serials - lives.keys():
        # The table only proposes: what the log says of them decides.
        lives[serial] = read_life(connection, serial, issuer.issued)
    listed = [life for life in lives.values() if is_listed(life, second, covering)]
    entries = [entry_of(life, life.revoked, this_update) for life in listed if life.revoked]
    return CrlContent(
        entries=tuple(sorted(entries, key=lambda entry: (entry.revocation_date, entry.serial))),
        number=_next_number(0 if last is None else int(last.number), number),
        this_update=this_update,
        stream_version=0 if newest is None else newest.streamversion + 1,
        log_size=read_head(connection).size,
        disagreeing=disagreeing_serials(connection, listed, called, lives),
    )


def _last_published(
    connection: Connection, issuer: Issuer
) -> tuple[Event | None, CrlPublished | None]:
    """Return the last CRL of the key, and the last one that bore the CA's present name.

    Only the second has listed certificates with that issuer.
    """
    newest: Event | None = None
    for event in read_published(connection, issuer.subject):
        newest = newest or event
        data = _data(event)
        if data.issuer == issuer.name:
            return newest, data
    return newest, None


def _data(event: Event) -> CrlPublished:
    if not isinstance(event.data, CrlPublished):
        message = f"{event.type} in a stream of CRLs"
        raise LogCorrupt(message, event.seq)
    return event.data


def _this_update(now: datetime, last: CrlPublished | None) -> datetime:
    """Return the date of the CRL: the clock's, but not before the last CRL's.

    Software that holds several CRLs takes the one with the latest thisUpdate. Where the last one
    is so far ahead that the log refuses to go on without being told that its time is wrong, the
    clock is right: nobody would accept a CRL from the future.
    """
    if last is None or last.this_update - now > REFUSED_AFTER:
        return now
    return max(now, last.this_update)


def _next_number(last: int, wanted: int | None) -> int:
    number = last + 1 if wanted is None else wanted
    if number <= last:
        message = f"CRL number {number}: must be greater than the last one, {last}"
        raise InvalidValue(message)
    if number > MAX_NUMBER:
        message = f"CRL number {number}: at most {MAX_NUMBER} fits into 20 octets"
        raise InvalidValue(message)
    return number


def next_update(this_update: datetime, days: int) -> datetime:
    """Return when the next CRL is due at the latest.

    Raises `InvalidValue` for less than a day or an instant past the year 9999.
    """
    if days < 1:
        message = f"days {days}: a CRL is valid for at least 1 day"
        raise InvalidValue(message)
    try:
        return this_update + timedelta(days=days)
    except OverflowError as error:
        message = f"days {days}: the next update would be past the year 9999"
        raise InvalidValue(message) from error


def sign_crl(issuer: Issuer, content: CrlContent, due: datetime) -> x509.CertificateRevocationList:
    """Sign a CRL (version 2, RFC 5280 §5.1 and §5.2); `due` is its nextUpdate.

    Raises `InvalidCertificate` for a negative serial number, which `cryptography` cannot list.
    """
    extensions = [
        _extension(_authority_key_identifier(issuer)),
        _extension(x509.CRLNumber(content.number)),
    ]
    # By the constructor: `add_revoked_certificate` copies the list for every entry.
    builder = x509.CertificateRevocationListBuilder(
        issuer.certificate.subject,
        naive_utc(content.this_update),
        naive_utc(due),
        extensions,
        [_revoked_certificate(entry) for entry in content.entries],
    )
    return builder.sign(issuer.key, issuer.hash_algorithm)


def _revoked_certificate(entry: CrlEntry) -> x509.RevokedCertificate:
    if entry.serial < 0:
        message = (
            f"serial {entry.serial}: it is revoked, but no CRL can list a negative serial number "
            "here; no CRL was signed, as one without it would call it good"
        )
        raise InvalidCertificate(message)
    extensions: list[x509.Extension[x509.ExtensionType]] = []
    if entry.reason_code != UNSPECIFIED:
        # RFC 5280 §5.3.1: absent instead of unspecified.
        extensions.append(_extension(x509.CRLReason(reason_flag(entry.reason_code))))
    if entry.invalidity_date is not None:
        extensions.append(_extension(x509.InvalidityDate(naive_utc(entry.invalidity_date))))
    # By the constructor: the setters refuse 0 and 160 bits, which some CAs have issued.
    return x509.RevokedCertificateBuilder(
        entry.serial, naive_utc(entry.revocation_date), extensions
    ).build()


def _extension(value: x509.ExtensionType) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical=False, value=value)


def _authority_key_identifier(issuer: Issuer) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier(bytes.fromhex(issuer.key_id), None, None)


def published_data(
    issuer: Issuer,
    content: CrlContent,
    crl: x509.CertificateRevocationList,
    comment: str | None = None,
) -> CrlPublished:
    """Return what the log records of a signed CRL."""
    return CrlPublished(
        number=str(content.number),
        this_update=crl.last_update_utc,
        next_update=crl.next_update_utc or content.this_update,
        sha256=hashlib.sha256(crl.public_bytes(Encoding.DER)).hexdigest(),
        entries=len(content.entries),
        log_size=content.log_size,
        issuer=issuer.name,
        comment=comment,
    )


__all__ = ["CrlContent", "Issuer", "SignedCrl", "crl_content", "publish_crl", "sign_crl"]
