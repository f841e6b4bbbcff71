"""The commands for the tables themselves: db current, db upgrade."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from certledger.cli.failures import FAILED, CheckingCommand
from certledger.cli.output import format_option, write_object
from certledger.cli.session import Session, pass_session
from certledger.cli.text import iso
from certledger.eventstore.tables import SCHEMA_VERSION, SCHEMA_VERSIONS
from certledger.projections.copy_mark import CopyMark
from certledger.projections.schema import Registry, examine, mark_of

if TYPE_CHECKING:
    from certledger.migrations.steps import Step


@click.group()
def db() -> None:
    """Upgrade the tables, or show their version."""


@db.command(cls=CheckingCommand)
@format_option("table", "json")
@pass_session
def current(session: Session, form: str) -> None:
    """Show of which version the tables are.

    Exits with 0 when they are those that this version of certledger uses, 1 when they are older or
    newer, 2 when it could not run.
    """
    with session.database() as database:
        found = examine(database)
        mark = database.read(lambda connection: mark_of(connection, found))
        name = str(database)
    steps = _steps_after(found.schema)
    if form == "json":
        write_object(_fields(name, found, mark, steps))
    else:
        for label, value in _pairs(name, found, mark, steps):
            session.terminal.say(f"{label:<14}{value}")
    if found.schema != SCHEMA_VERSION:
        click.get_current_context().exit(FAILED)


@db.command()
@format_option("table", "json")
@pass_session
def upgrade(session: Session, form: str) -> None:
    """Bring the tables to the version that this version of certledger uses.

    Entries stay as they are. Writers wait meanwhile. Run again, it does nothing, and after a crash
    it goes on. Triggers that keep the log append-only are put back where they are missing. Make a
    backup first.
    """
    # Alembic is not loaded where nobody upgrades.
    from certledger.migrations.upgrading import upgrade as run  # noqa: PLC0415 # see above

    with session.database() as database:
        done = run(database)
        name = str(database)
    for what in done.mended:
        session.terminal.warn(
            f"{what} was missing, or was not the registry's, and is right again: see with "
            "`certledger verify` whether the log was changed meanwhile"
        )
    if form == "json":
        steps = [{"version": step.version, "what": step.what} for step in done.steps]
        write_object(
            {
                "url": name,
                "before": done.before,
                "after": done.after,
                "steps": steps,
                "mended": done.mended,
            }
        )
    elif done.steps:
        session.terminal.say(f"upgraded {name} from {done.before} to {done.after}")
        for step in done.steps:
            session.terminal.say(f"{step.version}: {step.what}")
    else:
        session.terminal.say(f"{name} is at {done.after}: there is nothing to upgrade")


def _steps_after(version: str) -> tuple[Step, ...]:
    if version not in SCHEMA_VERSIONS[:-1]:
        return ()
    from certledger.migrations.steps import steps_after  # noqa: PLC0415 # loads Alembic

    return steps_after(version)


def _fields(
    url: str, found: Registry, mark: CopyMark | None, steps: tuple[Step, ...]
) -> dict[str, object]:
    return {
        "url": url,
        "format": found.format,
        "schema": found.schema,
        "projector": found.projector,
        "newest": SCHEMA_VERSION,
        "steps": [{"version": step.version, "what": step.what} for step in steps],
        "copy": None if mark is None else _copy_fields(mark),
    }


def _copy_fields(mark: CopyMark) -> dict[str, object]:
    return {
        "origin": mark.origin,
        "size": mark.size,
        "started_at": iso(mark.started_at),
        "finished_at": iso(mark.finished_at),
    }


def _pairs(
    url: str, found: Registry, mark: CopyMark | None, steps: tuple[Step, ...]
) -> Iterator[tuple[str, str]]:
    yield "registry", url
    yield "schema", found.schema
    yield "format", str(found.format)
    if mark is not None and mark.finished_at is None:
        yield "copy", f"unfinished, of {mark.origin}: go on with `certledger copy`"
    for step in steps:
        yield f"to {step.version}", step.what
    if steps:
        yield "to do", f"`certledger --db '{url}' db upgrade`"
    elif found.schema != SCHEMA_VERSION:
        yield "to do", f"upgrade certledger: this version knows the schema {SCHEMA_VERSION}"
    else:
        yield "to do", "nothing"
