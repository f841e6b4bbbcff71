"""Making a registry on MariaDB, where every statement that makes a table commits by itself."""

from __future__ import annotations

import re
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import text

from certledger import Ledger
from certledger.errors import LogCorrupt, NotARegistry, StorageUnavailable
from certledger.eventstore.backends import mariadb as backend
from certledger.testing.certificates import make_certificate
from certledger.testing.places import Place, empty_place
from tests.support.mariadb import execute, run, stranger
from tests.support.processes import finish, start
from tests.support.pymysql_commands import commands, watched

Shape = dict[str, object]
CHANGES = re.compile(r"\s*(CREATE|INSERT|COMMIT)")


class Crash(BaseException):
    """Ends a process, as far as the server can tell: its session is closed in the midst."""


def make(url: str) -> None:
    Ledger(url).close()


def tables_of(url: str) -> list[str]:
    return sorted(str(value) for row in execute(url, "SHOW TABLES") for value in row.values())


def shape(url: str) -> Shape:
    """Tables with their indexes, and the triggers."""
    names = tables_of(url)
    with stranger(url) as connection:
        found: Shape = {}
        for name in names:
            (row,) = run(connection, f"SHOW CREATE TABLE {name}")
            found[name] = sorted(line.strip(" ,") for line in row["Create Table"].splitlines())
        triggers = run(
            connection,
            "SELECT trigger_name AS name, action_statement AS body "
            "FROM information_schema.triggers WHERE trigger_schema = database() ORDER BY 1",
        )
        return found | {"triggers": triggers}


@pytest.fixture(scope="module")
def steps(mariadb_server: str) -> int:
    """How many commands making a registry changes something by."""
    with empty_place("mariadb", mariadb_server) as place:
        return sum(bool(CHANGES.match(sql)) for sql in commands(place.url, lambda: make(place.url)))


@pytest.fixture(scope="module")
def whole(mariadb_server: str) -> Shape:
    """What making a registry makes."""
    with empty_place("mariadb", mariadb_server) as place:
        make(place.url)
        return shape(place.url)


def make_until(url: str, step: int) -> None:
    """Begin to make a registry, and die before the step with a number."""
    left = step

    def tell(sql: str) -> None:
        nonlocal left
        if CHANGES.match(sql):
            if left == 0:
                raise Crash
            left -= 1

    with watched(url, tell), pytest.raises(Crash):
        make(url)


def without_counter(found: Shape) -> Shape:
    """Without the counter of ids, which begins with the first row."""
    return {
        name: [re.sub(r" AUTO_INCREMENT=\d+", "", line) for line in lines]
        if isinstance(lines, list) and name != "triggers"
        else lines
        for name, lines in found.items()
    }


def check_finished(url: str, whole: Shape) -> None:
    assert shape(url) == whole
    with Ledger(url, create=False) as ledger:
        ledger.issue(make_certificate())
        assert list(ledger.verify()) == []


EVERY = 6


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(first, marks=pytest.mark.slow) for first in range(1, EVERY))]
)
def test_a_making_that_dies_at_any_step_is_finished_by_the_next_opening(
    mariadb_server: str, steps: int, whole: Shape, first: int
) -> None:
    """Half of a registry is never taken for a whole one, nor for a damaged one."""
    assert steps > 30
    for step in range(first, steps - 1, EVERY):
        with empty_place("mariadb", mariadb_server) as place:
            make_until(place.url, step)
            with pytest.raises(NotARegistry, match="`certledger init`"):
                Ledger(place.url, create=False)
            make(place.url)
            check_finished(place.url, whole)


def test_a_registry_is_whole_once_its_head_is_committed(
    mariadb: Place, steps: int, whole: Shape
) -> None:
    """What is left is to end the transaction that holds nothing more."""
    make_until(mariadb.url, steps - 1)
    check_finished(mariadb.url, whole)


def test_a_making_that_dies_again_and_again_is_finished_in_the_end(
    mariadb: Place, whole: Shape
) -> None:
    for step in (1, 3, 0, 7, 5):
        make_until(mariadb.url, step)
    make(mariadb.url)
    check_finished(mariadb.url, whole)


MAKE_AND_WRITE = """
import sys
from certledger import Ledger
from certledger.testing.certificates import make_certificate

url, serial = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
with Ledger(url, retry_seconds=60) as ledger:
    ledger.issue(make_certificate(serial=int(serial)))
"""


def test_processes_that_make_one_registry_at_once_all_get_it(mariadb: Place, whole: Shape) -> None:
    makers = [start(MAKE_AND_WRITE, mariadb.url, serial) for serial in range(1, 7)]
    for maker in makers:
        assert maker.stdout is not None
        assert maker.stdout.readline() == "ready\n"
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    finish(makers)
    assert without_counter(shape(mariadb.url)) == whole
    with Ledger(mariadb.url, create=False) as ledger:
        assert ledger.head().size == 6
        assert list(ledger.verify()) == []


DIE_IN_THE_MIDST = """
import os, signal, sys
from certledger import Ledger
from tests.support.pymysql_commands import watched

def tell(sql):
    if "ix_certificates_serial_number" in sql:
        os.kill(os.getpid(), signal.SIGKILL)

with watched(sys.argv[1], tell):
    Ledger(sys.argv[1])
"""


def test_a_process_that_is_killed_in_the_midst_leaves_the_rest_to_the_next(
    mariadb: Place, whole: Shape
) -> None:
    killed = start(DIE_IN_THE_MIDST, mariadb.url)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    make(mariadb.url)
    check_finished(mariadb.url, whole)


def test_who_opens_while_another_makes_the_registry_waits_for_it(mariadb: Place) -> None:
    """Nobody takes what is there so far for a damaged log."""
    half, go_on = Event(), Event()

    def pause(sql: str) -> None:
        if "CREATE TRIGGER log_head_grows" in sql and not half.is_set():
            half.set()
            assert go_on.wait(30)

    with ThreadPoolExecutor(2) as pool:
        with watched(mariadb.url, pause):
            first = pool.submit(make, mariadb.url)
            assert half.wait(30)
        second = pool.submit(make, mariadb.url)
        wait_for_lock(mariadb)
        assert not second.done()
        go_on.set()
        first.result()
        second.result()


def wait_for_lock(place: Place) -> None:
    """Wait until a session of the place waits for the lock of those who make it."""
    while not execute(
        place.url,
        "SELECT 1 FROM information_schema.processlist "
        "WHERE db = database() AND state = 'User lock'",
    ):
        pass


def test_waiting_for_who_makes_the_registry_ends_with_an_error(
    mariadb: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "_TAKE", text("SELECT get_lock('certledger test', 0)"))
    with (
        stranger(mariadb.url, "SELECT get_lock('certledger test', 0)"),
        pytest.raises(StorageUnavailable, match="making or changing the tables"),
    ):
        make(mariadb.url)
    assert tables_of(mariadb.url) == []


@pytest.mark.parametrize("table", ["log_entry", "log_head", "log_checkpoint"])
def test_a_log_that_lost_a_table_is_damaged_and_not_made_anew(mariadb: Place, table: str) -> None:
    make(mariadb.url)
    execute(mariadb.url, f"DROP TABLE {table}")
    with pytest.raises(LogCorrupt):
        Ledger(mariadb.url)


def test_a_log_that_was_emptied_is_damaged_and_not_made_anew(mariadb: Place) -> None:
    """Truncating fires no trigger; that there was a registry is seen by the version."""
    with Ledger(mariadb.url) as ledger:
        ledger.issue(make_certificate())
    execute(mariadb.url, *(f"TRUNCATE TABLE {name}" for name in ("log_entry", "log_head")))
    with Ledger(mariadb.url) as ledger, pytest.raises(LogCorrupt, match="0 rows"):
        ledger.head()


def test_tables_of_others_are_left_alone(mariadb: Place) -> None:
    execute(mariadb.url, "CREATE TABLE something_else (x INT)")
    with pytest.raises(NotARegistry, match="something_else"):
        make(mariadb.url)
    assert tables_of(mariadb.url) == ["something_else"]
