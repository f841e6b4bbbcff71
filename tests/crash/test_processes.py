"""Several processes on one registry at once."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from certledger import Ledger
from certledger.eventstore.reasons import NAME_BY_CODE
from tests.support.certificates import make_certificate
from tests.support.replay import replay
from tests.support.whole import check_tables, check_whole
from tests.support.worker import Report, Worker

PROCESSES = 4
COMMANDS = 500
ROUNDS = 5


@pytest.fixture
def reports(url: str) -> list[Report]:
    """What four processes reported of 500 commands each, all at once on the same certificates."""
    with ExitStack() as stack:
        crowd = [
            stack.enter_context(Worker("mixed", url, seed, COMMANDS)) for seed in range(PROCESSES)
        ]
        for worker in crowd:
            worker.go()
        for worker in crowd:
            worker.say()
        return [report for worker in crowd for report in worker.rest()]


def test_four_processes_with_overlapping_commands_lose_nothing(
    file: Path, reports: list[Report]
) -> None:
    refusals = [report for report in reports if "refused" in report]
    acknowledged = Counter(report["event"] for report in reports if "event" in report)
    expired = sum(report["expired"] for report in reports if "expired" in report)

    assert len(reports) == PROCESSES * COMMANDS
    assert {refusal["refused"] for refusal in refusals} <= {
        "DuplicateSerial",
        "DuplicateUuid",
        "IllegalTransition",
        "UnknownSerial",
    }
    events = check_whole(file)
    swept = {event.id for event in events if event.type.split(".")[-2] == "expired"}
    assert set(acknowledged.values()) == {1}
    assert acknowledged.keys() | swept == {event.id for event in events}
    assert len(swept) == expired
    assert len(acknowledged) + expired == len(events)
    check_tables(file, replay(events, refusals))


def test_of_eight_processes_that_revoke_one_certificate_exactly_one_wins(
    file: Path, url: str
) -> None:
    codes = sorted(NAME_BY_CODE)[:8]
    with ExitStack() as stack:
        ledger = stack.enter_context(Ledger(url))
        crowd = {code: stack.enter_context(Worker("revoke_each", url, code)) for code in codes}
        for worker in crowd.values():
            worker.go()
        for serial in range(1, ROUNDS + 1):
            ledger.issue(make_certificate(serial=serial))
            instant = time.monotonic() + 0.05
            for worker in crowd.values():
                worker.say(f"{serial} {instant}")
            answers = {code: worker.hear() for code, worker in crowd.items()}

            (winner,) = (code for code, answer in answers.items() if "event" in answer)
            others = [answer for code, answer in answers.items() if code != winner]
            assert others == [{"refused": "IllegalTransition"}] * 7
            assert ledger.get(serial).revocation_reason == winner
            assert ledger.history(serial)[-1].id == answers[winner]["event"]
    assert len(check_whole(file)) == 2 * ROUNDS
