"""A pooler that gives each transaction another session mixes up neither registries nor settings."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, make_url, text

from certledger import Ledger, SyncDBHandler
from certledger.errors import ReadOnlyRegistry
from certledger.eventstore.backends import postgresql_sessions
from certledger.eventstore.backends.postgresql_options import split_search_path
from certledger.eventstore.database import Database
from certledger.testing.certificates import make_certificate
from tests.support.postgresql import PgBouncer, plain
from tests.support.servers import Place, empty_place

OTHERS = (
    "SET search_path = nowhere",
    "SET TimeZone = 'Asia/Kathmandu'",
    "SET DateStyle = 'German'",
    "SET synchronous_commit = off",
    "SET lock_timeout = '1ms'",
)
"""What another client leaves in a session."""


class Pooled:
    """A registry whose sessions others use between its transactions."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self._sessions: list[Any] = []
        event.listen(self.database.engine, "connect", lambda one, _: self._sessions.append(one))
        self.ledger = Ledger(self.database)

    def others(self) -> None:
        for session in self._sessions:
            if not session.closed:
                session.rollback()
                session.autocommit = True
                for statement in OTHERS:
                    session.execute(statement)

    def settings(self) -> set[tuple[str, str]]:
        """Of the sessions, between their transactions."""
        query = "SELECT current_setting('search_path'), current_setting('TimeZone')"
        found = set()
        for session in self._sessions:
            session.rollback()
            session.autocommit = True
            found.add(session.execute(query).fetchone())
        return found


@pytest.fixture
def pooled(postgresql: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pooled]:
    monkeypatch.setattr(postgresql_sessions, "_is_pooled", lambda _: True)
    made = Pooled(postgresql.url)
    yield made
    made.ledger.close()


def test_each_transaction_has_its_settings(pooled: Pooled) -> None:
    for serial in range(1, 12):
        pooled.others()
        pooled.ledger.issue(make_certificate(serial=serial), uuid=f"folder-{serial}")
        pooled.others()
        assert pooled.ledger.get(serial).uuid == f"folder-{serial}"
    pooled.others()
    assert (
        pooled.ledger.database.read(
            lambda c: c.scalar(text("SELECT current_setting('synchronous_commit')"))
        )
        == "on"
    )


def test_a_session_is_left_as_it_was_found(pooled: Pooled, postgresql_server: str) -> None:
    pooled.ledger.issue(make_certificate())
    pooled.ledger.head()
    with psycopg.connect(plain(postgresql_server)) as other:
        row = other.execute(
            "SELECT current_setting('search_path'), current_setting('TimeZone')"
        ).fetchone()
    assert pooled.settings() == {row}


def test_a_session_of_the_callers_sees_the_registry(pooled: Pooled) -> None:
    pooled.ledger.issue(make_certificate(serial=7))
    handler = SyncDBHandler.over(pooled.ledger)
    pooled.others()
    with handler._db.session() as session:
        assert session.execute(text("SELECT serial_number FROM certificates")).scalar() == "7"


def test_checks_need_no_temporary_tables_there(pooled: Pooled) -> None:
    """Which would stay in a session that is another client's next."""
    pooled.ledger.issue(make_certificate(serial=7))
    found: list[object] = []
    for check in (pooled.ledger.verify, pooled.ledger.drift):
        pooled.others()
        found += check()
    assert found == []


def test_a_rebuild_says_to_go_past_the_pooler(pooled: Pooled) -> None:
    with pytest.raises(ReadOnlyRegistry, match="past any pooler"):
        pooled.ledger.rebuild()


@pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="pgbouncer is not installed")
def test_registries_behind_pgbouncer_stay_apart(postgresql_server: str) -> None:
    with ExitStack() as stack:
        server = plain(postgresql_server)
        bouncer = stack.enter_context(PgBouncer(str(shutil.which("pgbouncer")), server))
        places = [stack.enter_context(empty_place("postgresql", postgresql_server)) for _ in "123"]
        ledgers = [stack.enter_context(Ledger(bouncer.url, schema=place.name)) for place in places]

        def work(at: int) -> None:
            for serial in range(at * 100, at * 100 + 10):
                ledgers[at % 3].issue(make_certificate(f"{at % 3}", serial=serial + 1))
                assert ledgers[at % 3].get(serial + 1).common_name == f"{at % 3}"

        with ThreadPoolExecutor(6) as pool:
            assert [*pool.map(work, range(6))] == [None] * 6
        for at, ledger in enumerate(ledgers):
            assert {row.common_name for row in ledger.each()} == {f"{at}"}
            assert ledger.head().size == 20
            assert [*ledger.verify()] == []


@pytest.mark.parametrize(
    ("options", "rest", "path"),
    [
        ("", "", None),
        ("-csearch_path=one", "", "one"),
        ("-c search_path=one,public", "", "one,public"),
        ("--search_path=one", "", "one"),
        ("-c geqo=off -csearch_path=one -cwork_mem=4MB", "-c geqo=off -cwork_mem=4MB", "one"),
        ("-csearch_path=one -csearch_path=two", "", "two"),
        (r'-csearch_path="a\ \\\ b"', "", r'"a \ b"'),
        (r"-cDateStyle=ISO,\ DMY", r"-cDateStyle=ISO,\ DMY", None),
        ("-c", "-c ", None),
    ],
)
def test_a_search_path_is_taken_out_of_the_options(
    options: str, rest: str, path: str | None
) -> None:
    url = make_url("postgresql://db.example.org/pki")
    given = url.update_query_dict({"options": options}) if options else url
    assert split_search_path(given) == (rest, path)


def test_other_options_reach_the_server(postgresql: Place) -> None:
    url = make_url(postgresql.url)
    options = f"{url.query['options']} -cwork_mem=5MB -c geqo=off"
    with Ledger(url.update_query_dict({"options": options})) as ledger:
        query = text("SELECT current_setting('work_mem') || current_setting('geqo')")
        assert ledger.database.read(lambda c: c.scalar(query)) == "5MBoff"
