"""Roles and databases of PostgreSQL for tests that cannot do with a schema of the shared one."""

from __future__ import annotations

import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest
from sqlalchemy import make_url

from tests.support.own_servers import (
    OwnPostgreSQL,
    _free_port,
    _launcher,
    _make_folder,
    postgresql_programs,
)
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


class PgBouncer:
    """A PgBouncer before a server, which gives each transaction whatever session is free."""

    def __init__(self, program: str, server: str) -> None:
        target = make_url(server)
        self._folder = _make_folder()
        self._port = _free_port()
        settings = self._folder / "pgbouncer.ini"
        settings.write_text(
            f"""[databases]
* = host={target.host} port={target.port} user={target.username}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self._port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
""",
            encoding="utf-8",
        )
        settings.chmod(0o644)
        command = [*_launcher(signal.SIGTERM), program, str(settings)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd="/")
        self.url = target.set(port=self._port).render_as_string(hide_password=False)

    def __enter__(self) -> Self:
        while self._process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port)):
                return self
        raise RuntimeError("pgbouncer did not start")

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
