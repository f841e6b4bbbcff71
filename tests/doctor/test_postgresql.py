"""What weakens a registry on PostgreSQL, and is gone when it is mended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, make_url

from certledger import Ledger
from certledger.doctor import examine
from certledger.doctor.postgresql import read_transport
from certledger.eventstore.database import Database
from certledger.eventstore.symptom import Symptom
from certledger.eventstore.times import utc_now
from certledger.testing.certificates import make_certificate
from tests.support import own_servers
from tests.support.doctor import kinds, mend, mend_by_sql, only, statements, symptoms, weak
from tests.support.log import ORIGIN
from tests.support.own_servers import OwnPostgreSQL
from tests.support.postgresql import database, named, role, with_options
from tests.support.servers import Place, administrator
from tests.support.signed import sign_log
from tests.support.tls import make_server_certificate


@pytest.fixture
def owner(postgresql: Place) -> str:
    """The URL of a registry for its owner, a superuser."""
    with Ledger(postgresql.url, origin=ORIGIN) as ledger:
        ledger.issue(make_certificate())
    return postgresql.url


@pytest.fixture
def application(owner: str, postgresql: Place) -> Iterator[str]:
    """The URL of a registry for a role of the application's own, made as the doctor says."""
    found = only(symptoms(owner), "privileges")
    mend(found, owner)
    name = f"{postgresql.name}_app"
    with postgresql.administrator() as sql:
        sql.exec_driver_sql(f"ALTER ROLE {name} PASSWORD 'secret'")
    url = make_url(owner).set(username=name, password="secret")
    yield url.render_as_string(hide_password=False)
    with postgresql.administrator() as sql:
        sql.exec_driver_sql(f"DROP OWNED BY {name}")
        sql.exec_driver_sql(f"DROP ROLE {name}")


def test_the_role_that_the_doctor_makes_has_nothing_weak(application: str) -> None:
    assert symptoms(application, but=["no-checkpoint"]) == []


DAMAGE = (
    "UPDATE certificates SET status = 'expired' WHERE serial_number = '3'",
    "DELETE FROM certificates WHERE serial_number = '4'",
    "UPDATE retired SET serial_number = '5'",
)


def test_the_role_that_the_doctor_makes_may_do_what_a_registry_is_for(
    application: str, owner: str, tmp_path: Path
) -> None:
    with Ledger(application) as ledger:
        for serial in (2, 3, 4):
            ledger.issue(make_certificate(serial=serial))
        ledger.revoke(2, reason="superseded")
        ledger.delete(2)
        ledger.expire_due()
        statements(owner, *DAMAGE)
        assert len(list(ledger.drift())) == 3
        assert ledger.rebuild().differences == 3
        assert list(ledger.drift()) == []
        sign_log(ledger.database, tmp_path, ledger.now)
        notes = [each.kind for each in ledger.verify()]
        assert notes == ["checkpoint-unchecked"]


def test_an_examination_changes_nothing(owner: str, postgresql: Place) -> None:
    tables = "log_entry", "log_head", "certificates"

    def rows() -> list[object]:
        with postgresql.administrator() as sql:
            return [
                sql.exec_driver_sql(f"SELECT xmin::text, t.* FROM {postgresql.name}.{name} t").all()
                for name in tables
            ]

    before = rows()
    symptoms(owner)
    assert rows() == before


# Settings


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_flush_is_weak_until_it_is_told_to(
    own_postgresql: OwnPostgreSQL, setting: str
) -> None:
    Ledger(own_postgresql.url).close()
    statements(own_postgresql.url, f"ALTER SYSTEM SET {setting} = off")
    restart(own_postgresql)
    found = only(symptoms(own_postgresql.url), "durability")
    assert found.level == "weak"
    assert f"{setting} is off" in found.message
    with Ledger(own_postgresql.url) as ledger:
        assert ledger.status().warnings == [str(found)]
    mend(found, own_postgresql.url)
    restart(own_postgresql)
    assert "durability" not in weak(own_postgresql.url)


def test_a_server_without_write_ahead_log_for_standbys_is_a_note_until_it_has_one(
    own_postgresql: OwnPostgreSQL,
) -> None:
    Ledger(own_postgresql.url).close()
    off = "ALTER SYSTEM SET max_wal_senders = 0", "ALTER SYSTEM SET wal_level = minimal"
    statements(own_postgresql.url, *off)
    restart(own_postgresql)
    found = only(symptoms(own_postgresql.url), "no-standby")
    assert found.level == "note"
    assert found.mending[-1].command == "pg_ctl restart"
    mend_by_sql(found, own_postgresql.url)
    restart(own_postgresql)
    assert "no-standby" not in kinds(symptoms(own_postgresql.url))


def restart(server: OwnPostgreSQL) -> None:
    server.stop()
    server.start()


def test_a_role_whose_commits_do_not_wait_is_a_note_until_the_role_is_altered(
    postgresql: Place, application: str
) -> None:
    """Sessions of certledger's own switch them on, so nothing is weak."""
    name = named(application)
    with postgresql.administrator() as sql:
        sql.exec_driver_sql(f"ALTER ROLE {name} SET synchronous_commit = off")
    found = only(symptoms(application), "commit-default")
    assert found.level == "note"
    mend(found, postgresql.server)
    assert weak(application) == []
    assert "commit-default" not in kinds(symptoms(application))


def test_a_database_whose_commits_do_not_wait_is_a_note_until_the_role_is_altered(
    postgresql_server: str,
) -> None:
    with database(postgresql_server, synchronous_commit="off") as url:
        Ledger(url).close()
        found = only(symptoms(url), "commit-default")
        mend(found, url)
        assert "commit-default" not in kinds(symptoms(url))
        statements(url, f"ALTER ROLE {named(url)} IN DATABASE {make_url(url).database} RESET ALL")


def test_a_session_whose_commits_do_not_wait_is_weak_until_its_role_is_altered(
    postgresql: Place, application: str
) -> None:
    """As where a pooler resets what certledger has set."""
    name = named(application)
    with postgresql.administrator() as sql:
        sql.exec_driver_sql(f"ALTER ROLE {name} SET synchronous_commit = off")
    found = only(examine_reset(application), "durability")
    assert "synchronous_commit is off in this session" in found.message
    mend(found, postgresql.server)
    assert "durability" not in kinds(examine_reset(application))


def test_a_session_in_another_time_zone_is_weak_until_its_role_is_altered(
    postgresql: Place, application: str
) -> None:
    with postgresql.administrator() as sql:
        sql.exec_driver_sql(f"ALTER ROLE {named(application)} SET timezone = 'Asia/Kathmandu'")
    assert symptoms(application, but=["no-checkpoint"]) == []
    found = only(examine_reset(application), "time-zone")
    assert "Asia/Kathmandu" in found.message
    mend(found, postgresql.server)
    assert "time-zone" not in kinds(examine_reset(application))


def examine_reset(url: str) -> list[Symptom]:
    """What is found where something has reset the sessions after certledger set them."""
    opened = Database(url)
    keep = f"SET search_path = {str(make_url(url).query['options']).rpartition('=')[2]}"

    def reset(connection: object, _record: object) -> None:
        connection.autocommit = True  # type: ignore[attr-defined] # psycopg's
        connection.execute(f"RESET ALL; {keep}")  # type: ignore[attr-defined] # the same
        connection.autocommit = False  # type: ignore[attr-defined] # the same

    try:
        event.listen(opened.engine, "connect", reset)
        return examine(opened)
    finally:
        opened.close()


def test_a_role_whose_triggers_do_not_fire_is_weak_until_the_role_is_altered(
    postgresql: Place, application: str
) -> None:
    with postgresql.administrator() as sql:
        name = named(application)
        sql.exec_driver_sql(f"ALTER ROLE {name} SET session_replication_role = replica")
    found = only(symptoms(application), "triggers-off")
    assert found.level == "weak"
    mend(found, postgresql.server)
    assert weak(application) == []


def test_a_role_that_only_reads_by_default_is_a_note_until_the_role_is_altered(
    postgresql: Place, application: str
) -> None:
    with postgresql.administrator() as sql:
        name = named(application)
        sql.exec_driver_sql(f"ALTER ROLE {name} SET default_transaction_read_only = on")
    found = only(symptoms(application), "read-only")
    assert found.level == "note"
    mend(found, postgresql.server)
    assert "read-only" not in kinds(symptoms(application))


def test_a_standby_is_a_note(own_postgresql: OwnPostgreSQL) -> None:
    Ledger(own_postgresql.url).close()
    own_postgresql.stop()
    (own_postgresql.folder / "data" / "standby.signal").touch()
    own_postgresql.start()
    found = symptoms(own_postgresql.url)
    assert (
        only(found, "read-only").message == "the server is a standby: it can be read, not written"
    )
    assert kinds(found, "weak") == ["privileges"]


# Tables and triggers


@pytest.mark.parametrize("table", ["log_entry", "log_checkpoint", "certificates", "retired"])
def test_an_unlogged_table_is_weak_until_it_is_logged(owner: str, table: str) -> None:
    statements(owner, f"ALTER TABLE {table} SET UNLOGGED")
    found = only(symptoms(owner), "durability")
    assert f"{table} is unlogged" in found.message
    mend(found, owner)
    assert weak(owner) == ["privileges"]


def test_missing_changed_and_disabled_triggers_are_weak_until_they_are_put_back(
    owner: str, tmp_path: Path
) -> None:
    statements(
        owner,
        "DROP TRIGGER log_entry_no_delete ON log_entry",
        "DROP TRIGGER log_entry_no_update ON log_entry",
        "ALTER TABLE log_head DISABLE TRIGGER log_head_grows",
    )
    missing, changed = [each for each in symptoms(owner) if each.kind == "trigger-missing"]
    for name in ("log_entry_no_delete", "log_entry_no_update"):
        assert name in missing.message
    assert "log_head_grows is not the registry's" in changed.message
    mend(missing, owner, tmp_path)
    assert weak(owner) == ["privileges"]


def test_an_unknown_trigger_is_a_note_until_it_is_dropped(owner: str) -> None:
    statements(
        owner,
        "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$",
        'CREATE TRIGGER "an odd one" BEFORE INSERT ON log_entry FOR EACH ROW '
        "EXECUTE FUNCTION skip()",
    )
    found = only(symptoms(owner), "trigger-unknown")
    assert found.level == "note"
    mend(found, owner)
    assert "trigger-unknown" not in kinds(symptoms(owner))


def test_a_rule_on_the_log_is_weak_until_it_is_dropped(owner: str) -> None:
    statements(owner, "CREATE RULE quiet AS ON DELETE TO log_checkpoint DO INSTEAD NOTHING")
    found = only(symptoms(owner), "interference")
    assert found.level == "weak"
    mend(found, owner)
    assert weak(owner) == ["privileges"]


# The connection


def test_a_clock_that_differs_from_the_servers_is_weak(application: str) -> None:
    found = only(symptoms(application, lambda: utc_now() + timedelta(seconds=30)), "clock-offset")
    assert "s behind this machine's" in found.message
    found = only(symptoms(application, lambda: utc_now() - timedelta(hours=1)), "clock-offset")
    assert "s ahead of this machine's" in found.message


def test_a_clock_behind_the_last_entry_is_weak(application: str) -> None:
    found = symptoms(application, lambda: utc_now() - timedelta(days=2))
    assert "appending is refused" in only(found, "clock-behind-log").message


@pytest.fixture
def with_tls(monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnPostgreSQL]:
    """A server whose programs know TLS, which those of pgserver do not."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not programs:
        pytest.skip("needs the programs of a PostgreSQL server in /usr/lib/postgresql")
    monkeypatch.setattr(own_servers, "postgresql_programs", lambda: programs[0])
    with OwnPostgreSQL() as server:
        yield server


def test_a_connection_by_tls_is_told_from_one_without(with_tls: OwnPostgreSQL) -> None:
    Ledger(with_tls.url).close()
    opened = Database(with_tls.url)
    assert not opened.read(read_transport).encrypted
    opened.close()
    offer_tls(with_tls)
    for mode, authenticated in (("require", False), ("verify-ca", True)):
        query = {"sslmode": mode, "sslrootcert": str(with_tls.folder / "server.crt")}
        opened = Database(make_url(with_tls.url).update_query_dict(query))
        found = opened.read(read_transport)
        opened.close()
        assert (found.host, found.encrypted, found.authenticated) == (
            "127.0.0.1",
            True,
            authenticated,
        )


def offer_tls(server: OwnPostgreSQL) -> None:
    certificate, key = make_server_certificate(server.folder)
    statements(
        server.url,
        f"ALTER SYSTEM SET ssl_cert_file = '{certificate}'",
        f"ALTER SYSTEM SET ssl_key_file = '{key}'",
        "ALTER SYSTEM SET ssl = on",
    )
    restart(server)


# Who may not look


def test_a_role_that_may_only_read_the_log_is_enough(postgresql: Place, owner: str) -> None:
    """What it may not read is a note."""
    with role(postgresql.server) as plain:
        name = named(plain)
        with postgresql.administrator() as sql:
            sql.exec_driver_sql(f"GRANT USAGE ON SCHEMA {postgresql.name} TO {name}")
            sql.exec_driver_sql(f"GRANT SELECT ON {postgresql.name}.log_head TO {name}")
        found = symptoms(with_options(plain, f"-csearch_path={postgresql.name}"))
    assert {each.level for each in found} == {"note"}
    notes = [each.message for each in found if each.kind == "not-examined"]
    assert [note.partition(" could not be looked at")[0] for note in notes] == [
        "the versions of the tables",
        "the mark of a copy",
        "the checkpoints",
    ]
    assert all("permission denied" in note for note in notes)


def test_two_registries_in_one_database_are_told_apart(owner: str, postgresql: Place) -> None:
    name = f"{postgresql.name}_other"
    with administrator(postgresql.server) as sql:
        sql.exec_driver_sql(f"CREATE SCHEMA {name}")
    try:
        other = with_options(owner, f"-csearch_path={name}")
        Ledger(other).close()
        statements(other, "DROP TRIGGER log_entry_no_delete ON log_entry")
        assert weak(owner) == ["privileges"]
        assert weak(other) == ["trigger-missing", "privileges"]
    finally:
        with administrator(postgresql.server) as sql:
            sql.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
