"""Safe text, and listings as table, JSON and CSV."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.cli.output import guarded, to_json
from certledger.cli.text import counted, iso, safe, safe_lines, serial_fields

ANY_TEXT = st.text(st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zoë 東京", "Zoë 東京"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
        ("abc\u202edef", "abc\\u202edef"),
        ("\u2066x\u2069", "\\u2066x\\u2069"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\u2028", "\\u2028"),
        ("\x00\x7f", "\\x00\\x7f"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_written_out(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(ANY_TEXT)
def test_safe_text_is_printable_whatever_it_was(text: str) -> None:
    assert safe(text).isprintable()
    assert all(line.isprintable() for line in safe_lines(text).split("\n"))


@given(ANY_TEXT)
def test_json_is_exact_and_printable(text: str) -> None:
    encoded = to_json({"name": text})
    assert encoded.isprintable()
    assert json.loads(encoded) == {"name": text}
    assert json.loads(to_json([text], indent=2)) == [text]


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "\t=1", "\uff1d1+1", "'quoted", "\r=1"],
)
def test_a_cell_that_a_spreadsheet_would_compute_gets_an_apostrophe(cell: str) -> None:
    assert guarded(cell) == "'" + safe(cell)


@pytest.mark.parametrize("cell", ["1234567890123456", "007", str(2**159)])
def test_a_number_that_a_spreadsheet_would_change_gets_an_apostrophe(cell: str) -> None:
    assert guarded(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "device.example.org", "0", "123456789012345", "0x1f", "a=b"])
def test_any_other_cell_stays_as_it_is(cell: str) -> None:
    assert guarded(cell) == cell


def test_numbers_and_nothing_stay_as_they_are_in_a_cell() -> None:
    assert guarded(-5) == -5
    assert guarded(None) is None


def test_an_edited_serial_that_is_no_number_is_shown_as_it_is() -> None:
    assert serial_fields("x") == {"serial_number": "x", "serial_hex": None}


def test_counts_have_the_right_noun() -> None:
    assert counted(1, "entry", "entries") == "1 entry"
    assert counted(0, "row") == "0 rows"
    assert counted(12345, "row") == "12,345 rows"


def test_no_instant_is_written_as_nothing() -> None:
    assert iso(None) is None
