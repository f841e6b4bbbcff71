"""The command that checks an exported tree: mirror check."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from certledger.cli.failures import CheckingCommand, Failure, describe
from certledger.cli.session import Session
from certledger.cli.text import counted
from certledger.cli.trust import trust_in
from certledger.cli.vkey import VKEY
from certledger.errors import EvidenceError
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.keys import VerifierKey
from certledger.exporters.mirror import check_mirror, compare_with_registry


@click.group()
def mirror() -> None:
    """Check what was exported."""


@mirror.command(cls=CheckingCommand)
@click.argument(
    "folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--vkey", type=VKEY, metavar="KEY", help="The log's verifier key line, or its file.")
@click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="P",
    help="A policy: logs, witnesses, a quorum.",
)
@click.pass_context
def check(
    context: click.Context, folder: Path, vkey: VerifierKey | None, policy: Path | None
) -> None:
    """Verify the tree of files in DIR, as `certledger export tiles` wrote it.

    Its checkpoint, and every entry and tile against the root; no database is needed. Where --db is
    given before the command, or CERTLEDGER_DB is set, the tree is compared with that registry too.
    Exits with 0 when all is right, 1 when something is wrong, 2 when it could not run.
    """
    session: Session = context.find_object(Session)  # type: ignore[assignment] # the group sets it
    trust = trust_in(vkey, policy)
    try:
        with session.terminal.bar("checking") as bar:
            checkpoint = check_mirror(folder, trust, bar)
        session.terminal.say(
            f"{folder}: {counted(checkpoint.size, 'entry', 'entries')} of {checkpoint.origin}, "
            "every file is what the signed checkpoint says"
        )
        if context.find_root().get_parameter_source("db") is not ParameterSource.DEFAULT:
            _compare(session, folder, checkpoint)
    except EvidenceError as error:
        message = f"{folder} does not hold: {describe(error)}"
        raise Failure(message) from error


def _compare(session: Session, folder: Path, checkpoint: Checkpoint) -> None:
    with session.ledger() as ledger:
        size = compare_with_registry(folder, checkpoint, ledger.database)
        session.terminal.say(
            f"{ledger.url}: {counted(size, 'entry', 'entries')}, with the same beginning"
        )
