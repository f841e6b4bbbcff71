"""The command that checks everything: verify."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click
from rich.text import Text

from certledger.cli.failures import FAILED, CheckingCommand
from certledger.cli.output import Listing, format_option, write
from certledger.cli.session import Session, pass_session
from certledger.cli.text import counted, safe, serial_fields, serial_text
from certledger.cli.vkey import VKEY
from certledger.errors import LogCorrupt, MalformedEvidence
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.tlog.keys import KeyKind, VerifierKey
from certledger.eventstore.tlog.note import require_kind
from certledger.eventstore.tlog.policy import Policy
from certledger.projections.schema import require_readable
from certledger.projections.verifying import verify as checks
from certledger.projections.verifying.finding import Finding
from certledger.projections.verifying.outside import Held, Outside

_LARGEST: Final = 65_536
"""More than any checkpoint has."""

_MOST_JOBS: Final = 64

_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(cls=CheckingCommand)
@click.option(
    "--checkpoint",
    "checkpoints",
    type=click.Path(exists=True, path_type=Path),
    metavar="FILE|DIR",
    multiple=True,
    help="A signed checkpoint that somebody kept, or a folder of them; may be repeated.",
)
@click.option(
    "--vkey",
    "vkeys",
    type=VKEY,
    metavar="KEY",
    multiple=True,
    help="A verifier key line of the log, or its file; may be repeated.",
)
@click.option(
    "--policy", type=_file, metavar="P", help="A policy: which logs and witnesses must have signed."
)
@click.option(
    "--state", type=_file, metavar="FILE", help="The state file of the signer's key: goes with KEY."
)
@click.option(
    "--jobs",
    type=click.IntRange(1, _MOST_JOBS),
    default=1,
    show_default=True,
    metavar="N",
    help="How many processes check the entries.",
)
@format_option()
@pass_session
def verify(
    session: Session,
    checkpoints: tuple[Path, ...],
    vkeys: tuple[VerifierKey, ...],
    policy: Path | None,
    state: Path | None,
    jobs: int,
    form: str,
) -> None:
    """Check the log, and the tables against it.

    The log is held against its own rules (bytes, hashes, order), against the checkpoints that it
    holds, and against those from outside: only these show that the end of the log was cut off, or
    all of it rewritten, by somebody who knows how. A registry whose tables are of an older version
    is checked as it is. A finding is damage or a broken rule, a note is
    legal but worth knowing. Exits with 0 when there is no finding, 1 when there are some, 2 when it
    could not run.
    """
    outside = _outside(checkpoints, vkeys, policy, state)
    levels: Counter[str] = Counter()
    with session.database() as database, session.terminal.bar("verifying") as bar:
        require_readable(database)
        size = _size(database)
        found = bar.aside(checks.verify(database, bar, outside=outside, jobs=jobs))
        write(FINDINGS, _counted(found, levels), form, session.terminal)
    if form == "table":
        entries = "the log" if size is None else counted(size, "entry", "entries")
        result = counted(levels["finding"], "finding") if levels["finding"] else "no findings"
        notes = f", {counted(levels['note'], 'note')}" if levels["note"] else ""
        session.terminal.say(f"verified {entries}: {result}{notes}")
    if levels["finding"]:
        click.get_current_context().exit(FAILED)


def _outside(
    checkpoints: tuple[Path, ...],
    vkeys: tuple[VerifierKey, ...],
    policy: Path | None,
    state: Path | None,
) -> Outside:
    if checkpoints and not vkeys and policy is None:
        raise click.UsageError("say whom to trust: --vkey KEY or --policy P goes with --checkpoint")
    if state is not None and not vkeys:
        raise click.UsageError("--vkey KEY goes with --state: the file is signed by that key")
    try:
        for key in vkeys:
            require_kind(key, KeyKind.ED25519)
    except MalformedEvidence as error:
        raise click.BadParameter(str(error), param_hint="'--vkey'") from error
    files = [file for path in checkpoints for file in _files(path)]
    return Outside(
        keys=vkeys,
        policy=None if policy is None else _policy(policy),
        checkpoints=tuple(map(_held, files)),
        mark=None if state is None else _held(state),
    )


def _files(path: Path) -> list[Path]:
    """Return a file itself, or the files in a folder but for hidden ones."""
    if not path.is_dir():
        return [path]
    files = [each for each in path.iterdir() if each.is_file() and not each.name.startswith(".")]
    if not files:
        message = f"there is no checkpoint in {path}"
        raise click.BadParameter(message, param_hint="'--checkpoint'")
    return sorted(files)


def _held(path: Path) -> Held:
    with path.open("rb") as stream:
        return Held(str(path), stream.read(_LARGEST))


def _policy(path: Path) -> Policy:
    try:
        return Policy.from_bytes(path.read_bytes())
    except MalformedEvidence as error:
        raise click.BadParameter(str(error), param_hint="'--policy'") from error


def _size(database: Database) -> int | None:
    try:
        return database.read(read_head).size
    except LogCorrupt:
        return None  # a finding will say so


def _counted(found: Iterable[Finding], levels: Counter[str]) -> Iterator[Finding]:
    for finding in found:
        levels[finding.level] += 1
        yield finding


def _fields(finding: Finding) -> dict[str, object]:
    numbers = serial_fields("" if finding.serial is None else str(finding.serial))
    return {
        "level": finding.level,
        "kind": finding.kind,
        "seq": finding.seq,
        "serial_number": None if finding.serial is None else numbers["serial_number"],
        "serial_hex": numbers["serial_hex"],
        "message": finding.message,
    }


FINDINGS: Final = Listing[Finding](
    headings=("level", "kind", "seq", "serial", "message"),
    cells=lambda finding: (
        Text(finding.level, "red" if finding.level == "finding" else "yellow"),
        safe(finding.kind),
        "" if finding.seq is None else str(finding.seq),
        "" if finding.serial is None else serial_text(finding.serial),
        safe(finding.message),
    ),
    fields=_fields,
    columns=("level", "kind", "seq", "serial_number", "serial_hex", "message"),
    empty="",
)
