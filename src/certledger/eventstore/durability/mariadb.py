"""What the settings of MariaDB and MySQL mean for what was acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from certledger.eventstore.symptom import Mend, Symptom, ini, sql

SETTINGS: Final = (
    "innodb_flush_log_at_trx_commit",
    "innodb_doublewrite",
    "innodb_flush_method",
    "log_bin",
    "sync_binlog",
    "version",
)
REDO_LOG: Final = "Innodb_redo_log_enabled"
"""A status variable of MySQL 8.0.21 and later."""

_SERVER: Final = "mysqld"
_OFF: Final = frozenset({"OFF", "0"})
_ON: Final = frozenset({"ON", "1"})
_EVERY_COMMIT: Final = frozenset({"1", "3"})
"""1 writes and flushes at each commit; MariaDB's 3 does so at each of its three steps."""
_NO_FLUSH: Final = frozenset({"nosync", "littlesync"})


def is_mariadb(found: Mapping[str, str]) -> bool:
    """Tell MariaDB from MySQL by the settings of a server."""
    return "mariadb" in found.get("version", "").lower()


def symptoms_of_settings(found: Mapping[str, str]) -> Iterator[Symptom]:
    """Judge the settings that `SETTINGS` names, those that the server has, and `REDO_LOG`."""
    flush = found.get("innodb_flush_log_at_trx_commit", "1")
    if flush not in _EVERY_COMMIT:
        yield _weak(
            f"innodb_flush_log_at_trx_commit is {flush}: a crash of the machine loses the last "
            "acknowledged changes",
            change(found, "innodb_flush_log_at_trx_commit", "1"),
        )
    if found.get("log_bin", "OFF").upper() in _ON and found.get("sync_binlog", "1") != "1":
        # After a crash InnoDB rolls back what it prepared and does not find in the binary log.
        yield _weak(
            f"the binary log is on and sync_binlog is {found['sync_binlog']}: after a crash of the "
            "machine changes that the binary log had not on disk are rolled back",
            change(found, "sync_binlog", "1"),
        )
    yield from _of_pages(found)


def _of_pages(found: Mapping[str, str]) -> Iterator[Symptom]:
    doublewrite = found.get("innodb_doublewrite", "ON").upper()
    if doublewrite in _OFF | {"DETECT_ONLY"}:
        yield _weak(
            f"innodb_doublewrite is {doublewrite}: a crash of the machine can leave pages half "
            "written and beyond repair",
            _at_start("innodb_doublewrite", "ON"),
        )
    method = found.get("innodb_flush_method", "").lower()
    if method in _NO_FLUSH:
        yield _weak(
            f"innodb_flush_method is {method}: nothing is flushed to the disk",
            _at_start("innodb_flush_method", "O_DIRECT"),
        )
    if found.get(REDO_LOG, "ON").upper() in _OFF:
        yield _weak(
            "the redo log is disabled: a crash of the server loses the database",
            sql("ALTER INSTANCE ENABLE INNODB REDO_LOG"),
        )


def change(found: Mapping[str, str], name: str, value: str) -> tuple[Mend, ...]:
    """Return what changes a setting of a running server, and keeps it over its next start."""
    if is_mariadb(found):
        return (*sql(f"SET GLOBAL {name} = {value}"), *_at_start(name, value))
    return sql(f"SET PERSIST {name} = {value}")


def _at_start(name: str, value: str) -> tuple[Mend, ...]:
    return ini(_SERVER, f"{name} = {value}")


def _weak(message: str, mending: tuple[Mend, ...]) -> Symptom:
    return Symptom("weak", "durability", message, mending)
