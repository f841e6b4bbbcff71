"""What the errors of PostgreSQL and of its driver mean."""

from __future__ import annotations

from typing import Final

from certledger.errors import (
    ConstraintFailed,
    NotARegistry,
    ReadOnlyRegistry,
    StorageError,
    StorageUnavailable,
    UnreadableValue,
)

_TRANSIENT: Final = frozenset(
    {
        "40001",  # serialization_failure, also on a standby: conflict with recovery
        "40P01",  # deadlock_detected
        "53300",  # too_many_connections
        "55P03",  # lock_not_available
    }
)
_WAITING: Final = (
    "too many clients",
    "remaining connection slots",
    "too many connections",
    "the database system is starting up",
    "the database system is in recovery mode",
    "not yet accepting connections",
)
"""Why a server takes no connection just now; libpq gives no code for what happens so early."""
_LOST: Final = frozenset(
    {
        "25P03",  # idle_in_transaction_session_timeout
        "57P01",  # admin_shutdown, which is also an ended session
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "57P05",  # idle_session_timeout
    }
)
_MEANINGS: Final[dict[str, tuple[type[StorageError], str]]] = {
    "42501": (  # insufficient_privilege
        ReadOnlyRegistry,
        "{database}: the server does not let this role do that: {words}; use one that may",
    ),
    "25006": (  # read_only_sql_transaction
        ReadOnlyRegistry,
        "{database}: {words}; use the primary, and a role without default_transaction_read_only",
    ),
    "3F000": (NotARegistry, "{database}: {words}; create it first"),  # invalid_schema_name
    "3D000": (NotARegistry, "{database}: {words}; create it first"),  # invalid_catalog_name
    "2BP01": (  # dependent_objects_still_exist
        ConstraintFailed,
        "{database}: {words}: {detail}; drop what depends on it first",
    ),
}


def is_transient(error: BaseException) -> bool:
    """Tell whether the error may be gone when the unit of work is run again."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        return any(words in str(error) for words in _WAITING)
    return state in _TRANSIENT


def is_lost(error: BaseException) -> bool:
    """Tell whether the server is not, or no longer, there for the connection."""
    import psycopg  # noqa: PLC0415 # an optional package, there where its errors are

    state = getattr(error, "sqlstate", None)
    if state is None:
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return lost and not is_transient(error)
    return state in _LOST or state.startswith("08")  # connection_exception


def text_of(error: BaseException) -> str:
    """Return the message in one line, without codes and context."""
    return _told(error, "message_primary") or " ".join(str(error).split())


def explain(error: BaseException, database: str) -> StorageError | None:
    """Return what the error means for its database, None where it has no meaning of its own."""
    import psycopg  # noqa: PLC0415 # an optional package, there where its errors are

    state, words = getattr(error, "sqlstate", None), text_of(error)
    if state in _MEANINGS:
        kind, told = _MEANINGS[state]
        detail = _told(error, "message_detail")
        return kind(told.format(database=database, words=words, detail=detail))
    if state is None and isinstance(error, psycopg.DataError):  # of a loader: 'infinity'
        return UnreadableValue(words)
    return StorageUnavailable(f"{database}: {words}") if is_lost(error) else None


def _told(error: BaseException, field: str) -> str:
    return " ".join((getattr(getattr(error, "diag", None), field, None) or "").split())
