"""The servers that tests use, and an empty schema or database for each test.

CERTLEDGER_TEST_POSTGRESQL and CERTLEDGER_TEST_MARIADB give the URLs of servers on which the tests
may make and drop schemas, databases and roles. Where no PostgreSQL is given the tests start one;
they start a MariaDB where "start" stands in place of a URL. Tests of the kinds of server that
CERTLEDGER_TEST_REQUIRE names ("postgresql,mariadb") fail where they would be skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import pytest

from certledger.testing.places import Place, administrator, empty_place, random_name
from tests.support.own_servers import (
    NO_MARIADB,
    NO_POSTGRESQL,
    OwnMariaDB,
    OwnPostgreSQL,
    OwnServer,
    mariadb_programs,
    postgresql_programs,
)

__all__ = [
    "Place",
    "administrator",
    "empty_place",
    "given_url",
    "is_required",
    "random_name",
    "running",
    "skip_without",
]

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
        yield given


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
