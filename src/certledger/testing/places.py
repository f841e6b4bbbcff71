"""Empty schemas (PostgreSQL) and databases (MariaDB, MySQL) on a server, each for one test."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import sqlalchemy
from sqlalchemy import URL, make_url, text
from sqlalchemy.pool import NullPool

from certledger.eventstore.urls import sync_url, with_schema


@dataclass(frozen=True)
class Place:
    """An empty schema or database with a random name."""

    kind: str
    """postgresql or mariadb."""
    name: str
    url: str
    """Where the registry of the test lies, without a driver's name."""
    server: str
    """Where an administrator connects."""

    @contextmanager
    def administrator(self) -> Iterator[sqlalchemy.Connection]:
        """Lend a connection on which each statement takes effect at once."""
        with administrator(self.server) as connection:
            yield connection

    @contextmanager
    def reader(self) -> Iterator[str]:
        """Lend the URL of a new role (a new user) that may only read here."""
        role, password = random_name(), secrets.token_hex(8)
        grant, revoke = _READER[self.kind]
        names = {"role": role, "password": password, "place": self.name}
        with self.administrator() as connection:
            for statement in grant:
                connection.exec_driver_sql(statement.format_map(names))
        try:
            url = make_url(self.url).set(username=role, password=password)
            yield url.render_as_string(hide_password=False)
        finally:
            with self.administrator() as connection:
                for statement in revoke:
                    connection.exec_driver_sql(statement.format_map(names))


@contextmanager
def administrator(server: str) -> Iterator[sqlalchemy.Connection]:
    """Lend a connection to a server on which each statement takes effect at once."""
    engine = sqlalchemy.create_engine(
        sync_url(server), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        yield connection


def random_name() -> str:
    return f"certledger_test_{secrets.token_hex(6)}"


@contextmanager
def empty_place(kind: str, server: str) -> Iterator[Place]:
    """Lend an empty place on a server, dropped at the end."""
    name = random_name()
    word = {"postgresql": "SCHEMA", "mariadb": "DATABASE"}[kind]
    with administrator(server) as connection:
        connection.exec_driver_sql(f"CREATE {word} {name}")
    try:
        yield Place(kind, name, _url_of(name, make_url(server)), server)
    finally:
        with administrator(server) as connection:
            _end_sessions(connection, kind, name)
            cascade = " CASCADE" if kind == "postgresql" else ""
            connection.exec_driver_sql(f"DROP {word} {name}{cascade}")


def _url_of(name: str, server: URL) -> str:
    """Return the URL of a place, without a driver's name."""
    url = with_schema(server.set(drivername=server.get_backend_name()), name)
    return url.render_as_string(hide_password=False)


_HOLD_LOCKS = text(
    "SELECT pg_terminate_backend(pid) FROM (SELECT DISTINCT l.pid FROM pg_locks l "
    "JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :name AND l.pid <> pg_backend_pid()) AS holders"
)
_SESSIONS = text("SELECT id FROM information_schema.processlist WHERE db = :name")


def _end_sessions(connection: sqlalchemy.Connection, kind: str, name: str) -> None:
    """End what a test left open, which would keep the place from being dropped."""
    if kind == "postgresql":
        connection.execute(_HOLD_LOCKS, {"name": name}).all()
        return
    for session in connection.execute(_SESSIONS, {"name": name}).scalars().all():
        with suppress(sqlalchemy.exc.OperationalError):  # it has just ended by itself
            connection.exec_driver_sql(f"KILL {int(session)}")


_READER = {
    "postgresql": (
        [
            "CREATE ROLE {role} LOGIN PASSWORD '{password}'",
            "GRANT USAGE ON SCHEMA {place} TO {role}",
            "GRANT SELECT ON ALL TABLES IN SCHEMA {place} TO {role}",
        ],
        ["DROP OWNED BY {role}", "DROP ROLE {role}"],
    ),
    "mariadb": (
        [
            "CREATE USER {role} IDENTIFIED BY '{password}'",
            "GRANT SELECT, CREATE TEMPORARY TABLES ON {place}.* TO {role}",
        ],
        ["DROP USER {role}"],
    ),
}
"""What makes a role that may only read, and what removes it. Comparing takes temporary tables,
which PostgreSQL lets everybody make.
"""
