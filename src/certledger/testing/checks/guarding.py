"""The triggers of the log, and what verify finds where they were taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy
from sqlalchemy import Connection, select

from certledger.errors import LogCorrupt
from certledger.eventstore.signing import sign_checkpoint
from certledger.eventstore.tables import log_entry, log_head
from certledger.ledger import Ledger
from certledger.testing.backend import Backend
from certledger.testing.checks.registry import WithRegistry, findings, key_of_log
from certledger.testing.populated import Populated

FORBIDDEN: Final = [
    "UPDATE log_entry SET actor = 'nobody'",
    "UPDATE log_entry SET entry = NULL WHERE seq = 3",
    "DELETE FROM log_entry",
    "DELETE FROM log_entry WHERE seq = 18",
    "UPDATE log_head SET size = 3",
    "UPDATE log_head SET origin = 'other.example.org'",
    "DELETE FROM log_head",
    "UPDATE log_checkpoint SET size = 1",
    "DELETE FROM log_checkpoint",
]
"""What the triggers refuse."""

AGAIN: Final = "seq, hashes, event_id, subject, streamversion, type, actor, recorded_at, entry"
TAMPERED: Final = {
    "an entry's bytes": "UPDATE log_entry SET entry = {other} WHERE seq = 4",
    "an entry without bytes": "UPDATE log_entry SET entry = NULL WHERE seq = 4",
    "the hashes of a row": "UPDATE log_entry SET hashes = {other} WHERE seq = 4",
    "the copy of the actor": "UPDATE log_entry SET actor = 'Mallory' WHERE seq = 4",
    "the copy of the time": "UPDATE log_entry SET recorded_at = '2001-01-01' WHERE seq = 4",
    "the copy of the uuid": "UPDATE log_entry SET uuid = 'another' WHERE seq = 4",
    "a gap": "DELETE FROM log_entry WHERE seq = 4",
    "an end cut off": "DELETE FROM log_entry WHERE seq = 18",
    "a head that says less": "UPDATE log_head SET size = 18",
    "another root": "UPDATE log_head SET root = {other}",
    "another origin": "UPDATE log_head SET origin = 'other.example.org'",
}
"""What somebody does who has taken the triggers away; `{other}` is a value of another row."""


class Guarding(WithRegistry):
    """The log cannot be changed by plain SQL, and what was changed otherwise is found."""

    @pytest.mark.parametrize("statement", FORBIDDEN)
    def test_plain_sql_cannot_change_the_log(
        self,
        backend: Backend,
        url: str,
        registry: Ledger,
        populated: Populated,
        tmp_path: Path,
        statement: str,
    ) -> None:
        sign_checkpoint(registry.database, key_of_log(), tmp_path / "state", registry.now)
        with backend.stranger(url) as stranger:
            before = _log(stranger)
            with pytest.raises(sqlalchemy.exc.DBAPIError, match="log_"):
                stranger.exec_driver_sql(statement)
            assert _log(stranger) == before

    @pytest.mark.parametrize("place", [3, 18, 20, -1])
    def test_an_entry_can_be_added_at_the_next_position_only(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated, place: int
    ) -> None:
        with (
            backend.stranger(url) as stranger,
            pytest.raises(sqlalchemy.exc.DBAPIError, match="log_entry"),
        ):
            stranger.exec_driver_sql(
                f"INSERT INTO log_entry ({AGAIN}) SELECT {place}, hashes, 'new', 'new', 0, type, "
                "actor, recorded_at, entry FROM log_entry WHERE seq = 3"
            )
        assert registry.head().size == 19
        assert findings(registry) == []

    @pytest.mark.parametrize("what", TAMPERED)
    def test_what_was_done_to_the_log_without_its_triggers_is_found(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated, what: str
    ) -> None:
        with backend.unguarded(url) as intruder:
            other = "(SELECT hashes FROM (SELECT * FROM log_entry WHERE seq = 0) AS one)"
            intruder.exec_driver_sql(TAMPERED[what].format(other=other))
        assert findings(registry)

    def test_missing_triggers_are_found(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated
    ) -> None:
        with backend.unguarded(url):
            assert set(findings(registry)) == {"trigger-missing"}
        assert findings(registry) == []

    def test_a_change_of_an_edited_stream_is_refused(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated
    ) -> None:
        with backend.unguarded(url) as intruder:
            intruder.exec_driver_sql(
                f"UPDATE log_entry SET actor = 'x', entry = hashes "
                f"WHERE subject = 'certificate/{populated.valid[0]}'"
            )
        with pytest.raises(LogCorrupt):
            registry.revoke(populated.valid[0])


def _log(connection: Connection) -> list[Any]:
    return [
        connection.execute(select(log_entry).order_by(log_entry.c.seq)).all(),
        connection.execute(select(log_head)).all(),
    ]
