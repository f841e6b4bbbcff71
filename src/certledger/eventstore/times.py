"""Instants as the log writes them: RFC 3339, UTC, six fractional digits, `Z`."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache

from certledger.errors import InvalidEvent, InvalidValue

Clock = Callable[[], datetime]
"""Gives the present instant as an aware datetime."""

_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}\.[0-9]{6}Z"
)
_OFFSET = len("+00:00")


def utc_now() -> datetime:
    """Return the present instant by the system's clock, aware, in UTC."""
    return datetime.now(UTC)


def to_rfc3339(instant: datetime) -> str:
    """Write an aware datetime as RFC 3339 in UTC with microseconds, for example
    `2026-01-31T23:59:59.000000Z`.
    """
    if instant.tzinfo is not UTC:
        instant = aware_utc(naive_utc(instant))
    return instant.isoformat(timespec="microseconds")[:-_OFFSET] + "Z"


@lru_cache(maxsize=1024)  # entries that were recorded together say the same
def from_rfc3339(text: str) -> datetime:
    """Read exactly the form that `to_rfc3339` writes.

    Raises `InvalidEvent` for every other spelling of the same instant.
    """
    # The pattern leaves `fromisoformat` nothing to be lenient about but the ranges: it checks them.
    if _RFC3339.fullmatch(text):
        with suppress(ValueError):
            return datetime.fromisoformat(text)
    message = f"{text!r} is not an instant like 2026-01-31T23:59:59.000000Z"
    raise InvalidEvent(message)


def naive_utc(instant: datetime) -> datetime:
    """Turn an aware datetime into a naive one in UTC, as database columns hold it.

    Raises `InvalidValue` for a naive datetime, whose time zone nobody knows, and for an instant
    that leaves the years 1 to 9999 in UTC.
    """
    if instant.tzinfo is UTC:
        return instant.replace(tzinfo=None)
    if instant.utcoffset() is None:
        message = f"{instant} has no time zone; pass an aware datetime, best in UTC"
        raise InvalidValue(message)
    try:
        return instant.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        message = f"{instant} is outside of the years 1 to 9999 in UTC"
        raise InvalidValue(message) from error


def aware_utc(naive: datetime) -> datetime:
    """Turn a naive datetime in UTC, as database columns hold it, into an aware one."""
    return naive.replace(tzinfo=UTC)
