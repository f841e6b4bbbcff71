"""One value has one encoding, and nothing but that encoding is read."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from certledger.errors import InvalidEvent
from certledger.eventstore.canonical import MAX_INTEGER, canonical, parse_canonical
from tests.support.strategies import entry_values

ALL_ESCAPES = "".join(map(chr, range(0x20))) + '"\\/\x7f\x80\u2028\u2029\ufeff\ufffe\U0001f512'


@given(entry_values)
@example({"a": ALL_ESCAPES})
@example({"a": MAX_INTEGER, "b": -MAX_INTEGER, "A": True, "": False, "aa": {}})
def test_the_bytes_are_those_of_an_independent_rfc_8785_encoder(value: dict[str, Any]) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(entry_values)
def test_what_is_encoded_is_read_back(value: dict[str, Any]) -> None:
    assert parse_canonical(canonical(value)) == value


def test_true_and_one_stay_different() -> None:
    assert canonical({"a": True, "b": 1}) == b'{"a":true,"b":1}'
    value = parse_canonical(b'{"a":true,"b":1}')
    assert value["a"] is True
    assert type(value["b"]) is int


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_eight_objects_may_be_nested() -> None:
    value = nested(8)
    assert parse_canonical(canonical(value)) == value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"a": None}, "NoneType"),
        ({"a": 1.0}, "float"),
        ({"a": float("nan")}, "float"),
        ({"a": (1,)}, "tuple"),
        ({"a": [None]}, "NoneType"),
        ({"a": ("b",)}, "tuple"),
        ({"a": b"b"}, "bytes"),
        ({"a": MAX_INTEGER + 1}, r"2\^53 - 1"),
        ({"a": -MAX_INTEGER - 1}, r"2\^53 - 1"),
        ({"a": 10**5000}, r"2\^53 - 1"),
        ({"é": "a"}, "ASCII"),
        ({1: "a"}, "ASCII"),
        ({"a": {"b": {"\ud800": 1}}}, "ASCII"),
        ({"a": "\ud800"}, "surrogate"),
        (nested(9), "nested more than 8"),
    ],
)
def test_a_value_that_entries_do_not_hold_is_refused(value: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidEvent, match=why):
        canonical(value)


REFUSED = {
    "a key twice": (b'{"a":1,"a":1}', "'a' appears twice"),
    "a key twice, once escaped": (rb'{"a":1,"\u0061":2}', "'a' appears twice"),
    "a key twice inside": (b'{"a":{"b":1,"c":2,"b":3}}', "'b' appears twice"),
    "NaN": (b'{"a":NaN}', "NaN is not an integer"),
    "Infinity": (b'{"a":Infinity}', "Infinity is not an integer"),
    "-Infinity": (b'{"a":-Infinity}', "-Infinity is not an integer"),
    "a fraction": (b'{"a":1.5}', "1.5 is not an integer"),
    "a whole number written as a fraction": (b'{"a":1.0}', "1.0 is not an integer"),
    "an exponent": (b'{"a":1e2}', "1e2 is not an integer"),
    "minus zero": (b'{"a":-0}', "not the canonical form"),
    "a leading zero": (b'{"a":01}', "not JSON"),
    "a plus sign": (b'{"a":+1}', "not JSON"),
    "null": (b'{"a":null}', "NoneType"),
    "a null in an array": (b'{"a":[null]}', "NoneType"),
    "a fraction in an array": (b'{"a":[1.5]}', "not an integer"),
    "an array at the top": (b"[]", "not list"),
    "a string at the top": (b'"a"', "not str"),
    "null at the top": (b"null", "not NoneType"),
    "nothing": (b"", "not JSON"),
    "two objects": (b"{}{}", "not JSON"),
    "a trailing comma": (b'{"a":1,}', "not JSON"),
    "a comment": (b"{}//", "not JSON"),
    "single quotes": (b"{'a':1}", "not JSON"),
    "another order": (b'{"b":1,"a":2}', "not the canonical form"),
    "a blank": (b'{"a": 1}', "not the canonical form"),
    "a leading blank": (b' {"a":1}', "not the canonical form"),
    "a final line feed": (b'{"a":1}\n', "not the canonical form"),
    "an escape without need": (rb'{"a":"\u0061"}', "not the canonical form"),
    "an escaped slash": (rb'{"a":"\/"}', "not the canonical form"),
    "an escape in upper case": (rb'{"a":"\u001F"}', "not the canonical form"),
    "a long escape where a short one exists": (rb'{"a":"\u000a"}', "not the canonical form"),
    "an escaped character beyond ASCII": (rb'{"a":"\u00e9"}', "not the canonical form"),
    "an escaped surrogate pair": (rb'{"a":"\ud83d\udd12"}', "not the canonical form"),
    "a raw control character": (b'{"a":"\n"}', "not JSON"),
    "an unknown escape": (rb'{"a":"\x41"}', "not JSON"),
    "a lone surrogate": (rb'{"a":"\ud800"}', "surrogate"),
    "a lone surrogate as key": (rb'{"\udfff":1}', "ASCII"),
    "a key beyond ASCII": ('{"é":1}'.encode(), "ASCII"),
    "Latin-1": ('{"a":"é"}'.encode("latin-1"), "not JSON in UTF-8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "not JSON in UTF-8"),
    "UTF-16 without a mark": ('{"a":1}'.encode("utf-16-le"), "not JSON"),
    "an overlong form in UTF-8": (b'{"a":"\xc0\xaf"}', "not JSON in UTF-8"),
    "a surrogate in UTF-8": (b'{"a":"\xed\xa0\x80"}', "not JSON in UTF-8"),
    "a byte order mark": (b'\xef\xbb\xbf{"a":1}', "not JSON"),
    "half of a character": (b'{"a":"\xe2\x82', "not JSON in UTF-8"),
    "an integer past 2^53 - 1": (b'{"a":9007199254740992}', r"past 2\^53 - 1"),
    "an integer of 5,000 digits": (b'{"a":' + b"9" * 5000 + b"}", "not JSON"),
    "nine objects nested": (b'{"a":' * 8 + b"{}" + b"}" * 8, "nested more than 8"),
    "100,000 objects nested": (b'{"a":' * 100_000, "not JSON"),
    "100,000 arrays nested": (b'{"a":' + b"[" * 100_000, "not JSON"),
}


@pytest.mark.parametrize(("data", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_other_bytes_are_refused(data: bytes, why: str) -> None:
    with pytest.raises(InvalidEvent, match=why):
        parse_canonical(data)


PIECES = rb"""{ } : , [ ] "a" "b" 1 -0 1.5 NaN true null "\u0061" "\ud800" " \ {} {"a":1}""".split()
json_like = st.lists(st.sampled_from([*PIECES, b" ", b"\xff", b'"\xc3\xa9"']), max_size=12).map(
    b"".join
)


@given(st.one_of(st.binary(max_size=60), json_like, entry_values.map(canonical)))
def test_whatever_the_bytes_are_they_are_read_exactly_or_refused_as_invalid(data: bytes) -> None:
    with contextlib.suppress(InvalidEvent):
        assert canonical(parse_canonical(data)) == data


@given(entry_values.map(canonical), st.data())
def test_one_changed_byte_never_gives_the_same_value(data: bytes, draw: st.DataObject) -> None:
    place = draw.draw(st.integers(0, len(data) - 1))
    other = draw.draw(st.integers(0, 255).filter(lambda byte: byte != data[place]))
    changed = data[:place] + bytes([other]) + data[place + 1 :]
    with contextlib.suppress(InvalidEvent):
        assert canonical(parse_canonical(changed)) == changed
