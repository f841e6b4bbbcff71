"""The roles of the how-to: each may do its work on a real server, and nothing more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex

import psycopg
import pytest
from sqlalchemy import make_url, text

from certledger import Ledger, SyncDBHandler
from certledger.bulk import Registration
from certledger.crl import SignedCrl
from certledger.doctor.examining import examine
from certledger.errors import ReadOnlyRegistry
from certledger.eventstore.database import Database
from certledger.eventstore.proving import prove_entry
from certledger.eventstore.times import utc_now
from certledger.migrations.upgrading import upgrade
from certledger.projections.verifying.outside import Outside
from certledger.testing.certificates import make_ca, make_certificate
from tests.docs.page import blocks, read_lines
from tests.support.doctor import weak
from tests.support.log import ORIGIN
from tests.support.postgresql import plain, role
from tests.support.servers import administrator, random_name
from tests.support.signed import LOG_KEY, sign_log

PAGE = Path("docs/how-to/set-up-postgresql.md")
OUTSIDE = Outside(keys=(LOG_KEY.verifier_key,))
ROLES = ("owner", "app", "auditor")


@dataclass(frozen=True)
class Roles:
    """A registry set up as the page says."""

    owner: str
    app: str
    auditor: str
    state: Path
    """Where the signer keeps its mark."""


def statements(block: int, names: dict[str, str]) -> list[str]:
    """The statements of a block of SQL on the page, with other names."""
    found = [block for block in blocks(read_lines(PAGE)) if block.language == "sql"]
    sql = "\n".join(found[block].lines)
    for name, other in names.items():
        sql = re.sub(rf"\b{name}\b", other, sql)
    return [statement for statement in sql.split(";") if statement.strip()]


def run(url: str, sql: list[str]) -> None:
    with psycopg.connect(plain(url), autocommit=True) as connection:
        for statement in sql:
            connection.execute(statement.encode())


@pytest.fixture(scope="module")
def roles(postgresql_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roles]:
    prefix, database = random_name(), random_name()
    names = {f"registry_{role}": f"{prefix}_{role}" for role in ROLES} | {"pki": database}
    in_database = make_url(postgresql_server).set(database=database)
    passwords = {role: token_hex(8) for role in ROLES}
    urls = {
        role: plain(
            in_database.set(username=f"{prefix}_{role}", password=password).render_as_string(
                hide_password=False
            )
        )
        for role, password in passwords.items()
    }
    try:
        run(postgresql_server, statements(0, names))
        for role, password in passwords.items():
            run(postgresql_server, [f"ALTER ROLE {prefix}_{role} PASSWORD '{password}'"])
        run(in_database.render_as_string(hide_password=False), statements(1, names))
        with Ledger(urls["owner"], origin=ORIGIN):
            pass
        run(urls["owner"], statements(2, names))
        state = tmp_path_factory.mktemp("state")
        with Ledger(urls["app"], create=False) as ledger:
            for serial in (1, 2, 3):
                ledger.issue(make_certificate(serial=serial), uuid=f"folder-{serial}")
            ledger.revoke(3)
            sign_log(ledger.database, state, utc_now)
        yield Roles(**urls, state=state)
    finally:
        with administrator(postgresql_server) as sql:
            sql.exec_driver_sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
            for role in ROLES:
                sql.exec_driver_sql(f"DROP ROLE IF EXISTS {prefix}_{role}")


# What they do


def test_the_application_does_all_its_work(roles: Roles) -> None:
    with Ledger(roles.app) as ledger:
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
        sign_log(ledger.database, roles.state, utc_now)
        assert ledger.head().size == before + 7
        assert [*ledger.verify(outside=OUTSIDE)] == []


def test_the_application_mends_the_read_model(roles: Roles) -> None:
    run(
        roles.owner,
        [
            "UPDATE certificates SET status = 'expired' WHERE id = 1",
            "DELETE FROM certificates WHERE id = 3",
            "INSERT INTO retired SELECT 1000, '5', 'valid', NULL, NULL, now()",
            "UPDATE projection SET version = 0",
        ],
    )
    with Ledger(roles.app) as ledger:
        assert len([*ledger.drift()]) == 3
        report = ledger.rebuild()
        assert (report.changed, report.missing, report.unexpected) == (1, 1, 1)
        assert [*ledger.drift()] == []
        assert ledger.status().versions["projector"] == "1"


def test_the_handler_works_for_the_application(roles: Roles) -> None:
    with SyncDBHandler(roles.app, raise_errors=True) as handler:
        assert handler.register_cert_in_db(make_certificate(serial=21), "folder-21")
        assert handler.revoke_certificate(21)[0]
        assert "21" in [row.serial_number for row in handler.get_revoked_certificates()]
        with handler._db.session() as session:
            assert session.execute(text("SELECT count(*) FROM certificates")).scalar()
        assert handler.delete_by_uuid("folder-21")


def test_the_auditor_reads_and_checks_everything(roles: Roles) -> None:
    with Ledger(roles.auditor) as ledger:
        assert ledger.get(1).serial_number == "1"
        assert [event.seq for event in ledger.events()] == list(range(ledger.head().size))
        assert ledger.status().head == ledger.head()
        assert [*ledger.drift()] == []
        assert [*ledger.verify(outside=OUTSIDE, jobs=2)] == []
        assert ledger.database.read(lambda c: prove_entry(c, 0)).seq == 0


def test_the_auditor_can_open_the_handler(roles: Roles) -> None:
    with SyncDBHandler(roles.auditor) as handler:
        assert handler.get_by_serial(1)
        assert not handler.register_cert_in_db(make_certificate(), None)


# What they do not


FOR_NOBODY = [
    "UPDATE log_entry SET entry = '\\x00'",
    "UPDATE log_entry SET actor = actor WHERE false",
    "DELETE FROM log_entry",
    "TRUNCATE log_entry",
    "DROP TABLE log_entry",
    "DROP TABLE log_entry CASCADE",
    "ALTER TABLE log_entry DISABLE TRIGGER ALL",
    "ALTER TABLE log_entry DISABLE TRIGGER log_entry_no_update",
    "ALTER TABLE log_entry DISABLE TRIGGER USER",
    "ALTER TABLE log_entry ADD COLUMN more integer",
    "ALTER TABLE log_entry ALTER COLUMN entry TYPE bytea USING '\\x00'::bytea",
    "ALTER TABLE log_entry RENAME TO log_entries",
    "ALTER TABLE log_entry OWNER TO CURRENT_USER",
    "ALTER TABLE log_entry SET UNLOGGED",
    "ALTER TABLE log_entry ENABLE ROW LEVEL SECURITY",
    "DROP TRIGGER log_entry_no_update ON log_entry",
    "DROP FUNCTION log_entry_no_update() CASCADE",
    "CREATE OR REPLACE FUNCTION log_head_grows() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
    "ALTER FUNCTION log_entry_no_update() RESET search_path",
    "CREATE RULE mine AS ON INSERT TO log_entry DO INSTEAD NOTHING",
    "CREATE POLICY mine ON log_entry USING (false)",
    "CREATE TRIGGER mine AFTER INSERT ON log_entry EXECUTE FUNCTION log_entry_no_update()",
    "CREATE INDEX mine ON log_entry (actor)",
    "CREATE TABLE mine () INHERITS (log_entry)",
    "CREATE TABLE mine (x bigint REFERENCES log_entry)",
    "CREATE TABLE mine (x integer)",
    "CREATE FUNCTION mine() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE SCHEMA mine",
    "CREATE TABLE public.mine (x integer)",
    "ALTER SCHEMA registry RENAME TO mine",
    "DROP SCHEMA registry CASCADE",
    "SET session_replication_role = replica",
    "UPDATE log_head SET origin = 'example.org/mine'",
    "UPDATE log_head SET format = 2",
    "UPDATE log_head SET created = now()",
    "INSERT INTO log_head SELECT * FROM log_head",
    "DELETE FROM log_head",
    "TRUNCATE log_head",
    "UPDATE log_checkpoint SET note = '\\x00'",
    "DELETE FROM log_checkpoint",
    "TRUNCATE log_checkpoint",
    "INSERT INTO log_copy SELECT 1, 'example.org', 0, '', now(), NULL",
    "UPDATE log_copy SET size = 0",
    "DELETE FROM log_copy",
    "UPDATE alembic_version SET version_num = '9999'",
    "DELETE FROM alembic_version",
    "INSERT INTO projection VALUES ('mine', 0, 0)",
    "UPDATE projection SET name = 'mine'",
    "DELETE FROM projection",
    "UPDATE retired SET last_state = 'valid'",
    "TRUNCATE certificates",
    "DROP TABLE certificates",
    "ALTER TABLE certificates DISABLE TRIGGER ALL",
    "LOCK TABLE log_entry IN ACCESS EXCLUSIVE MODE",
    "COPY log_entry TO PROGRAM 'cat'",
    "COPY log_entry FROM '/dev/null'",
]
FOR_NO_AUDITOR = [
    "INSERT INTO log_entry SELECT * FROM log_entry",
    "INSERT INTO log_checkpoint SELECT * FROM log_checkpoint",
    "UPDATE log_head SET size = size + 1",
    "SELECT * FROM log_head FOR UPDATE",
    "SELECT * FROM log_head FOR SHARE",
    "UPDATE certificates SET status = 'valid'",
    "DELETE FROM certificates",
    "INSERT INTO certificates SELECT * FROM certificates",
    "DELETE FROM retired",
    "UPDATE projection SET version = 2",
    "SELECT nextval('certificates_id_seq')",
    "COPY log_entry FROM STDIN",
]


@pytest.mark.parametrize("statement", FOR_NOBODY)
@pytest.mark.parametrize("by", ["app", "auditor"])
def test_the_server_refuses(roles: Roles, by: str, statement: str) -> None:
    """Whatever program the role uses."""
    with (
        psycopg.connect(getattr(roles, by)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


@pytest.mark.parametrize("statement", FOR_NO_AUDITOR)
def test_the_server_refuses_the_auditor(roles: Roles, statement: str) -> None:
    with (
        psycopg.connect(roles.auditor) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


def test_nobody_else_can_connect(roles: Roles, postgresql_server: str) -> None:
    database = make_url(roles.app).database
    with (
        role(postgresql_server, database=database) as url,
        pytest.raises(psycopg.OperationalError, match="permission denied for database"),
    ):
        psycopg.connect(url)


def test_the_auditor_is_told_that_he_only_reads(roles: Roles) -> None:
    match = "does not let this role do that: permission denied for table"
    with Ledger(roles.auditor) as ledger:
        size = ledger.head().size
        with pytest.raises(ReadOnlyRegistry, match=match):
            ledger.issue(make_certificate())
        with pytest.raises(ReadOnlyRegistry, match=match):
            ledger.revoke(1)
        with pytest.raises(ReadOnlyRegistry, match=match):
            ledger.crl(make_ca().certificate, make_ca().key)
        with pytest.raises(ReadOnlyRegistry, match=match):
            sign_log(ledger.database, roles.state, utc_now)
        assert ledger.head().size == size


def test_the_auditor_cannot_rebuild(roles: Roles) -> None:
    run(roles.owner, ["UPDATE certificates SET status = 'expired' WHERE id = 1"])
    with Ledger(roles.auditor) as ledger:
        assert len([*ledger.drift()]) == 1
        with pytest.raises(ReadOnlyRegistry, match="permission denied"):
            ledger.rebuild()
    with Ledger(roles.app) as ledger:
        assert ledger.rebuild().differences == 1


def test_the_application_does_not_make_tables(roles: Roles) -> None:
    with Ledger(roles.app) as ledger:
        with pytest.raises(ReadOnlyRegistry, match="must be owner of table certificates"):
            ledger.rebuild(recreate=True)
        assert [*ledger.verify(outside=OUTSIDE)] == []
        assert [*ledger.drift()] == []


def test_the_application_cannot_upgrade(roles: Roles) -> None:
    run(roles.owner, ["DROP TABLE log_copy"])
    database = Database(roles.app)
    try:
        with pytest.raises(ReadOnlyRegistry, match="permission denied for schema registry"):
            upgrade(database)
    finally:
        database.close()
    database = Database(roles.owner)
    upgrade(database)
    database.close()
    with Ledger(roles.auditor) as ledger:
        assert [*ledger.verify(outside=OUTSIDE)] == []


def test_the_owner_recreates_the_tables(roles: Roles) -> None:
    """And the others may use them as before."""
    with Ledger(roles.owner) as ledger:
        assert ledger.rebuild(recreate=True).differences == 0
    with Ledger(roles.app) as ledger:
        ledger.issue(make_certificate(serial=31))
    with Ledger(roles.auditor) as ledger:
        assert ledger.get(31).serial_number == "31"
        assert [*ledger.verify(outside=OUTSIDE)] == []


@pytest.mark.parametrize("name", ["app", "auditor"])
def test_the_doctor_finds_nothing_weak_with_them(roles: Roles, name: str) -> None:
    assert weak(getattr(roles, name)) == []


@pytest.mark.parametrize("by", ["app", "auditor"])
def test_doctor_finds_no_privilege_that_is_too_wide(roles: Roles, by: str) -> None:
    database = Database(getattr(roles, by))
    try:
        found = examine(database, utc_now)
    finally:
        database.close()
    assert [symptom for symptom in found if symptom.kind == "privileges"] == []
