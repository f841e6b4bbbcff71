"""The users of the how-to: each may do its work on a real server, and nothing more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pymysql
import pytest
from sqlalchemy import make_url, text

from certledger import Ledger, SyncDBHandler
from certledger.bulk import Registration
from certledger.crl import SignedCrl
from certledger.errors import ReadOnlyRegistry
from certledger.eventstore.database import Database
from certledger.eventstore.proving import prove_entry
from certledger.eventstore.times import utc_now
from certledger.migrations.upgrading import upgrade
from certledger.projections.verifying.outside import Outside
from certledger.testing.certificates import make_ca, make_certificate
from certledger.testing.places import random_name
from tests.docs.page import blocks, read_lines
from tests.support.log import ORIGIN
from tests.support.mariadb import execute, run, stranger
from tests.support.signed import LOG_KEY, sign_log

PAGE = Path("docs/how-to/set-up-mariadb.md")
OUTSIDE = Outside(keys=(LOG_KEY.verifier_key,))
USERS = ("owner", "app", "auditor")


@dataclass(frozen=True)
class Users:
    """A registry set up as the page says."""

    owner: str
    app: str
    auditor: str
    state: Path
    """Where the signer keeps its mark."""
    server: str
    """Where an administrator connects."""


def statements(block: int, names: dict[str, str]) -> list[str]:
    """The statements of a block of SQL on the page, with other names."""
    found = [block for block in blocks(read_lines(PAGE)) if block.language == "sql"]
    sql = "\n".join(found[block].lines)
    for name, other in names.items():
        sql = re.sub(rf"\b{name}\b", other, sql)
    return [statement for statement in sql.split(";") if statement.strip()]


@pytest.fixture(scope="module")
def users(mariadb_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Users]:
    prefix, database = random_name()[:24], random_name()
    names = {f"registry_{user}": f"{prefix}_{user}" for user in USERS} | {"registry": database}
    urls = {
        user: make_url(mariadb_server)
        .set(username=f"{prefix}_{user}", password=f"{user}-secret", database=database)
        .render_as_string(hide_password=False)
        for user in USERS
    }
    with stranger(mariadb_server) as administrator:
        try:
            for statement in statements(0, names):
                run(administrator, statement)
            with Ledger(urls["owner"], origin=ORIGIN):
                pass
            for statement in [*statements(1, names), *statements(2, names)]:
                run(administrator, statement)
            state = tmp_path_factory.mktemp("state")
            with Ledger(urls["app"], create=False) as ledger:
                for serial in (1, 2, 3):
                    ledger.issue(make_certificate(serial=serial), uuid=f"folder-{serial}")
                ledger.revoke(3)
                sign_log(ledger.database, state, utc_now)
            yield Users(**urls, state=state, server=mariadb_server)
        finally:
            run(administrator, f"DROP DATABASE IF EXISTS {database}")
            for user in USERS:
                run(administrator, f"DROP USER IF EXISTS {prefix}_{user}")


# What they do


def test_the_application_does_all_its_work(users: Users) -> None:
    with Ledger(users.app) as ledger:
        before = ledger.head().size
        certificate = make_certificate(serial=11)
        first = ledger.issue(certificate, uuid="folder-11", command_id="one")
        assert ledger.issue(certificate, uuid="folder-11", command_id="one") == first
        short = make_certificate(serial=12, end=datetime.now(UTC) - timedelta(seconds=1))
        outcomes = ledger.issue_many([Registration(short), Registration(make_certificate())])
        assert [outcome.error for outcome in outcomes] == [None, None]
        ledger.revoke(11, "keyCompromise")
        ledger.delete(uuid="folder-2")
        assert ledger.expire_due() == 1
        ca = make_ca()
        assert isinstance(ledger.crl(ca.certificate, ca.key), SignedCrl)
        sign_log(ledger.database, users.state, utc_now)
        assert ledger.head().size == before + 7
        assert [*ledger.verify(outside=OUTSIDE)] == []


def test_the_application_mends_the_read_model(users: Users) -> None:
    execute(
        users.owner,
        "UPDATE certificates SET status = 'expired' WHERE id = 1",
        "DELETE FROM certificates WHERE id = 3",
        "INSERT INTO retired SELECT 1000, '5', 'valid', NULL, NULL, now()",
        "UPDATE projection SET version = 0",
    )
    with Ledger(users.app) as ledger:
        assert len([*ledger.drift()]) == 3
        report = ledger.rebuild()
        assert (report.changed, report.missing, report.unexpected) == (1, 1, 1)
        assert [*ledger.drift()] == []
        assert ledger.status().versions["projector"] == "1"


def test_the_handler_works_for_the_application(users: Users) -> None:
    with SyncDBHandler(users.app, raise_errors=True) as handler:
        assert handler.register_cert_in_db(make_certificate(serial=21), "folder-21")
        assert handler.revoke_certificate(21)[0]
        assert "21" in [row.serial_number for row in handler.get_revoked_certificates()]
        with handler._db.session() as session:
            assert session.execute(text("SELECT count(*) FROM certificates")).scalar()
        assert handler.delete_by_uuid("folder-21")


def test_the_auditor_reads_and_checks_everything(users: Users) -> None:
    with Ledger(users.auditor) as ledger:
        assert ledger.get(1).serial_number == "1"
        assert [event.seq for event in ledger.events()] == list(range(ledger.head().size))
        assert ledger.status().head == ledger.head()
        assert [*ledger.drift()] == []
        assert [*ledger.verify(outside=OUTSIDE, jobs=2)] == []
        assert ledger.database.read(lambda c: prove_entry(c, 0)).seq == 0


def test_the_auditor_can_open_the_handler(users: Users) -> None:
    with SyncDBHandler(users.auditor) as handler:
        assert handler.get_by_serial(1)
        assert not handler.register_cert_in_db(make_certificate(), None)


# What they do not


FOR_NOBODY = [
    "UPDATE log_entry SET entry = x'00'",
    "UPDATE log_entry SET actor = actor WHERE 1 = 0",
    "UPDATE certificates c JOIN log_entry e ON e.seq = c.id SET e.actor = 'x'",
    "DELETE FROM log_entry",
    "REPLACE INTO log_entry SELECT * FROM log_entry LIMIT 1",
    "INSERT INTO log_entry SELECT * FROM log_entry ON DUPLICATE KEY UPDATE actor = 'x'",
    "TRUNCATE TABLE log_entry",
    "DROP TABLE log_entry",
    "ALTER TABLE log_entry ADD COLUMN more INT",
    "ALTER TABLE log_entry ENGINE = MyISAM",
    "ALTER TABLE log_entry DISABLE KEYS",
    "RENAME TABLE log_entry TO log_entries",
    "DROP TRIGGER log_entry_no_update",
    "CREATE TRIGGER mine BEFORE INSERT ON log_entry FOR EACH ROW SET NEW.actor = 'x'",
    "CREATE INDEX mine ON log_entry (actor)",
    "CREATE TABLE mine (x INT)",
    "CREATE TABLE mine LIKE log_entry",
    "CREATE VIEW mine AS SELECT 1 AS x",
    "CREATE PROCEDURE mine() SELECT 1",
    "ALTER PROCEDURE log_triggers SQL SECURITY INVOKER",
    "DROP PROCEDURE log_triggers",
    "LOCK TABLES log_entry WRITE",
    "SET SESSION sql_log_bin = 0",
    "UPDATE log_head SET origin = 'example.org/mine'",
    "UPDATE log_head SET format = 2",
    "UPDATE log_head SET created = now()",
    "INSERT INTO log_head SELECT * FROM log_head",
    "DELETE FROM log_head",
    "TRUNCATE TABLE log_head",
    "UPDATE log_checkpoint SET note = x'00'",
    "DELETE FROM log_checkpoint",
    "TRUNCATE TABLE log_checkpoint",
    "INSERT INTO log_copy SELECT 1, 'example.org', 0, '', now(), NULL",
    "UPDATE log_copy SET size = 0",
    "DELETE FROM log_copy",
    "UPDATE alembic_version SET version_num = '9999'",
    "DELETE FROM alembic_version",
    "INSERT INTO projection VALUES ('mine', 0, 0)",
    "UPDATE projection SET name = 'mine'",
    "DELETE FROM projection",
    "UPDATE retired SET last_state = 'valid'",
    "TRUNCATE TABLE certificates",
    "DROP TABLE certificates",
    "LOAD DATA INFILE '/dev/null' REPLACE INTO TABLE log_entry",
    "SELECT entry FROM log_entry INTO OUTFILE '/dev/shm/mine'",
    "DROP DATABASE {database}",
    "ALTER DATABASE {database} CHARACTER SET latin1",
    "GRANT UPDATE ON {database}.log_entry TO CURRENT_USER",
]
FOR_NO_AUDITOR = [
    "INSERT INTO log_entry SELECT * FROM log_entry",
    "INSERT INTO log_checkpoint SELECT * FROM log_checkpoint",
    "UPDATE log_head SET size = size + 1",
    "UPDATE certificates SET status = 'valid'",
    "DELETE FROM certificates",
    "INSERT INTO certificates SELECT * FROM certificates",
    "DELETE FROM retired",
    "UPDATE projection SET version = 2",
]
DENIED = frozenset({1044, 1045, 1142, 1143, 1227, 1370})


@pytest.fixture(scope="module", params=["app", "auditor"])
def session(request: pytest.FixtureRequest, users: Users) -> Iterator[object]:
    with stranger(getattr(users, request.param)) as connection:
        yield connection


@pytest.fixture(scope="module")
def auditor(users: Users) -> Iterator[object]:
    with stranger(users.auditor) as connection:
        yield connection


def check_denied(session: object, users: Users, statement: str) -> None:
    statement = statement.format(database=make_url(users.app).database)
    with pytest.raises(pymysql.MySQLError) as refused:
        run(session, statement)  # type: ignore[arg-type] # a connection of PyMySQL
    assert refused.value.args[0] in DENIED, refused.value


@pytest.mark.parametrize("statement", FOR_NOBODY)
def test_the_server_refuses(session: object, users: Users, statement: str) -> None:
    """Whatever program the user has."""
    check_denied(session, users, statement)


@pytest.mark.parametrize("statement", FOR_NO_AUDITOR)
def test_the_server_refuses_the_auditor(auditor: object, users: Users, statement: str) -> None:
    check_denied(auditor, users, statement)


def test_the_auditor_is_told_that_he_only_reads(users: Users) -> None:
    match = "cannot be written: .* denied to user"
    with Ledger(users.auditor) as ledger:
        size = ledger.head().size
        with pytest.raises(ReadOnlyRegistry, match=match):
            ledger.issue(make_certificate())
        with pytest.raises(ReadOnlyRegistry, match=match):
            ledger.revoke(1)
        with pytest.raises(ReadOnlyRegistry, match=match):
            ledger.crl(make_ca().certificate, make_ca().key)
        with pytest.raises(ReadOnlyRegistry, match=match):
            sign_log(ledger.database, users.state, utc_now)
        assert ledger.head().size == size


def test_the_auditor_cannot_rebuild(users: Users) -> None:
    execute(users.owner, "UPDATE certificates SET status = 'expired' WHERE id = 1")
    with Ledger(users.auditor) as ledger:
        assert len([*ledger.drift()]) == 1
        with pytest.raises(ReadOnlyRegistry, match="UPDATE command denied"):
            ledger.rebuild()
    with Ledger(users.app) as ledger:
        assert ledger.rebuild().differences == 1


def test_the_application_does_not_make_tables(users: Users) -> None:
    with Ledger(users.app) as ledger:
        with pytest.raises(ReadOnlyRegistry, match=r"(CREATE|DROP) command denied"):
            ledger.rebuild(recreate=True)
        assert [*ledger.verify(outside=OUTSIDE)] == []
        assert [*ledger.drift()] == []


def test_the_application_cannot_upgrade(users: Users) -> None:
    execute(users.owner, "DROP TABLE log_copy")
    database = Database(users.app)
    try:
        with pytest.raises(ReadOnlyRegistry, match="CREATE command denied"):
            upgrade(database)
    finally:
        database.close()
    database = Database(users.owner)
    upgrade(database)
    database.close()
    with Ledger(users.auditor) as ledger:
        assert [*ledger.verify(outside=OUTSIDE)] == []


def test_the_owner_recreates_the_tables(users: Users) -> None:
    """And the others may use them as before."""
    with Ledger(users.owner) as ledger:
        assert ledger.rebuild(recreate=True).differences == 0
    with Ledger(users.app) as ledger:
        ledger.issue(make_certificate(serial=31))
    with Ledger(users.auditor) as ledger:
        assert ledger.get(31).serial_number == "31"
        assert [*ledger.verify(outside=OUTSIDE)] == []


# What the auditor sees of the triggers


def test_without_the_owners_eyes_the_auditor_sees_whether_triggers_are_there(users: Users) -> None:
    auditor = make_url(users.auditor)
    listing = f"ON PROCEDURE {auditor.database}.log_triggers"
    execute(users.server, f"REVOKE EXECUTE {listing} FROM {auditor.username}")
    (trigger,) = execute(users.owner, "SHOW CREATE TRIGGER log_head_grows")
    try:
        with Ledger(users.auditor) as ledger:
            (note,) = ledger.verify(outside=OUTSIDE)
            assert (note.level, note.kind) == ("note", "trigger-hidden")
            execute(users.owner, "DROP TRIGGER log_head_grows")
            found = [(one.level, one.kind) for one in ledger.verify(outside=OUTSIDE)]
            assert found == [("finding", "trigger-missing"), ("note", "trigger-hidden")]
    finally:
        execute(users.owner, str(trigger["SQL Original Statement"]))
        execute(users.server, f"GRANT EXECUTE {listing} TO {auditor.username}")
        with Ledger(users.auditor) as ledger:
            assert [*ledger.verify(outside=OUTSIDE)] == []


def test_with_the_owners_eyes_the_auditor_sees_a_changed_trigger(users: Users) -> None:
    with Ledger(users.app) as ledger:
        execute(
            users.owner,
            "DROP TRIGGER log_entry_no_delete",
            "CREATE TRIGGER log_entry_no_delete BEFORE DELETE ON log_entry FOR EACH ROW BEGIN END",
            "CREATE TRIGGER mine AFTER INSERT ON log_head FOR EACH ROW BEGIN END",
        )
        try:
            found = [(one.level, one.kind) for one in ledger.verify(outside=OUTSIDE)]
            assert found == [("finding", "trigger-missing"), ("note", "trigger-unknown")]
        finally:
            execute(users.owner, "DROP TRIGGER mine")
            database = Database(users.owner)
            upgrade(database)
            database.close()
        assert [*ledger.verify(outside=OUTSIDE)] == []
