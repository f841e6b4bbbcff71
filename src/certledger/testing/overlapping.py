"""Few serial numbers with several certificates each, for processes that get in each other's way.

Ends are long past or far away, so that the instant of a command does not matter. Most are past:
those can be registered again after they were revoked and deleted, so that work does not run out.
The keys differ from process to process, which does not matter either.
"""

from __future__ import annotations

from datetime import timedelta

from certledger.testing.prepared import Prepared, prepare

SERIALS = list(range(1, 21))
UUIDS = [f"folder-{number}" for number in range(1, 11)]
CERTIFICATES: dict[int, list[Prepared]] = {
    serial: [
        prepare(serial, "long", timedelta(days=9_000)),
        *(prepare(serial, "ended", timedelta(days=-9_000), begins=9_100) for _ in range(9)),
    ]
    for serial in SERIALS
}
