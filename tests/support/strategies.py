"""What hypothesis draws: values of entries, data of events, whole events, commands."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any, get_args

from hypothesis import strategies as st

from certledger.eventstore.canonical import MAX_INTEGER
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.event import AuthType, Event, make_event, sequence_text
from certledger.eventstore.events import (
    CertificateData,
    CrlPublished,
    Deleted,
    EventData,
    Expired,
    Issued,
    Revoked,
    UnknownData,
)
from certledger.eventstore.lifecycle import Delete, Expire, Issue, Revoke, stream_of
from certledger.eventstore.reasons import CODE_BY_NAME
from tests.support.given import END, SERIAL, START, issued

unicode_text = st.text(st.characters(exclude_categories=["Cs"]))
"""Everything that UTF-8 can carry, control characters too."""

entry_integers = st.integers(-MAX_INTEGER, MAX_INTEGER)
_keys = st.text(st.characters(max_codepoint=0x7F), max_size=8)
entry_values = st.dictionaries(
    _keys,
    st.recursive(
        unicode_text | entry_integers | st.booleans(),
        lambda inner: st.dictionaries(_keys, inner, max_size=4) | st.lists(inner, max_size=3),
        max_leaves=12,
    ),
    max_size=6,
)
"""Objects as entries may hold them."""

instants = st.datetimes(timezones=st.just(UTC))
text = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40
)
"""Text in `data`: line breaks and most other control characters are allowed."""
attribute_text = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=40
)
serial_numbers = st.integers(-(2**159), 2**160 - 1).map(str)
_hex = st.binary(min_size=32, max_size=32).map(bytes.hex)
_some = st.none()


def _data(model: type[EventData], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(model, comment=_some | text, **fields)


issued_data = _data(
    Issued,
    serial_number=serial_numbers,
    common_name=st.just("") | text,
    not_valid_before=instants,
    not_valid_after=instants,
    key_type=st.sampled_from(CertType),
    uuid=_some | text,
    issuer=_some | text,
    authority_key_identifier=_some | st.binary(min_size=1, max_size=20).map(bytes.hex),
    sha256=_hex,
    certificate_pem=text,
)


@st.composite
def revoked_data(draw: st.DrawFn) -> Revoked:
    name = draw(st.sampled_from(sorted(CODE_BY_NAME)))
    hold = st.just("1.2.840.10040.2.3")
    return Revoked(
        serial_number=draw(serial_numbers),
        reason=name,
        reason_code=CODE_BY_NAME[name],
        revocation_date=draw(instants),
        invalidity_date=draw(_some | instants),
        hold_instruction=draw(_some | hold if name == "certificateHold" else _some),
        requested_at=draw(_some | instants),
        comment=draw(_some | text),
    )


expired_data = _data(Expired, serial_number=serial_numbers, not_valid_after=instants)
deleted_data = _data(Deleted, serial_number=serial_numbers, uuid=_some | text)
crl_data = _data(
    CrlPublished,
    number=st.integers(0, 2**160 - 1).map(str),
    this_update=instants,
    next_update=instants,
    sha256=_hex,
    entries=st.integers(0, MAX_INTEGER),
    log_size=st.integers(0, MAX_INTEGER),
    issuer=text,
)
unknown_data = entry_values.map(lambda raw: UnknownData.model_construct(raw=raw))

DATA: dict[str, st.SearchStrategy[EventData]] = {
    Issued.event_type: issued_data,
    Revoked.event_type: revoked_data(),
    Expired.event_type: expired_data,
    Deleted.event_type: deleted_data,
    CrlPublished.event_type: crl_data,
}
"""Data of every known type, by the type's name."""

extensions = st.dictionaries(
    st.from_regex(r"x[a-z0-9]{0,19}", fullmatch=True),
    attribute_text | st.integers(-(2**31), 2**31 - 1) | st.booleans(),
    max_size=3,
)


@st.composite
def events(draw: st.DrawFn, event_type: str | None = None) -> Event:
    """A whole event of a known type, with any of the optional attributes."""
    data = draw(DATA[event_type] if event_type else st.one_of(*DATA.values()))
    subject = "crl/" + "5f" * 20
    if isinstance(data, CertificateData):
        subject = stream_of(data.serial)
    return make_event(
        data=data,
        recorded=draw(instants),
        occurred=draw(_some | instants),
        id=str(draw(st.uuids())),
        source="registry.example.org/ca",
        subject=subject,
        sequence=sequence_text(draw(st.integers(0, MAX_INTEGER))),
        streamversion=draw(st.integers(0, 2**31 - 1)),
        clocktime=draw(_some | instants),
        timesource=draw(st.sampled_from([None, "notbefore"])),
        authtype=draw(st.sampled_from(get_args(AuthType))),
        authid=draw(attribute_text),
        correlationid=draw(_some | attribute_text),
        causationid=draw(_some | attribute_text),
        extensions=draw(extensions),
    )


near = st.sampled_from([START, START + timedelta(days=30), END, END + timedelta(days=30)])
"""Instants before, within and after the validity of the certificate of `given`."""

commands = st.one_of(
    st.builds(Issue, st.sampled_from([issued(), issued(sha256="b2" * 32, uuid=None)])),
    st.builds(
        Revoke,
        st.just(SERIAL),
        st.sampled_from(sorted(CODE_BY_NAME)),
        revocation_date=_some | near,
        requested_at=_some | near,
        invalidity_date=_some | near,
        after_expiry=st.booleans(),
    ),
    st.builds(Expire, st.just(SERIAL)),
    st.builds(Delete, st.just(SERIAL), st.sampled_from([None, "folder-1", "another"])),
)
"""Commands on the certificate of `given`."""
