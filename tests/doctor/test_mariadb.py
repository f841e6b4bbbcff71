"""What weakens a registry on MariaDB, and is gone when it is mended."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, make_url

from certledger import Ledger
from certledger.doctor import examine
from certledger.doctor.mariadb import read_transport
from certledger.doctor.mariadb_accounts import Account, own_account
from certledger.eventstore.database import Database
from certledger.eventstore.symptom import Symptom
from certledger.eventstore.times import utc_now
from certledger.testing.certificates import make_certificate
from tests.support.doctor import kinds, mend, mend_by_sql, only, statements, symptoms, weak
from tests.support.log import ORIGIN
from tests.support.own_servers import OwnMariaDB
from tests.support.servers import Place
from tests.support.signed import sign_log
from tests.support.tls import make_server_certificate

ACCOUNT_OF_TESTS = "privileges"
"""The account that tests are given may do everything, which is weak."""


@pytest.fixture
def owner(mariadb: Place) -> str:
    """The URL of a registry for an administrator."""
    with Ledger(mariadb.url, origin=ORIGIN) as ledger:
        ledger.issue(make_certificate())
    return mariadb.url


class Accounts:
    """Accounts on one registry, dropped at the end."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.names: list[str] = []

    def run(self, *texts: str) -> None:
        with self.place.administrator() as sql:
            for text in texts:
                sql.exec_driver_sql(text.replace("%", "%%"))

    @property
    def host(self) -> str:
        """Where the server sees the tests."""
        with self.place.administrator() as sql:
            return str(sql.exec_driver_sql("SELECT current_user()").scalar()).rpartition("@")[2]

    def login(self, *grants: str, name: str = "u") -> str:
        """The URL of an account with some privileges on the registry ("SELECT ON log_entry")."""
        account = self.account(name)
        self.run(f"CREATE USER {account} IDENTIFIED BY 'secret'")
        self.names.append(account)
        for grant in grants:
            what, _, where = grant.partition(" ON ")
            option = " WITH GRANT OPTION" if "OPTION" in where else ""
            scope = where.partition(" WITH ")[0]
            scope = scope if "." in scope else f"{self.place.name}.{scope}"
            self.run(f"GRANT {what} ON {scope} TO {account}{option}")
        return self.url(f"{name}_{self.place.name[-12:]}")

    def account(self, name: str) -> str:
        return f"`{name}_{self.place.name[-12:]}`@`{self.host}`"

    def role(self, *grants: str, name: str = "r") -> str:
        name = f"{name}_{self.place.name[-12:]}"
        self.run(f"CREATE ROLE {name}")
        self.names.append(name)
        for grant in grants:
            what, _, where = grant.partition(" ON ")
            self.run(f"GRANT {what} ON {self.place.name}.{where} TO {name}")
        return name

    def url(self, user: str) -> str:
        made = make_url(self.place.url).set(username=user, password="secret")
        return made.render_as_string(hide_password=False)

    def drop(self) -> None:
        for name in self.names:
            kind = "USER" if "@" in name else "ROLE"
            self.run(f"DROP {kind} IF EXISTS {name}")


@pytest.fixture
def accounts(mariadb: Place, owner: str) -> Iterator[Accounts]:
    made = Accounts(mariadb)
    yield made
    made.drop()


READING = "SELECT ON *"


def test_an_account_that_may_only_read_has_nothing_weak(accounts: Accounts) -> None:
    found = symptoms(accounts.login(READING), but=["no-checkpoint"])
    assert kinds(found) == ["trigger-hidden"]


DAMAGE = (
    "UPDATE certificates SET status = 'expired' WHERE serial_number = '3'",
    "DELETE FROM certificates WHERE serial_number = '4'",
    "UPDATE retired SET serial_number = '5'",
)


def test_the_account_that_the_doctor_makes_may_do_what_a_registry_is_for(
    accounts: Accounts, owner: str, tmp_path: Path
) -> None:
    found = only(symptoms(owner), "privileges")
    mend(found, owner)
    name = f"{accounts.place.name[:28]}_app"
    account = f"`{name}`@`{accounts.host}`"
    accounts.names.append(account)
    accounts.run(f"ALTER USER {account} IDENTIFIED BY 'secret' ACCOUNT UNLOCK")
    with Ledger(accounts.url(name)) as ledger:
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
        assert {each.level for each in ledger.verify()} == {"note"}
    assert weak(accounts.url(name)) == []


@pytest.mark.parametrize(
    "wide",
    [
        "UPDATE ON log_entry",
        "DELETE ON log_entry",
        "DROP ON log_entry",
        "ALTER ON log_entry",
        "TRIGGER ON log_entry",
        "UPDATE (actor) ON log_entry",
        "ALL ON log_entry",
        "DELETE ON log_head",
        "UPDATE ON log_checkpoint",
        "INSERT ON log_entry WITH GRANT OPTION",
        "DELETE ON *",
        "ALL ON *",
        "ALL ON * WITH GRANT OPTION",
    ],
)
def test_a_privilege_that_nobody_needs_is_weak_until_it_is_revoked(
    accounts: Accounts, owner: str, wide: str
) -> None:
    url = accounts.login(READING, wide)
    found = only(symptoms(url), "privileges")
    assert found.level == "weak"
    assert ("GRANT OPTION" in found.message) == wide.endswith("OPTION")
    mend(found, owner)
    assert weak(url) == []


def test_an_account_that_was_allowed_everything_can_still_record_when_it_is_mended(
    accounts: Accounts, owner: str
) -> None:
    url = accounts.login("ALL ON *")
    mend(only(symptoms(url), "privileges"), owner)
    with Ledger(url) as ledger:
        ledger.issue(make_certificate(serial=2))
        assert list(ledger.drift()) == []


@pytest.mark.parametrize("needed", ["INSERT ON log_entry", "UPDATE ON log_head", "ALL ON retired"])
def test_a_privilege_that_an_application_needs_is_no_symptom(
    accounts: Accounts, needed: str
) -> None:
    assert weak(accounts.login(READING, needed)) == []


@pytest.mark.parametrize("default", [False, True])
def test_a_privilege_by_a_role_is_weak_until_it_is_revoked_from_the_role(
    accounts: Accounts, owner: str, default: bool
) -> None:
    url, account = accounts.login(READING), accounts.account("u")
    role = accounts.role("DELETE ON log_entry")
    accounts.run(f"GRANT {role} TO {account}")
    if default:
        accounts.run(f"SET DEFAULT ROLE {role} FOR {account}")
    found = only(symptoms(url), "privileges")
    assert f"`{role}` has DELETE" in found.message
    mend(found, owner)
    assert weak(url) == []


def test_a_privilege_by_a_role_of_a_role_is_weak_until_it_is_revoked(
    accounts: Accounts, owner: str
) -> None:
    url = accounts.login(READING)
    inner, outer = accounts.role("DELETE ON log_entry", name="i"), accounts.role(name="o")
    accounts.run(f"GRANT {inner} TO {outer}", f"GRANT {outer} TO {accounts.account('u')}")
    found = only(symptoms(url), "privileges")
    assert f"`{inner}` has DELETE" in found.message
    mend(found, owner)
    assert weak(url) == []


def test_the_role_that_an_account_has_taken_on_is_the_same_after_an_examination(
    accounts: Accounts,
) -> None:
    url, account = accounts.login(READING), accounts.account("u")
    first, second = accounts.role("DELETE ON log_entry", name="i"), accounts.role(name="o")
    accounts.run(f"GRANT {first} TO {account}", f"GRANT {second} TO {account}")
    accounts.run(f"SET DEFAULT ROLE {second} FOR {account}")
    opened = Database(url)
    try:
        before = opened.read(role_of)
        examine(opened)
        assert [opened.read(role_of), before] == [second, second]
    finally:
        opened.close()


def role_of(connection: Connection) -> object:
    return connection.exec_driver_sql("SELECT current_role()").scalar()


@pytest.mark.parametrize("power", ["FILE ON *.*", "SUPER ON *.*", "UPDATE ON *.*"])
def test_a_power_over_the_whole_server_is_weak_and_an_account_of_its_own_is_made(
    accounts: Accounts, power: str
) -> None:
    found = only(symptoms(accounts.login(READING, power)), "privileges")
    account = Account("u", accounts.host, accounts.place.name)
    assert found.mending == own_account(account)
    assert "on *.*" in found.message


# Settings


@pytest.mark.parametrize("value", [0, 2])
def test_a_server_that_does_not_flush_is_weak_until_it_is_told_to(
    own_mariadb: OwnMariaDB, value: int
) -> None:
    url = registry_on(own_mariadb)
    statements(own_mariadb.url, f"SET GLOBAL innodb_flush_log_at_trx_commit = {value}")
    found = only(symptoms(url), "durability")
    assert f"innodb_flush_log_at_trx_commit is {value}" in found.message
    with Ledger(url) as ledger:
        assert ledger.status().warnings == [str(found)]
        assert [each.kind for each in ledger.verify() if each.level == "finding"] == ["durability"]
    mend_by_sql(found, own_mariadb.url)
    assert "durability" not in weak(url)


def registry_on(server: OwnMariaDB) -> str:
    statements(server.url, "CREATE DATABASE registry")
    url = make_url(server.url).set(database="registry").render_as_string(hide_password=False)
    Ledger(url).close()
    return url


def test_a_read_only_server_is_a_note_until_it_is_none(own_mariadb: OwnMariaDB) -> None:
    url = registry_on(own_mariadb)
    statements(own_mariadb.url, "SET GLOBAL read_only = 1")
    found = only(symptoms(url), "read-only")
    assert found.level == "note"
    mend_by_sql(found, own_mariadb.url)
    assert "read-only" not in kinds(symptoms(url))


def examine_reset(url: str, statement: str) -> list[Symptom]:
    """What is found where something has set the sessions after certledger set them."""
    opened = Database(url)

    def reset(connection: object, _record: object) -> None:
        with connection.cursor() as cursor:  # type: ignore[attr-defined] # PyMySQL's
            cursor.execute(statement)

    try:
        event.listen(opened.engine, "connect", reset)
        return examine(opened)
    finally:
        opened.close()


def test_a_session_in_another_time_zone_is_weak_until_the_servers_is_utc(
    own_mariadb: OwnMariaDB,
) -> None:
    """As where a pooler resets what certledger has set."""
    url = registry_on(own_mariadb)
    back = "SET SESSION time_zone = DEFAULT"
    found = only(examine_reset(url, back), "time-zone")
    assert "+05:45" in found.message
    assert found.mending[-1].command == "[mysqld]\ndefault_time_zone = '+00:00'"
    mend_by_sql(found, own_mariadb.url)
    assert "time-zone" not in kinds(examine_reset(url, back))


def test_a_session_of_another_isolation_is_weak(owner: str) -> None:
    """As where something between does not pass on what certledger sets."""
    opened = Database(owner)

    def swallow(connection: Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        with driver.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE")

    try:
        event.listen(opened.engine, "begin", swallow)
        found = [each for each in examine(opened) if each.kind == "isolation"]
    finally:
        opened.close()
    assert [each.level for each in found] == ["weak", "weak"]
    assert "that read run at serializable" in found[0].message
    assert "that write run at serializable" in found[1].message


# Tables and triggers


@pytest.mark.parametrize(("table", "kind"), [("log_checkpoint", "engine"), ("retired", "engine")])
def test_a_table_of_another_engine_is_weak_until_it_is_innodbs(
    owner: str, table: str, kind: str
) -> None:
    statements(owner, f"ALTER TABLE {table} ENGINE = MyISAM")
    found = only(symptoms(owner), kind)
    assert f"{table} is kept by MyISAM" in found.message
    mend(found, owner)
    assert weak(owner) == [ACCOUNT_OF_TESTS]


def test_missing_and_changed_triggers_are_weak_until_they_are_put_back(
    owner: str, tmp_path: Path
) -> None:
    statements(
        owner,
        "DROP TRIGGER log_entry_no_delete",
        "DROP TRIGGER log_head_grows",
        "CREATE TRIGGER log_head_grows BEFORE UPDATE ON log_head FOR EACH ROW SET @x = 1",
    )
    missing, changed = [each for each in symptoms(owner) if each.kind == "trigger-missing"]
    assert "log_entry_no_delete" in missing.message
    assert "log_head_grows" in changed.message
    mend(missing, owner, tmp_path)
    assert weak(owner) == [ACCOUNT_OF_TESTS]


def test_an_unknown_trigger_is_a_note_until_it_is_dropped(owner: str) -> None:
    statements(
        owner, "CREATE TRIGGER `an odd one` AFTER INSERT ON log_entry FOR EACH ROW SET @x = 1"
    )
    found = only(symptoms(owner), "trigger-unknown")
    assert found.level == "note"
    mend(found, owner)
    assert "trigger-unknown" not in kinds(symptoms(owner))


# The connection


def test_a_clock_that_differs_from_the_servers_is_weak(owner: str) -> None:
    found = only(symptoms(owner, lambda: utc_now() + timedelta(seconds=30)), "clock-offset")
    assert "s behind this machine's" in found.message
    assert "clock-offset" not in kinds(symptoms(owner))


def test_a_connection_without_tls_is_told(owner: str) -> None:
    opened = Database(owner)
    found = opened.read(read_transport)
    opened.close()
    assert (found.encrypted, found.authenticated) == (False, False)
    assert found.host == make_url(owner).host


def test_a_connection_by_tls_is_told_from_one_without(
    own_mariadb: OwnMariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = registry_on(own_mariadb)
    certificate, key = make_server_certificate(own_mariadb.folder)
    command = [*own_mariadb._command(), f"--ssl-cert={certificate}", f"--ssl-key={key}"]
    monkeypatch.setattr(own_mariadb, "_command", lambda: command)
    own_mariadb.stop()
    own_mariadb.start()
    query = {"ssl_ca": str(certificate), "ssl_check_hostname": "true"}
    opened = Database(make_url(url).update_query_dict(query))
    found = opened.read(read_transport)
    opened.close()
    assert (found.host, found.encrypted, found.authenticated) == ("127.0.0.1", True, True)
