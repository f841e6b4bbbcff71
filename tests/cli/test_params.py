"""Values on the command line: serial numbers, times, positions, reasons, key types."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.cli.params import (
    KEY_TYPE,
    REASON,
    SEQ_OR_TIME,
    SERIAL,
    TIME,
    parse_serial,
    parse_time,
)
from certledger.cli.text import serial_hex
from certledger.eventstore.cert_type import CertType


@pytest.mark.parametrize(
    ("text", "serial"),
    [
        ("0", 0),
        ("31", 31),
        ("007", 7),
        ("0x1f", 31),
        ("0X1F", 31),
        ("0a:1F", 0x0A1F),
        ("a:1f", 0x0A1F),
        ("00:ff", 255),
        ("-5", -5),
        ("-0x1f", -31),
        ("-0a:1f", -0x0A1F),
        (" 31 ", 31),
        (str(2**159 - 1), 2**159 - 1),
    ],
)
def test_a_serial_number_is_decimal_or_hex_with_0x_or_with_colons(text: str, serial: int) -> None:
    assert parse_serial(text) == serial


@pytest.mark.parametrize(
    "text",
    ["", "-", "1f", "0x", "0xg", "1:2:3", "1_000", "1e5", "١٢", "--5", "+5", "5 6", "9" * 5000],
)
def test_anything_else_is_no_serial_number(text: str) -> None:
    with pytest.raises(ValueError, match="is no serial number"):
        parse_serial(text)


@given(st.integers(-(2**159), 2**160 - 1))
def test_a_serial_number_is_read_as_it_is_printed(serial: int) -> None:
    assert parse_serial(str(serial)) == serial
    assert parse_serial(serial_hex(serial)) == serial
    assert serial_hex(serial) == serial_hex(serial).lower()


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T12:30", datetime(2026, 1, 31, 12, 30, tzinfo=UTC)),
        ("2026-01-31T12:30:15", datetime(2026, 1, 31, 12, 30, 15, tzinfo=UTC)),
        ("2026-01-31T12:30:15Z", datetime(2026, 1, 31, 12, 30, 15, tzinfo=UTC)),
        ("2026-01-31 12:30:15z", datetime(2026, 1, 31, 12, 30, 15, tzinfo=UTC)),
        ("2026-01-31t12:30:15.25Z", datetime(2026, 1, 31, 12, 30, 15, 250000, tzinfo=UTC)),
        ("2026-01-31T12:30:15+02:00", datetime(2026, 1, 31, 10, 30, 15, tzinfo=UTC)),
        ("2026-01-31T23:30:15-0130", datetime(2026, 2, 1, 1, 0, 15, tzinfo=UTC)),
    ],
)
def test_a_time_is_rfc_3339_or_a_date_and_utc_where_it_has_no_offset(
    text: str, instant: datetime
) -> None:
    assert parse_time(text) == instant
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "20260131",
        "2026-W05-6",
        "2026-02-30",
        "2026-01-31T25:00Z",
        "2026-01-31T12:30:60Z",
        "31.01.2026",
        "0001-01-01T00:00+01:00",
        "٢٠٢٦-01-31",
    ],
)
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        parse_time(text)


def test_digits_alone_are_a_position_in_the_log_and_a_date_is_a_time() -> None:
    assert SEQ_OR_TIME.convert("20260131", None, None) == 20260131
    assert SEQ_OR_TIME.convert("2026-01-31", None, None) == datetime(2026, 1, 31, tzinfo=UTC)
    with pytest.raises(click.BadParameter, match="or a seq"):
        SEQ_OR_TIME.convert("-3", None, None)


@pytest.mark.parametrize(
    ("text", "name"),
    [("keyCompromise", "keyCompromise"), ("KEYCOMPROMISE", "keyCompromise"), ("4", "superseded")],
)
def test_a_reason_is_a_name_in_any_case_or_a_code(text: str, name: str) -> None:
    assert REASON.convert(text, None, None) == name


@pytest.mark.parametrize("text", ["", "removeFromCRL", "8", "7", "99", "because"])
def test_no_other_reason_is_taken(text: str) -> None:
    with pytest.raises(click.BadParameter, match="known are unspecified, keyCompromise"):
        REASON.convert(text, None, None)


def test_a_key_type_is_also_understood_in_the_codes_of_tiny_ca() -> None:
    assert KEY_TYPE.convert("svc", None, None) is CertType.SERVICE
    assert KEY_TYPE.convert("Internal", None, None) is CertType.INTERNAL
    with pytest.raises(click.BadParameter, match="known are user, service"):
        KEY_TYPE.convert("toaster", None, None)


def test_values_that_are_converted_already_stay_as_they_are() -> None:
    instant = datetime(2026, 1, 31, tzinfo=UTC)
    assert SERIAL.convert(5, None, None) == 5
    assert TIME.convert(instant, None, None) == instant
    assert SEQ_OR_TIME.convert(5, None, None) == 5


def test_the_shell_completes_reasons_and_key_types() -> None:
    context = click.Context(click.Command("x"))
    option = click.Option(["--x"])
    reasons = REASON.shell_complete(context, option, "CA")
    assert [item.value for item in reasons] == ["cACompromise"]
    types = KEY_TYPE.shell_complete(context, option, "")
    assert [item.value for item in types] == ["user", "service", "device", "internal", "ca"]
