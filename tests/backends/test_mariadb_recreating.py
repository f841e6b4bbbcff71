"""Tables of MariaDB are made anew without anybody noticing, although statements commit there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from sqlalchemy.engine import make_url

from certledger import Ledger
from certledger.bulk import Registration
from certledger.errors import BrokenTable, StorageUnavailable
from certledger.testing.certificates import make_certificate
from certledger.testing.places import Place, random_name
from tests.support.mariadb import execute, run, stranger
from tests.support.pymysql_commands import watched

ISSUED = 300
CALLERS = (
    "CREATE TABLE notes (id INT PRIMARY KEY AUTO_INCREMENT, certificate_id BIGINT, "
    "CONSTRAINT fk_notes FOREIGN KEY (certificate_id) REFERENCES certificates (id) "
    "ON DELETE CASCADE) ENGINE = InnoDB"
)
NOTED = "INSERT INTO notes (certificate_id) VALUES (7), (8)"


@pytest.fixture(params=["alone", "referenced"])
def url(request: pytest.FixtureRequest, mariadb: Place) -> str:
    """A registry, without and with a foreign key of its owner's to a certificate."""
    with Ledger(mariadb.url) as ledger:
        many = [Registration(make_certificate(serial=n + 1)) for n in range(ISSUED)]
        assert all(outcome.event for outcome in ledger.issue_many(many))
    if request.param == "referenced":
        execute(mariadb.url, CALLERS, NOTED)
    return mariadb.url


def is_referenced(url: str) -> bool:
    return bool(execute(url, "SHOW TABLES LIKE 'notes'"))


def tables_of(url: str) -> set[str]:
    return {str(value) for row in execute(url, "SHOW TABLES") for value in row.values()}


DAMAGE = {
    "a column is missing": "ALTER TABLE certificates DROP COLUMN uuid",
    "a column has another type": "ALTER TABLE certificates MODIFY status DATE NULL",
    "texts are compared without case": (
        "ALTER TABLE certificates MODIFY uuid VARCHAR(255) CHARACTER SET utf8mb4 "
        "COLLATE utf8mb4_general_ci"
    ),
    "no transactions": "ALTER TABLE retired ENGINE = Aria",
    "a further column must be filled": "ALTER TABLE retired ADD COLUMN more INT NOT NULL",
}


@pytest.mark.parametrize("damage", list(DAMAGE.values()), ids=list(DAMAGE))
def test_a_broken_table_is_told_and_made_anew(url: str, damage: str) -> None:
    with Ledger(url) as ledger:
        execute(url, "SET SESSION sql_mode = ''", "DELETE FROM retired", damage)
    with Ledger(url) as ledger:
        with pytest.raises(BrokenTable):
            ledger.rebuild()
        assert ledger.rebuild(recreate=True).differences == 0
        assert list(ledger.verify()) == []
        ledger.revoke(9)
        ledger.delete(10)
        assert list(ledger.verify()) == []
    assert not {name for name in tables_of(url) if name.startswith("certledger_")}


def test_a_table_that_is_gone_is_made_anew(mariadb: Place) -> None:
    with Ledger(mariadb.url) as ledger:
        ledger.issue(make_certificate(serial=1))
        execute(mariadb.url, "DROP TABLE certificates, retired")
        ledger.rebuild(recreate=True)
        assert ledger.get(1).status == "valid"
        assert list(ledger.verify()) == []


def test_a_view_in_place_of_a_table_gives_way_to_it(mariadb: Place) -> None:
    with Ledger(mariadb.url) as ledger:
        ledger.issue(make_certificate(serial=1))
        execute(
            mariadb.url,
            "RENAME TABLE certificates TO mine",
            "CREATE VIEW certificates AS SELECT * FROM mine WHERE id < 0",
        )
        ledger.rebuild(recreate=True)
        assert ledger.get(1).status == "valid"
        assert list(ledger.verify()) == []
    assert "mine" in tables_of(mariadb.url)


def test_nobody_notices_that_tables_are_made_anew(url: str) -> None:
    """Readers read all certificates and writers write, by sessions that were there before."""
    ready, over = Barrier(4), Event()

    def read() -> int:
        rounds = 0
        with Ledger(url) as ledger, stranger(url) as own:
            ready.wait()
            while not over.is_set():
                assert ledger.get(ISSUED).status == "valid"
                (row,) = run(own, "SELECT count(*) AS n FROM certificates")
                assert row["n"] >= ISSUED
                rounds += 1
        return rounds

    def write(first: int) -> list[int]:
        written: list[int] = []
        with Ledger(url) as ledger:
            ready.wait()
            while not over.is_set():
                serial = first + len(written)
                ledger.issue(make_certificate(serial=serial))
                written.append(serial)
                ledger.revoke(serial)
        return written

    with ThreadPoolExecutor(3) as pool, Ledger(url) as ledger:
        reader, *writers = [
            pool.submit(read),
            pool.submit(write, 10_000),
            pool.submit(write, 20_000),
        ]
        try:
            ready.wait()
            for _ in range(6):
                assert ledger.rebuild(recreate=True).differences == 0
        finally:
            over.set()
        assert reader.result() > 6
        written = [serial for writer in writers for serial in writer.result()]
        assert len(written) > 12
        assert ledger.head().size == ISSUED + 2 * len(written)
        assert list(ledger.verify()) == []


def test_foreign_keys_views_and_grants_of_others_stay(url: str, mariadb: Place) -> None:
    name = random_name()
    referenced = is_referenced(url)
    with stranger(mariadb.server) as administrator:
        run(administrator, f"CREATE USER {name} IDENTIFIED BY 'secret'")
        run(administrator, f"GRANT SELECT ON {mariadb.name}.certificates TO {name}")
        try:
            execute(url, "CREATE VIEW valid AS SELECT id FROM certificates WHERE status = 'valid'")
            with Ledger(url) as ledger:
                ledger.rebuild(recreate=True)
            own = make_url(url).set(username=name, password="secret")  # of the test
            shown = execute(
                own.render_as_string(hide_password=False), "SELECT count(*) AS n FROM certificates"
            )
            assert shown == [{"n": ISSUED}]
            assert execute(url, "SELECT count(*) AS n FROM valid") == [{"n": ISSUED}]
        finally:
            run(administrator, f"DROP USER {name}")
    if referenced:
        with pytest.raises(Exception, match="foreign key constraint fails"):
            execute(url, "INSERT INTO notes (certificate_id) VALUES (99999)")
        with Ledger(url) as ledger:
            ledger.delete(7)
        assert execute(url, "SELECT certificate_id AS id FROM notes") == [{"id": 8}]


def test_a_foreign_key_that_the_user_may_not_see_stays_too(mariadb: Place) -> None:
    with Ledger(mariadb.url) as ledger:
        for serial in range(1, 10):
            ledger.issue(make_certificate(serial=serial))
    elsewhere, name = random_name(), random_name()
    with stranger(mariadb.server) as administrator:
        run(administrator, f"CREATE DATABASE {elsewhere}")
        run(administrator, f"CREATE USER {name} IDENTIFIED BY 'secret'")
        run(administrator, f"GRANT ALL ON {mariadb.name}.* TO {name}")
        try:
            notes = CALLERS.replace("TABLE notes", f"TABLE {elsewhere}.notes")
            run(administrator, notes.replace("REFERENCES ", f"REFERENCES {mariadb.name}."))
            run(administrator, NOTED.replace("notes", f"{elsewhere}.notes"))
            own = make_url(mariadb.url).set(username=name, password="secret")  # the same
            with Ledger(own) as ledger:
                ledger.rebuild(recreate=True)
                ledger.delete(7)
            left = run(administrator, f"SELECT certificate_id AS id FROM {elsewhere}.notes")
            assert left == [{"id": 8}]
        finally:
            run(administrator, f"DROP DATABASE {elsewhere}")
            run(administrator, f"DROP USER {name}")


class Crash(BaseException):
    """Ends the process, as far as the server can tell."""


@pytest.mark.parametrize(
    "words",
    [
        "CREATE TABLE certledger_certificates_new",
        "CREATE UNIQUE INDEX",
        "INSERT INTO certledger_certificates_new",
        "RENAME TABLE certificates TO|CREATE OR REPLACE",
        "DROP TABLE certledger_certificates",
        "CREATE TABLE certledger_retired_new",
    ],
)
def test_what_was_broken_off_is_noticed_by_nobody_and_done_again(url: str, words: str) -> None:
    def tell(sql: str) -> None:
        if any(each in sql for each in words.split("|")):
            raise Crash

    with watched(url, tell), pytest.raises(Crash):
        Ledger(url).rebuild(recreate=True)
    with Ledger(url) as ledger:
        assert list(ledger.verify()) == []
        ledger.issue(make_certificate(serial=5_000))
        ledger.rebuild(recreate=True)
        ledger.delete(8)
        assert list(ledger.verify()) == []
    left = {"notes"} if is_referenced(url) else set()
    assert {name for name in tables_of(url) if "certledger_" in name} == set()
    assert left <= tables_of(url)
    if left:
        assert execute(url, "SELECT certificate_id AS id FROM notes") == [{"id": 7}]


def test_a_transaction_of_another_that_holds_the_table_is_waited_for_and_told(url: str) -> None:
    with Ledger(url, retry_seconds=1) as ledger, stranger(url, "START TRANSACTION") as other:
        run(other, "SELECT count(*) FROM certificates")
        with pytest.raises(StorageUnavailable, match="Lock wait timeout"):
            ledger.rebuild(recreate=True)
        run(other, "ROLLBACK")
        ledger.rebuild(recreate=True)
        assert list(ledger.verify()) == []
