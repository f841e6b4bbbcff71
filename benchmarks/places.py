"""Where a registry that is measured lies: a new file, schema or database for each round."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from certledger.eventstore.urls import sync_url, with_schema

Place = Callable[[], AbstractContextManager[str]]
"""Lends the URL of a new, empty place."""


def files_in(folder: Path) -> Place:
    """Return what lends URLs of SQLite files in a folder."""

    @contextmanager
    def place() -> Iterator[str]:
        yield f"sqlite:///{folder / secrets.token_hex(6)}.db"

    return place


def schemas_on(server: str) -> Place:
    """Return what lends URLs of schemas on a PostgreSQL server, or databases on a MariaDB one."""
    postgresql = make_url(server).get_backend_name() == "postgresql"
    word, tail = ("SCHEMA", " CASCADE") if postgresql else ("DATABASE", "")

    @contextmanager
    def place() -> Iterator[str]:
        name = f"certledger_bench_{secrets.token_hex(6)}"
        _execute(server, f"CREATE {word} {name}")
        try:
            url = with_schema(make_url(server), name)
            yield url.render_as_string(hide_password=False)
        finally:
            _execute(server, f"DROP {word} {name}{tail}")

    return place


def _execute(server: str, statement: str) -> None:
    engine = create_engine(sync_url(server), poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
