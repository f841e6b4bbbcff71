"""One run of the command line: the global options, and the registry that they name."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import click

from certledger import Ledger
from certledger.cli.failures import hide_passwords
from certledger.cli.terminal import Terminal
from certledger.eventstore.actor import acting_as
from certledger.eventstore.database import Database


@dataclass(frozen=True)
class Session:
    """What the options before the command say."""

    db: str
    actor: str | None
    comment: str | None
    allow_clock_behind: bool
    terminal: Terminal

    @contextmanager
    def ledger(self, *, create: bool = False, origin: str | None = None) -> Iterator[Ledger]:
        """Open the registry, acting as the actor of the command line.

        Only with `create` is a missing one made.
        """
        check_url(self.db, "'--db'")
        with (
            acting_as(self.actor, comment=self.comment),
            Ledger(
                self.db,
                create=create,
                origin=origin,
                allow_clock_behind=self.allow_clock_behind,
            ) as ledger,
        ):
            yield ledger

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Lend the database itself, for what does not want an open registry."""
        check_url(self.db, "'--db'")
        database = Database(self.db)
        try:
            yield database
        finally:
            database.close()


def check_url(text: str, hint: str) -> None:
    """Refuse what is no database URL; `hint` names the parameter."""
    if "://" not in text:
        # What looks like no URL may still be one with a typing error and a password.
        shown = "the value" if "@" in text else repr(text)
        advice = "" if "@" in text else f"; for a file write sqlite:///{text}"
        message = f"{shown} is no database URL{advice}"
        raise click.BadParameter(message, param_hint=hint)


pass_session = click.make_pass_decorator(Session)


class _Handler(logging.Handler):
    def __init__(self, terminal: Terminal, level: int) -> None:
        super().__init__(level)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        text = hide_passwords(record.getMessage())
        if record.levelno >= logging.WARNING:
            self._terminal.warn(text)
        else:
            self._terminal.note(f"{record.levelname.lower()}: {text}")


@contextmanager
def library_messages(terminal: Terminal, *, debug: bool) -> Iterator[None]:
    """Show the library's warnings on stderr, with `debug` all that it logs."""
    logger = logging.getLogger("certledger")
    if any(isinstance(handler, _Handler) for handler in logger.handlers):
        # A command run by a command: its messages are shown already.
        yield
        return
    level = logging.DEBUG if debug else logging.WARNING
    handler, before = _Handler(terminal, level), logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
