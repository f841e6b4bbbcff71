"""Sessions of PostgreSQL: their settings, and the schema that they see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final

from sqlalchemy import Connection

from certledger.errors import NotARegistry

_SET_UP: Final = """
    SELECT set_config('search_path', coalesce(%(path)s, current_setting('search_path')), %(local)s),
           set_config('TimeZone', 'UTC', %(local)s),
           set_config('DateStyle', 'ISO', %(local)s),
           set_config('lock_timeout', %(wait)s, %(local)s),
           set_config('tcp_keepalives_idle', '30', %(local)s),
           set_config('tcp_keepalives_interval', '10', %(local)s),
           set_config('tcp_keepalives_count', '3', %(local)s),
           CASE WHEN current_setting('synchronous_commit') = 'off'
                THEN set_config('synchronous_commit', 'on', %(local)s) END
"""
_SET_PATH: Final = "SELECT set_config('search_path', %s, %s)"
# The schema alone, with temporary tables behind it: names are not looked for where a table of the
# registry is missing.
_SCHEMAS: Final = """
    SELECT current_setting('search_path'), current_schema(),
           cardinality(current_schemas(false)), quote_ident(current_schema()) || ', pg_temp'
"""
_FIRST: Final = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",\s]+))\s*(?:,|$)')
_USER: Final = "$user"
_FACTS: Final = "certledger session"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a session."""

    path: str
    """Its `search_path`: the schema of the registry."""
    callers_path: str
    """That of sessions of callers, who may see more schemas."""
    wait: str
    """How long it waits for locks."""
    far: bool
    """Whether the server is on another machine."""
    pooled: bool
    """Whether a pooler may give it to others between two transactions."""


def facts_of(connection: Connection) -> Facts:
    """Return what `Session` found."""
    facts: Facts = connection.info[_FACTS]
    return facts


class SetUp:
    """Sets a new session to UTC and to durable commits, and bounds how long it waits."""

    def __init__(self, *, wait_seconds: float) -> None:
        """Wait for locks up to `wait_seconds`."""
        self._wait = f"{int(wait_seconds * 1000)}ms"

    def __call__(self, connection: Any, _record: object) -> None:
        """Set up the session. It is READ COMMITTED where a transaction says nothing else."""
        with _setting_up(connection):
            connection.execute(_SET_UP, {"wait": self._wait, "path": None, "local": False})


class Session:
    """Sets up a new session as `SetUp` does, and lets it see one schema: the first one of its
    `search_path`.

    A session of a pooler's is left as it is: it may be another client's a moment later, and another
    one may do our next transaction. There `set_up_transaction` does all at each beginning.
    """

    def __init__(self, *, wait_seconds: float, search_path: str | None) -> None:
        """Take the `search_path` to begin with, None for the one that the session has."""
        self._wait = f"{int(wait_seconds * 1000)}ms"
        self._search_path = search_path

    def __call__(self, connection: Any, record: Any) -> None:
        """Set up the session.

        Raises `NotARegistry` where there is no such schema, or the role may not use it.
        """
        with _setting_up(connection):
            pooled = _is_pooled(connection)
            with connection.transaction() if pooled else nullcontext():
                given, schemas, pinned = self._look(connection, local=pooled)
                values = {"wait": self._wait, "path": pinned, "local": pooled}
                connection.execute(_SET_UP, values)
            if pooled:
                connection.prepare_threshold = None  # another session has not prepared it
        callers = given if schemas > 1 else pinned
        record.info[_FACTS] = Facts(pinned, callers, self._wait, is_far(connection), pooled)

    def _look(self, connection: Any, *, local: bool) -> tuple[str, int, str]:
        if self._search_path is not None:
            connection.execute(_SET_PATH, (self._search_path, local))
        given, schema, schemas, pinned = connection.execute(_SCHEMAS).fetchone()
        wanted = _first_of(given)
        if schema is None or wanted not in {schema, _USER}:
            message = (
                f"the schema {wanted} is not there, or the role may not use it; make it with "
                f"CREATE SCHEMA, or GRANT USAGE on it to the role (search_path is {given})"
            )
            raise NotARegistry(message)
        return given, schemas, pinned


def set_up_transaction(connection: Any, facts: Facts, *, of_caller: bool) -> None:
    """Do at the beginning of a transaction what the session does not do by itself."""
    path = facts.callers_path if of_caller else facts.path
    if facts.pooled:
        connection.execute(_SET_UP, {"wait": facts.wait, "path": path, "local": True})
    elif path != facts.path:
        connection.execute(_SET_PATH, (path, True))


def _is_pooled(connection: Any) -> bool:
    """Tell whether the session is another one than the connection was told of."""
    (real,) = connection.execute("SELECT pg_backend_pid()").fetchone()
    return bool(real != connection.info.backend_pid)


def _first_of(path: str) -> str:
    """Return the name that a `search_path` begins with."""
    found = _FIRST.match(path)
    if found is None:
        return path
    quoted, plain = found.groups()
    return plain.lower() if quoted is None else quoted.replace('""', '"')


@contextmanager
def _setting_up(connection: Any) -> Iterator[None]:
    """Let each statement take effect at once; an error closes the connection, of which the pool
    will never know.
    """
    from psycopg import IsolationLevel  # noqa: PLC0415 # an optional package

    try:
        connection.autocommit = True
        yield
        connection.autocommit = False
        connection.set_isolation_level(IsolationLevel.READ_COMMITTED)
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
