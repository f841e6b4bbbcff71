"""What the processes of the suite do to a registry."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from certledger.async_ledger import AsyncLedger
from certledger.bulk import Registration
from certledger.errors import LedgerError
from certledger.eventstore.actor import acting_as
from certledger.eventstore.event import Event
from certledger.eventstore.reasons import NAME_BY_CODE
from certledger.ledger import Ledger
from certledger.testing.backend import Flavour
from certledger.testing.blocking import Blocking
from certledger.testing.certificates import make_certificate
from certledger.testing.overlapping import CERTIFICATES, SERIALS, UUIDS
from certledger.testing.processes import Channel
from certledger.testing.raw import Raw


@contextmanager
def opened(channel: Channel, url: str, flavour: Flavour, **options: Any) -> Iterator[Any]:
    """Open the registry, say so, and wait until told to begin."""
    with open_ledger(url, flavour, **options) as ledger:
        ledger.head()
        channel.report(ready=True)
        channel.wait()
        yield ledger


@contextmanager
def open_ledger(url: str, flavour: Flavour, **options: Any) -> Iterator[Any]:
    """Open a `Ledger`, or an `AsyncLedger` that is used like one."""
    if flavour == "sync":
        with Ledger(url, **options) as ledger:
            yield ledger
        return
    with Blocking(AsyncLedger(url, **options)) as ledger:
        yield ledger


def acknowledge(channel: Channel, event: Event) -> None:
    channel.report(event=event.id, seq=event.seq)


def first(channel: Channel, url: str, flavour: Flavour) -> None:
    """Open, at the same time as others, what is not there yet, and register one certificate."""
    channel.report(ready=True)
    channel.wait()
    with open_ledger(url, flavour) as ledger:
        acknowledge(channel, ledger.issue(make_certificate()))


def register(channel: Channel, url: str, flavour: Flavour, number: int) -> None:
    """Register so many certificates one by one."""
    with opened(channel, url, flavour) as ledger:
        for _ in range(number):
            acknowledge(channel, ledger.issue(make_certificate()))


def watch(channel: Channel, url: str) -> None:
    """Read all positions again and again, and report how many there were and whether one lacked,
    until told to end.
    """
    with Raw(url) as raw:
        channel.report(ready=True)
        channel.wait()
        positions: list[int] = []
        looks = gaps = 0
        while not channel.has_news():
            positions = [row[0] for row in raw.run("SELECT seq FROM log_entry ORDER BY seq")]
            looks += 1
            gaps += positions != list(range(len(positions)))
        channel.report(looks=looks, gaps=gaps, last=len(positions))


def churn(
    channel: Channel, url: str, flavour: Flavour, run: int, number: int | None = None
) -> None:
    """Change the registry so many times, or for ever.

    Each operation is named `run-step-events` in the events that it causes, so that half a one
    could be told from a whole one.
    """
    rng = random.Random(run)
    with opened(channel, url, flavour) as ledger:
        for step in count() if number is None else range(number):
            kind = rng.choice(sorted(OPERATIONS))
            size, act = OPERATIONS[kind](ledger, rng, run * 100_000 + step * 10)
            operation = f"{run}-{step}-{size}"
            if size:
                with acting_as("churn", correlation_id=operation):
                    act()
                channel.report(operation=operation)


Operation = tuple[int, Callable[[], object]]
"""How many events there will be, and what causes them."""


def _issue(ledger: Ledger, _rng: random.Random, serial: int) -> Operation:
    certificate = make_certificate(serial=serial + 1)
    return 1, lambda: ledger.issue(certificate, uuid=f"folder-{serial}")


def _issue_ended(ledger: Ledger, _rng: random.Random, serial: int) -> Operation:
    now = datetime.now(UTC)
    certificate = make_certificate(serial=serial + 1, start=now - timedelta(9), end=now)
    return 1, lambda: ledger.issue(certificate)


def _issue_many(ledger: Ledger, _rng: random.Random, serial: int) -> Operation:
    batch = [Registration(make_certificate(serial=serial + n)) for n in range(1, 6)]
    return len(batch), lambda: list(ledger.issue_many(batch))


def _revoke(ledger: Ledger, rng: random.Random, _serial: int) -> Operation:
    valid = ledger.list(status="valid", limit=20)
    if not valid:
        return 0, list
    chosen = int(rng.choice(valid).serial_number)
    return 1, lambda: ledger.revoke(chosen, rng.choice(sorted(NAME_BY_CODE)))


def _delete(ledger: Ledger, rng: random.Random, _serial: int) -> Operation:
    present = ledger.list(limit=20)
    if not present:
        return 0, list
    chosen = int(rng.choice(present).serial_number)
    return 1, lambda: ledger.delete(chosen)


def _expire(ledger: Ledger, _rng: random.Random, _serial: int) -> Operation:
    now = datetime.now(UTC).replace(tzinfo=None)
    valid = ledger.list(status="valid", limit=None)
    return sum(record.not_valid_after < now for record in valid), ledger.expire_due


OPERATIONS: dict[str, Callable[[Ledger, random.Random, int], Operation]] = {
    "issue": _issue,
    "issue and": _issue,
    "issue ended": _issue_ended,
    "issue many": _issue_many,
    "revoke": _revoke,
    "revoke too": _revoke,
    "delete": _delete,
    "expire": _expire,
}


def mixed(channel: Channel, url: str, flavour: Flavour, seed: int, number: int) -> None:
    """Carry out commands on few serial numbers, which others use as well.

    A refusal is reported with the sizes that the log had before and after.
    """
    rng = random.Random(seed)
    with opened(channel, url, flavour) as ledger:
        for _ in range(number):
            command = _draw(rng)
            before = ledger.head().size
            try:
                result = _carry_out(ledger, command)
            except LedgerError as error:
                window = [before, ledger.head().size]
                channel.report(refused=type(error).__name__, command=command, window=window)
            else:
                if isinstance(result, int):
                    channel.report(expired=result)
                else:
                    acknowledge(channel, result)


def _draw(rng: random.Random) -> dict[str, Any]:
    do = rng.choices(["issue", "revoke", "delete", "delete uuid", "expire"], [42, 22, 22, 10, 4])[0]
    return {
        "do": do,
        "serial": rng.choice(SERIALS),
        "which": rng.randrange(10),
        "uuid": rng.choice(UUIDS) if do == "delete uuid" else rng.choice([None, *UUIDS]),
        "reason": rng.choice(sorted(NAME_BY_CODE)),
    }


def _carry_out(ledger: Ledger, command: dict[str, Any]) -> Event | int:
    serial = command["serial"]
    match command["do"]:
        case "issue":
            certificate = CERTIFICATES[serial][command["which"]].certificate
            return ledger.issue(certificate, uuid=command["uuid"])
        case "revoke":
            return ledger.revoke(serial, command["reason"])
        case "delete":
            return ledger.delete(serial)
        case "delete uuid":
            return ledger.delete(uuid=command["uuid"])
    return ledger.expire_due()


def revoke_each(channel: Channel, url: str, flavour: Flavour, reason: int) -> None:
    """Revoke serial numbers as they are told, each at the instant that is told with it."""
    with opened(channel, url, flavour) as ledger:
        while order := channel.wait():
            serial, instant = order
            while time.monotonic() < instant:
                pass
            try:
                acknowledge(channel, ledger.revoke(serial, reason))
            except LedgerError as error:
                channel.report(refused=type(error).__name__)
