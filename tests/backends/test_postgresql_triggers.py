"""Nobody changes what the log holds on PostgreSQL, whatever session and search_path he has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from certledger import Ledger
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support.log import ORIGIN
from tests.support.postgresql import dump_and_restore, named, plain, role
from tests.support.servers import Place, empty_place
from tests.support.signed import sign_log

SERIALS = (4711, 4712)
TABLES = ("log_entry", "log_head", "log_checkpoint")

Session = psycopg.Connection[dict[str, Any]]
Row = dict[str, Any]


@pytest.fixture(scope="module")
def log(postgresql_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two streams: issued, issued, revoked; and two checkpoints. No test here changes it."""
    with empty_place("postgresql", postgresql_server) as place:
        folder = tmp_path_factory.mktemp("state")
        with Ledger(place.url, origin=ORIGIN) as ledger:
            for serial in SERIALS:
                ledger.issue(make_certificate(serial=serial), uuid=f"folder-{serial}")
                sign_log(ledger.database, folder, FakeClock())
            ledger.revoke(SERIALS[0])
        yield place


def connect(url: str, *statements: str) -> Session:
    """A session in which each statement takes effect at once."""
    session = psycopg.connect(plain(url), autocommit=True, row_factory=dict_row)
    for statement in statements:
        session.execute(statement.encode())
    return session


@pytest.fixture(params=["origin", "replica"])
def stranger(request: pytest.FixtureRequest, log: Place) -> Iterator[Session]:
    """A superuser; as "replica", triggers fire only where they are to fire always."""
    with connect(log.url, f"SET session_replication_role = {request.param}") as session:
        yield session


def content(session: Session) -> dict[str, list[Row]]:
    return {
        table: session.execute(f"SELECT * FROM {table} ORDER BY 1".encode()).fetchall()
        for table in TABLES
    }


@contextmanager
def refused(session: Session, match: str = "log_") -> Iterator[None]:
    """The block is refused, and all is as it was."""
    before = content(session)
    with pytest.raises(psycopg.Error, match=match):
        yield
    assert content(session) == before


def next_row(session: Session, **changes: object) -> Row:
    """A row that could be the next of the second stream, but for the changes."""
    (last,) = session.execute("SELECT * FROM log_entry WHERE seq = 1").fetchall()
    new = {"seq": 3, "event_id": "00000000-0000-4000-8000-000000000000", "streamversion": 1}
    return last | new | changes


def insert(session: Session, table: str, row: Row, more: str = "") -> None:
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) {}").format(
        sql.Identifier(*table.split(".")),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
        sql.SQL(more),
    )
    session.execute(statement, row)


# Entries


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_entry SET entry = '\\x00' WHERE seq = 1",
        "UPDATE log_entry SET seq = seq",
        "UPDATE log_entry SET actor = 'somebody else' WHERE false",
        "UPDATE ONLY log_entry SET recorded_at = 'infinity'",
        "DELETE FROM log_entry",
        "DELETE FROM log_entry WHERE seq = 2",
        "DELETE FROM log_entry USING log_head WHERE seq = size - 1",
        "TRUNCATE log_entry",
        "TRUNCATE ONLY log_entry CASCADE",
        "TRUNCATE certificates, log_entry",
        "WITH gone AS (DELETE FROM log_entry RETURNING seq) SELECT * FROM gone",
        "COPY log_entry FROM PROGRAM 'echo 7'",
    ],
)
def test_no_entry_is_changed_or_goes(stranger: Session, statement: str) -> None:
    with refused(stranger, "no UPDATE|no DELETE|no TRUNCATE|log_entry"):
        stranger.execute(statement.encode())


@pytest.mark.parametrize("seq", [0, 2, 4, 1_000, -1, None])
@pytest.mark.parametrize("more", ["", "ON CONFLICT DO NOTHING"])
def test_no_entry_is_inserted_out_of_order(stranger: Session, seq: int | None, more: str) -> None:
    with refused(stranger, "seq is not the next position"):
        insert(stranger, "log_entry", next_row(stranger, seq=seq), more)


@pytest.mark.parametrize("version", [0, 2, -1, None])
def test_no_entry_is_inserted_out_of_its_stream(stranger: Session, version: int | None) -> None:
    with refused(stranger, "streamversion is not the next of its subject"):
        insert(stranger, "log_entry", next_row(stranger, streamversion=version))


@pytest.mark.parametrize("key", ["seq", "event_id", "subject, streamversion"])
def test_an_upsert_replaces_no_entry(stranger: Session, key: str) -> None:
    (held,) = stranger.execute("SELECT * FROM log_entry WHERE seq = 0").fetchall()
    for row in (held, next_row(stranger), next_row(stranger, event_id=held["event_id"])):
        with refused(stranger):
            insert(stranger, "log_entry", row, f"ON CONFLICT ({key}) DO UPDATE SET entry = '\\x00'")


def test_an_event_id_is_there_once(stranger: Session) -> None:
    (held,) = stranger.execute("SELECT event_id FROM log_entry WHERE seq = 0").fetchall()
    with refused(stranger, "uq_log_entry_event_id"):
        insert(stranger, "log_entry", next_row(stranger, **held))


def test_merge_changes_no_entry(stranger: Session) -> None:
    if stranger.info.server_version < 15_00_00:
        pytest.skip("MERGE came with PostgreSQL 15")
    with refused(stranger, "no UPDATE"):
        stranger.execute(
            "MERGE INTO log_entry USING log_head ON seq = size - 1 "
            "WHEN MATCHED THEN UPDATE SET actor = 'somebody else'"
        )


def test_copy_puts_no_entry_out_of_order(stranger: Session) -> None:
    with stranger.cursor() as cursor, cursor.copy("COPY log_entry TO STDOUT") as out:
        rows = b"".join(out)
    with (
        refused(stranger, "seq is not the next position"),
        stranger.cursor() as cursor,
        cursor.copy("COPY log_entry FROM STDIN") as into,
    ):
        into.write(rows)


# Head


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_head SET size = size - 1",
        "UPDATE log_head SET size = size",
        "UPDATE log_head SET size = 1000",
        "UPDATE log_head SET size = NULL",
        "UPDATE log_head SET root = sha256('')",
        "UPDATE log_head SET recorded_at = NULL",
        "UPDATE log_head SET recorded_at = 'infinity'",
        "UPDATE log_head SET format = 2, size = size + 1",
        "UPDATE log_head SET created = 'infinity', size = size + 1",
        "UPDATE log_head SET origin = 'example.org/mine'",
        "UPDATE log_head SET origin = 'example.org/mine', size = 0",
        "UPDATE log_head SET origin = NULL, size = 0",
        "UPDATE log_head SET id = 2",
        "DELETE FROM log_head",
        "DELETE FROM log_head WHERE false",
        "TRUNCATE log_head",
        "INSERT INTO log_head SELECT * FROM log_head",
        "INSERT INTO log_head SELECT * FROM log_head ON CONFLICT (id) DO UPDATE SET size = 0",
        (
            "INSERT INTO log_head "
            "SELECT 2, origin, format, size, root, frontier, recorded_at, created FROM log_head"
        ),
    ],
)
def test_the_head_only_grows(stranger: Session, statement: str) -> None:
    with refused(stranger):
        stranger.execute(statement.encode())


# Checkpoints


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log_checkpoint SET note = '\\x00'",
        "UPDATE log_checkpoint SET number = number + 10",
        "DELETE FROM log_checkpoint",
        "DELETE FROM log_checkpoint WHERE number = 1",
        "TRUNCATE log_checkpoint",
        "INSERT INTO log_checkpoint SELECT * FROM log_checkpoint",
        (
            "INSERT INTO log_checkpoint SELECT 3, size, root, key, stored_at, note "
            "FROM log_checkpoint WHERE number = 0"
        ),
        (
            "INSERT INTO log_checkpoint SELECT 2, 4, root, key, stored_at, note "
            "FROM log_checkpoint WHERE number = 0"
        ),
        (
            "INSERT INTO log_checkpoint SELECT 2, NULL, root, key, stored_at, note "
            "FROM log_checkpoint WHERE number = 0"
        ),
        (
            "INSERT INTO log_checkpoint SELECT * FROM log_checkpoint WHERE number = 0 "
            "ON CONFLICT (number) DO UPDATE SET size = 3"
        ),
    ],
)
def test_checkpoints_are_only_added(stranger: Session, statement: str) -> None:
    with refused(stranger):
        stranger.execute(statement.encode())


# Sessions that see other things under the names that the triggers' functions use


@pytest.fixture
def guest(log: Place) -> Iterator[Session]:
    """A role that may insert into the log, and make what it likes in a schema of its own."""
    with (
        role(log.server) as url,
        log.administrator() as administrator,
        connect(url) as session,
    ):
        name = named(url)
        for grant in (
            f"CREATE SCHEMA {name} AUTHORIZATION {name}",
            f"GRANT USAGE ON SCHEMA {log.name} TO {name}",
            f"GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA {log.name} TO {name}",
            f"GRANT UPDATE ON {log.name}.log_head TO {name}",
        ):
            administrator.exec_driver_sql(grant)
        yield session
        administrator.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")


DECOYS = {
    "tables": """
        CREATE TABLE log_entry AS
          SELECT 998::bigint AS seq, ''::text AS subject, 0 AS streamversion;
        CREATE TABLE log_head AS SELECT 999::bigint AS size;
        CREATE TABLE log_checkpoint AS SELECT 998::bigint AS number""",
    "temporary tables": """
        CREATE TEMPORARY TABLE log_entry AS
          SELECT 998::bigint AS seq, ''::text AS subject, 0 AS streamversion;
        CREATE TEMPORARY TABLE log_head AS SELECT 999::bigint AS size;
        CREATE TEMPORARY TABLE log_checkpoint AS SELECT 998::bigint AS number""",
    "functions": """
        CREATE FUNCTION highest(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE
          AS 'SELECT 998::bigint';
        CREATE AGGREGATE max(bigint) (SFUNC = highest, STYPE = bigint, INITCOND = '998')""",
    "operators": """
        CREATE FUNCTION yes(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        CREATE OPERATOR = (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = yes);
        CREATE FUNCTION yes(varchar, varchar) RETURNS boolean LANGUAGE sql AS 'SELECT false';
        CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = yes)""",
}


@pytest.mark.parametrize("decoy", list(DECOYS))
def test_no_search_path_fools_the_triggers(log: Place, guest: Session, decoy: str) -> None:
    (me,) = guest.execute("SELECT current_user AS me").fetchall()
    guest.execute(f"SET search_path = {me['me']}".encode())
    guest.execute(DECOYS[decoy].encode())
    path = {"temporary tables": f"pg_temp, {me['me']}"}.get(decoy, f"{me['me']}, pg_catalog")
    guest.execute(f"SET search_path = {path}".encode())
    with connect(log.url) as owner:
        row = next_row(owner, seq=999)
        with refused(owner, "seq is not the next position"):
            insert(guest, f"{log.name}.log_entry", row)
        with refused(owner, "streamversion is not the next of its subject"):
            insert(guest, f"{log.name}.log_entry", row | {"seq": 3, "streamversion": 0})
        with refused(owner, "log_head only grows"):
            guest.execute(f"UPDATE {log.name}.log_head SET size = 999".encode())
        with refused(owner, "the log never had this size"):
            (held,) = owner.execute("SELECT * FROM log_checkpoint WHERE number = 1").fetchall()
            insert(guest, f"{log.name}.log_checkpoint", held | {"number": 2, "size": 999})


def test_objects_in_the_schema_of_the_registry_fool_no_trigger(postgresql: Place) -> None:
    """Up to PostgreSQL 14 everybody may create in the schema public."""
    with Ledger(postgresql.url) as ledger:
        for serial in SERIALS:
            ledger.issue(make_certificate(serial=serial))
        with connect(postgresql.url) as session:
            session.execute(DECOYS["functions"].encode())
            session.execute(DECOYS["operators"].encode())
        with connect(postgresql.url) as session:
            with refused(session, "seq is not the next position"):
                insert(session, "log_entry", next_row(session, seq=999))
            with refused(session, "streamversion is not the next of its subject"):
                insert(session, "log_entry", next_row(session, seq=2, streamversion=0))


def test_a_head_whose_origin_may_still_be_set_takes_nothing_else(postgresql: Place) -> None:
    with Ledger(postgresql.url), connect(postgresql.url) as session:
        for more in ("size = 1", "root = sha256('a')", "recorded_at = now()", "size = NULL"):
            with refused(session, "log_head only grows"):
                session.execute(f"UPDATE log_head SET origin = 'example.org/a', {more}".encode())
        session.execute("UPDATE log_head SET origin = 'example.org/a'")


def test_a_dump_that_is_restored_has_the_same_triggers(
    postgresql: Place, postgresql_server: str, tmp_path: Path
) -> None:
    """Word for word, and the log is whole."""
    with Ledger(postgresql.url) as ledger:
        ledger.issue(make_certificate())
        head = ledger.head()
    with dump_and_restore(postgresql, tmp_path) as url, Ledger(url) as restored:
        assert restored.head() == head
        assert [*restored.verify()] == []
        restored.issue(make_certificate())
