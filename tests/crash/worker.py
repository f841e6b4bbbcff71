"""The process behind `tests.support.worker`: tasks that report each change once it is durable.

A report is one line of JSON, written in one piece.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from certledger import Event, Ledger
from certledger.bulk import Registration
from certledger.errors import StorageError
from certledger.testing.certificates import make_certificate

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
        case "limited":
            limited(url, arguments[0])
        case "read_only":
            read_only(url)


if __name__ == "__main__":
    main(*sys.argv[1:])
