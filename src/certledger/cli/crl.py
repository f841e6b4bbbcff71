"""The command that signs a certificate revocation list: crl."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import click
from cryptography.hazmat.primitives.serialization import Encoding

from certledger.cli.cafiles import read_ca_certificate, read_ca_key
from certledger.cli.failures import TABLE_CONTRADICTS_LOG
from certledger.cli.outfile import replacing
from certledger.cli.session import Session, pass_session
from certledger.cli.terminal import Terminal
from certledger.cli.text import counted, moment, serial_text
from certledger.crl import SignedCrl
from certledger.eventstore.events import CrlPublished

_MOST_DAYS = 36_500
_existing = click.Path(exists=True, dir_okay=False)


@click.command()
@click.option("--ca-cert", metavar="F", type=_existing, required=True, help="The CA's certificate.")
@click.option("--ca-key", metavar="F", type=_existing, required=True, help="Its private key.")
@click.option(
    "--days",
    type=click.IntRange(1, _MOST_DAYS),
    metavar="N",
    default=7,
    show_default=True,
    help="Until the next update.",
)
@click.option(
    "--number",
    type=int,
    metavar="N",
    help="The CRL number, greater than the last one.  [default: the last one + 1]",
)
@click.option("--strict", is_flag=True, help="Sign nothing where the table contradicts the log.")
@click.option(
    "--der", is_flag=True, help="Write DER; so it is also where the name of -o ends in .der."
)
@click.option(
    "-o",
    "--output",
    metavar="F",
    type=click.Path(dir_okay=False),
    help="The file to write.  [default: standard output]",
)
@pass_session
def crl(
    session: Session,
    ca_cert: str,
    ca_key: str,
    days: int,
    number: int | None,
    strict: bool,
    der: bool,
    output: str | None,
) -> None:
    """Sign a certificate revocation list.

    It lists what the log says is revoked, and is written as PEM. The CA's files are PEM or DER.
    The passphrase of an encrypted key is asked for, or taken from the environment variable
    CERTLEDGER_CA_KEY_PASSPHRASE. The CRL is recorded in the log as published, then written; F is
    never half written. Where the certificates table contradicts the log, the log is signed, the
    serials are named and the exit code is 3; with --strict nothing is signed and it is 1.
    """
    der = der or (output or "").lower().endswith(".der")
    if der and output in {None, "-"} and sys.stdout.isatty():
        message = "DER is binary and no text for a terminal: give a file with -o"
        raise click.UsageError(message)
    certificate, key = read_ca_certificate(ca_cert), read_ca_key(ca_key)
    # The file is opened first: a CRL that cannot be written need not be signed and recorded.
    with session.ledger() as ledger, _opened(output) as stream:
        signed = ledger.crl(certificate, key, days=days, number=number, strict=strict)
        stream.write(signed.crl.public_bytes(Encoding.DER if der else Encoding.PEM))
    _report(session.terminal, signed, output)
    if signed.disagreeing:
        click.get_current_context().exit(TABLE_CONTRADICTS_LOG)


@contextmanager
def _opened(output: str | None) -> Iterator[BinaryIO]:
    if output is None or output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with replacing(output) as stream:
        yield stream


def _report(terminal: Terminal, signed: SignedCrl, output: str | None) -> None:
    if isinstance(signed.event.data, CrlPublished):
        data = signed.event.data
        entries = counted(data.entries, "entry", "entries")
        place = "" if output in {None, "-"} else f", written to {output}"
        terminal.note(
            f"CRL number {data.number} with {entries}, "
            f"next update {moment(data.next_update)}{place}"
        )
    if signed.disagreeing:
        serials = ", ".join(serial_text(serial) for serial in signed.disagreeing)
        terminal.warn(
            f"the certificates table contradicts the log on serial {serials}; the CRL says what "
            "the log says: see `certledger drift`, mend with `certledger rebuild`"
        )
