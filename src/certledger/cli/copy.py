"""The command that moves a registry to another database: copy."""

from __future__ import annotations

from collections.abc import Iterator

import click

from certledger.cli.failures import Failure
from certledger.cli.output import format_option, write_object
from certledger.cli.session import Session, check_url, pass_session
from certledger.cli.terminal import Terminal
from certledger.cli.text import counted
from certledger.copying import CopyReport
from certledger.copying import copy as copy_registry


@click.command()
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@format_option("table", "json")
@pass_session
def copy(session: Session, source: str, target: str, form: str) -> None:
    """Copy a registry from SRC to DST, and prove it equal.

    Both are database URLs, of any kinds. DST must be empty, or hold a part of this copy: broken
    off, the same command goes on where it was. Until the copy is whole, DST cannot be used. At the
    end the root hash is computed from the bytes that DST gives back, and every row of its tables
    is held against the log and against SRC. SRC is only read; where others write to it meanwhile
    the copy follows them, and tells whether SRC has more in the end.
    """
    check_url(source, "'SRC'")
    check_url(target, "'DST'")
    try:
        with session.terminal.bar("copying") as bar:
            report = copy_registry(source, target, progress=bar)
    except KeyboardInterrupt as error:
        raise Failure("interrupted; the same command goes on where it was") from error
    if form == "json":
        write_object(_fields(report))
    else:
        for label, value in _pairs(report):
            session.terminal.say(f"{label:<13}{value}")
    _warn(session.terminal, report)


def _fields(report: CopyReport) -> dict[str, object]:
    return {
        "source": report.source,
        "target": report.target,
        "origin": report.origin,
        "log_size": report.size,
        "root_hash": report.root.hex(),
        "copied": report.copied,
        "checkpoints": report.checkpoints,
        "certificates": report.certificates,
        "retired": report.retired,
        "source_size": report.source_size,
        "behind": report.behind,
        "source_drift": report.source_drift,
        "source_fault": report.source_fault,
        "not_copied": list(report.not_copied),
        "seconds": round(report.seconds, 3),
    }


def _pairs(report: CopyReport) -> Iterator[tuple[str, str]]:
    entries = counted(report.size, "entry", "entries")
    now = "all" if report.copied == report.size else f"{report.copied:,}"
    yield "copied", f"{entries} of {report.origin} to {report.target}, {now} of them now"
    yield "root hash", f"{report.root.hex()}, from the bytes that came back"
    yield "checkpoints", f"{report.checkpoints:,}"
    rows = counted(report.certificates, "row")
    yield "certificates", f"{rows}, retired {report.retired:,}: what the log demands"


def _warn(terminal: Terminal, report: CopyReport) -> None:
    if report.not_copied:
        terminal.note(f"not the registry's, and not copied: {', '.join(report.not_copied)}")
    if report.source_fault is not None:
        terminal.warn(f"in the source {report.source_fault}; the copy was made from the log")
    if report.source_drift:
        rows = counted(report.source_drift, "row")
        terminal.warn(
            f"the tables of {report.source} differ from its log in {rows}, which "
            "`certledger drift` names there; the copy has what the log demands"
        )
    if report.behind:
        entries = counted(report.behind, "entry", "entries")
        terminal.warn(
            f"{report.source} has {entries} more by now: stop what writes to it, and run the same "
            "command again before the copy is used"
        )
