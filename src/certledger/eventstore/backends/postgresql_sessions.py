"""Sessions of PostgreSQL: their settings, and the schema that they see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any, Final

from sqlalchemy.engine import URL

from certledger.errors import NotARegistry

SCHEMAS_OF_CALLERS: Final = "certledger search_path"
"""What `Connection.info` holds where sessions of callers see more schemas than the registry's."""

FAR: Final = "certledger far"
"""Where `Connection.info` says whether the server is on another machine."""

_SET_UP: Final = """
    SELECT set_config('TimeZone', 'UTC', false),
           set_config('DateStyle', 'ISO', false),
           set_config('lock_timeout', %(wait)s, false),
           set_config('tcp_keepalives_idle', '30', false),
           set_config('tcp_keepalives_interval', '10', false),
           set_config('tcp_keepalives_count', '3', false),
           CASE WHEN current_setting('synchronous_commit') = 'off'
                THEN set_config('synchronous_commit', 'on', false) END
"""
# The schema alone, with temporary tables behind it: names are not looked for where a table of the
# registry is missing. Materialized, so that what is given is read before it is set.
_PIN: Final = """
    WITH given AS MATERIALIZED (
      SELECT current_setting('search_path') AS path, current_schema() AS schema,
             cardinality(current_schemas(false)) AS schemas
    )
    SELECT path, schema, schemas,
           CASE WHEN schema IS NOT NULL
                THEN set_config('search_path', quote_ident(schema) || ', pg_temp', false) END
    FROM given
"""
_FIRST: Final = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(?:,|$)')
_USER: Final = "$user"
_IN_OPTIONS: Final = re.compile(r"-c\s*search_path=")


class SetUp:
    """Sets a new session to UTC and to durable commits, and bounds how long it waits."""

    def __init__(self, *, wait_seconds: float) -> None:
        """Wait for locks up to `wait_seconds`."""
        self._wait = f"{int(wait_seconds * 1000)}ms"

    def __call__(self, connection: Any, _record: object) -> None:
        """Set up the session. It is READ COMMITTED where a transaction says nothing else."""
        from psycopg import IsolationLevel  # noqa: PLC0415 # an optional package

        with _closed_by_errors(connection):
            connection.autocommit = True
            connection.execute(_SET_UP, {"wait": self._wait})
            connection.autocommit = False
            connection.set_isolation_level(IsolationLevel.READ_COMMITTED)


class Pin:
    """Lets a new session see one schema: the first one of its `search_path`."""

    def __init__(self, url: URL) -> None:
        self._url = url

    def __call__(self, connection: Any, record: Any) -> None:
        """Set the `search_path`.

        Raises `NotARegistry` where there is no such schema, or the role may not use it.
        """
        with _closed_by_errors(connection):
            connection.autocommit = True
            path, schema, schemas, _ = connection.execute(_PIN).fetchone()
            connection.autocommit = False
            self._check(path, schema)
        record.info[FAR] = is_far(connection)
        if schemas > 1:
            record.info[SCHEMAS_OF_CALLERS] = path

    def _check(self, path: str, schema: str | None) -> None:
        wanted = _first_of(path)
        if schema is None or wanted not in {schema, _USER}:
            message = (
                f"the schema {wanted} is not there, or the role may not use it; make it with "
                f"CREATE SCHEMA, or GRANT USAGE on it to the role (search_path is {path})"
            )
            raise NotARegistry(message)


def _first_of(path: str) -> str:
    """Return the name that a `search_path` begins with."""
    found = _FIRST.match(path)
    if found is None:
        return path
    quoted, plain = found.groups()
    return plain.lower() if quoted is None else quoted.replace('""', '"')


@contextmanager
def _closed_by_errors(connection: Any) -> Iterator[None]:
    """Close a connection that the pool will never know of."""
    try:
        yield
    except BaseException:
        connection.close()
        raise


def is_far(connection: Any) -> bool:
    """Tell whether a way to the server and back takes longer than psycopg's pipeline mode costs.

    That is some 50 µs for a change; libpq has it from version 14 on.
    """
    from psycopg import Pipeline  # noqa: PLC0415 # an optional package

    address = connection.info.hostaddr  # "" of a socket in the file system
    return bool(address) and not ip_address(address).is_loopback and Pipeline.is_supported()


@contextmanager
def in_one_go(connection: Any) -> Iterator[None]:
    """Send what is executed in the block, and the BEGIN before it, without waiting for answers."""
    from psycopg.pq import TransactionStatus  # noqa: PLC0415 # an optional package

    begins = connection.info.transaction_status == TransactionStatus.IDLE
    if begins:
        # psycopg would wait for the answer to a BEGIN of its own. It commits ours as well.
        connection.autocommit = True
    with connection.pipeline():
        if begins:
            level = connection.isolation_level.name.replace("_", " ")
            connection.execute(f"BEGIN ISOLATION LEVEL {level}")
        yield


@contextmanager
def reading_what_is_stored(connection: Any) -> Iterator[None]:
    """Let a connection of psycopg give times that Python cannot have as text."""
    from psycopg import DataError  # noqa: PLC0415 # an optional package
    from psycopg.types.datetime import TimestampLoader  # noqa: PLC0415 # the same

    class Lenient(TimestampLoader):
        def load(self, data: Any) -> Any:
            try:
                return super().load(data)
            except DataError:
                return bytes(data).decode()

    adapters = connection.adapters
    before = adapters.get_loader(adapters.types["timestamp"].oid, 0)
    adapters.register_loader("timestamp", Lenient)
    try:
        yield
    finally:
        adapters.register_loader("timestamp", before)
