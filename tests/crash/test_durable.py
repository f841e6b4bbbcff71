"""What reaches the disk: synchronisation seen from outside, and backups while writing."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from certledger import Ledger
from certledger.testing.certificates import make_certificate
from certledger.testing.whole import check_whole
from tests.support.worker import Worker

REGISTRATIONS = 20
ENDLESS = 10**6


def _can_trace() -> bool:
    strace = shutil.which("strace")
    if strace is None:
        return False
    # Containers often forbid it.
    return subprocess.run([strace, "-o", "/dev/null", "true"], check=False).returncode == 0


def test_every_acknowledgement_comes_after_its_commit_was_synchronised(
    file: Path, url: str, tmp_path: Path
) -> None:
    if not _can_trace():
        pytest.skip("needs strace, and the right to use it")
    Ledger(url).close()
    trace = tmp_path / "trace"
    tracer = ("strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,write", "-o", str(trace))
    with Worker("register", url, REGISTRATIONS, tracer=tracer) as worker:
        worker.go()
        reports = worker.rest()
    assert len(reports) == REGISTRATIONS

    synchronised = acknowledged = 0
    for line in trace.read_text(encoding="utf-8").splitlines():
        if re.search(r"\b(fsync|fdatasync)\(.*= 0$", line):
            synchronised += 1
        elif r'write(1, "{\"event\"' in line:
            acknowledged += 1
            assert synchronised >= 1, line
            synchronised = 0
    assert acknowledged == REGISTRATIONS
    assert len(check_whole(url)) == REGISTRATIONS


def test_a_backup_while_others_write_holds_all_that_was_acknowledged_before_it(
    url: str, file: Path, tmp_path: Path
) -> None:
    copies = []
    with Worker("register", url, ENDLESS) as worker:
        worker.go()
        for number in range(5):
            acknowledged = [worker.hear()["event"] for _ in range(20)]
            copy = tmp_path / f"copy{number}.db"
            _back_up(file, copy)
            copies.append((copy, acknowledged[-1]))
        worker.kill()
    source = [event.id for event in check_whole(url)]
    for copy, last in copies:
        events = [event.id for event in check_whole(f"sqlite:///{copy}")]
        assert events == source[: len(events)]
        assert last in events
        with Ledger(f"sqlite:///{copy}", create=False) as ledger:
            ledger.issue(make_certificate())
        assert len(check_whole(f"sqlite:///{copy}")) == len(events) + 1


def _back_up(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)
