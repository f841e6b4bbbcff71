"""The commands that show: list, show, expiring, history, log, status."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice

import click
from rich.text import Text

from certledger import __version__
from certledger.cli import records, words
from certledger.cli.output import format_option, write, write_object
from certledger.cli.params import KEY_TYPE, SEQ_OR_TIME, SERIAL, SerialCommand
from certledger.cli.session import Session, pass_session
from certledger.cli.terminal import Terminal
from certledger.cli.text import counted, iso, moment, safe, safe_lines, serial_text
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.event import Event
from certledger.ledger import Status
from certledger.projections.models import CertificateRecord
from certledger.projections.status import CertificateStatus

_STATUSES = [status.value for status in CertificateStatus if status != CertificateStatus.UNKNOWN]
_MANY = 2**62


@click.command("list")
@click.option("--status", type=click.Choice(_STATUSES, case_sensitive=False), help="Only these.")
@click.option(
    "--key-type",
    type=KEY_TYPE,
    metavar="TYPE",
    help="Only these: user, service, device, internal or ca.",
)
@click.option(
    "--limit",
    type=click.IntRange(0, _MANY),
    metavar="N",
    default=100,
    show_default=True,
    help="At most so many; 0 is all.",
)
@click.option(
    "--offset", type=click.IntRange(0, _MANY), metavar="N", default=0, help="Leave out the first N."
)
@format_option()
@pass_session
def list_(
    session: Session,
    status: str | None,
    key_type: CertType | None,
    limit: int,
    offset: int,
    form: str,
) -> None:
    """List certificates, newest first."""
    with session.ledger() as ledger:
        found: Iterable[CertificateRecord]
        if limit:
            found = ledger.list(status=status, key_type=key_type, limit=limit, offset=offset)
        else:
            found = islice(ledger.each(status=status, key_type=key_type), offset, None)
        shown = write(records.listing("no certificates"), found, form, session.terminal)
        if limit and shown == limit:
            _tell_of_more(
                session.terminal, offset + limit, ledger.count(status=status, key_type=key_type)
            )


def _tell_of_more(terminal: Terminal, shown: int, total: int) -> None:
    if total > shown:
        terminal.note(f"{total - shown:,} more of {total:,}; --limit 0 shows all")


@click.command(cls=SerialCommand)
@click.argument("serial", type=SERIAL)
@click.option("--pem", is_flag=True, help="Print the certificate in PEM and nothing else.")
@format_option("table", "json")
@pass_session
def show(session: Session, serial: int, pem: bool, form: str) -> None:
    """Show one certificate.

    SERIAL is decimal, or hex as 0x1f or 0a:1f.
    """
    with session.ledger() as ledger:
        record = ledger.get(serial)
    if pem:
        sys.stdout.write(safe_lines(record.certificate_pem) + "\n")
    elif form == "json":
        write_object(records.full_fields(record))
    else:
        _print_pairs(session.terminal, records.details(record))


def _print_pairs(terminal: Terminal, pairs: Iterable[tuple[str, str]]) -> None:
    for label, value in pairs:
        style = records.STATUS_STYLES.get(value, "") if label == "status" else ""
        line = Text.assemble((f"{label:<14}", "dim"), (safe(value), style))
        terminal.out.print(line, soft_wrap=True)


@click.command()
@click.option(
    "--days",
    type=click.IntRange(min=0),
    metavar="N",
    default=30,
    show_default=True,
    help="Within so many days.",
)
@format_option()
@pass_session
def expiring(session: Session, days: int, form: str) -> None:
    """List the valid certificates that end soon.

    Soonest first; those that have ended already are not among them.
    """
    with session.ledger() as ledger:
        found = ledger.expiring(days)
    empty = f"no valid certificate ends within {counted(days, 'day')}"
    write(records.listing(empty), found, form, session.terminal)


@click.command(cls=SerialCommand)
@click.argument("serial", type=SERIAL)
@format_option()
@pass_session
def history(session: Session, serial: int, form: str) -> None:
    """Tell who did what to a certificate, when, why.

    Deleted ones have a history too. SERIAL is decimal, or hex as 0x1f or 0a:1f.
    """
    with session.ledger() as ledger:
        events = ledger.history(serial)
    if form == "table":
        session.terminal.say(f"history of {serial_text(serial)}, times in UTC", "bold")
    write(words.HISTORY, events, form, session.terminal)


@click.command()
@click.option("--since", type=SEQ_OR_TIME, metavar="SEQ|TIME", help="From this entry or moment on.")
@click.option("--until", type=SEQ_OR_TIME, metavar="SEQ|TIME", help="Up to and without this one.")
@click.option(
    "--type",
    "kind",
    metavar="T",
    help="Only issued, revoked, expired, deleted or crl, or a full event type.",
)
@click.option("--actor", metavar="WHO", help="Only what WHO did.")
@click.option(
    "--limit",
    type=click.IntRange(0, _MANY),
    metavar="N",
    default=0,
    help="At most so many; 0, the default, is all.",
)
@click.option("--reverse", is_flag=True, help="Newest first.")
@format_option()
@pass_session
def log(
    session: Session,
    since: int | datetime | None,
    until: int | datetime | None,
    kind: str | None,
    actor: str | None,
    limit: int,
    reverse: bool,
    form: str,
) -> None:
    """List the entries of the log.

    Digits alone are a position in the log (the first is 0); times are when an entry was recorded.
    """
    with session.ledger() as ledger:
        events = _Cut(
            ledger.events(
                since=since,
                until=until,
                type=kind,
                actor=actor,
                limit=limit + 1 if limit else None,
                reverse=reverse,
            ),
            limit,
        )
        write(words.LOG, events, form, session.terminal)
    if events.more:
        session.terminal.note(f"there are more than these {limit:,}; --limit 0 shows all")


class _Cut(Iterable[Event]):
    """The first `limit` events (0: all), and whether there are more."""

    def __init__(self, events: Iterator[Event], limit: int) -> None:
        self._events = events
        self._limit = limit
        self.more = False

    def __iter__(self) -> Iterator[Event]:
        for number, event in enumerate(self._events):
            if self._limit and number == self._limit:
                self.more = True
                return
            yield event


@click.command()
@format_option("table", "json")
@pass_session
def status(session: Session, form: str) -> None:
    """Show the registry at a glance.

    Counts, the log's head, size, versions, and settings that weaken durability.
    """
    with session.ledger() as ledger:
        found = ledger.status()
    if form == "json":
        write_object(_status_fields(found))
        return
    _print_pairs(session.terminal, _status_pairs(found))
    for warning in found.warnings:
        session.terminal.warn(warning)


def _status_fields(found: Status) -> dict[str, object]:
    head = found.head
    return {
        "url": found.url,
        "origin": head.origin,
        "created": iso(head.created),
        "log_size": head.size,
        "root_hash": head.root.hex(),
        "recorded_at": iso(head.recorded_at),
        "counts": found.counts,
        "retired": found.retired,
        "size_bytes": found.size_bytes,
        "versions": _versions(found),
        "warnings": found.warnings,
    }


def _versions(found: Status) -> dict[str, str]:
    return {"certledger": __version__, **found.versions}


def _status_pairs(found: Status) -> Iterator[tuple[str, str]]:
    head = found.head
    yield "registry", found.url
    yield "origin", head.origin
    yield "made", moment(head.created)
    yield "certificates", ", ".join(f"{found.counts.get(name, 0):,} {name}" for name in _STATUSES)
    yield "deletions", f"{found.retired:,}"
    yield "log", counted(head.size, "entry", "entries")
    yield "last entry", "none" if head.recorded_at is None else moment(head.recorded_at)
    yield "root hash", head.root.hex()
    if found.size_bytes is not None:
        yield "size", f"{found.size_bytes:,} bytes"
    yield "versions", ", ".join(f"{name} {value}" for name, value in _versions(found).items())
    yield "durability", "weakened, see the warnings" if found.warnings else "as promised"
