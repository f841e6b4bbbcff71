"""Checks of a connection, and going on where one may not look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, exc

from certledger.errors import LedgerError, StorageUnavailable
from certledger.eventstore.backends import backend_of
from certledger.eventstore.symptom import Symptom


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at."""

    what: str
    """For the note that it could not be looked at."""
    run: Callable[[Connection], Iterable[Symptom]]
    """Reads, and decides by a pure function over what was read."""


def run_checks(connection: Connection, checks: Iterable[Check]) -> Iterator[Symptom]:
    """Yield what the checks find in the caller's transaction, which none of them can break off.

    What may not be looked at is a note. Raises what means that the database is gone or busy.
    """
    for check in checks:
        yield from _run(connection, check)


def _run(connection: Connection, check: Check) -> list[Symptom]:
    try:
        with connection.begin_nested():
            return list(check.run(connection))
    except StorageUnavailable:
        raise
    except LedgerError as error:
        return [_not_examined(check.what, str(error))]
    except (exc.DBAPIError, connection.dialect.loaded_dbapi.Error) as error:
        original = error.orig if isinstance(error, exc.DBAPIError) else error
        backend = backend_of(connection)
        if original is None or backend.is_lost(original) or backend.is_transient(original):
            raise
        return [_not_examined(check.what, backend.text_of(original))]


def _not_examined(what: str, why: str) -> Symptom:
    return Symptom("note", "not-examined", f"{what} could not be looked at: {why}")
