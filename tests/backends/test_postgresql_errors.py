"""What failures of PostgreSQL mean for callers: most nothing, others an error in plain words."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psycopg
import pytest
from sqlalchemy import Connection, make_url, text

from certledger import Ledger, SyncDBHandler
from certledger.errors import LedgerError, StorageUnavailable
from certledger.eventstore.backends.postgresql_errors import is_lost, is_transient
from certledger.eventstore.database import Database
from certledger.eventstore.head import take_lock
from certledger.eventstore.lifecycle import stream_of
from certledger.testing.certificates import make_certificate
from certledger.testing.proxy import Proxy
from tests.support.own_servers import OwnPostgreSQL, postgresql_programs
from tests.support.postgresql import named, plain, role_in
from tests.support.processes import start
from tests.support.servers import Place, administrator, empty_place

SECRET = "correct horse"
QUOTED = "correct%20horse"


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgreSQL]:
    """A server of this module alone, which its tests end and start as they like."""
    if postgresql_programs() is None:
        pytest.skip("needs the programs of a PostgreSQL")
    with OwnPostgreSQL() as own:
        yield own


@pytest.fixture
def place(server: OwnPostgreSQL) -> Iterator[Place]:
    with empty_place("postgresql", server.url) as made:
        yield made


def end_sessions(server: str, *, but: int = 0) -> int:
    """End the sessions of the registry; return how many there were."""
    with administrator(server) as sql:
        found = sql.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'certledger' AND pid <> :but"
            ),
            {"but": but},
        )
        return len(found.all())


@contextmanager
def writing(url: str, threads: int = 4) -> Iterator[Callable[[int], None]]:
    """Threads that register and read until the block ends; gives what waits for more changes.

    At its end nobody has seen an error, and nothing is lost or doubled.
    """
    over, more = threading.Event(), threading.Condition()
    done: list[int] = []
    with Ledger(url) as ledger:

        def work(first: int) -> None:
            serial = first
            while not over.is_set():
                ledger.issue(make_certificate(serial=serial), uuid=f"folder-{serial}")
                assert ledger.get(serial).uuid == f"folder-{serial}"
                with more:
                    done.append(serial)
                    more.notify_all()
                serial += 1

        def wait_for(count: int) -> None:
            with more:
                wanted = len(done) + count
                assert more.wait_for(lambda: len(done) >= wanted or over.is_set(), timeout=60)

        with ThreadPoolExecutor(threads) as pool:
            jobs = [pool.submit(work, 1_000_000 * (at + 1)) for at in range(threads)]
            for job in jobs:
                job.add_done_callback(lambda _: over.set())
            try:
                yield wait_for
            finally:
                over.set()
            for job in jobs:
                job.result()
        events = [*ledger.events()]
        assert [event.seq for event in events] == list(range(len(done)))
        assert sorted(event.subject for event in events) == sorted(map(stream_of, done))
        assert [*ledger.verify()] == []


# A server that goes away


def test_sessions_that_are_ended_while_threads_write_cost_nobody_anything(place: Place) -> None:
    with writing(place.url) as wait_for:
        for _ in range(10):
            wait_for(3)
            assert end_sessions(place.server)


def test_a_server_that_is_killed_and_comes_back_costs_nobody_anything(
    server: OwnPostgreSQL, place: Place
) -> None:
    with writing(place.url) as wait_for:
        for end in (server.kill, server.stop):
            wait_for(5)
            end()
            server.start()
        wait_for(5)


def test_idle_connections_that_were_ended_are_replaced(place: Place) -> None:
    with Ledger(place.url) as ledger:
        barrier = threading.Barrier(4)
        with ThreadPoolExecutor(4) as pool:  # as many connections in the pool
            [*pool.map(lambda _: ledger.database.read(lambda c: barrier.wait()), range(4))]
        ledger.issue(make_certificate(serial=1))
        assert end_sessions(place.server) >= 4
        assert ledger.get(1).serial_number == "1"
        assert ledger.issue(make_certificate()).seq == 1


def test_a_server_that_does_not_come_back_is_told_of_with_attempts_and_time(
    server: OwnPostgreSQL, place: Place
) -> None:
    with Ledger(place.url, retry_seconds=0.5) as ledger:
        server.kill()
        try:
            with pytest.raises(StorageUnavailable, match="Connection refused") as caught:
                ledger.issue(make_certificate())
            assert caught.value.attempts > 1
            assert caught.value.seconds >= 0.5
        finally:
            server.start()
        assert ledger.issue(make_certificate()).seq == 0


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_is_lost_happens_once(place: Place, committed: bool) -> None:
    with Proxy(place.url) as proxy, Ledger(proxy.url) as ledger:
        ledger.issue(make_certificate(serial=1))
        proxy.lose_next_commit(committed=committed)
        event = ledger.issue(make_certificate(serial=2), uuid="folder")
        assert proxy.lost == 1
        assert event.seq == 1
        assert ledger.head().size == 2
        assert [*ledger.verify()] == []


# Locks


def test_a_lock_that_somebody_keeps_is_told_of(place: Place) -> None:
    with Ledger(place.url) as ledger, Ledger(place.url, retry_seconds=0.2) as other:

        def work(connection: Connection, _retrying: bool) -> None:
            take_lock(connection)
            with pytest.raises(StorageUnavailable, match="lock timeout"):
                other.issue(make_certificate())

        ledger.database.write(work)
        assert other.issue(make_certificate()).seq == 0


def test_of_a_deadlock_the_registry_is_not_the_victim_for_long(place: Place) -> None:
    """A caller locks a row of the table, and then the log; a revocation does it the other way."""
    with Ledger(place.url) as ledger:
        ledger.issue(make_certificate(serial=1))
        with (
            psycopg.connect(plain(place.url)) as session,
            ThreadPoolExecutor(1) as pool,
        ):
            session.execute("SET deadlock_timeout = '1min'")  # the other one looks first
            session.execute("SELECT * FROM certificates FOR UPDATE")
            job = pool.submit(ledger.revoke, 1)
            wait_until_somebody_waits(place)
            session.execute("SELECT * FROM log_head FOR UPDATE")
            session.commit()
            assert job.result().seq == 1


def wait_until_somebody_waits(place: Place) -> None:
    with place.administrator() as sql:
        while not sql.exec_driver_sql(
            "SELECT count(*) FROM pg_locks WHERE NOT granted"
        ).scalar_one():
            pass


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03"])
def test_a_conflict_that_passes_is_not_told_of(place: Place, state: str) -> None:
    """Here a trigger of a caller's on the read model makes it, three times."""
    with Ledger(place.url) as ledger:
        with place.administrator() as sql:
            sql.exec_driver_sql(f"SET search_path = {place.name}")
            sql.exec_driver_sql("CREATE SEQUENCE tries")
            sql.exec_driver_sql(
                "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                "IF nextval('tries') <= 3 THEN "
                f"RAISE EXCEPTION 'not now' USING ERRCODE = '{state}'; END IF; "
                "RETURN NEW; END $$"
            )
            sql.exec_driver_sql(
                "CREATE TRIGGER fail BEFORE INSERT ON certificates "
                "FOR EACH ROW EXECUTE FUNCTION fail()"
            )
        assert ledger.issue(make_certificate()).seq == 0
        assert ledger.head().size == 1


def test_a_statement_that_is_cancelled_is_told_of(place: Place) -> None:
    with role_in(place, statement_timeout="'200ms'") as url, Ledger(url) as ledger:
        with pytest.raises(StorageUnavailable, match="statement timeout"):
            ledger.database.read(lambda c: c.execute(text("SELECT pg_sleep(60)")))
        assert ledger.issue(make_certificate()).seq == 0


def test_a_session_that_was_ended_for_idleness_is_replaced(place: Place) -> None:
    with role_in(place, idle_in_transaction_session_timeout="'10ms'") as url, Ledger(url) as ledger:
        tries = []

        def work(connection: Connection, retrying: bool) -> None:
            take_lock(connection)
            tries.append(retrying)
            if not retrying:
                wait_until_gone(place, connection)

        ledger.database.write(work)
        assert tries == [False, True]


def wait_until_gone(place: Place, connection: Connection) -> None:
    pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    with place.administrator() as sql:
        while sql.exec_driver_sql(
            f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"
        ).scalar_one():
            pass


# Connections


def test_a_server_that_is_full_is_waited_for(place: Place) -> None:
    with role_in(place) as url:
        with Ledger(url) as ledger:
            ledger.issue(make_certificate())
        with place.administrator() as sql:
            sql.exec_driver_sql(f"ALTER ROLE {named(url)} CONNECTION LIMIT 1")
        with psycopg.connect(plain(url)) as only, ThreadPoolExecutor(1) as pool:
            with pytest.raises(StorageUnavailable, match=r"too many connections.*attempts"):
                Ledger(url, retry_seconds=0.2)
            job = pool.submit(lambda: Ledger(url))
            only.close()
            with job.result() as opened:
                assert opened.head().size == 1


def test_a_server_that_starts_is_waited_for(server: OwnPostgreSQL, place: Place) -> None:
    """It answers already, so it is not one that nobody has ever reached."""
    error = psycopg.OperationalError("FATAL:  the database system is starting up")
    assert is_transient(error)
    assert not is_lost(error)


def test_nobody_who_listens_is_told_of_at_once() -> None:
    with pytest.raises(StorageUnavailable, match="Connection refused") as caught:
        Ledger(f"postgresql://me:{QUOTED}@127.0.0.1:1/pki")
    assert caught.value.attempts == 1
    assert_secret_is_safe(caught.value)


def test_a_database_that_is_not_there_is_named(server: OwnPostgreSQL) -> None:
    url = make_url(server.url).set(database="nowhere")
    with pytest.raises(StorageUnavailable, match='database "nowhere" does not exist'):
        Ledger(plain(url.render_as_string(hide_password=False)))


@pytest.fixture
def with_passwords(server: OwnPostgreSQL, place: Place) -> Iterator[Place]:
    """The server wants a password of everybody but its superuser."""
    file = server.folder / "data" / "pg_hba.conf"
    before = file.read_text(encoding="utf-8")
    rules = "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    file.write_text(rules, encoding="utf-8")
    with place.administrator() as sql:
        sql.exec_driver_sql("SELECT pg_reload_conf()")
    yield place
    file.write_text(before, encoding="utf-8")
    with place.administrator() as sql:
        sql.exec_driver_sql("SELECT pg_reload_conf()")


@pytest.mark.parametrize("where", ["authority", "query"])
def test_a_wrong_password_is_told_of_and_not_shown(
    with_passwords: Place, caplog: pytest.LogCaptureFixture, where: str
) -> None:
    with role_in(with_passwords) as url:
        with Ledger(url):
            pass  # with the right one
        wrong = make_url(url).set(password=SECRET if where == "authority" else None)
        if where == "query":
            wrong = wrong.update_query_dict({"password": SECRET})
        text = wrong.render_as_string(hide_password=False)
        with caplog.at_level(logging.DEBUG):
            with pytest.raises(StorageUnavailable, match="password authentication") as caught:
                Ledger(text)
            with suppress(LedgerError):
                SyncDBHandler(text)
        assert caught.value.attempts == 1
        assert_secret_is_safe(caught.value)
        assert SECRET not in str(Database(text))
        assert SECRET not in caplog.text
        assert QUOTED not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{QUOTED}@127.0.0.1:port/pki",
        f"postgresql://me:{QUOTED}@[::1/pki",
        f"postgresql://me:{QUOTED}@127.0.0.1:1/pki?connect_timeout=soon",
        f"postgresql://me:{QUOTED}@127.0.0.1:1/pki?sslmode=mostly",
        f"postgresql://me:{QUOTED}@127.0.0.1:1/pki?nonsense=1",
        f"postgresql://127.0.0.1:1/pki?user=me&password={QUOTED}&sslmode=mostly",
        f"postgresql://127.0.0.1:1/pki?sslpassword={QUOTED}&options=%5C",
        f"postgresql+nonsense://me:{QUOTED}@127.0.0.1:1/pki",
        f"postgresql://me:7/{QUOTED}@127.0.0.1:1/pki",
    ],
)
def test_a_url_that_is_wrong_shows_no_password(url: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(LedgerError) as caught:
        Ledger(url)
    assert_secret_is_safe(caught.value)
    assert "horse" not in caplog.text


def assert_secret_is_safe(error: BaseException) -> None:
    """Neither in the message nor in what a traceback shows."""
    shown = "".join(traceback.format_exception(error)) + repr(error)
    assert "horse" not in shown


# What is printed


SCRIPT = """
import sys
import warnings
from certledger import Ledger
from tests.backends.test_postgresql_errors import end_sessions
from certledger.testing.certificates import make_certificate

ledger = Ledger(sys.argv[1])
ledger.issue(make_certificate(serial=1))
for _ in range(3):
    ledger.get(1)
    end_sessions(sys.argv[2])
    ledger.issue(make_certificate())
    end_sessions(sys.argv[2])
    ledger.get(1)
end_sessions(sys.argv[2])
print(ledger.head().size)
if "close" in sys.argv:
    end_sessions(sys.argv[2])
    ledger.close()
"""


@pytest.mark.parametrize("way", ["close", "leave"])
def test_ended_sessions_leave_no_lines_on_the_terminal(place: Place, way: str) -> None:
    """With warnings as errors: no ResourceWarning, nothing of a pool."""
    process = start(SCRIPT, place.url, place.server, way)
    output, errors = process.communicate(timeout=60)
    assert (output, errors, process.returncode) == ("4\n", "", 0)
