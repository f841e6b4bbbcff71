"""Processes killed at random moments. CERTLEDGER_KILLS says how often, CERTLEDGER_SEED when."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from certledger import Ledger
from tests.support.certificates import make_certificate
from tests.support.replay import replay
from tests.support.whole import check_tables, check_whole
from tests.support.worker import Worker

KILLS = int(os.environ.get("CERTLEDGER_KILLS", "30"))
SEED = int(os.environ.get("CERTLEDGER_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


def workers(task: str, url: str, number: int) -> Iterator[tuple[int, Worker]]:
    """One worker after the other; the next one is imported while the present one is at work."""
    with ExitStack() as stack:
        following = stack.enter_context(Worker(task, url, 0))
        for run in range(number):
            present = following
            if run + 1 < number:
                following = stack.enter_context(Worker(task, url, run + 1))
            yield run, present


def pause(rng: random.Random, longest: float) -> None:
    """Let a random time pass, so that the kill comes at a random moment."""
    time.sleep(rng.uniform(0, longest))


def test_what_was_acknowledged_survives_a_kill_and_nothing_is_half_done(
    file: Path, url: str
) -> None:
    rng = random.Random(SEED)
    print(f"CERTLEDGER_SEED={SEED}")  # noqa: T201 # to repeat a failure
    acknowledged: set[str] = set()
    for run, worker in workers("churn", url, KILLS):
        worker.go()
        heard = [worker.hear() for _ in range(rng.randrange(15))]
        pause(rng, 0.005)
        worker.kill()
        acknowledged |= {report["operation"] for report in heard + worker.rest()}

        events = check_whole(file)
        recorded = Counter(str(event.correlationid) for event in events)
        assert acknowledged <= recorded.keys()
        assert all(count == int(name.split("-")[2]) for name, count in recorded.items())
        unheard = [name for name in recorded.keys() - acknowledged if name.startswith(f"{run}-")]
        assert len(unheard) <= 1, "an operation began before the one before was acknowledged"
        check_tables(file, replay(events))


def test_a_kill_while_the_registry_is_made_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    print(f"CERTLEDGER_SEED={SEED}")  # noqa: T201 # to repeat a failure
    for attempt in range(max(4, KILLS // 4)):
        file = tmp_path / f"{attempt}.db"
        with Worker("register", f"sqlite:///{file}", 0) as worker:
            worker.begin()
            pause(rng, 0.03)
            worker.kill()
        with Ledger(f"sqlite:///{file}") as ledger:
            ledger.issue(make_certificate())
        assert len(check_whole(file)) == 1
