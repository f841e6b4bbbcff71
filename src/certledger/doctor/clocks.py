"""Clocks: this machine's against the server's, and against the last entry of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from certledger.eventstore.append import NOTED_AFTER, REFUSED_AFTER
from certledger.eventstore.symptom import Symptom, shell
from certledger.eventstore.times import Clock, to_rfc3339

TOLERANCE: Final = NOTED_AFTER.total_seconds()
"""So many seconds two clocks may differ: an entry tells nothing of less."""

_TIMES: Final = 5
_SET_RIGHT: Final = shell("timedatectl set-ntp true")


@dataclass(frozen=True, slots=True)
class Offset:
    """How two clocks differ, in seconds."""

    ahead: float
    """How far the server's clock is ahead of this machine's."""
    bound: float
    """How wrong that may be."""


def offset_of(before: datetime, server: datetime, after: datetime) -> Offset:
    """Return the offset of a server that was asked and answered between two readings.

    It read its clock at an unknown moment of the round trip, whose half is therefore the bound.
    """
    half = (after - before) / 2
    return Offset((server - (before + half)).total_seconds(), half.total_seconds())


def measure(ask: Callable[[], datetime], clock: Clock) -> Offset:
    """Ask a server several times and return the offset that is known best."""
    asked = []
    for _ in range(_TIMES):
        before = clock()
        server = ask()
        asked.append(offset_of(before, server, clock()))
    return min(asked, key=lambda offset: offset.bound)


def symptoms_of_offset(offset: Offset) -> Iterator[Symptom]:
    """Judge a measured offset: weak where it is surely more than the tolerance."""
    if abs(offset.ahead) - offset.bound <= TOLERANCE:
        return
    where = "ahead of" if offset.ahead > 0 else "behind"
    message = (
        f"the clock of the database server is {abs(offset.ahead):,.1f} s {where} this machine's "
        f"(± {offset.bound:.1f} s): entries bear the time of the machine that writes them; "
        "synchronize both"
    )
    yield Symptom("weak", "clock-offset", message, _SET_RIGHT)


def symptoms_of_last_entry(now: datetime, recorded_at: datetime | None) -> Iterator[Symptom]:
    """Judge this machine's clock by the time of the last entry, where there is one."""
    if recorded_at is None or recorded_at - now <= NOTED_AFTER:
        return
    behind = (recorded_at - now).total_seconds()
    meaning = (
        "appending is refused, but with --allow-clock-behind"
        if recorded_at - now > REFUSED_AFTER
        else "entries are given the time of the last one"
    )
    message = (
        f"this machine's clock is {behind:,.0f} s behind the log's last entry, recorded "
        f"{to_rfc3339(recorded_at)}: {meaning}"
    )
    yield Symptom("weak", "clock-behind-log", message, _SET_RIGHT)
