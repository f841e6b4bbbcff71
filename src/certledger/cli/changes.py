"""The commands that change the registry: init, register, revoke, expire, delete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice

import click

from certledger import Ledger
from certledger.bulk import Outcome, Registration
from certledger.cli.certfiles import Found, Item, Refused, Skipped, files_of, read_file
from certledger.cli.failures import FAILED, Failure, describe
from certledger.cli.params import KEY_TYPE, REASON, SERIAL, TIME, SerialCommand
from certledger.cli.session import Session, pass_session
from certledger.cli.terminal import Bar, Terminal
from certledger.cli.text import counted, moment, serial_text
from certledger.errors import InvalidEvent, InvalidValue, NotARegistry
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.event import Event, check_origin
from certledger.eventstore.events import Deleted, Issued, Revoked


def _origin(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        return value if value is None else check_origin(value)
    except InvalidEvent as error:
        raise click.BadParameter(str(error), ctx, param) from error


@click.command()
@click.option(
    "--origin",
    metavar="NAME",
    callback=_origin,
    help="The registry's name, part of every event.",
)
@pass_session
def init(session: Session, origin: str | None) -> None:
    """Make an empty registry.

    NAME is like ca.example.org/registry: no blanks, no plus sign. It can be given until the first
    event is recorded; without it the registry is named certledger.invalid/<UUID>. A registry that
    is already there stays as it is.
    """
    made = not _is_there(session)
    with session.ledger(create=True, origin=origin) as ledger:
        head = ledger.head()
        what = "made the registry" if made else "the registry is already there:"
        entries = "" if made else f", {counted(head.size, 'entry', 'entries')}"
        session.terminal.say(f"{what} {ledger.url}, origin {head.origin}{entries}")


def _is_there(session: Session) -> bool:
    try:
        with session.ledger():
            return True
    except NotARegistry:
        # Nothing, or something else: which of them, making the registry will tell.
        return False


@click.command()
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, allow_dash=True),
)
@click.option(
    "--key-type",
    type=KEY_TYPE,
    default=CertType.DEVICE.value,
    show_default=True,
    help="What the certificates are for: user, service, device, internal or ca.",
)
@click.option(
    "--uuid", metavar="U", help="The folder of the certificate's files; one certificate only."
)
@pass_session
def register(
    session: Session, files: tuple[str, ...], key_type: CertType, uuid: str | None
) -> None:
    """Register the certificates of files and folders.

    Files are PEM with one or many certificates, or DER; folders are read with all that is below
    them; - is standard input. Makes the registry where there is none. Private keys are skipped
    with a warning. Exits with 1 when a certificate was refused or none was found; one that is
    registered already is no refusal.
    """
    tally = Tally(session.terminal)
    with session.terminal.bar("registering") as bar:
        found = files_of(files)
        # A bar counts files; certificates where there is one file, whose number nobody knows.
        items = _read_all(found, bar if len(found) > 1 else None)
        if uuid is not None:
            items = _only_one(items)
        with session.ledger(create=True) as ledger:
            for outcome in ledger.issue_many(tally.registrations(items, key_type, uuid)):
                tally.count(outcome)
                if len(found) == 1:
                    bar(tally.read, None)
    _sum_up(session.terminal, tally, uuid)


def _read_all(files: Sequence[tuple[str, bool]], bar: Bar | None) -> Iterator[Item]:
    for done, (path, named) in enumerate(files):
        if bar is not None:
            bar(done, len(files))
        yield from read_file(path, named=named)


def _only_one(items: Iterator[Item]) -> Iterator[Item]:
    """Check that there is no second certificate, before anything is done."""
    ahead: list[Item] = []
    found = (item for item in _kept(items, ahead) if isinstance(item, Found))
    if len(list(islice(found, 2))) > 1:
        message = (
            "--uuid belongs to one certificate, and there are several in what was given: "
            "register each by itself"
        )
        raise click.UsageError(message)
    return chain(ahead, items)


def _kept(items: Iterator[Item], ahead: list[Item]) -> Iterator[Item]:
    for item in items:
        ahead.append(item)
        yield item


@dataclass
class Tally:
    """What became of what was read."""

    terminal: Terminal
    registered: int = 0
    already_there: int = 0
    refused: int = 0
    last: Event | None = None
    wrong_value: InvalidValue | None = None

    def registrations(
        self, items: Iterable[Item], key_type: CertType, uuid: str | None
    ) -> Iterator[Registration]:
        """Pass certificates on; tell of all else."""
        for item in items:
            match item:
                case Found(source, certificate):
                    yield Registration(certificate, source, key_type, uuid)
                case Refused(source, reason):
                    self.refuse(source, reason)
                case Skipped(source, reason):
                    self.terminal.warn(f"skipped {source}: {reason}")

    def count(self, outcome: Outcome) -> None:
        """Take note of an outcome; tell of a refusal."""
        if outcome.event is not None:
            self.registered += 1
            self.last = outcome.event
        elif outcome.already_there:
            self.already_there += 1
        elif outcome.error is not None:
            self.refuse(outcome.source, describe(outcome.error))
            if isinstance(outcome.error, InvalidValue) and not isinstance(
                outcome.error, InvalidEvent
            ):
                self.wrong_value = outcome.error

    def refuse(self, source: str, reason: str) -> None:
        """Tell of a refusal."""
        self.refused += 1
        self.terminal.refused(f"{source}: {reason}")

    @property
    def read(self) -> int:
        """How many certificates there were, good or bad."""
        return self.registered + self.already_there + self.refused


def _sum_up(terminal: Terminal, tally: Tally, uuid: str | None) -> None:
    if tally.last is not None and tally.registered == 1 and isinstance(tally.last.data, Issued):
        data = tally.last.data
        terminal.say(f"registered {serial_text(data.serial)} {data.common_name}".rstrip())
    terminal.say(
        f"read {tally.read:,}: {tally.registered:,} registered, "
        f"{tally.already_there:,} already there, {tally.refused:,} refused"
    )
    if tally.wrong_value is not None and uuid is not None:
        raise click.BadParameter(str(tally.wrong_value), param_hint="'--uuid'")
    if not tally.read:
        message = "no certificate was found in what was given"
        raise Failure(message)
    if tally.refused:
        click.get_current_context().exit(FAILED)


@click.command(cls=SerialCommand)
@click.argument("serial", type=SERIAL)
@click.option(
    "--reason",
    type=REASON,
    metavar="R",
    default="unspecified",
    show_default=True,
    help="A reason of RFC 5280 by name or code, like keyCompromise or 4.",
)
@click.option(
    "--at",
    type=TIME,
    metavar="TIME",
    help="When it takes effect, not in the future.  [default: now]",
)
@click.option("--requested-at", type=TIME, metavar="TIME", help="When it was asked for.")
@click.option(
    "--invalidity-date", type=TIME, metavar="TIME", help="Since when the key is doubtful."
)
@pass_session
def revoke(
    session: Session,
    serial: int,
    reason: str,
    at: datetime | None,
    requested_at: datetime | None,
    invalidity_date: datetime | None,
) -> None:
    """Revoke the valid certificate SERIAL.

    SERIAL is decimal, or hex as 0x1f or 0a:1f. TIME is RFC 3339 or a date, UTC where no offset is
    given. A time in the future is wrong usage (exit code 2).
    """
    with session.ledger() as ledger:
        event = ledger.revoke(
            serial,
            reason,
            revocation_date=at,
            requested_at=requested_at,
            invalidity_date=invalidity_date,
        )
    if isinstance(event.data, Revoked):
        session.terminal.say(
            f"revoked {serial_text(serial)}: {event.data.reason}, "
            f"effective {moment(event.data.revocation_date)}"
        )


@click.command()
@pass_session
def expire(session: Session) -> None:
    """Mark as expired what is past its end."""
    with session.ledger() as ledger, session.terminal.bar("expiring") as bar:
        count = ledger.expire_due(progress=lambda done: bar(done, None))
    session.terminal.say(f"expired {counted(count, 'certificate')}")


@click.command()
@click.argument("uuid", required=False)
@click.option("--serial", type=SERIAL, help="Name the certificate by its serial number instead.")
@pass_session
def delete(session: Session, uuid: str | None, serial: int | None) -> None:
    """Remove a certificate from the table.

    It is named by its UUID, or with --serial. Its history stays in the log, and so does a
    revocation: it goes on being on CRLs.
    """
    if (uuid is None) == (serial is None):
        message = "name the certificate by its UUID or by --serial, by exactly one of them"
        raise click.UsageError(message)
    with session.ledger() as ledger:
        event = _delete(ledger, uuid, serial)
    if isinstance(event.data, Deleted):
        label = f" (uuid {event.data.uuid})" if event.data.uuid else ""
        session.terminal.say(
            f"deleted {serial_text(event.data.serial)}{label}; its history stays in the log"
        )


def _delete(ledger: Ledger, uuid: str | None, serial: int | None) -> Event:
    return ledger.delete(uuid=uuid) if serial is None else ledger.delete(serial)
