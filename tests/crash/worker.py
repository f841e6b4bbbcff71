"""The process behind `tests.support.worker`: tasks that report each change once it is durable.

A report is one line of JSON, written in one piece.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from certledger import Event, Ledger, acting_as
from certledger.bulk import Registration
from certledger.errors import LedgerError, StorageError
from certledger.eventstore.reasons import NAME_BY_CODE
from tests.support.certificates import make_certificate
from tests.support.overlapping import CERTIFICATES, SERIALS, UUIDS

NOBODY = 65_534


def report(**what: Any) -> None:
    os.write(1, f"{json.dumps(what)}\n".encode())


def acknowledge(event: Event) -> None:
    report(event=event.id, seq=event.seq)


def register(url: str, number: int) -> None:
    """Register so many certificates one by one."""
    with opened(url) as ledger:
        for _ in range(number):
            acknowledge(ledger.issue(make_certificate()))


def churn(url: str, run: int) -> None:
    """Change the registry for ever.

    Each operation is named `run-number-events` in the events that it causes, so that half a one
    could be told from a whole one.
    """
    rng = random.Random(run)
    with opened(url) as ledger:
        for number in count():
            kind = rng.choice(sorted(OPERATIONS))
            size, act = OPERATIONS[kind](ledger, rng, run * 100_000 + number * 10)
            operation = f"{run}-{number}-{size}"
            if size:
                with acting_as("churn", correlation_id=operation):
                    act()
                report(operation=operation)


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


def mixed(url: str, seed: int, number: int) -> None:
    """Carry out commands on few serial numbers, which others use as well.

    A refusal is reported with the sizes that the log had before and after.
    """
    rng = random.Random(seed)
    with opened(url) as ledger:
        sys.stdin.readline()
        for _ in range(number):
            command = _draw(rng)
            before = ledger.head().size
            try:
                result = _carry_out(ledger, command)
            except LedgerError as error:
                window = [before, ledger.head().size]
                report(refused=type(error).__name__, command=command, window=window)
            else:
                if isinstance(result, int):
                    report(expired=result)
                else:
                    acknowledge(result)


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


def revoke_each(url: str, reason: int) -> None:
    """Revoke serial numbers as they are told, each at the instant that is told with it."""
    with opened(url) as ledger:
        for line in sys.stdin:
            serial, instant = line.split()
            while time.monotonic() < float(instant):
                pass
            try:
                acknowledge(ledger.revoke(int(serial), reason))
            except LedgerError as error:
                report(refused=type(error).__name__)


def limited(url: str, path: str) -> None:
    """Register until files may grow no more, then more once they may."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(url) as ledger:
        acknowledge(ledger.issue(make_certificate()))
        largest = max(Path(path + suffix).stat().st_size for suffix in ("", "-wal"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 100_000, hard))
        batch = [Registration(make_certificate()) for _ in range(500)]
        report(error=_error_of(lambda: list(ledger.issue_many(batch))))
        report(error=_error_of(lambda: _register_endlessly(ledger)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        acknowledge(ledger.issue(make_certificate()))


def _register_endlessly(ledger: Ledger) -> None:
    while True:
        acknowledge(ledger.issue(make_certificate()))


def _error_of(act: Callable[[], object]) -> str | None:
    try:
        act()
    except StorageError as error:
        return type(error).__name__
    return None


def read_only(url: str) -> None:
    """Read and try to write as a user who may not write."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    with opened(url) as ledger:
        (record,) = ledger.list()
        serial = int(record.serial_number)
        report(
            read=[record.serial_number, len(ledger.history(serial)), ledger.head().size],
            findings=[finding.message for finding in ledger.verify()],
            errors=[
                _error_of(lambda: ledger.issue(make_certificate())),
                _error_of(lambda: ledger.revoke(serial)),
                _error_of(lambda: ledger.delete(serial)),
            ],
        )


def opened(url: str) -> Ledger:
    """Wait until told to begin, and open the registry."""
    report(imported=True)
    sys.stdin.readline()
    ledger = Ledger(url)
    report(ready=True)
    return ledger


def main(task: str, url: str, *arguments: str) -> None:
    match task:
        case "register":
            register(url, int(arguments[0]))
        case "churn":
            churn(url, int(arguments[0]))
        case "mixed":
            mixed(url, *map(int, arguments))
        case "revoke_each":
            revoke_each(url, int(arguments[0]))
        case "limited":
            limited(url, arguments[0])
        case "read_only":
            read_only(url)


if __name__ == "__main__":
    main(*sys.argv[1:])
