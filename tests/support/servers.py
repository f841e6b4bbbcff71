"""The servers that tests use, and an empty schema or database for each test.

CERTLEDGER_TEST_POSTGRESQL and CERTLEDGER_TEST_MARIADB give the URLs of servers on which the tests
may make and drop schemas, databases and roles. Where no PostgreSQL is given the tests start one;
they start a MariaDB where "start" stands in place of a URL. Tests of the kinds of server that
CERTLEDGER_TEST_REQUIRE names ("postgresql,mariadb") fail where they would be skipped.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NoReturn

import pytest
import sqlalchemy
from sqlalchemy import URL, make_url, text
from sqlalchemy.pool import NullPool

from tests.support.own_servers import (
    NO_MARIADB,
    NO_POSTGRESQL,
    OwnMariaDB,
    OwnPostgreSQL,
    OwnServer,
    mariadb_programs,
    postgresql_programs,
)

DRIVERS = {"postgresql": "psycopg", "mariadb": "pymysql", "mysql": "pymysql"}
START = "start"
"""Given in place of a URL: the tests start a server by programs of this machine."""


def given_url(kind: str) -> str | None:
    """The URL of the server that the environment gives."""
    return os.environ.get(f"CERTLEDGER_TEST_{kind.upper()}") or None


def is_required(kind: str) -> bool:
    return kind in os.environ.get("CERTLEDGER_TEST_REQUIRE", "").split(",")


def skip_without(kind: str, reason: str) -> NoReturn:
    """Skip the test, or fail it where the kind of server is required."""
    if is_required(kind):
        pytest.fail(f"CERTLEDGER_TEST_REQUIRE names {kind}, but the test {reason}")
    pytest.skip(reason)


@contextmanager
def running(kind: str) -> Iterator[str]:
    """The URL of a server of this kind for an administrator; skips the test where there is none."""
    given = given_url(kind)
    if given is None or given == START:
        with _started(kind, wanted=kind == "postgresql" or given == START) as server:
            yield server.url
    else:
        url = make_url(given)
        name = url.get_backend_name()
        yield url.set(drivername=f"{name}+{DRIVERS[name]}").render_as_string(hide_password=False)


def _started(kind: str, *, wanted: bool) -> OwnServer:
    if not wanted:
        skip_without(kind, "needs the URL of a MariaDB or MySQL in CERTLEDGER_TEST_MARIADB")
    if kind == "postgresql":
        if postgresql_programs() is None:
            skip_without(kind, NO_POSTGRESQL)
        return OwnPostgreSQL()
    if mariadb_programs() is None:
        skip_without(kind, NO_MARIADB)
    return OwnMariaDB()


@dataclass(frozen=True)
class Place:
    """An empty schema (PostgreSQL) or database (MariaDB) with a random name."""

    kind: str
    name: str
    url: str
    """Where the registry of the test lies, without a driver's name."""
    server: str
    """Where an administrator connects."""

    @contextmanager
    def administrator(self) -> Iterator[sqlalchemy.Connection]:
        """A connection on which each statement takes effect at once."""
        with administrator(self.server) as connection:
            yield connection


@contextmanager
def administrator(server: str) -> Iterator[sqlalchemy.Connection]:
    """A connection to a server on which each statement takes effect at once."""
    engine = sqlalchemy.create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def random_name() -> str:
    return f"certledger_test_{secrets.token_hex(6)}"


@contextmanager
def empty_place(kind: str, server: str) -> Iterator[Place]:
    """An empty place on a server, dropped at the end."""
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
    """The URL of a place, without a driver's name."""
    backend = server.get_backend_name()
    if backend == "postgresql":
        url = server.update_query_dict({"options": f"-csearch_path={name}"})
    else:
        url = server.set(database=name)
    return url.set(drivername=backend).render_as_string(hide_password=False)


HOLD_LOCKS = text(
    "SELECT pg_terminate_backend(pid) FROM (SELECT DISTINCT l.pid FROM pg_locks l "
    "JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :name AND l.pid <> pg_backend_pid()) AS holders"
)
SESSIONS = text("SELECT id FROM information_schema.processlist WHERE db = :name")


def _end_sessions(connection: sqlalchemy.Connection, kind: str, name: str) -> None:
    """End what a test left open, which would keep the place from being dropped."""
    if kind == "postgresql":
        connection.execute(HOLD_LOCKS, {"name": name}).all()
        return
    for session in connection.execute(SESSIONS, {"name": name}).scalars().all():
        with suppress(sqlalchemy.exc.OperationalError):  # it has just ended by itself
            connection.exec_driver_sql(f"KILL {int(session)}")
