"""The command that makes a registry from the entries of a log: restore."""

from __future__ import annotations

from pathlib import Path

import click

from certledger.cli.session import Session, pass_session
from certledger.cli.text import counted
from certledger.cli.vkey import VKEY
from certledger.eventstore.tlog.checkpoint import Checkpoint, TrustedLog
from certledger.eventstore.tlog.keys import VerifierKey
from certledger.importers.restore import restore_events

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", metavar="FILE", type=_file)
@click.option("--checkpoint", type=_file, metavar="CP", help="A checkpoint that must be its root.")
@click.option("--vkey", type=VKEY, metavar="KEY", help="The key line that signed CP, or its file.")
@pass_session
def restore(
    session: Session, file: Path, checkpoint: Path | None, vkey: VerifierKey | None
) -> None:
    """Make an identical registry from the entries in FILE.

    FILE is what `certledger export events` wrote. The registry must have no entries yet, and is
    made where there is none. Every entry is checked; of a file that is refused no entry is kept.
    With --checkpoint and --vkey the log must have the signed root at the signed size. Stored
    checkpoints are not in FILE.
    """
    signed = _verified(checkpoint, vkey)
    with session.database() as database, session.terminal.bar("restoring") as bar:
        done = restore_events(file, database, checkpoint=signed, progress=bar)
    proved = "" if signed is None else f", as its checkpoint of size {signed.size} says"
    session.terminal.say(
        f"restored {counted(done.size, 'entry', 'entries')} of {done.origin}, "
        f"root hash {done.root.hex()}{proved}"
    )


def _verified(path: Path | None, key: VerifierKey | None) -> Checkpoint | None:
    if (path is None) != (key is None):
        raise click.UsageError("--checkpoint and --vkey go together: a checkpoint must be verified")
    if path is None or key is None:
        return None
    return TrustedLog(key.name, [key]).open(path.read_bytes()).checkpoint
