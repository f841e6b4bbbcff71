"""Replays a log in a process of its own: `python -m benchmarks.replay_worker TASK FILE`."""

from __future__ import annotations

import json
import resource
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from benchmarks.registries import url_of
from benchmarks.rounds import timed
from certledger import Ledger

_STATUS: Final = Path("/proc/self/status")


def peak_megabytes() -> float:
    """Return the most memory that this process has had.

    `ru_maxrss` would also do, but on Linux it begins with what the starting process had.
    """
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    bytes_each = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_each / 1e6


def main(task: str, file: Path) -> None:
    if task == "rebuild-emptied":
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("DELETE FROM certificates")
    with Ledger(url_of(file), create=False) as ledger:
        events = ledger.head().size
        with timed(events) as sample:
            if task == "drift":
                assert not list(ledger.drift())
            else:
                report = ledger.rebuild()
                assert report.differences == (events if task == "rebuild-emptied" else 0), report
    print(
        json.dumps(
            {
                "events": events,
                "wall": sample.wall,
                "cpu": sample.cpu,
                "peak_megabytes": peak_megabytes(),
            }
        )
    )


main(sys.argv[1], Path(sys.argv[2]))
