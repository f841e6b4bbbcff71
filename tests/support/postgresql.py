"""Roles and databases of PostgreSQL for tests that cannot do with a schema of the shared one."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.support.own_servers import OwnPostgreSQL, postgresql_programs
from tests.support.servers import Place, administrator, random_name


@contextmanager
def role(server: str, *, database: str | None = None, **settings: str) -> Iterator[str]:
    """A role that may connect; gives a URL of it. Its settings are the defaults of its sessions."""
    name, password = random_name(), secrets.token_hex(8)
    url = make_url(server)
    with administrator(server) as sql:
        sql.exec_driver_sql(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        for setting, value in settings.items():
            sql.exec_driver_sql(f"ALTER ROLE {name} SET {setting} = {value}")
    try:
        url = url.set(username=name, password=password, database=database or url.database)
        yield url.set(drivername="postgresql").render_as_string(hide_password=False)
    finally:
        with administrator(server) as sql:
            sql.exec_driver_sql(f"DROP OWNED BY {name}")
            sql.exec_driver_sql(f"DROP ROLE {name}")


def named(url: str) -> str:
    """The role of a URL."""
    name = make_url(url).username
    assert name is not None
    return name


@contextmanager
def role_in(place: Place, **settings: str) -> Iterator[str]:
    """A role that may do everything in an empty schema; gives the URL of a registry there."""
    with role(place.server, **settings) as url:
        with place.administrator() as sql:
            sql.exec_driver_sql(f"GRANT ALL ON SCHEMA {place.name} TO {named(url)}")
        yield with_options(url, f"-csearch_path={place.name}")


def with_options(url: str, options: str) -> str:
    made = make_url(url).update_query_dict({"options": options})
    return made.render_as_string(hide_password=False)


@contextmanager
def database(server: str, options: str = "", **settings: str) -> Iterator[str]:
    """A database of its own, dropped at the end; gives a URL of the administrator in it."""
    name = random_name()
    with administrator(server) as sql:
        sql.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE template0 {options}")
        for setting, value in settings.items():
            sql.exec_driver_sql(f"ALTER DATABASE {name} SET {setting} = {value}")
    try:
        url = make_url(server).set(database=name, drivername="postgresql")
        yield url.render_as_string(hide_password=False)
    finally:
        with administrator(server) as sql:
            sql.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def dump_and_restore(place: Place, folder: Path) -> Iterator[str]:
    """The URL of a registry that was dumped, restored into a database of its own."""
    programs = postgresql_programs()
    if programs is None:
        pytest.skip("needs pg_dump and psql")
    file = folder / "registry.sql"
    source = plain(place.server)
    _run(programs / "pg_dump", "-n", place.name, "-f", file, source)
    with database(place.server) as url:
        _run(programs / "psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-f", file, url)
        yield with_options(url, f"-csearch_path={place.name}")


def plain(url: str) -> str:
    """The URL as libpq takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _run(*command: object) -> None:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Standby(OwnPostgreSQL):
    """A hot standby of a server, which it copies and follows."""

    def __init__(self, primary: OwnPostgreSQL) -> None:
        self._primary = primary
        super().__init__()

    def _prepare(self) -> None:
        found = postgresql_programs()
        assert found is not None
        self._programs = self._primary._programs
        self.url = self._primary.url.replace(f":{self._primary.port}/", f":{self.port}/")
        primary = make_url(self._primary.url)
        self._run(
            self._programs / "pg_basebackup",
            *("-h", primary.host, "-p", primary.port, "-U", primary.username),
            *("-D", self.folder / "data", "-R", "-X", "stream", "-c", "fast"),
        )

    def catch_up(self) -> None:
        """Wait until it has all that the primary has."""
        with administrator(self._primary.url) as sql:
            (goal,) = sql.exec_driver_sql("SELECT pg_current_wal_insert_lsn()").scalars()
        with administrator(self.url) as sql:
            while not sql.exec_driver_sql(
                f"SELECT pg_last_wal_replay_lsn() >= '{goal}'::pg_lsn"
            ).scalar_one():
                pass
