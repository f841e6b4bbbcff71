"""What the settings of MariaDB and MySQL, beside those of durability, mean for a registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from certledger.eventstore.durability.mariadb import change
from certledger.eventstore.symptom import Symptom

SETTINGS: Final = (
    "binlog_format",
    "log_bin",
    "read_only",
    "version",
    "wsrep_on",
    "wsrep_sync_wait",
)

_ON: Final = frozenset({"ON", "1"})


def symptoms_of_server(found: Mapping[str, str]) -> Iterator[Symptom]:
    """Judge the settings that `SETTINGS` names, those that the server has."""
    if _is_on(found, "log_bin") and found.get("binlog_format") == "STATEMENT":
        message = (
            "binlog_format is STATEMENT: changes at READ COMMITTED cannot be written to the binary "
            "log and are refused"
        )
        yield Symptom("weak", "binary-log", message, change(found, "binlog_format", "'ROW'"))
    if _is_on(found, "wsrep_on") and int(found.get("wsrep_sync_wait", "0")) % 2 == 0:
        message = (
            "wsrep_sync_wait is 0: another node of the cluster can answer without changes that "
            "were acknowledged before"
        )
        yield Symptom("weak", "cluster", message, change(found, "wsrep_sync_wait", "1"))
    if _is_on(found, "read_only"):
        message = "the server is read-only: it can be read, not written, but by administrators"
        yield Symptom("note", "read-only", message, change(found, "read_only", "0"))


def _is_on(found: Mapping[str, str], name: str) -> bool:
    return found.get(name, "OFF").upper() in _ON
