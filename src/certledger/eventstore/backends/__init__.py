"""What the kinds of databases have different; everything else is written once."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from certledger.errors import InvalidValue
from certledger.eventstore.backends.backend import MODE_OPTION, READING_OPTION, Backend, Mode
from certledger.eventstore.backends.mariadb import MariaDb
from certledger.eventstore.backends.postgresql import PostgreSql
from certledger.eventstore.backends.sqlite import Sqlite

__all__ = ["MODE_OPTION", "READING_OPTION", "Backend", "Mode", "backend_of"]

_MARIADB = MariaDb()
BACKENDS = {
    "sqlite": Sqlite(),
    "postgresql": PostgreSql(),
    "mysql": _MARIADB,
    "mariadb": _MARIADB,
}
"""By the names of SQLAlchemy's dialects."""


def backend_of(database: URL | Connection) -> Backend:
    """Return what is particular to the kind of a database.

    Raises `InvalidValue` for a kind that the registry does not work on.
    """
    name = database.get_backend_name() if isinstance(database, URL) else database.dialect.name
    backend = BACKENDS.get(name)
    if backend is None:
        message = f"a registry cannot be kept in {name}; it can in SQLite, PostgreSQL and MariaDB"
        raise InvalidValue(message)
    return backend
