"""The commands that write the log out: export tiles, export events."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from certledger.cli.outfile import replacing
from certledger.cli.session import Session, pass_session
from certledger.cli.text import counted
from certledger.exporters.events import export_events
from certledger.exporters.tiles import export_tiles


@click.group()
def export() -> None:
    """Write the log out, for others to keep and to check."""


@export.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@pass_session
def tiles(session: Session, folder: Path) -> None:
    """Write the log as static files into DIR.

    The files are tiles, entry bundles and the last stored checkpoint in the form of C2SP
    tlog-tiles: any web server or object store can serve them. A second run writes only what is
    new. A folder that holds another log, or another history, is left as it is (exit code 1).
    """
    with session.ledger() as ledger, session.terminal.bar("exporting") as bar:
        done = export_tiles(ledger.database, folder, bar)
    session.terminal.say(
        f"{folder} holds {counted(done.size, 'entry', 'entries')}; "
        f"{counted(done.files, 'new file')}"
    )


@export.command()
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False))
@pass_session
def events(session: Session, file: str) -> None:
    """Write the entries of the log into FILE, one a line, byte for byte.

    FILE - is standard output. `certledger restore` makes an identical registry from it. Stored
    checkpoints are not in it.
    """
    with session.ledger() as ledger, session.terminal.bar("exporting") as bar:
        if file == "-":
            count = export_events(ledger.database, sys.stdout.buffer, bar)
            sys.stdout.buffer.flush()
        else:
            with replacing(file) as stream:
                count = export_events(ledger.database, stream, bar)
    session.terminal.note(f"wrote {counted(count, 'entry', 'entries')}")
