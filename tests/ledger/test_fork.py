"""A process that forks: both sides go on, and neither harms the other's connections.

Every test forks in a fresh process, as pytest's has threads of its own.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from certledger.ledger import Ledger
from tests.support.processes import run

BEGIN = """
import gc, json, os, sys, threading
from certledger.ledger import Ledger
from certledger.testing.certificates import make_certificate
ledger = Ledger(sys.argv[1])

def issue(serial):
    return ledger.issue(make_certificate(serial=serial)).seq

def child(work, leave=sys.exit):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        leave(0)
    return pid

def wait(pid):
    assert os.waitpid(pid, 0)[1] == 0

issue(1)
assert ledger.count() == 1
"""


def check(url: str, serials: set[int]) -> None:
    """The registry is whole and has these certificates."""
    with Ledger(url) as ledger:
        assert {int(record.serial_number) for record in ledger.list()} == serials
        assert [event.seq for event in ledger.events()] == list(range(len(serials)))
        assert list(ledger.verify()) == []


@pytest.mark.parametrize("leave", ["sys.exit", "os._exit"])
def test_parent_and_child_both_go_on_writing_and_reading(url: str, leave: str) -> None:
    script = f"""
def work():
    issue(2)
    assert ledger.get(1).serial_number == "1"
    assert ledger.history(2)[0].seq == 1
    gc.collect()
pid = child(work, {leave})
wait(pid)
issue(3)
assert ledger.count() == 3
pid = child(lambda: issue(4), {leave})
issue(5)
wait(pid)
assert ledger.count() == 5
issue(6)
"""
    run(BEGIN + script, url)
    check(url, {1, 2, 3, 4, 5, 6})


@pytest.mark.parametrize("work", ["ledger.close()", "ledger.count()", "issue(3)", "gc.collect()"])
def test_a_child_that_ends_takes_nothing_from_its_parent(url: str, file: Path, work: str) -> None:
    """The last one who closes removes the write-ahead log, which a child is not."""
    script = f"""
def files():
    return {{name: os.stat(sys.argv[2] + name).st_ino for name in ("", "-wal", "-shm")}}
written, write = os.pipe()
def work():
    os.read(written, 1)
    {work}
pid = child(work)
issue(2)
before = files()
os.write(write, b"x")
wait(pid)
assert files() == before
assert os.stat(sys.argv[2] + "-wal").st_size > 0
issue(4)
"""
    run(BEGIN + script, url, file)
    check(url, {1, 2, 3, 4} if work == "issue(3)" else {1, 2, 4})


def test_a_child_may_fork_again(url: str) -> None:
    script = """
def work():
    issue(2)
    wait(child(lambda: issue(3), os._exit))
    issue(4)
wait(child(work))
issue(5)
"""
    run(BEGIN + script, url)
    check(url, {1, 2, 3, 4, 5})


def test_what_a_child_records_outlives_a_parent_that_closes(url: str) -> None:
    """SQLite keeps its locks by process and file. A connection carried over a fork makes the child
    believe that it has the parent's locks, and the parent's last close removes the write-ahead
    log that the child goes on writing into.
    """
    script = """
told, tell = os.pipe()
closed, close = os.pipe()
def work():
    assert ledger.count() == 1
    os.write(tell, b"x")
    os.read(closed, 1)
    issue(2)
    os._exit(0)
pid = child(work)
os.read(told, 1)
ledger.close()
os.write(close, b"x")
wait(pid)
"""
    run(BEGIN + script, url)
    check(url, {1, 2})


def test_a_fork_beside_a_writing_thread_leaves_the_child_free(url: str) -> None:
    """The fork waits for the thread's transaction: its lock could never be released in the child,
    where the thread does not exist.
    """
    script = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
def keep_writing():
    for serial in range(100, 140):
        issue(serial)
writer = threading.Thread(target=keep_writing)
writer.start()
pids = [child(lambda n=n: issue(n), os._exit) for n in range(2, 12)]
for pid in pids:
    wait(pid)
writer.join()
"""
    run(BEGIN + script, url)
    check(url, {1, *range(2, 12), *range(100, 140)})


def test_a_fork_inside_of_a_unit_of_work_does_not_hang(url: str) -> None:
    """What the parent had begun is the parent's alone."""
    script = """
def work(connection, retrying):
    return child(lambda: None, os._exit)
wait(ledger.database.write(work))
wait(ledger.database.read(lambda connection: work(connection, False)))
issue(2)
"""
    run(BEGIN + script, url)
    check(url, {1, 2})


def test_many_children_write_at_once_and_lose_nothing(url: str) -> None:
    script = """
def work(number):
    for step in range(10):
        issue(100 * number + step)
pids = [child(lambda n=number: work(n)) for number in range(1, 5)]
for step in range(10):
    issue(900 + step)
for pid in pids:
    wait(pid)
"""
    run(BEGIN + script, url)
    serials = {100 * number + step for number in (1, 2, 3, 4, 9) for step in range(10)}
    check(url, {1} | serials)


def test_a_registry_in_memory_is_copied_by_a_fork() -> None:
    script = """
def work():
    issue(2)
    print(json.dumps([e.seq for e in ledger.events()]), flush=True)
wait(child(work))
issue(3)
print(json.dumps([int(r.serial_number) for r in ledger.list()]))
"""
    child, parent = run(BEGIN + script, "sqlite://").splitlines()
    assert json.loads(child) == [0, 1]
    assert json.loads(parent) == [3, 1]


def test_a_registry_opened_by_a_child_is_its_own(url: str) -> None:
    script = """
def work():
    with Ledger(sys.argv[1]) as mine:
        mine.issue(make_certificate(serial=2))
    ledger.close()
wait(child(work))
issue(3)
"""
    run(BEGIN + script, url)
    check(url, {1, 2, 3})
