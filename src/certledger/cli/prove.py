"""The command that proves what the log holds, or that it only grew: prove."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click
from sqlalchemy import Connection

from certledger import Ledger
from certledger.cli.outfile import write_whole
from certledger.cli.params import SERIAL, SerialCommand
from certledger.cli.session import Session, pass_session
from certledger.cli.terminal import Terminal
from certledger.cli.text import counted
from certledger.errors import UnknownSerial
from certledger.eventstore.lifecycle import stream_of
from certledger.eventstore.proving import EntryProof, prove_consistency, prove_entry
from certledger.eventstore.reader import END, read_stream
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.note import Note

PROOF_SUFFIX: Final = ".tlog-proof"
LEAF_SUFFIX: Final = ".leaf"

_size = click.IntRange(0, END)


def leaf_beside(proof: Path) -> Path:
    """Return where the exact bytes of the entry lie that a proof file is about."""
    return proof.with_name(proof.name.removesuffix(PROOF_SUFFIX) + LEAF_SUFFIX)


@click.command(cls=SerialCommand)
@click.argument("serial", type=SERIAL, required=False)
@click.option("--seq", type=_size, metavar="N", help="The entry at this place of the log.")
@click.option(
    "--consistency",
    type=(_size, _size),
    metavar="OLD NEW",
    help="Prove that the log of NEW entries begins with that of OLD; both have checkpoints.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False),
    help="The file to write, NAME.tlog-proof.  [default: standard output, for --consistency alone]",
)
@pass_session
def prove(
    session: Session,
    serial: int | None,
    seq: int | None,
    consistency: tuple[int, int] | None,
    output: str | None,
) -> None:
    """Prove what the log holds, to somebody who has its key.

    For the last event of the certificate SERIAL, or for the entry at --seq, NAME.tlog-proof gets
    the proof that the last checkpoint covers it, and NAME.leaf beside it the entry's exact bytes.
    With --consistency it is the proof that nothing was changed between two checkpoints.
    `certledger check` reads both. Sign a checkpoint first, with `certledger checkpoint`.
    """
    if [serial, seq, consistency].count(None) != 2:  # noqa: PLR2004 # all but one
        raise click.UsageError("name one of: SERIAL, --seq, --consistency")
    with session.ledger() as ledger:
        if consistency is not None:
            _prove_consistency(session.terminal, ledger, consistency, output)
            return
        if output is None or output == "-":
            raise click.UsageError("two files are made, so -o FILE is needed")
        proof = ledger.database.read(lambda c: prove_entry(c, _place(c, serial, seq)))
    _write_entry(session.terminal, proof, Path(output))


def _place(connection: Connection, serial: int | None, seq: int | None) -> int:
    if serial is None:
        return seq or 0
    events = read_stream(connection, stream_of(serial))
    if not events:
        message = f"serial {serial}"
        raise UnknownSerial(message)
    return events[-1].seq


def _write_entry(terminal: Terminal, proof: EntryProof, path: Path) -> None:
    leaf = leaf_beside(path)
    write_whole(str(leaf), proof.entry)
    write_whole(str(path), proof.proof.to_bytes())
    size = _size_of(proof.proof.checkpoint)
    terminal.note(
        f"{path} proves that entry {proof.seq} is among the first "
        f"{counted(size, 'entry', 'entries')}; the entry itself is in {leaf}"
    )


def _prove_consistency(
    terminal: Terminal, ledger: Ledger, sizes: tuple[int, int], output: str | None
) -> None:
    old, new = sizes
    data = ledger.database.read(lambda c: prove_consistency(c, old, new)).to_bytes()
    write_whole(output, data)
    terminal.note(
        f"{output or 'this'} proves that the log of {new:,} entries begins with that of {old:,}"
    )


def _size_of(note: bytes) -> int:
    return Checkpoint.from_text(Note.from_bytes(note).text).size
