"""Canonical JSON (RFC 8785) for log entries: encoding, and reading that accepts nothing else.

The log hashes bytes, so one value must have one encoding. Entries hold objects, arrays, strings,
integers and booleans only: no null, no fractions, no integer past 2^53 - 1 (RFC 8785 §3.2.2.3
takes numbers as IEEE 754 doubles). No type of today has an array; one to come may.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

from certledger.errors import InvalidEvent

MAX_INTEGER = 2**53 - 1
_MAX_DEPTH = 8

# RFC 8785 §3.2.3 sorts keys by UTF-16 code units; the keys of entries are ASCII, where Python's
# order by code point is the same. Strings are escaped alike (§3.2.2.2).
# Nothing that is encoded refers to itself: it was read from bytes, or its depth was looked at.
_encode = json.JSONEncoder(
    ensure_ascii=False,
    sort_keys=True,
    separators=(",", ":"),
    allow_nan=False,
    check_circular=False,
).encode


def canonical(value: Mapping[str, Any]) -> bytes:
    """Encode an object as RFC 8785 bytes.

    Raises `InvalidEvent` for a value outside of what entries may hold.
    """
    _check(value, 0)
    return encode_checked(value)


def encode_checked(value: Mapping[str, Any]) -> bytes:
    """Encode an object that is known to hold only what entries may: `canonical`, without the look.

    Raises `InvalidEvent` for a lone surrogate.
    """
    try:
        return _encode(value).encode("utf-8")
    except UnicodeEncodeError as error:
        message = "a string holds half of a surrogate pair, which UTF-8 cannot carry"
        raise InvalidEvent(message) from error


def parse_canonical(data: bytes) -> dict[str, Any]:
    """Read an entry strictly: what is returned encodes to exactly these bytes.

    Raises `InvalidEvent` for anything else: bad UTF-8 or JSON, duplicate keys, null, fractions,
    NaN, other spacing, order or escapes.
    """
    try:
        value = _decode(data.decode("utf-8"))
    except InvalidEvent:
        raise
    except (ValueError, RecursionError) as error:
        message = f"not JSON in UTF-8: {error}"
        raise InvalidEvent(message) from error
    if not isinstance(value, dict):
        message = f"an entry is a JSON object, not {type(value).__name__}"
        raise InvalidEvent(message)
    if canonical(value) != data:
        message = "the bytes are not the canonical form (RFC 8785) of their content"
        raise InvalidEvent(message)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        message = f"the key {twice[:80]!r} appears twice"
        raise InvalidEvent(message)
    return value


def _no_fraction(text: str) -> NoReturn:
    message = f"{text} is not an integer; entries hold no other numbers"
    raise InvalidEvent(message)


# Made once: `json.loads` would make a decoder with these hooks for each entry.
_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_no_fraction, parse_constant=_no_fraction
).decode


def _check(value: object, depth: int) -> None:
    """Refuse what RFC 8785 could not carry unchanged or entries do not hold."""
    if isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if not -MAX_INTEGER <= value <= MAX_INTEGER:
            # Without its digits: Python refuses to write those of a very large one.
            message = "an integer is past 2^53 - 1"
            raise InvalidEvent(message)
        return
    if not isinstance(value, Mapping | list):
        message = f"entries hold no {type(value).__name__} values"
        raise InvalidEvent(message)
    if depth == _MAX_DEPTH:
        message = f"objects and arrays are nested more than {_MAX_DEPTH} deep"
        raise InvalidEvent(message)
    if isinstance(value, Mapping):
        _check_keys(value)
        value = list(value.values())
    for member in value:
        if type(member) is not str:  # most are: this alone saves half of the time
            _check(member, depth + 1)


def _check_keys(value: Mapping[Any, Any]) -> None:
    for key in value:
        if not isinstance(key, str) or not key.isascii():
            message = f"the key {str(key)[:80]!r} is not ASCII text"
            raise InvalidEvent(message)
