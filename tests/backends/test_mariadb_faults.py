"""What goes wrong on a MariaDB server and passes is not seen by callers, and nothing is lost."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, Event
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url

from certledger import Ledger
from certledger.errors import NotARegistry, ReadOnlyRegistry, StorageUnavailable
from certledger.eventstore.database import Database
from certledger.testing.certificates import make_certificate
from certledger.testing.places import Place, random_name
from tests.support.mariadb import execute, run, stranger
from tests.support.processes import start

if TYPE_CHECKING:
    Stranger = pymysql.Connection[Any]


@pytest.fixture
def url(mariadb: Place) -> str:
    """A registry with one certificate."""
    with Ledger(mariadb.url) as ledger:
        ledger.issue(make_certificate(serial=1))
    return mariadb.url


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """SQLAlchemy complains about no connection: that would be on every application's stderr."""
    caplog.set_level(logging.WARNING)
    yield
    assert [r.getMessage() for r in caplog.records if r.name.startswith("sqlalchemy")] == []


def sessions(connection: Stranger) -> list[int]:
    """The other sessions on a database."""
    return [
        row["id"]
        for row in run(
            connection,
            "SELECT id FROM information_schema.processlist "
            "WHERE db = database() AND id <> connection_id()",
        )
    ]


def kill(connection: Stranger, session: int, what: str = "CONNECTION") -> None:
    try:
        run(connection, f"KILL {what} {session}")
    except pymysql.err.OperationalError as error:
        assert error.args[0] == 1094, error  # it has just ended by itself  # noqa: PT017


def wait_until(condition: Callable[[], object]) -> None:
    """Wait with pauses: the server renews what it tells of transactions when nobody asked for it
    during a tenth of a second.
    """
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.12)


def waiting(connection: Stranger) -> int:
    """How many transactions of the server wait for a lock of this connection's database."""
    (row,) = run(
        connection,
        "SELECT count(*) AS n FROM information_schema.innodb_trx t "
        "JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
        "WHERE t.trx_state = 'LOCK WAIT' AND p.db = database()",
    )
    return int(row["n"])


# Sessions that end


@pytest.mark.parametrize("what", ["CONNECTION", "QUERY", "HARD CONNECTION"])
def test_sessions_killed_while_threads_write_lose_and_double_nothing(url: str, what: str) -> None:
    threads, each = 6, 25
    ready, over = Barrier(threads + 1), Event()

    def write(number: int) -> list[str]:
        with Ledger(url) as ledger:
            ready.wait()
            serials = range(1000 * number, 1000 * number + each)
            found = [ledger.issue(make_certificate(serial=serial)).id for serial in serials]
            assert all(ledger.get(serial) for serial in serials)
            return found

    def kill_at_random() -> int:
        killed = 0
        ready.wait()
        with stranger(url) as killer:
            while not over.wait(0.01):
                for session in random.sample(found := sessions(killer), min(2, len(found))):
                    kill(killer, session, what)
                    killed += 1
        return killed

    with ThreadPoolExecutor(threads + 1) as pool:
        killer = pool.submit(kill_at_random)
        writers = [pool.submit(write, number) for number in range(1, threads + 1)]
        try:
            acknowledged = [name for writer in writers for name in writer.result()]
        finally:
            over.set()
        assert killer.result() > threads
    with Ledger(url) as ledger:
        recorded = [each.id for each in ledger.events()][1:]
        assert sorted(recorded) == sorted(acknowledged)
        assert list(ledger.verify()) == []


@pytest.mark.parametrize("how", ["KILL CONNECTION", "SET GLOBAL"])
def test_sessions_that_end_while_idle_are_not_noticed(url: str, how: str) -> None:
    """As by `wait_timeout`, after a night without work."""
    with Ledger(url) as ledger:
        ledger.issue(make_certificate(serial=2))
        assert ledger.get(2).status == "valid"
        if how == "SET GLOBAL":
            ledger.database.write(lambda c, _: c.exec_driver_sql("SET SESSION wait_timeout = 1"))
            ledger.database.read(lambda c: c.exec_driver_sql("SET SESSION wait_timeout = 1"))
        with stranger(url) as killer:
            if how == "KILL CONNECTION":
                assert len(sessions(killer)) == 2
                for session in sessions(killer):
                    kill(killer, session)
            wait_until(lambda: not sessions(killer))
        assert ledger.get(2).status == "valid"
        ledger.issue(make_certificate(serial=3))
        assert list(ledger.verify()) == []


def test_a_job_whose_session_is_killed_ends_with_an_error_that_says_so(url: str) -> None:
    """Its temporary tables are gone, so that it cannot go on."""
    with Ledger(url) as ledger, stranger(url) as killer:

        def progress(_done: int, _total: int) -> None:
            for session in sessions(killer):
                kill(killer, session)

        with pytest.raises(StorageUnavailable, match=r"was killed|[Ll]ost|gone away"):
            list(ledger.drift(progress))
        assert list(ledger.drift()) == []


# Locks


@contextmanager
def session_of(database: Database, statement: str) -> Iterator[None]:
    """Have new sessions of a database begin with a statement."""

    def begin(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    event.listen(database.engine, "connect", begin)
    yield


def test_a_deadlock_is_resolved_and_the_change_made_once(url: str) -> None:
    """The registry's transaction is the smaller one, and so the one that InnoDB rolls back."""
    with (
        Ledger(url) as ledger,
        stranger(url, "CREATE TABLE heavy (x INT PRIMARY KEY) ENGINE = InnoDB") as other,
        stranger(url) as observer,
        ThreadPoolExecutor(1) as pool,
    ):
        run(other, "START TRANSACTION")
        run(other, "INSERT INTO heavy SELECT seq FROM seq_1_to_1000")
        run(other, "UPDATE certificates SET status = status WHERE id = 1")
        run(other, "SELECT * FROM certificates WHERE id = 1 FOR UPDATE")
        deadlocks = run(observer, "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
        revoking = pool.submit(ledger.revoke, 1)
        wait_until(lambda: waiting(observer))
        run(other, "SELECT * FROM log_head FOR UPDATE")
        wait_until(lambda: waiting(observer))
        run(other, "ROLLBACK")
        assert revoking.result().seq == 1
        assert run(observer, "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'") != deadlocks
        assert ledger.head().size == 2
        assert list(ledger.verify()) == []


def test_of_a_transaction_that_waited_too_long_for_a_lock_nothing_is_kept(url: str) -> None:
    """InnoDB rolls the last statement back and leaves the rest of the transaction open."""
    database = Database(url)
    tries: list[list[int]] = []

    def work(connection: Connection, retrying: bool) -> None:
        count = connection.exec_driver_sql("SELECT count(*) FROM heavy").scalar_one()
        tries.append([count, retrying])
        connection.exec_driver_sql("INSERT INTO heavy VALUES (%s)", (len(tries),))
        if retrying:
            run(other, "ROLLBACK")
        connection.exec_driver_sql("UPDATE projection SET version = version WHERE name = 'other'")

    with (
        session_of(database, "SET SESSION innodb_lock_wait_timeout = 1"),
        stranger(url, "CREATE TABLE heavy (x INT PRIMARY KEY) ENGINE = InnoDB") as other,
    ):
        run(other, "INSERT INTO projection VALUES ('other', 0, 1)")
        run(other, "START TRANSACTION")
        run(other, "UPDATE projection SET version = 2 WHERE name = 'other'")
        database.write(work)
        assert tries == [[0, False], [0, True]]
        assert run(other, "SELECT x FROM heavy") == [{"x": 2}]
    database.close()


def test_a_lock_that_is_kept_too_long_is_told_with_how_long_it_was_waited_for(url: str) -> None:
    with Ledger(url, retry_seconds=1) as ledger, stranger(url, "START TRANSACTION") as other:
        run(other, "SELECT * FROM log_head FOR UPDATE")
        with pytest.raises(StorageUnavailable, match="Lock wait timeout") as refused:
            ledger.issue(make_certificate(serial=2))
        assert refused.value.seconds >= 1
        run(other, "ROLLBACK")
        assert ledger.head().size == 1
        ledger.issue(make_certificate(serial=2))


@pytest.mark.parametrize("snapshots", ["OFF", "ON"])
def test_changes_under_each_others_eyes_are_made_one_after_another(
    url: str, snapshots: str
) -> None:
    """Whether or not REPEATABLE READ notices changes since its snapshot."""
    with stranger(url) as asked:
        if not run(asked, "SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"):
            pytest.skip("needs a server with innodb_snapshot_isolation")
    setting = f"SET SESSION innodb_snapshot_isolation = {snapshots}"

    def write(number: int) -> int:
        database = Database(url)
        with session_of(database, setting), Ledger(database) as ledger:
            for serial in range(number * 100, number * 100 + 20):
                ledger.issue(make_certificate(serial=serial))
                ledger.revoke(serial)
            return ledger.rebuild().differences

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(1, 5))) == [0] * 4
    with Ledger(url) as ledger:
        assert ledger.head().size == 1 + 4 * 40
        assert list(ledger.verify()) == []


# Connecting


def test_a_user_with_too_few_connections_waits_until_one_is_free(mariadb: Place, url: str) -> None:
    with user(mariadb, "secret", "WITH MAX_USER_CONNECTIONS 1") as own:
        with Ledger(own, retry_seconds=0.2) as ledger:
            ledger.database.write(lambda c, _: c.exec_driver_sql("SELECT 1"))
            with pytest.raises(StorageUnavailable, match="max_user_connections"):
                Ledger(own, retry_seconds=0.2)
        Ledger(own).close()
    assert execute(url, "SELECT size FROM log_head") == [{"size": 1}]


@contextmanager
def user(place: Place, password: str, limit: str = "") -> Iterator[URL]:
    """The URL of a new user who may do anything in a place."""
    name = random_name()
    with stranger(place.server) as administrator:
        run(administrator, f"CREATE USER {name} IDENTIFIED BY %s {limit}", password)
        run(administrator, f"GRANT ALL ON {place.name}.* TO {name}")
        try:
            yield make_url(place.url).set(username=name, password=password)
        finally:
            run(administrator, f"DROP USER {name}")


@pytest.mark.parametrize(
    "password", ["p@ss:w/rd'%?#", chr(0x20AC) * 3 + "caf" + chr(0xE9), "\\'\"`"], ids=ascii
)
def test_any_password_can_be_used(mariadb: Place, password: str) -> None:
    with user(mariadb, password) as own, Ledger(own) as ledger:
        ledger.issue(make_certificate())


SECRET = "p4ss-w0rd"


@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        ({"username": "nobody"}, StorageUnavailable, "Access denied.*user and password are right"),
        ({"database": "mysql"}, ReadOnlyRegistry, "Access denied.*may not use this database"),
        ({"port": 1}, StorageUnavailable, "Can't connect"),
        ({"host": "no-such-host.invalid"}, StorageUnavailable, "Can't connect"),
    ],
    ids=["user", "database", "port", "host"],
)
def test_a_place_that_cannot_be_reached_is_told_at_once_and_without_the_password(
    mariadb: Place,
    change: dict[str, Any],
    kind: type[Exception],
    match: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with user(mariadb, SECRET) as own, pytest.raises(kind, match=match) as refused:
        Ledger(own.set(**change))
    assert SECRET not in f"{refused.getrepr(style='long')}{refused.value!r}{caplog.text}"


def test_a_database_that_is_not_there_is_told_with_what_to_do(url: str) -> None:
    with pytest.raises(NotARegistry, match=r"Unknown database.*CREATE DATABASE"):
        Ledger(make_url(url).set(database=random_name()))


def test_a_url_without_a_database_is_refused(mariadb_server: str) -> None:
    with pytest.raises(NotARegistry, match="names no database"):
        Ledger(mariadb_server)


KEEP_QUIET = """
import sys
from certledger import Ledger
from certledger.testing.certificates import make_certificate
from tests.support.mariadb import run, stranger

def end_sessions(connection):
    for row in run(connection, "SELECT id FROM information_schema.processlist "
                               "WHERE db = database() AND id <> connection_id()"):
        run(connection, f"KILL {row['id']}")

def main():
    ledger = Ledger(sys.argv[1])
    with stranger(sys.argv[1]) as connection:
        for serial in range(10, 14):
            ledger.issue(make_certificate(serial=serial))
            assert ledger.get(serial)
            end_sessions(connection)
        assert list(ledger.verify()) == []
        end_sessions(connection)

main()
"""


def test_a_program_that_never_closes_has_nothing_on_its_stderr(url: str) -> None:
    program = start(KEEP_QUIET, url)
    output, errors = program.communicate()
    assert (program.returncode, output, errors) == (0, "", "")
