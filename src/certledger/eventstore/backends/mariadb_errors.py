"""What the errors of MariaDB and MySQL mean."""

from __future__ import annotations

from typing import Final

from certledger.errors import NotARegistry, ReadOnlyRegistry, StorageError, StorageUnavailable

TRANSIENT: Final = frozenset(
    {
        1020,  # the record has changed since it was read (innodb_snapshot_isolation)
        1040,  # too many connections
        1047,  # a Galera node that is not ready
        1050,  # a table that another node of a cluster has just made
        1180,  # an error during COMMIT
        1203,  # too many connections of the user's
        1205,  # lock wait timeout
        1213,  # deadlock; on Galera: a certification failure
        1226,  # too many connections of the user's
        1317,  # the statement was killed
        1359,  # a trigger that another node of a cluster has just made
        1412,  # the table was made anew since the snapshot
        1710,  # the statement was killed while a trigger was read
        3100,  # group replication could not certify the transaction
        3101,  # group replication rolled it back
    }
)
LOST: Final = frozenset(
    {
        1053,  # the server shuts down
        *(1152, 1158, 1159, 1160, 1161, 1184),  # the server's side of the network
        1927,  # the connection was killed (MariaDB)
        *(2002, 2003, 2006, 2013, 2055),  # the driver's side
        *(3032, 3169, 4031),  # offline mode, killed, idle for too long (MySQL)
    }
)
DUPLICATE: Final = 1062
_DENIED: Final = frozenset({1142, 1143, 1227, 1370})
_MEANINGS: Final[tuple[tuple[frozenset[int], type[StorageError], str], ...]] = (
    (
        frozenset({1036, 1290, 1792, 1836}),
        ReadOnlyRegistry,
        "{database} cannot be written: {words}; connect to the primary",
    ),
    (
        frozenset({1044}),
        ReadOnlyRegistry,
        (
            "{database}: {words}; the user may not use this database, or not do this in it "
            "(temporary tables need CREATE TEMPORARY TABLES)"
        ),
    ),
    (
        frozenset({1046, 1049}),
        NotARegistry,
        "{database}: {words}; make it with CREATE DATABASE",
    ),
    (
        frozenset({1045, 1698}),
        StorageUnavailable,
        "{database}: {words}; see that user and password are right",
    ),
    (
        frozenset({1419}),
        StorageUnavailable,
        (
            "{database}: {words}; the server keeps a binary log, and who makes triggers there must "
            "be trusted: let an administrator make the registry, or SET GLOBAL "
            "log_bin_trust_function_creators = 1 meanwhile"
        ),
    ),
    (
        frozenset({1449}),
        StorageUnavailable,
        (
            "{database}: {words}; the triggers of the log run as the user who made them, who is "
            "gone: make that user again"
        ),
    ),
    (
        frozenset({1665}),
        StorageUnavailable,
        (
            "{database}: {words}; SET GLOBAL binlog_format = MIXED (or ROW), and the same in the "
            "server's configuration"
        ),
    ),
)
"""What numbers mean, and what to do."""


def code_of(error: BaseException) -> int:
    """Return the number of an error, -1 where it has none."""
    code = error.args[0] if error.args else None
    return code if isinstance(code, int) else -1


def text_of(error: BaseException) -> str:
    """Return the message of an error without its number."""
    return str(error.args[1]) if len(error.args) > 1 else str(error)


def is_lost(error: BaseException) -> bool:
    """Tell whether an error means that the server is not, or no longer, there."""
    import pymysql  # noqa: PLC0415 # an optional package, there where its errors are

    # Of a connection that is closed already, PyMySQL says InterfaceError(0, "").
    if isinstance(error, pymysql.err.InterfaceError) and code_of(error) == 0:
        return True
    if isinstance(error, pymysql.err.InternalError) and "Packet sequence" in str(error):
        return True  # half of an answer: PyMySQL has closed the connection
    return code_of(error) in LOST


def explain(error: BaseException, database: str) -> StorageError | None:
    """Return what an error means for its database, with what to do; None where it has no meaning
    of its own.
    """
    code, words = code_of(error), text_of(error)
    for codes, kind, message in _MEANINGS:
        if code in codes:
            return kind(message.format(database=database, words=words))
    if code in _DENIED:
        return _denied(words, database)
    if is_lost(error):
        return StorageUnavailable(f"{database}: {words or 'the connection to the server was lost'}")
    return None


def _denied(words: str, database: str) -> StorageError:
    if words.startswith("SELECT"):
        return StorageUnavailable(f"{database} cannot be read: {words}; grant it to this user")
    return ReadOnlyRegistry(
        f"{database} cannot be written: {words}; connect as a user who may do this"
    )
