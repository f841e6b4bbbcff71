"""The envelope: one log entry is one CloudEvents 1.0 event in canonical JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    StringConstraints,
    model_validator,
)

from certledger.errors import EntryTooLarge, InvalidEvent
from certledger.eventstore.canonical import (
    MAX_INTEGER,
    canonical,
    encode_checked,
    parse_canonical,
)
from certledger.eventstore.events import (
    EVENT_TYPES,
    EventData,
    Instant,
    UnknownData,
    read_data,
    validated,
)
from certledger.eventstore.times import to_rfc3339

MAX_ENTRY_BYTES: Final = 65_535
"""A tlog-tiles entry bundle gives an entry's length in 16 bits."""

AuthType = Literal["app_user", "user", "service_account", "api_key", "system"]
"""Kinds of actor (CloudEvents Auth Context extension)."""

Extensions = Mapping[str, str | int | bool]

_INT32 = 2**31
# CloudEvents 1.0 §Type System: no C0 and C1 controls, no noncharacters, no lone surrogates.
_FORBIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ud800-\udfff"
    + "".join(chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF))
    + "]"
)
_EXTENSION_NAME = re.compile(r"[a-z0-9]{1,20}")
_RESERVED_NAMES = frozenset({"dataschema", "data"})
# RFC 3986 §4.1 without `+` and the brackets of IP literals; a first segment with a colon needs
# what stands before it to be a scheme.
_ORIGIN = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9.-]*:|(?![^/?#]*:))"
    r"(?:[A-Za-z0-9._~:/?@!$&'()*,;=-]|%[0-9A-Fa-f]{2})*"
    r"(?:#(?:[A-Za-z0-9._~:/?@!$&'()*,;=-]|%[0-9A-Fa-f]{2})*)?"
)
_MAX_ORIGIN = 200


def check_attribute(text: str) -> str:
    """Refuse what a CloudEvents string cannot hold.

    Raises `InvalidEvent` that names the character.
    """
    found = _FORBIDDEN.search(text)
    if found:
        message = f"holds the character U+{ord(found.group()):04X}, which CloudEvents forbids"
        raise InvalidEvent(message)
    return text


@lru_cache(maxsize=8)  # every event of a registry names the same one
def check_origin(text: str) -> str:
    """Refuse what cannot be a registry's name: a URI-reference (CloudEvents `source`) that is a
    key name of a signed note too (C2SP: not empty, no blanks, no `+`), at most 200 characters.

    Raises `InvalidEvent`.
    """
    if not 0 < len(text) <= _MAX_ORIGIN or not _ORIGIN.fullmatch(text):
        message = (
            f"{text!r} is no origin: a name such as ca.example.org/registry, a URI-reference "
            f"without blanks and '+', at most {_MAX_ORIGIN} characters"
        )
        raise InvalidEvent(message)
    return text


AttributeText = Annotated[
    str, StringConstraints(min_length=1, max_length=255), AfterValidator(check_attribute)
]
Origin = Annotated[str, AfterValidator(check_origin)]
"""A registry's name: a CloudEvents URI-reference and a C2SP key name (no blanks, no `+`)."""


class Event(BaseModel):
    """A recorded event: CloudEvents attributes and the typed `data`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    specversion: Literal["1.0"]
    datacontenttype: Literal["application/json"]
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    source: Origin
    type: Annotated[str, StringConstraints(pattern=r"^[a-z0-9.]+\.v[1-9][0-9]*$", max_length=100)]
    subject: Annotated[str, StringConstraints(pattern=r"^[a-z]+/[!-~]+$", max_length=255)]
    time: Instant
    recordedtime: Instant
    clocktime: Instant | None = None
    timesource: Literal["notbefore"] | None = None
    sequence: Annotated[str, StringConstraints(pattern=r"^[0-9]{20}$")]
    streamversion: Annotated[int, Field(ge=0, lt=_INT32)]
    authtype: AuthType
    authid: AttributeText
    correlationid: AttributeText | None = None
    causationid: AttributeText | None = None
    extensions: Extensions = Field(default_factory=dict)
    """Further extension attributes; they stand beside the others in the JSON."""
    data: SerializeAsAny[EventData]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, value in self.extensions.items():
            _check_extension(name, value)
        if int(self.sequence) > MAX_INTEGER:
            message = f"sequence: {self.sequence} is out of range"
            raise InvalidEvent(message)
        if not _fits(self.data, self.type):
            message = f"{type(self.data).__name__} is not the data of the type {self.type}"
            raise InvalidEvent(message)
        if not self.data.belongs_to(self.subject):
            message = f"data does not belong to the subject {self.subject}"
            raise InvalidEvent(message)
        return self

    @property
    def seq(self) -> int:
        """The position in the log, from 0."""
        return int(self.sequence)

    def to_entry(self) -> bytes:
        """Encode as the bytes that the log stores and hashes.

        Raises `EntryTooLarge`.
        """
        # The models let nothing pass that canonical JSON cannot hold; an unknown type has none.
        encode = canonical if isinstance(self.data, UnknownData) else encode_checked
        entry = encode(self._members())
        if len(entry) > MAX_ENTRY_BYTES:
            raise EntryTooLarge(len(entry), MAX_ENTRY_BYTES)
        return entry

    def _members(self) -> dict[str, Any]:
        members: dict[str, Any] = {
            **self.extensions,
            "specversion": self.specversion,
            "datacontenttype": self.datacontenttype,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": to_rfc3339(self.time),
            "recordedtime": to_rfc3339(self.recordedtime),
            "sequence": self.sequence,
            "streamversion": self.streamversion,
            "authtype": self.authtype,
            "authid": self.authid,
            "data": self.data.fields(),
        }
        for name in _OPTIONAL_TEXT:
            text = getattr(self, name)
            if text is not None:
                members[name] = text
        if self.clocktime is not None:
            members["clocktime"] = to_rfc3339(self.clocktime)
        return members


def _fits(data: EventData, event_type: str) -> bool:
    """Tell whether data may stand under a type; data of an old version was turned into new."""
    if not is_known(event_type):
        return isinstance(data, UnknownData)
    return data.event_type.rpartition(".")[0] == event_type.rpartition(".")[0]


_OPTIONAL_TEXT = ("correlationid", "causationid", "timesource")
_ATTRIBUTES: Final = frozenset(Event.model_fields) - {"extensions"}


def sequence_text(seq: int) -> str:
    """Write a position as the `sequence` attribute: 20 digits, so that text sorts as numbers do."""
    return f"{seq:020d}"


def read_event(entry: bytes) -> Event:
    """Read an entry strictly: everything the format demands, and `to_entry()` gives it back.

    Raises `InvalidEvent` (or `EntryTooLarge`) with what is wrong.
    """
    if len(entry) > MAX_ENTRY_BYTES:
        raise EntryTooLarge(len(entry), MAX_ENTRY_BYTES)
    return _from_members(parse_canonical(entry))


def load_event(entry: bytes) -> Event:
    """Read an entry whose leaf hash was just checked, without the cost of encoding it again.

    Raises `InvalidEvent`.
    """
    try:
        members = json.loads(entry)
    except (ValueError, RecursionError) as error:
        message = f"not JSON in UTF-8: {error}"
        raise InvalidEvent(message) from error
    if not isinstance(members, dict):
        message = "an entry is a JSON object"
        raise InvalidEvent(message)
    return _from_members(members)


def _from_members(members: dict[str, Any]) -> Event:
    fields = {name: value for name, value in members.items() if name in _ATTRIBUTES}
    if len(fields) != len(members):
        fields["extensions"] = {
            name: value for name, value in members.items() if name not in _ATTRIBUTES
        }
    data = fields.get("data")
    if not isinstance(data, dict):
        message = "data: missing, or not an object"
        raise InvalidEvent(message)
    fields["data"] = read_data(str(fields.get("type")), data)
    return validated(Event, fields)


def _check_extension(name: str, value: object) -> None:
    if not _EXTENSION_NAME.fullmatch(name) or name in _ATTRIBUTES or name in _RESERVED_NAMES:
        message = (
            f"{name!r} is no extension attribute: 1 to 20 lower-case letters and digits, "
            "and not the name of a standard attribute"
        )
        raise InvalidEvent(message)
    if isinstance(value, str):
        if not value:
            message = f"{name}: empty; leave it out"
            raise InvalidEvent(message)
        try:
            check_attribute(value)
        except InvalidEvent as error:
            message = f"{name}: {error}"
            raise InvalidEvent(message) from error
    elif not isinstance(value, int) or not -_INT32 <= value < _INT32:
        message = f"{name}: CloudEvents integers have 32 bits"
        raise InvalidEvent(message)


def is_known(event_type: str) -> bool:
    """Tell whether this version knows the event type."""
    return event_type in EVENT_TYPES


def make_event(
    *, data: EventData, recorded: datetime, occurred: datetime | None, **attributes: Any
) -> Event:
    """Build an event to append; `time` is `occurred` or what the data says.

    Raises `InvalidEvent`.
    """
    fields = {name: value for name, value in attributes.items() if value is not None}
    fields["specversion"] = "1.0"
    fields["datacontenttype"] = "application/json"
    fields["type"] = type(data).event_type
    fields["time"] = occurred or data.occurred_at(recorded)
    fields["recordedtime"] = recorded
    fields["data"] = data
    return validated(Event, fields)
