"""A command given again, by the library after a lost answer or by its caller, happens once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import pytest

from certledger.bulk import Registration
from certledger.errors import (
    CommandIdReused,
    DuplicateSerial,
    IllegalTransition,
    InvalidValue,
    LedgerError,
    StorageUnavailable,
    UnknownSerial,
)
from certledger.eventstore.actor import acting_as
from certledger.eventstore.event import Event
from certledger.ledger import Ledger
from certledger.testing.certificates import make_certificate, pem
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.lost_answer import broken, lost_answers, transient
from tests.support.processes import start

ONE = make_certificate("one.example.org", serial=1)
TWO = make_certificate("two.example.org", serial=2)
OTHER_ONE = make_certificate("other.example.org", serial=1)
ID = "order-4711"

Command = Callable[..., Event]
COMMANDS: dict[str, Command] = {
    "issue": lambda ledger, **options: ledger.issue(TWO, uuid="two", **options),
    "revoke": lambda ledger, **options: ledger.revoke(1, "superseded", **options),
    "delete": lambda ledger, **options: ledger.delete(1, **options),
    "delete by uuid": lambda ledger, **options: ledger.delete(uuid="one", **options),
}
commands = pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)


@pytest.fixture
def registry(ledger: Ledger) -> Ledger:
    """A registry with one certificate."""
    ledger.issue(ONE, uuid="one")
    return ledger


# Given again by the caller


@commands
def test_a_command_with_an_id_happens_once_and_gives_its_first_result(
    registry: Ledger, clock: FakeClock, command: Command
) -> None:
    first = command(registry, command_id=ID)
    before = raw.log_of(_file(registry))
    for _ in range(3):
        clock.step(hours=1)
        assert command(registry, command_id=ID) == first
    assert raw.log_of(_file(registry)) == before
    assert list(registry.drift()) == []


@commands
def test_a_command_with_an_id_gives_its_first_result_to_another_process(
    registry: Ledger, command: Command
) -> None:
    first = command(registry, command_id=ID)
    with Ledger(registry.url) as later:
        assert command(later, command_id=ID) == first


@commands
def test_a_command_without_an_id_is_a_new_one(registry: Ledger, command: Command) -> None:
    command(registry)
    with pytest.raises(LedgerError):
        command(registry)
    assert registry.head().size == 2


def test_the_first_result_is_given_whatever_happened_since(
    registry: Ledger, clock: FakeClock
) -> None:
    issued = registry.issue(TWO, uuid="two", command_id="a")
    revoked = registry.revoke(2, "superseded", command_id="b")
    deleted = registry.delete(uuid="two", command_id="c")
    clock.step(days=100)
    registry.issue(TWO, uuid="two")
    size = registry.head().size
    assert registry.issue(TWO, uuid="two", command_id="a") == issued
    assert registry.revoke(2, "superseded", command_id="b") == revoked
    assert registry.delete(uuid="two", command_id="c") == deleted
    assert registry.delete(2, command_id="c") == deleted, "the same deletion in other words"
    assert registry.head().size == size
    assert registry.get(2).status == "valid"


def test_the_event_id_is_made_of_origin_and_command_id(registry: Ledger) -> None:
    event = registry.revoke(1, command_id=ID)
    assert event.id == str(uuid5(uuid5(NAMESPACE_URL, registry.head().origin), ID))


def test_one_command_id_means_another_event_in_another_registry(
    registry: Ledger, tmp_path: Path
) -> None:
    with Ledger(f"sqlite:///{tmp_path}/other.db") as other:
        assert other.issue(TWO, command_id=ID).id != registry.issue(TWO, command_id=ID).id


def test_a_revocation_without_a_date_is_the_same_when_it_is_repeated_later(
    registry: Ledger, clock: FakeClock
) -> None:
    first = registry.revoke(1, command_id=ID)
    clock.step(days=1)
    assert registry.revoke(1, "unspecified", command_id=ID) == first
    with pytest.raises(CommandIdReused, match="another data"):
        registry.revoke(1, revocation_date=clock.now, command_id=ID)


def test_who_repeats_a_command_does_not_matter_but_why_is_part_of_it(registry: Ledger) -> None:
    with acting_as("alice", comment="CHG-1"):
        first = registry.revoke(1, command_id=ID)
    with acting_as("bob", comment="CHG-1"):
        assert registry.revoke(1, command_id=ID) == first
    with acting_as("alice", comment="CHG-2"), pytest.raises(CommandIdReused, match="data"):
        registry.revoke(1, command_id=ID)


def test_a_refused_command_does_not_use_up_its_id(registry: Ledger) -> None:
    with pytest.raises(UnknownSerial):
        registry.revoke(2, command_id=ID)
    with pytest.raises(DuplicateSerial):
        registry.issue(OTHER_ONE, command_id=ID)
    assert registry.issue(TWO, command_id=ID).seq == 1


OTHERS: dict[str, tuple[Callable[[Ledger], Event], str]] = {
    "another certificate": (lambda ledger: ledger.issue(TWO, command_id=ID), "subject"),
    "another of that serial": (lambda ledger: ledger.issue(OTHER_ONE, command_id=ID), "data"),
    "another uuid": (lambda ledger: ledger.issue(ONE, uuid="x", command_id=ID), "data"),
    "another key type": (lambda ledger: ledger.issue(ONE, key_type="ca", command_id=ID), "data"),
    "a revocation": (lambda ledger: ledger.revoke(1, command_id=ID), "type"),
    "a revocation of another": (lambda ledger: ledger.revoke(9, command_id=ID), "subject"),
    "a deletion": (lambda ledger: ledger.delete(1, command_id=ID), "type"),
    "a deletion by uuid": (lambda ledger: ledger.delete(uuid="one", command_id=ID), "type"),
    "a deletion of another": (lambda ledger: ledger.delete(9, command_id=ID), "subject"),
    "a deletion by no uuid": (lambda ledger: ledger.delete(uuid="nobody", command_id=ID), "type"),
}


@pytest.mark.parametrize(("other", "what"), OTHERS.values(), ids=OTHERS)
def test_an_id_used_for_another_command_is_refused(
    ledger: Ledger, other: Callable[[Ledger], Event], what: str
) -> None:
    ledger.issue(make_certificate(serial=7))
    ledger.issue(ONE, uuid="one", command_id=ID)
    before = raw.log_of(_file(ledger))
    with pytest.raises(CommandIdReused, match=f"entry 1 with another {what}") as caught:
        other(ledger)
    assert (caught.value.command_id, caught.value.seq) == (ID, 1)
    assert raw.log_of(_file(ledger)) == before


def test_the_id_of_a_deletion_is_refused_for_another_uuid(registry: Ledger) -> None:
    registry.issue(TWO, uuid="two")
    registry.delete(uuid="one", command_id=ID)
    for uuid, what in (("two", "subject"), ("nobody", "data")):
        with pytest.raises(CommandIdReused, match=f"another {what}"):
            registry.delete(uuid=uuid, command_id=ID)
    with pytest.raises(CommandIdReused, match="another subject"):
        registry.delete(2, command_id=ID)


@pytest.mark.parametrize("command_id", ["", "\ud800"])
def test_a_text_that_can_be_no_id_is_refused(registry: Ledger, command_id: str) -> None:
    with pytest.raises(InvalidValue, match="command_id"):
        registry.revoke(1, command_id=command_id)
    assert registry.head().size == 1


@pytest.mark.parametrize("command_id", [" ", "\n", "ü" * 5_000, "order/1?x=y#z"])
def test_any_other_text_can_be_an_id(registry: Ledger, command_id: str) -> None:
    first = registry.revoke(1, command_id=command_id)
    assert registry.revoke(1, command_id=command_id) == first


# Given again by the library


def _file(ledger: Ledger) -> Path:
    assert ledger.file is not None
    return ledger.file


@commands
@pytest.mark.parametrize("options", [{}, {"command_id": ID}])
@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize("times", [1, 3])
def test_a_commit_whose_answer_is_lost_happens_once(
    registry: Ledger,
    command: Command,
    options: dict[str, str],
    committed: bool,
    times: int,
) -> None:
    """Once it was committed nothing is left to commit, so the second answer cannot be lost."""
    with lost_answers(registry.database, times=times, committed=committed) as lost:
        event = command(registry, **options)
    assert lost == [committed] * (1 if committed else times)
    assert registry.head().size == 2
    assert list(registry.events(since=1)) == [event]
    assert list(registry.drift()) == []


def test_the_first_result_of_a_lost_commit_is_not_decided_again(
    registry: Ledger, clock: FakeClock
) -> None:
    """By the time of the second try the clock has moved on."""

    def later() -> Exception:
        clock.step(hours=1)
        return transient()

    began = clock.now
    with lost_answers(registry.database, error=later):
        event = registry.revoke(1)
    assert event.recordedtime == began
    assert registry.history(1)[-1] == event


def test_another_s_change_after_a_lost_commit_does_not_hide_the_result(
    registry: Ledger, clock: FakeClock
) -> None:
    """Somebody deletes the certificate between commit and second try."""

    def meanwhile() -> Exception:
        with Ledger(registry.url, clock=clock) as other:
            other.delete(1)
        return transient()

    with lost_answers(registry.database, error=meanwhile):
        event = registry.revoke(1)
    assert [e.seq for e in registry.history(1)] == [0, 1, 2]
    assert registry.history(1)[1] == event


@commands
def test_after_an_error_that_is_not_retried_the_caller_can_repeat_the_command(
    registry: Ledger, command: Command
) -> None:
    with lost_answers(registry.database, error=broken), pytest.raises(StorageUnavailable):
        command(registry, command_id=ID)
    event = command(registry, command_id=ID)
    assert registry.head().size == 2
    assert event.seq == 1


@pytest.mark.parametrize("committed", [True, False])
def test_a_bulk_registration_whose_answer_is_lost_happens_once(
    registry: Ledger, committed: bool
) -> None:
    registrations = [
        Registration(make_certificate(serial=serial), str(serial))
        for serial in (10, 11, 1, 12, 10, 13)
    ]
    with lost_answers(registry.database, committed=committed) as lost:
        outcomes = list(registry.issue_many(registrations))
    assert lost == [committed]
    seqs = [outcome.event.seq if outcome.event else None for outcome in outcomes]
    assert seqs == [1, 2, None, 3, None, 4]
    errors = [type(outcome.error) for outcome in outcomes if outcome.error]
    assert errors == [DuplicateSerial, DuplicateSerial]
    assert registry.head().size == 5
    assert list(registry.drift()) == []


@pytest.mark.parametrize("committed", [True, False])
def test_a_sweep_whose_answer_is_lost_happens_once(
    registry: Ledger, clock: FakeClock, committed: bool
) -> None:
    clock.now = ONE.not_valid_after_utc + timedelta(seconds=1)
    told: list[int] = []
    with lost_answers(registry.database, committed=committed) as lost:
        assert registry.expire_due(progress=told.append) == 1
    assert lost == [committed]
    assert told == [1]
    assert [event.seq for event in registry.history(1)] == [0, 1]
    assert registry.expire_due() == 0
    with pytest.raises(IllegalTransition):
        registry.revoke(1)


# A process that dies before it can tell

KILLED = """
import os, signal, sys
from certledger.ledger import Ledger
ledger = Ledger(sys.argv[1])
dialect = ledger.database.engine.dialect
commit = dialect.do_commit
def do_commit(connection):
    commit(connection)
    if connection.dbapi_connection.total_changes:
        os.kill(os.getpid(), signal.SIGKILL)
dialect.do_commit = do_commit
commands = {
    "issue": lambda: ledger.issue(sys.stdin.read(), uuid="two", command_id=sys.argv[3]),
    "revoke": lambda: ledger.revoke(1, "superseded", command_id=sys.argv[3]),
    "delete": lambda: ledger.delete(1, command_id=sys.argv[3]),
    "delete by uuid": lambda: ledger.delete(uuid="one", command_id=sys.argv[3]),
}
commands[sys.argv[2]]()
print("told")
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_of_a_process_killed_right_after_the_commit_happens_once(
    registry: Ledger, name: str
) -> None:
    process = start(KILLED, registry.url, name, ID)
    output, errors = process.communicate(pem(TWO).decode(), timeout=60)
    assert (process.returncode, output) == (-signal.SIGKILL, ""), errors
    assert registry.head().size == 2
    event = COMMANDS[name](registry, command_id=ID)
    assert event == next(registry.events(since=1))
    assert registry.head().size == 2
    assert list(registry.drift()) == []
