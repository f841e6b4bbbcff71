"""Instants as the log writes them: RFC 3339, UTC, six fractional digits, `Z`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from certledger.errors import InvalidEvent, InvalidValue

Clock = Callable[[], datetime]
"""Gives the present instant as an aware datetime."""

_LENGTH = len("2026-01-31T23:59:59.000000Z")


def utc_now() -> datetime:
    """Return the present instant by the system's clock, aware, in UTC."""
    return datetime.now(UTC)


def to_rfc3339(instant: datetime) -> str:
    """Write an aware datetime as RFC 3339 in UTC with microseconds, for example
    `2026-01-31T23:59:59.000000Z`.
    """
    return naive_utc(instant).isoformat(timespec="microseconds") + "Z"


def from_rfc3339(text: str) -> datetime:
    """Read exactly the form that `to_rfc3339` writes.

    Raises `InvalidEvent` for every other spelling of the same instant.
    """
    try:
        instant = datetime.fromisoformat(text) if len(text) == _LENGTH else None
    except ValueError:
        instant = None
    if instant is None or not text.endswith("Z") or to_rfc3339(instant) != text:
        message = f"{text!r} is not an instant like 2026-01-31T23:59:59.000000Z"
        raise InvalidEvent(message)
    return instant


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
