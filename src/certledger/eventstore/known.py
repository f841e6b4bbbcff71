"""Reading at once what the log has of several streams and uuids: one question, not two for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import BindParameter, Column, Connection, Select, bindparam, null, select, union_all

from certledger.eventstore.event import Event
from certledger.eventstore.reader import stream_entry
from certledger.eventstore.statement import Asked, Statement
from certledger.eventstore.tables import log_entry

_AT_ONCE: Final = 50
"""How many streams, and as many uuids, one statement asks for."""

_ENTRY = (log_entry.c.streamversion, log_entry.c.seq, log_entry.c.hashes, log_entry.c.entry)


@dataclass(frozen=True, slots=True)
class Known:
    """What the log has of some streams and uuids; those of which it has nothing are there too."""

    streams: Mapping[str, list[Event]]
    """By subject, oldest first."""
    holders: Mapping[str, list[str]]
    """uuid to the streams in which a certificate was ever issued with it."""


def read_known(connection: Connection, subjects: Sequence[str], uuids: Sequence[str]) -> Known:
    """Return what the log has of streams and uuids.

    Raises `LogCorrupt` for an entry that was changed, or that belongs to another stream.
    """
    return ask_known(connection, subjects, uuids)()


def ask_known(
    connection: Connection, subjects: Sequence[str], uuids: Sequence[str]
) -> Callable[[], Known]:
    """Ask what the log has; what is returned gives it, as `read_known` does."""
    streams: dict[str, list[tuple[int, Event]]] = {subject: [] for subject in subjects}
    holders: dict[str, list[str]] = {uuid: [] for uuid in uuids}
    asked = [*_ask(connection, list(streams), list(holders))]

    def gather() -> Known:
        for uuid, subject, version, *entry in chain.from_iterable(one.rows() for one in asked):
            if uuid is None and subject in streams:
                streams[subject].append((version, stream_entry(subject, *entry)))
            elif uuid in holders and subject not in holders[uuid]:
                holders[uuid].append(subject)
        return Known({subject: _in_order(found) for subject, found in streams.items()}, holders)

    return gather


def _in_order(found: list[tuple[int, Event]]) -> list[Event]:
    return [event for _, event in sorted(found, key=itemgetter(0))]


def _ask(connection: Connection, subjects: list[str], uuids: list[str]) -> Iterator[Asked]:
    longest = max(len(subjects), len(uuids))
    size = 1 if longest == 1 else _AT_ONCE
    for start in range(0, longest, size):
        some, others = subjects[start : start + size], uuids[start : start + size]
        values = _padded("subject", some, size)
        if others:
            values |= _padded("uuid", others, size)
        yield _statement(size, bool(others)).ask(connection, **values)


def _padded(name: str, values: list[str], size: int) -> dict[str, str]:
    """Return as many parameters as the statement has; "" is no subject and no uuid."""
    return {f"{name}_{at}": values[at] if at < len(values) else "" for at in range(size)}


@cache
def _statement(size: int, with_uuids: bool) -> Statement:
    streams = select(null().label("uuid"), log_entry.c.subject, *_ENTRY)
    streams = _one_of(streams, log_entry.c.subject, size)
    if not with_uuids:
        return Statement(streams)
    holders = _one_of(
        select(log_entry.c.uuid, log_entry.c.subject, *_ENTRY), log_entry.c.uuid, size
    )
    return Statement(union_all(streams, holders))


def _one_of(query: Select[Any], column: Column[Any], size: int) -> Select[Any]:
    wanted: list[BindParameter[str]] = [bindparam(f"{column.name}_{at}") for at in range(size)]
    return query.where(column == wanted[0] if size == 1 else column.in_(wanted))
