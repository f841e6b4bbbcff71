"""The command that puts the history of one certificate into a file for others: evidence."""

from __future__ import annotations

import click

from certledger.cli.outfile import write_whole
from certledger.cli.params import SERIAL, SerialCommand
from certledger.cli.session import Session, pass_session
from certledger.cli.text import serial_text
from certledger.exporters.evidence import export_evidence


@click.command(cls=SerialCommand)
@click.argument("serial", type=SERIAL)
@click.option(
    "-o",
    "--output",
    metavar="FILE.zip",
    type=click.Path(dir_okay=False),
    required=True,
    help="The file to write.",
)
@pass_session
def evidence(session: Session, serial: int, output: str) -> None:
    """Write all that the log has on one certificate, with proofs.

    FILE.zip is for somebody who trusts neither the registry nor certledger: the events byte for
    byte, their proofs, the certificate, the signed checkpoint, a summary for people, and a README
    that says how to check all of it with openssl and sha256sum. The last checkpoint must cover
    every event: sign one first, with `certledger checkpoint`.
    """
    with session.ledger() as ledger:
        data = export_evidence(ledger.database, serial)
    write_whole(output, data)
    name = "the archive" if output == "-" else output
    session.terminal.note(
        f"{name} holds what the log has on {serial_text(serial)}; give the registry's key line to "
        "whoever checks it in another way"
    )
