"""What the settings of a PostgreSQL server, beside those of durability, mean for a registry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from certledger.eventstore.durability.postgresql import Identity, Setting, set_for
from certledger.eventstore.symptom import Symptom, shell, sql

SETTINGS: Final = (
    "default_transaction_read_only",
    "session_replication_role",
    "synchronous_commit",
    "synchronous_standby_names",
    "wal_level",
)
_BEFORE_THE_STANDBY: Final = frozenset({"local", "remote_write"})


def symptoms_of_server(
    found: Mapping[str, Setting], who: Identity, *, standby: bool
) -> Iterator[Symptom]:
    """Judge the settings that `SETTINGS` names, as a session has them."""
    if found["session_replication_role"].value == "replica":
        message = (
            "session_replication_role is replica: no trigger keeps statements of this role from "
            "changing the log"
        )
        mending = set_for(who, "session_replication_role", "origin")
        yield Symptom("weak", "triggers-off", message, mending)
    yield from _of_commits(found, who)
    if found["wal_level"].value == "minimal":
        message = (
            "wal_level is minimal: there can be no standby and no recovery to a point in time, so "
            "all depends on the last dump"
        )
        mending = (*sql("ALTER SYSTEM SET wal_level = 'replica'"), *shell("pg_ctl restart"))
        yield Symptom("note", "no-standby", message, mending)
    if standby:
        message = "the server is a standby: it can be read, not written"
        yield Symptom("note", "read-only", message)
    elif found["default_transaction_read_only"].value == "on":
        message = "default_transaction_read_only is on: nothing is recorded by this connection"
        mending = set_for(who, "default_transaction_read_only", "off")
        yield Symptom("note", "read-only", message, mending)


def _of_commits(found: Mapping[str, Setting], who: Identity) -> Iterator[Symptom]:
    commit = found["synchronous_commit"]
    if commit.value != "off" and commit.default == "off":
        message = (
            "synchronous_commit is off for this role in this database: certledger's own sessions "
            "switch it on, others and a pooler do not"
        )
        yield Symptom("note", "commit-default", message, set_for(who, "synchronous_commit", "on"))
    if found["synchronous_standby_names"].value and commit.value in _BEFORE_THE_STANDBY:
        message = (
            f"synchronous_commit is {commit.value} although there are synchronous standbys: after "
            "a failover acknowledged changes can be missing"
        )
        yield Symptom("note", "standby-behind", message, set_for(who, "synchronous_commit", "on"))
