"""Database URLs as callers write them, for the driver that each part needs."""

from __future__ import annotations

from typing import Final

from sqlalchemy.engine import URL, make_url

from certledger.errors import InvalidValue

_SYNC: Final = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
_ASYNC: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg_async",
    "mysql": "mysql+aiomysql",
}
_SAME: Final = {"postgres": "postgresql", "mariadb": "mysql"}
"""Names of one kind of database under which URLs are written too."""


_LONGEST_NAME: Final = 63
"""PostgreSQL cuts longer ones short; MariaDB and MySQL refuse more than 64 characters."""


def sync_url(url: str | URL) -> URL:
    """Return the URL with the synchronous driver that certledger uses for its database.

    Raises `sqlalchemy.exc.ArgumentError` or `ValueError` for a text that is no database URL.
    """
    return _with_driver(make_url(url), _SYNC)


def async_url(url: str | URL) -> URL:
    """Return the URL with the asynchronous driver that certledger uses for its database.

    Raises as `sync_url` does.
    """
    return _with_driver(make_url(url), _ASYNC)


def with_schema(url: URL, schema: str | None) -> URL:
    """Return the URL of a schema in its database; on MariaDB and MySQL schema and database are one.

    Raises `InvalidValue` for a name that can be none, and on SQLite, where one file is one
    registry.
    """
    if schema is None:
        return url
    if not schema or "\0" in schema or len(schema.encode(errors="replace")) > _LONGEST_NAME:
        message = f"schema {schema!r}: a name has 1 to {_LONGEST_NAME} bytes, none of them NUL"
        raise InvalidValue(message)
    match url.get_backend_name():
        case "postgresql":
            # Quoted as an identifier, and its blanks and backslashes for the options of libpq.
            name = '"' + schema.replace('"', '""') + '"'
            escaped = name.replace("\\", "\\\\").replace(" ", "\\ ")
            before = url.query.get("options", "")
            before = " ".join(before) if isinstance(before, tuple) else before
            return url.update_query_dict({"options": f"{before} -csearch_path={escaped}".strip()})
        case "mysql" | "mariadb":
            return url.set(database=schema)
        case name:
            message = f"schema {schema!r}: {name} has none; give each registry a file of its own"
            raise InvalidValue(message)


def _with_driver(url: URL, drivers: dict[str, str]) -> URL:
    backend, _, driver = url.drivername.partition("+")
    wanted = drivers.get(_SAME.get(backend, backend))
    if wanted is None or (backend == "sqlite" and driver not in _KNOWN_SQLITE):
        return url
    if driver == "asyncpg" and "ssl" in url.query:
        # The one argument that asyncpg's URLs name otherwise than libpq's.
        url = url.difference_update_query(["ssl"]).update_query_dict({"sslmode": url.query["ssl"]})
    return url.set(drivername=wanted)


_KNOWN_SQLITE: Final = frozenset({"", "pysqlite", "aiosqlite"})
"""Others, such as pysqlcipher, are what their caller wants."""
