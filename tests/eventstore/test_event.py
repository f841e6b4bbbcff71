"""The envelope: every attribute's rules, and that any CloudEvents reader understands an entry."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import EntryTooLarge, InvalidEvent
from certledger.eventstore.canonical import canonical
from certledger.eventstore.event import (
    MAX_ENTRY_BYTES,
    Event,
    check_attribute,
    is_known,
    load_event,
    make_event,
    read_event,
    sequence_text,
)
from certledger.eventstore.events import EVENT_TYPES, Deleted, UnknownData
from certledger.eventstore.times import from_rfc3339, to_rfc3339
from tests.support.golden import GOLDEN, golden_bytes
from tests.support.strategies import entry_values, events, extensions

ISSUED = "certledger.certificate.issued.v1"
LEFT_OUT = object()
"""Stands for a member that is missing."""


def changed(members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = members | changes
    return {name: value for name, value in merged.items() if value is not LEFT_OUT}


def entry(**changes: Any) -> bytes:
    """The golden issued entry with these members replaced."""
    return canonical(changed(json.loads(golden_bytes(ISSUED)), changes))


def refused(data: bytes, match: str | None = None) -> None:
    for read in (read_event, load_event):
        with pytest.raises(InvalidEvent, match=match) as caught:
            read(data)
        assert len(str(caught.value)) < 3000


# Attributes


GOOD: dict[str, list[Any]] = {
    "id": ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    "source": [
        "a",
        "example.org/log42",
        "certledger.invalid/0f8fad5b-d9cb-469f-a165-70867728950e",
        "https://example.org:8080/a/b?c=d#e",
        "urn:example:ca",
        "a%20b/x:y",
        "x" * 200,
    ],
    "sequence": ["00000000000000000000", "00009007199254740991"],
    "streamversion": [0, 2**31 - 1],
    "time": ["0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"],
    "recordedtime": ["2026-01-31T23:59:59.999999Z"],
    "clocktime": [LEFT_OUT, "2026-01-31T23:59:59.000000Z"],
    "timesource": [LEFT_OUT, "notbefore"],
    "authtype": ["app_user", "user", "service_account", "api_key", "system"],
    "authid": ["x", "é" * 255, "CN=Zoë, O=Example \U0001f512"],
    "correlationid": [LEFT_OUT, "x" * 255],
    "causationid": [LEFT_OUT, "x" * 255],
    "importsource": [LEFT_OUT, "pem sha256:00 line 1", "x" * 300, 0, -(2**31), 2**31 - 1, True],
}

BAD_TEXT: list[Any] = ["", 1, True, "x" * 256, "a\nb", "a\x00", "\x7f", "\x85", "\u009f"]
BAD_TEXT += ["\ufdd0", "\ufdef", "\ufffe", "\uffff", "\U0001fffe", "\U0010ffff"]
BAD_TIME: list[Any] = ["", 0, "2026-01-31T23:59:59Z", "2026-01-31T23:59:59.000Z", "2026-01-31"]
BAD_TIME += ["2026-01-31T23:59:59.000000+00:00", "2026-01-31T23:59:60.000000Z"]
BAD_TIME += ["2026-01-31t23:59:59.000000z", "2026-01-31T23:59:59.000000Z\n"]

BAD: dict[str, list[Any]] = {
    "specversion": [LEFT_OUT, "", "0.3", "1.1", "1", 1],
    "datacontenttype": [LEFT_OUT, "", "application/cloudevents+json", "Application/JSON"],
    "id": [
        LEFT_OUT,
        "",
        1,
        "0F8FAD5B-D9CB-469F-A165-70867728950E",
        "0f8fad5bd9cb469fa16570867728950e",
        "{0f8fad5b-d9cb-469f-a165-70867728950e}",
        "urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e",
        "0f8fad5b-d9cb-469f-a165-70867728950e\n",
        "0f8fad5b-d9cb-469f-a165-70867728950\u0665",
    ],
    "source": [
        LEFT_OUT,
        "",
        1,
        "a b",
        "a+b",
        "a\n",
        "é",
        'a"b',
        "x" * 201,
        "1:2",
        "%zz",
        "a#b#c",
        "[::1]",
        "a\\b",
    ],
    "type": [LEFT_OUT, "", 1, "v1", "certledger.x", "certledger.x.v0", "certledger.x.v01"],
    "subject": [LEFT_OUT, "", 1, "certificate/", "certificate", "certificate/1", "crl/ec92"],
    "time": [LEFT_OUT, *BAD_TIME],
    "recordedtime": [LEFT_OUT, *BAD_TIME],
    "clocktime": BAD_TIME,
    "timesource": ["", "notBefore", "source", 1],
    "sequence": [
        LEFT_OUT,
        "",
        0,
        "0",
        "0" * 19,
        "0" * 21,
        "-0000000000000000001",
        "+0000000000000000001",
        "0000000000000000000\u0661",
        "00000000000000000001\n",
        "00009007199254740992",
        "9" * 20,
    ],
    "streamversion": [LEFT_OUT, -1, 2**31, "0", True, ""],
    "authtype": [LEFT_OUT, "", "User", "unauthenticated", "unknown", "root", 1],
    "authid": [LEFT_OUT, *BAD_TEXT],
    "correlationid": BAD_TEXT,
    "causationid": BAD_TEXT,
    "data": [LEFT_OUT, "", "{}", 1, True],
    "importsource": ["", "a\nb", "\ufffe", 2**31, -(2**31) - 1, {}, {"a": 1}],
    "importSource": ["a"],
    "import_source": ["a"],
    "import-source": ["a"],
    "x" * 21: ["a"],
    "": ["a"],
    "dataschema": ["https://example.org/schema"],
    "data_base64": ["e30="],
}


def rows(table: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(name, value, id=f"{name}-{number}")
        for name, values in table.items()
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize(("name", "value"), rows(GOOD))
def test_an_attribute_takes_what_the_format_allows(name: str, value: object) -> None:
    data = entry(**{name: value})
    event = read_event(data)
    assert event.to_entry() == data
    assert load_event(data) == event


@pytest.mark.parametrize(("name", "value"), rows(BAD))
def test_an_attribute_refuses_everything_else_and_is_named(name: str, value: object) -> None:
    refused(entry(**{name: value}), match=f"{name[:20]}|subject" if name else "extension")


@pytest.mark.parametrize("name", Event.model_fields)
def test_no_attribute_may_be_null(name: str) -> None:
    members = json.loads(golden_bytes(ISSUED)) | {name: None}
    with pytest.raises(InvalidEvent, match="NoneType"):
        read_event(json.dumps(members, sort_keys=True, separators=(",", ":")).encode())


def test_an_extension_may_bear_any_name_that_is_no_attribute_s() -> None:
    names = {"extensions": "a", "seq": 1, "a" * 20: True, "0": "b"}
    event = read_event(entry(**names))
    assert names.items() <= event.extensions.items()
    assert read_event(event.to_entry()) == event


@pytest.mark.parametrize("name", [*sorted(set(Event.model_fields) - {"extensions"}), "dataschema"])
def test_an_extension_never_takes_the_name_of_an_attribute(name: str) -> None:
    with pytest.raises(InvalidEvent, match=f"'{name}' is no extension attribute"):
        new_event(extensions={name: "x"})


@pytest.mark.parametrize("value", [1.5, None, b"x", ["x"]])
def test_an_extension_is_text_an_integer_or_a_truth_value(value: object) -> None:
    with pytest.raises(InvalidEvent, match=r"extensions\.x"):
        new_event(extensions={"x": value})


@pytest.mark.parametrize(
    "code", [*range(0x20), *range(0x7F, 0xA0), 0xD800, 0xDFFF, 0xFDD0, 0x10FFFE]
)
def test_characters_that_cloudevents_forbids_are_named(code: int) -> None:
    with pytest.raises(InvalidEvent, match=f"U\\+{code:04X}"):
        check_attribute(f"a{chr(code)}")


@given(st.text())
def test_text_of_an_attribute_is_kept_as_it_is_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidEvent):
        assert check_attribute(text) == text
        text.encode()


# Data


ISSUED_FIELDS = json.loads(golden_bytes(ISSUED))["data"]
REVOKED_FIELDS = json.loads(golden_bytes("certledger.certificate.revoked.v1"))["data"]
CRL_FIELDS = json.loads(golden_bytes("certledger.crl.published.v1"))["data"]

BAD_DATA: dict[str, dict[str, list[Any]]] = {
    "certledger.certificate.issued.v1": {
        "serial_number": [LEFT_OUT, "", 1, "01", "-0", "+1", "0x1", "1 ", "\u0661", str(2**160)],
        "common_name": [LEFT_OUT, 1, "a\x00b", "x" * 513],
        "not_valid_before": [LEFT_OUT, *BAD_TIME],
        "not_valid_after": [LEFT_OUT, *BAD_TIME],
        "key_type": [LEFT_OUT, "", "DEVICE", "DEV", "server", 1],
        "uuid": ["", 1, "a\x00b", "x" * 256],
        "issuer": ["", 1, "a\x00b"],
        "authority_key_identifier": ["", "EC", "e", "ec:92", "ec\n", 1],
        "sha256": [LEFT_OUT, "", "ab" * 31, "ab" * 33, "AB" * 32, "zz" * 32, 1],
        "certificate_pem": [LEFT_OUT, "", 1, "a\x00b"],
        "comment": ["", 1, "a\x00b"],
        "more": ["x"],
        "label": ["x"],
    },
    "certledger.certificate.revoked.v1": {
        "serial_number": [LEFT_OUT],
        "reason": [LEFT_OUT, "", "keyCompromise", "certificatehold", "removeFromCRL", 6],
        "reason_code": [LEFT_OUT, "6", 1, 8, 7, True, ""],
        "revocation_date": [LEFT_OUT, *BAD_TIME],
        "invalidity_date": BAD_TIME,
        "hold_instruction": ["", "1", "3.1", "1.02", "1.2.", "holdInstructionReject", 1, "1.2\n"],
        "requested_at": BAD_TIME,
        "comment": [""],
        "more": ["x"],
    },
    "certledger.certificate.expired.v1": {
        "serial_number": [LEFT_OUT],
        "not_valid_after": [LEFT_OUT, *BAD_TIME],
        "uuid": ["x"],
    },
    "certledger.certificate.deleted.v1": {
        "serial_number": [LEFT_OUT],
        "uuid": ["", "a\x00", "x" * 256, 1],
        "more": ["x"],
    },
    "certledger.crl.published.v1": {
        "number": [LEFT_OUT, "", "-1", "01", 1, str(2**160)],
        "this_update": [LEFT_OUT, *BAD_TIME],
        "next_update": [LEFT_OUT, *BAD_TIME],
        "sha256": [LEFT_OUT, "", "AB" * 32],
        "entries": [LEFT_OUT, -1, "1", True],
        "log_size": [LEFT_OUT, -1, "1", True],
        "issuer": [LEFT_OUT, ""],
        "serial_number": ["1"],
    },
}


def bad_data_rows() -> list[Any]:
    return [
        pytest.param(event_type, name, value, id=f"{event_type.split('.')[-2]}-{name}-{number}")
        for event_type, fields in BAD_DATA.items()
        for name, values in fields.items()
        for number, value in enumerate(values)
    ]


@pytest.mark.parametrize(("event_type", "name", "value"), bad_data_rows())
def test_a_field_of_data_refuses_what_its_model_does_not_allow(
    event_type: str, name: str, value: object
) -> None:
    members = json.loads(golden_bytes(event_type))
    members["data"] = changed(members["data"], {name: value})
    refused(canonical(members), match=name.removesuffix("_code"))


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_field_of_every_type_is_tried(event_type: str) -> None:
    missing = set(EVENT_TYPES[event_type].model.model_fields) - set(BAD_DATA[event_type])
    assert missing <= {"comment"}


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_data_of_another_subject_is_refused(event_type: str) -> None:
    members = json.loads(golden_bytes(event_type))
    for subject in ("certificate/1", "crl/", "crl/EC", "crl/ecf", "crl/zz", "certificate/x", "x/1"):
        refused(canonical(members | {"subject": subject}), match="subject")


def test_data_of_another_type_is_refused() -> None:
    deleted = GOLDEN["certledger.certificate.deleted.v1"]
    fields = {name: getattr(deleted, name) for name in Event.model_fields}
    for wrong in (ISSUED, "certledger.certificate.unheard.v1"):
        with pytest.raises(ValueError, match=f"Deleted is not the data of the type {wrong}"):
            Event(**fields | {"type": wrong})
    unknown = UnknownData.model_construct(raw={})
    with pytest.raises(ValueError, match="UnknownData is not the data of the type"):
        Event(**fields | {"data": unknown})


def test_a_comment_may_have_line_breaks() -> None:
    text = "line 1\r\nline 2\n\ttab \x1b \u2028"
    event = new_event(data=Deleted(serial_number="1", comment=text))
    assert read_event(event.to_entry()).data.comment == text


# Reading and writing


def new_event(**changes: Any) -> Event:
    fields: dict[str, Any] = {
        "data": Deleted(serial_number="1"),
        "recorded": datetime(2026, 1, 31, tzinfo=UTC),
        "occurred": None,
        "id": "0f8fad5b-d9cb-469f-a165-70867728950e",
        "source": "certledger.invalid/test",
        "subject": "certificate/1",
        "sequence": sequence_text(0),
        "streamversion": 0,
        "authtype": "user",
        "authid": "alice",
    }
    return make_event(**fields | changes)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
@given(st.data())
def test_what_is_written_is_read_back(event_type: str, data: st.DataObject) -> None:
    event = data.draw(events(event_type))
    entry = event.to_entry()
    assert read_event(entry) == event
    assert load_event(entry) == event
    assert read_event(entry).to_entry() == entry
    assert is_known(event.type)


@given(events())
def test_a_cloudevents_reader_sees_what_was_written(event: Event) -> None:
    """The reader is the CNCF's own; it knows `time` as an instant, the rest as plain values."""
    read = JSONFormat().read(CloudEvent, event.to_entry())
    assert read.get_specversion() == "1.0"
    assert read.get_datacontenttype() == "application/json"
    assert read.get_id() == event.id
    assert read.get_source() == event.source
    assert read.get_type() == event.type
    assert read.get_subject() == event.subject
    assert read.get_time() == event.time
    assert read.get_extension("recordedtime") == to_rfc3339(event.recordedtime)
    assert read.get_extension("sequence") == event.sequence
    assert int(read.get_extension("sequence")) == event.seq
    for name in ("streamversion", "authtype", "authid", "correlationid", "causationid"):
        assert read.get_extension(name) == getattr(event, name)
    assert read.get_extension("timesource") == event.timesource
    clocktime = read.get_extension("clocktime")
    assert (from_rfc3339(clocktime) if clocktime else None) == event.clocktime
    for name, value in event.extensions.items():
        assert read.get_extension(name) == value
    assert read.get_data() == event.data.fields()


@pytest.mark.parametrize("name", GOLDEN)
def test_a_cloudevents_reader_reads_the_golden_files(name: str) -> None:
    read = JSONFormat().read(None, golden_bytes(name))
    assert isinstance(read, CloudEvent)
    assert JSONFormat().read(None, JSONFormat().write(read)).get_attributes() == (
        read.get_attributes()
    )


def test_seq_is_the_sequence_as_a_number() -> None:
    assert sequence_text(42) == "00000000000000000042"
    assert new_event(sequence=sequence_text(42)).seq == 42


def test_time_is_when_it_occurred_else_what_the_data_says() -> None:
    recorded, occurred = datetime(2026, 1, 31, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
    assert new_event().time == recorded
    assert new_event(occurred=occurred).time == occurred
    revoked, expired = (
        GOLDEN["certledger.certificate.revoked.v1"],
        GOLDEN["certledger.certificate.expired.v1"],
    )
    assert revoked.time == revoked.data.occurred_at(recorded) != recorded
    assert expired.time == expired.data.occurred_at(recorded) != recorded


def event_of_size(size: int) -> Event:
    empty = len(new_event(data=Deleted(serial_number="1", comment="x")).to_entry()) - 1
    return new_event(data=Deleted(serial_number="1", comment="x" * (size - empty)))


def test_an_entry_of_65_535_bytes_is_recorded() -> None:
    event = event_of_size(MAX_ENTRY_BYTES)
    assert len(event.to_entry()) == 65_535
    assert read_event(event.to_entry()) == event


def test_an_entry_of_65_536_bytes_is_refused_in_writing_and_reading() -> None:
    event = event_of_size(65_536)
    with pytest.raises(EntryTooLarge, match="has 65536 bytes; at most 65535") as caught:
        event.to_entry()
    assert (caught.value.size, caught.value.limit) == (65_536, 65_535)
    with pytest.raises(EntryTooLarge):
        read_event(canonical(event._members()))


def test_the_size_counts_bytes_not_characters() -> None:
    with pytest.raises(EntryTooLarge):
        new_event(data=Deleted(serial_number="1", comment="é" * 33_000)).to_entry()


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(InvalidEvent, match=r"recordedtime: .* has no time zone"):
        new_event(recorded=datetime(2026, 1, 31))  # noqa: DTZ001 # naive on purpose


def test_an_event_and_its_data_cannot_be_changed() -> None:
    event = new_event()
    with pytest.raises(ValueError, match="frozen"):
        event.authid = "mallory"  # type: ignore[misc] # what mypy forbids, too
    with pytest.raises(ValueError, match="frozen"):
        event.data.comment = "x"  # type: ignore[misc] # the same


# Types of a later version


@given(entry_values, extensions)
def test_an_unknown_type_stays_readable(raw: dict[str, Any], more: dict[str, Any]) -> None:
    data = entry(type="certledger.certificate.unheard.v7", subject="new/thing", data=raw, **more)
    event = read_event(data)
    assert isinstance(event.data, UnknownData)
    assert not is_known(event.type)
    assert event.to_entry() == data
    assert load_event(data) == event


def test_a_later_version_of_a_known_type_is_unknown() -> None:
    event = read_event(entry(type="certledger.certificate.issued.v2"))
    assert isinstance(event.data, UnknownData)
    assert event.data.fields() == ISSUED_FIELDS


# Hostile bytes


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b'"data"',
        b"{}",
        b'{"data":{}}',
        b'{"data":[]}',
        b'{"type":{},"data":{}}',
        b'{"a":' * 5_000,
        b"[" * 60_000,
        b'{"a":' + b"9" * 5_000 + b"}",
        golden_bytes(ISSUED)[:-1],
        golden_bytes(ISSUED) + b" x",
        golden_bytes(ISSUED).replace(b'"streamversion":2147483647', b'"streamversion":1.0'),
        golden_bytes(ISSUED).replace(b'"x2":true', b'"x2":NaN'),
        golden_bytes(ISSUED).replace(b'"x2":true', b'"x2":' + b"9" * 4_000),
        golden_bytes(ISSUED).replace(b'"x2":true', b'"x2":"\\ud800"'),
        golden_bytes(ISSUED).replace(b"Left", b"\\ud800"),
    ],
)
def test_bytes_that_are_no_event_are_refused_as_invalid(data: bytes) -> None:
    refused(data)


@given(st.sampled_from(sorted(GOLDEN)), st.data())
def test_damage_is_refused_as_invalid_or_is_another_valid_event(
    name: str, draw: st.DataObject
) -> None:
    data = golden_bytes(name)
    start = draw.draw(st.integers(0, len(data)))
    stop = draw.draw(st.integers(start, min(len(data), start + 40)))
    damaged = data[:start] + draw.draw(st.binary(max_size=8)) + data[stop:]
    with contextlib.suppress(InvalidEvent):
        assert read_event(damaged).to_entry() == damaged
    with contextlib.suppress(InvalidEvent):
        load_event(damaged)


def test_a_long_value_is_not_echoed_in_the_message() -> None:
    long = "x" * 60_000
    for name, value in (("time", long), ("type", long), ("authtype", long), (long, "a")):
        refused(entry(**{name: value}))
    for name, value in (("key_type", long), ("not_valid_after", long), (long, "a")):
        refused(entry(data=ISSUED_FIELDS | {name: value}))
    refused(entry(data={f"field{number}": 1 for number in range(3000)}))
    refused(b'{"%b":1,"%b":1}' % (b"k" * 30_000, b"k" * 30_000))
    refused(f'{{"é{long}":1}}'.encode())
