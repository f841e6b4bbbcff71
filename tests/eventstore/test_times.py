"""Instants have one spelling, and no datetime without a time zone gets in."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import InvalidEvent, InvalidValue
from certledger.eventstore.times import aware_utc, from_rfc3339, naive_utc, to_rfc3339, utc_now

INDIA = timezone(timedelta(hours=5, minutes=30))


class NoZone(tzinfo):
    """A time zone that knows no offset, which makes a datetime naive by Python's rules."""

    def utcoffset(self, when: datetime | None) -> None:
        del when

    dst = utcoffset

    def tzname(self, when: datetime | None) -> str:
        del when
        return "nowhere"


def test_an_instant_is_written_in_utc_with_six_digits() -> None:
    assert to_rfc3339(datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)) == (
        "2026-01-31T23:59:59.000000Z"
    )
    assert to_rfc3339(datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=INDIA)) == (
        "2025-12-31T18:30:00.000007Z"
    )
    assert to_rfc3339(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00.000000Z"


@given(st.datetimes(timezones=st.just(UTC)))
def test_what_is_written_is_read_back(instant: datetime) -> None:
    read = from_rfc3339(to_rfc3339(instant))
    assert read == instant
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31T23:59:59Z",
        "2026-01-31T23:59:59.000Z",
        "2026-01-31T23:59:59.0000000Z",
        "2026-01-31T23:59:59,000000Z",
        "2026-01-31 23:59:59.000000Z",
        "2026-01-31t23:59:59.000000Z",
        "2026-01-31T23:59:59.000000z",
        "2026-01-31T23:59:59.000000",
        "2026-01-31T23:59:59.0000000",
        "2026-01-31T23:59:59.000000Z\n",
        " 2026-01-31T23:59:59.00000Z",
        "2026-01-31T23:59:59.000000+00:00",
        "2026-01-31T23:59:59.00+00:00",
        "2026-01-31T23:59:60.000000Z",
        "2026-01-31T24:00:00.000000Z",
        "2026-02-29T00:00:00.000000Z",
        "0000-01-01T00:00:00.000000Z",
        "2026-W05-6T23:59:59.000000Z",
        "20260131T235959.000000000Z",
        "\uff12026-01-31T23:59:59.000000Z",
        "2026-01-31T23:59:59.00000\ud800Z",
    ],
)
def test_every_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(InvalidEvent, match="is not an instant like"):
        from_rfc3339(text)


@given(st.text(alphabet="0123456789-:.TZ+ W", min_size=20, max_size=28))
def test_any_text_is_an_instant_in_its_one_spelling_or_invalid(text: str) -> None:
    with contextlib.suppress(InvalidEvent):
        assert to_rfc3339(from_rfc3339(text)) == text


@pytest.mark.parametrize("zone", [None, NoZone()])
def test_a_datetime_without_a_time_zone_is_refused(zone: tzinfo | None) -> None:
    naive = datetime(2026, 1, 1, tzinfo=zone)
    with pytest.raises(InvalidValue, match="has no time zone"):
        naive_utc(naive)
    with pytest.raises(InvalidValue, match="has no time zone"):
        to_rfc3339(naive)


@pytest.mark.parametrize(
    "instant",
    [
        datetime.min.replace(tzinfo=INDIA),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))),
    ],
)
def test_an_instant_that_leaves_the_calendar_in_utc_is_refused(instant: datetime) -> None:
    with pytest.raises(InvalidValue, match="outside of the years 1 to 9999"):
        naive_utc(instant)


@given(st.datetimes(), st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
def test_naive_and_aware_are_inverse_in_every_time_zone(naive: datetime, shift: timedelta) -> None:
    aware = aware_utc(naive)
    assert naive_utc(aware) == naive
    with contextlib.suppress(OverflowError):
        assert naive_utc(aware.astimezone(timezone(shift))) == naive


def test_the_system_s_clock_gives_utc() -> None:
    assert utc_now().tzinfo is UTC
    assert abs(utc_now() - datetime.now(UTC)) < timedelta(minutes=1)
