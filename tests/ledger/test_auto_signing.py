"""A ledger that signs checkpoints by itself, and never fails by it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from certledger import Ledger, Registration, SyncDBHandler
from certledger.auto_signing import AutoSigner
from certledger.errors import InvalidValue, KeyRefused, MalformedEvidence, SigningRefused
from certledger.eventstore.checkpoints import StoredCheckpoint, stored_checkpoints
from certledger.eventstore.high_water import alone
from certledger.eventstore.signing import sign_checkpoint
from certledger.eventstore.tlog.checkpoint import TrustedLog
from certledger.eventstore.tlog.keyfile import write_key_file
from certledger.testing.certificates import make_ca, make_certificate
from certledger.testing.clock import FakeClock
from tests.support import processes, raw
from tests.support.intruder import forge, intruder
from tests.support.log import ORIGIN
from tests.support.signed import LOG_KEY, OTHER_KEY, TRUST, WITNESS_KEY

Open = Callable[..., Ledger]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "log.key.state"


@pytest.fixture
def opened(url: str, clock: FakeClock, state: Path) -> Iterator[Open]:
    """Opens the registry with a signer that has these rules."""
    ledgers = []

    def open_ledger(**rules: float) -> Ledger:
        signer = AutoSigner(LOG_KEY, state, **rules)  # type: ignore[arg-type] # a number
        ledgers.append(Ledger(url, origin=ORIGIN, clock=clock, signer=signer))
        return ledgers[-1]

    yield open_ledger
    for ledger in ledgers:
        ledger.close()


def issue(ledger: Ledger, *serials: int) -> None:
    for serial in serials:
        ledger.issue(make_certificate(serial=serial))


def stored(ledger: Ledger) -> list[StoredCheckpoint]:
    return ledger.database.read(lambda c: list(stored_checkpoints(c)))


def sizes(ledger: Ledger) -> list[int]:
    return [row.size for row in stored(ledger)]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


# When it signs


def test_without_a_signer_nothing_is_signed(ledger: Ledger) -> None:
    issue(ledger, 1, 2)
    assert stored(ledger) == []


def test_it_signs_after_so_many_events(opened: Open) -> None:
    ledger = opened(every_events=3)
    issue(ledger, *range(1, 9))
    assert sizes(ledger) == [3, 6]
    issue(ledger, 9)
    assert sizes(ledger) == [3, 6, 9]


def test_what_is_signed_is_signed_before_the_change_returns(opened: Open, state: Path) -> None:
    ledger = opened(every_events=1)
    event = ledger.issue(make_certificate(serial=1))
    head = ledger.head()
    checkpoint = TRUST.open(state.read_bytes()).checkpoint
    assert (checkpoint.size, checkpoint.root) == (event.seq + 1, head.root)


def test_it_signs_after_so_many_seconds_but_only_when_something_changes(
    opened: Open, clock: FakeClock
) -> None:
    ledger = opened(every_seconds=60)
    issue(ledger, 1)
    assert sizes(ledger) == [1]
    clock.step(seconds=59)
    issue(ledger, 2)
    assert sizes(ledger) == [1]
    clock.step(seconds=1000)
    ledger.get(1)
    ledger.expire_due()
    assert sizes(ledger) == [1]
    issue(ledger, 3)
    assert sizes(ledger) == [1, 3]


def test_of_two_rules_the_first_that_is_due_counts_and_both_begin_again(
    opened: Open, clock: FakeClock
) -> None:
    ledger = opened(every_events=3, every_seconds=60)
    issue(ledger, 1)
    issue(ledger, 2, 3, 4)
    clock.step(seconds=59)
    issue(ledger, 5)
    clock.step(seconds=1)
    issue(ledger, 6)
    issue(ledger, 7, 8)
    assert sizes(ledger) == [1, 4, 6]


def test_a_clock_that_was_ahead_does_not_keep_it_from_signing(
    opened: Open, clock: FakeClock
) -> None:
    ledger = opened(every_seconds=60)
    issue(ledger, 1)
    clock.step(hours=-5)
    issue(ledger, 2)
    assert sizes(ledger) == [1, 2]
    issue(ledger, 3)
    assert sizes(ledger) == [1, 2]


def test_it_counts_from_the_last_checkpoint_also_of_an_earlier_run(
    opened: Open, clock: FakeClock
) -> None:
    issue(opened(every_events=4), 1, 2, 3, 4)
    again = opened(every_events=4)
    issue(again, 5, 6, 7)
    assert sizes(again) == [4]
    issue(again, 8)
    assert sizes(again) == [4, 8]
    clock.step(seconds=30)
    timed = opened(every_seconds=60)
    issue(timed, 9)
    assert sizes(timed) == [4, 8]
    clock.step(seconds=30)
    issue(timed, 10)
    assert sizes(timed) == [4, 8, 10]


def test_a_checkpoint_that_another_process_signs_counts(
    opened: Open, state: Path, clock: FakeClock
) -> None:
    ledger = opened(every_events=4)
    issue(ledger, 1, 2, 3)
    sign_checkpoint(ledger.database, LOG_KEY, state, clock)
    issue(ledger, 4, 5, 6)
    assert sizes(ledger) == [3]
    issue(ledger, 7)
    assert sizes(ledger) == [3, 7]


def test_a_checkpoint_of_another_key_does_not_count(
    opened: Open, tmp_path: Path, clock: FakeClock
) -> None:
    ledger = opened(every_events=4)
    issue(ledger, 1, 2, 3)
    sign_checkpoint(ledger.database, OTHER_KEY, tmp_path / "other.state", clock)
    issue(ledger, 4)
    assert sizes(ledger) == [3, 4]


def test_every_kind_of_change_counts(opened: Open, clock: FakeClock) -> None:
    ledger = opened(every_events=1)
    ca = make_ca()
    ledger.issue(ca.issue("a.example", serial=1), uuid="folder")
    ledger.issue(ca.issue("b.example", serial=2))
    ledger.revoke(1, "superseded")
    ledger.crl(ca.certificate, ca.key)
    ledger.delete(uuid="folder")
    clock.step(days=10_000)
    assert ledger.expire_due() == 1
    assert sizes(ledger) == [1, 2, 3, 4, 5, 6]


def test_a_command_that_is_repeated_is_no_change(opened: Open) -> None:
    ledger = opened(every_events=1)
    certificate = make_certificate(serial=1)
    for _ in range(3):
        ledger.issue(certificate, command_id="once")
    assert sizes(ledger) == [1]


def test_many_are_signed_after_each_batch(opened: Open) -> None:
    ledger = opened(every_events=1)
    certificates = [make_certificate(serial=serial) for serial in range(1, 4)]
    outcomes = ledger.issue_many(Registration(one) for one in certificates)
    first = next(outcomes)
    assert first.event is not None
    assert sizes(ledger) == [3]
    assert all(outcome.event for outcome in outcomes)
    assert sizes(ledger) == [3]


def test_a_batch_that_is_refused_is_no_change(
    opened: Open, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = opened(every_seconds=60)
    certificate = make_certificate(serial=1)
    ledger.issue(certificate)
    clock.step(seconds=1000)
    caplog.set_level(logging.INFO, "certledger")
    (outcome,) = ledger.issue_many([Registration(certificate)])
    assert outcome.already_there
    assert "signed" not in caplog.text


def test_the_facade_signs_too(opened: Open, clock: FakeClock) -> None:
    ledger = opened(every_events=1)
    handler = SyncDBHandler.over(ledger)
    assert handler.register_cert_in_db(make_certificate(serial=1), uuid="folder")
    assert handler.revoke_certificate(1)[0]
    assert handler.delete_by_uuid("folder")
    assert handler.register_cert_in_db(make_certificate(serial=2), uuid=None)
    clock.step(days=10_000)
    assert handler.update_status_expired() == 1
    assert sizes(ledger) == [1, 2, 3, 4, 5]


def test_a_registry_in_memory_is_signed(state: Path) -> None:
    signer = AutoSigner(LOG_KEY, state, every_events=2)
    with Ledger("sqlite://", origin=ORIGIN, signer=signer) as ledger:
        issue(ledger, 1, 2, 3)
        assert sizes(ledger) == [2]


def test_each_checkpoint_is_logged(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "certledger")
    issue(opened(every_events=2), 1, 2)
    assert "checkpoint of 2 entries signed" in [record.getMessage() for record in caplog.records]


# Failures


def rewrite(ledger: Ledger) -> None:
    """The first entry was forged; every signer that knows better must refuse."""

    def change(seq: int, members: dict[str, object]) -> None:
        if seq == 0:
            members["authid"] = "mallory"

    assert ledger.file is not None
    with intruder(ledger.file, log=True) as sql:
        forge(sql, change)


def test_a_refusal_to_sign_is_an_error_in_the_log_and_harms_no_change(
    opened: Open, caplog: pytest.LogCaptureFixture, clock: FakeClock
) -> None:
    ledger = opened(every_events=1)
    issue(ledger, 1)
    rewrite(ledger)
    event = ledger.issue(make_certificate(serial=2))
    assert event.seq == 1
    many = [Registration(make_certificate(serial=serial)) for serial in (3, 4)]
    assert all(outcome.event for outcome in ledger.issue_many(many))
    ledger.revoke(3)
    ledger.delete(3)
    clock.step(days=10_000)
    assert ledger.expire_due() == 3
    ca = make_ca()
    ledger.crl(ca.certificate, ca.key)
    assert ledger.head().size == 10
    assert sizes(ledger) == [1]
    assert len(errors(caplog)) == 6
    for message in errors(caplog):
        assert message.startswith("no checkpoint was signed, the change is recorded: the first 1 ")
        assert "the history was rewritten" in message


def test_after_a_failure_it_is_tried_again_when_as_much_has_come(
    opened: Open, caplog: pytest.LogCaptureFixture, state: Path
) -> None:
    ledger = opened(every_events=3)
    state.write_bytes(b"damaged")
    issue(ledger, 1, 2, 3, 4, 5)
    assert len(errors(caplog)) == 1
    state.unlink()
    assert sizes(ledger) == []
    issue(ledger, 6)
    assert sizes(ledger) == [6]
    assert len(errors(caplog)) == 1


def test_after_a_failure_time_begins_again(
    opened: Open, caplog: pytest.LogCaptureFixture, state: Path, clock: FakeClock
) -> None:
    ledger = opened(every_seconds=60)
    state.write_bytes(b"damaged")
    issue(ledger, 1, 2)
    assert len(errors(caplog)) == 1
    state.unlink()
    clock.step(seconds=60)
    issue(ledger, 3)
    assert sizes(ledger) == [3]


def test_a_state_file_that_cannot_be_written_is_an_error_in_the_log(
    url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signer = AutoSigner(LOG_KEY, tmp_path / "none" / "state", every_events=1)
    with Ledger(url, origin=ORIGIN, signer=signer) as ledger:
        issue(ledger, 1)
        assert ledger.head().size == 1
        assert stored(ledger) == []
    assert "No such file" in errors(caplog)[0]


def test_a_lost_state_file_is_not_begun_anew(
    opened: Open, caplog: pytest.LogCaptureFixture, state: Path
) -> None:
    ledger = opened(every_events=1)
    issue(ledger, 1)
    state.unlink()
    issue(ledger, 2)
    assert sizes(ledger) == [1]
    assert "--begin-state" in errors(caplog)[0]


def test_a_log_that_was_cut_off_while_it_is_open_is_told(
    opened: Open, caplog: pytest.LogCaptureFixture, file: Path
) -> None:
    ledger = opened(every_events=5)
    issue(ledger, *range(1, 6))
    with intruder(file, log=True) as sql:
        sql.execute("DELETE FROM log_entry WHERE seq >= 2")
        sql.execute("DELETE FROM certificates WHERE id > 2")
        forge(sql, lambda _seq, _members: None)
    issue(ledger, 100)
    assert "has 3 entries, but this key has signed that it had 5" in errors(caplog)[0]


def test_an_error_that_nobody_foresaw_is_logged_with_its_traceback(
    opened: Open, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("broken")

    ledger = opened(every_events=1)
    monkeypatch.setattr("certledger.auto_signing.sign_checkpoint", broken)
    issue(ledger, 1)
    (record,) = (record for record in caplog.records if record.levelno == logging.ERROR)
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_another_signer_is_waited_for_and_not_for_ever(
    opened: Open,
    caplog: pytest.LogCaptureFixture,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("certledger.auto_signing._WAIT_SECONDS", 0.05)
    ledger = opened(every_events=1)
    with alone(state):
        issue(ledger, 1)
    assert "another signer has been at work" in errors(caplog)[0]
    issue(ledger, 2)
    assert sizes(ledger) == [2]


# Threads and processes


def test_threads_sign_every_size_once_at_most_and_the_last_one_for_sure(
    opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "certledger")
    ledger = opened(every_events=1)
    certificates = [make_certificate(serial=serial) for serial in range(1, 41)]
    with ThreadPoolExecutor(8) as pool:
        events = list(pool.map(ledger.issue, certificates))
    assert len({event.seq for event in events}) == 40
    found = sizes(ledger)
    assert found == sorted(set(found))
    assert found[-1] == 40
    signed = [record.getMessage() for record in caplog.records if "signed" in record.msg]
    assert sorted(signed) == sorted(f"checkpoint of {size} entries signed" for size in found)


FORKING = """
import os, sys, threading
from pathlib import Path
from certledger import Ledger
from certledger.auto_signing import AutoSigner
from certledger.testing.certificates import make_certificate
from tests.support.log import ORIGIN
from tests.support.signed import LOG_KEY
signer = AutoSigner(LOG_KEY, Path(sys.argv[2]), every_events=1)
ledger = Ledger(sys.argv[1], origin=ORIGIN, signer=signer)
ledger.issue(make_certificate(serial=1))
held, forked = threading.Event(), threading.Event()
def hold():
    with signer._lock:
        held.set()
        forked.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
child = os.fork()
if child == 0:
    ledger.issue(make_certificate(serial=2))
    ledger.close()
    os._exit(0)
forked.set()
thread.join()
_, status = os.waitpid(child, 0)
assert status == 0, status
ledger.issue(make_certificate(serial=3))
ledger.close()
"""


def test_a_child_process_signs_although_a_thread_of_its_parent_was_signing(
    url: str, state: Path, opened: Open
) -> None:
    processes.run(FORKING, url, state)
    assert sizes(opened(every_events=1)) == [1, 2, 3]


def test_two_processes_with_one_key_sign_one_root_for_each_size(
    url: str, state: Path, opened: Open
) -> None:
    script = """
import sys
from pathlib import Path
from certledger import Ledger
from certledger.auto_signing import AutoSigner
from certledger.testing.certificates import make_certificate
from tests.support.log import ORIGIN
from tests.support.signed import LOG_KEY
signer = AutoSigner(LOG_KEY, Path(sys.argv[2]), every_events=1)
with Ledger(sys.argv[1], signer=signer) as ledger:
    sys.stdin.readline()
    for number in range(20):
        ledger.issue(make_certificate(serial=int(sys.argv[3]) + number))
"""
    ledger = opened(every_events=1000)
    started = [processes.start(script, url, state, first) for first in (1000, 2000)]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert processes.finish(started) == ["", ""]
    rows = stored(ledger)
    assert len({row.size for row in rows}) == len(rows)
    assert max(row.size for row in rows) == 40
    for row in rows:
        assert TRUST.open(row.note).checkpoint.size == row.size


# Making one


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"every_events": 0},
        {"every_events": -1},
        {"every_seconds": 0},
        {"every_seconds": -0.5},
        {"every_seconds": float("inf")},
        {"every_seconds": float("nan")},
        {"every_events": 1, "every_seconds": 0},
    ],
)
def test_a_rule_that_says_nothing_is_refused(rules: dict[str, int], state: Path) -> None:
    with pytest.raises(InvalidValue, match="every_"):
        AutoSigner(LOG_KEY, state, **rules)


def test_a_long_time_is_allowed(opened: Open, clock: FakeClock) -> None:
    ledger = opened(every_seconds=1e300)
    issue(ledger, 1)
    clock.now += timedelta(days=1000)
    issue(ledger, 2)
    assert sizes(ledger) == [1]


def test_a_witness_s_key_is_refused(state: Path) -> None:
    with pytest.raises(MalformedEvidence, match="has the type 0x04"):
        AutoSigner(WITNESS_KEY, state, every_events=1)


def test_a_key_of_another_log_is_refused_when_the_registry_is_opened(
    url: str, ledger: Ledger, state: Path
) -> None:
    """Rather than at every change."""
    issue(ledger, 1)
    with pytest.raises(SigningRefused, match="use the registry's own key"):
        Ledger(url, signer=AutoSigner(LOG_KEY, state, every_events=1))


def test_the_key_can_come_from_its_file_with_the_state_beside_it(url: str, tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    write_key_file(path, LOG_KEY, b"secret")
    with pytest.raises(KeyRefused, match="it is encrypted: give its passphrase"):
        AutoSigner.from_key_file(path, every_events=1)
    signer = AutoSigner.from_key_file(path, passphrase=b"secret", every_events=1)
    with Ledger(url, origin=ORIGIN, signer=signer) as ledger:
        issue(ledger, 1)
    data = (tmp_path / "log.key.state").read_bytes()
    assert TrustedLog(ORIGIN, [LOG_KEY.verifier_key]).open(data).checkpoint.size == 1
    moved = AutoSigner.from_key_file(
        path, passphrase=b"secret", state=os.fspath(tmp_path / "mark"), every_seconds=1
    )
    with pytest.raises(FileNotFoundError):
        (tmp_path / "mark").read_bytes()
    with Ledger(url, signer=moved) as ledger:
        issue(ledger, 2)
        # The mark is not where this key has left it.
        assert raw.rows(tmp_path / "registry.db", "SELECT size FROM log_checkpoint") == [
            {"size": 1}
        ]
