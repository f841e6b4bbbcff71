"""The event types: what each kind of change records as `data`.

Models are frozen and forbid unknown fields. A new version of a type is a new model beside the old
one, with an upcaster from the old; stored bytes never change. `EVENT_TYPES` finds a type by its
name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    model_validator,
)

from certledger.errors import InvalidEvent
from certledger.eventstore.canonical import MAX_INTEGER
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.reasons import CODE_BY_NAME
from certledger.eventstore.times import aware_utc, from_rfc3339, naive_utc, to_rfc3339

Model = TypeVar("Model", bound=BaseModel)

MAX_INTEGER_BITS = 160
"""Serial and CRL numbers have up to 20 octets (RFC 5280 §4.1.2.2, §5.2.3)."""


def _instant(value: object) -> object:
    if isinstance(value, str):
        return from_rfc3339(value)
    if isinstance(value, datetime) and value.tzinfo is not UTC:
        return aware_utc(naive_utc(value))
    return value


def _no_nul(text: str) -> str:
    if "\0" in text:
        message = "holds a NUL character"
        raise InvalidEvent(message)
    return text


def _at_most_160_bits(text: str) -> str:
    number = int(text)
    if not -(2 ** (MAX_INTEGER_BITS - 1)) <= number < 2**MAX_INTEGER_BITS:
        message = f"has more than {MAX_INTEGER_BITS} bits"
        raise InvalidEvent(message)
    return text


def _exact_key_type(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, CertType):
        try:
            return CertType(value)
        except ValueError as error:
            message = f"unknown key type {value!r}"
            raise InvalidEvent(message) from error
    return value


Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(to_rfc3339),
    Field(json_schema_extra={"type": "string", "format": "date-time"}),
]
KeyType = Annotated[CertType, BeforeValidator(_exact_key_type), PlainSerializer(str)]
DecimalNumber = Annotated[
    str,
    StringConstraints(pattern=r"^(0|-?[1-9][0-9]*)$", max_length=60),
    AfterValidator(_at_most_160_bits),
]
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(_no_nul)]
Uuid = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_no_nul)]
"""The folder of a certificate's files: any text, not only RFC 9562 UUIDs."""
Sha256Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
KeyIdHex = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{2})+$")]


class EventData(BaseModel):
    """The part of an event that depends on its type."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    event_type: ClassVar[str]

    comment: Text | None = None
    """Why, in the words of who did it: free text, a ticket. Line breaks are allowed."""

    @property
    def uuid_taken(self) -> str | None:
        """The uuid that this event gives to a certificate."""
        return None

    def occurred_at(self, recorded: datetime) -> datetime:
        """When the change happened, given when it was recorded."""
        return recorded

    def belongs_to(self, subject: str) -> bool:
        """Tell whether this data may stand in the stream `subject`."""
        raise NotImplementedError

    def fields(self) -> dict[str, Any]:
        """Return the JSON members of `data`, those without a value left out."""
        return self.model_dump(exclude_none=True)


class CertificateData(EventData):
    """Data of an event in a certificate's stream."""

    serial_number: DecimalNumber

    @property
    def serial(self) -> int:
        """The serial number as an integer."""
        return int(self.serial_number)

    def belongs_to(self, subject: str) -> bool:
        """Tell whether `subject` is the stream of this serial number."""
        return subject == f"certificate/{self.serial_number}"


class Issued(CertificateData):
    """A certificate was registered."""

    event_type = "certledger.certificate.issued.v1"

    common_name: Annotated[str, StringConstraints(max_length=512), AfterValidator(_no_nul)]
    """The first CN of the subject, "" where there is none."""
    not_valid_before: Instant
    not_valid_after: Instant
    key_type: KeyType
    uuid: Uuid | None = None
    issuer: Text | None = None
    """The issuer's name in RFC 4514 form; left out where the name is empty."""
    authority_key_identifier: KeyIdHex | None = None
    sha256: Sha256Hex
    """SHA-256 of the certificate's DER encoding."""
    certificate_pem: Text

    @property
    def uuid_taken(self) -> str | None:
        """The certificate's uuid."""
        return self.uuid


class Revoked(CertificateData):
    """A certificate was revoked."""

    event_type = "certledger.certificate.revoked.v1"

    reason: str
    """A CRLReason's name as RFC 5280 §5.3.1 spells it."""
    reason_code: int
    revocation_date: Instant
    invalidity_date: Instant | None = None
    """When the key is thought to have become compromised (RFC 5280 §5.3.2)."""
    hold_instruction: (
        Annotated[str, StringConstraints(pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$", max_length=128)]
        | None
    ) = None
    """A hold instruction's OID."""
    requested_at: Instant | None = None
    """When the revocation was asked for; auditors measure from here."""

    @model_validator(mode="after")
    def _reason_fits(self) -> Self:
        if CODE_BY_NAME.get(self.reason) != self.reason_code:
            message = f"reason {self.reason!r} does not have the code {self.reason_code}"
            raise InvalidEvent(message)
        if self.hold_instruction is not None and self.reason != "certificateHold":
            message = f"hold_instruction: goes with the reason certificateHold, not {self.reason}"
            raise InvalidEvent(message)
        return self

    def occurred_at(self, recorded: datetime) -> datetime:
        """Return the revocation date."""
        del recorded
        return self.revocation_date


class Expired(CertificateData):
    """A certificate passed its end."""

    event_type = "certledger.certificate.expired.v1"

    not_valid_after: Instant

    def occurred_at(self, recorded: datetime) -> datetime:
        """Return the end of the certificate's validity."""
        del recorded
        return self.not_valid_after


class Deleted(CertificateData):
    """A certificate's row was removed from the registry; its history stays."""

    event_type = "certledger.certificate.deleted.v1"

    uuid: Uuid | None = None


class CrlPublished(EventData):
    """A certificate revocation list was signed from this log."""

    event_type = "certledger.crl.published.v1"

    number: Annotated[DecimalNumber, StringConstraints(pattern=r"^(0|[1-9][0-9]*)$")]
    this_update: Instant
    next_update: Instant
    sha256: Sha256Hex
    """SHA-256 of the CRL's DER encoding."""
    entries: Count
    """How many certificates the CRL lists."""
    log_size: Count
    """The size of the log that the CRL was built from."""
    issuer: Text

    def belongs_to(self, subject: str) -> bool:
        """Tell whether `subject` is a CRL stream."""
        return re.fullmatch(r"crl/([0-9a-f]{2})+", subject) is not None


class UnknownData(EventData):
    """Data of a type that this version does not know, kept as it was read."""

    event_type = "unknown"
    raw: Mapping[str, Any]

    def belongs_to(self, subject: str) -> bool:
        """Accept every stream: the rules of an unknown type are unknown."""
        return bool(subject)

    def fields(self) -> dict[str, Any]:
        """Return the members as they were read."""
        return dict(self.raw)


@dataclass(frozen=True, slots=True)
class EventType:
    """How one version of a type is read."""

    model: type[EventData]
    upcast: Callable[[Any], EventData] | None = None
    """Turns data of an old version into the newest; None for the newest."""

    @property
    def name(self) -> str:
        """The CloudEvents `type`."""
        return self.model.event_type


EVENT_TYPES: Mapping[str, EventType] = {
    kind.name: kind
    for kind in (
        EventType(Issued),
        EventType(Revoked),
        EventType(Expired),
        EventType(Deleted),
        EventType(CrlPublished),
    )
}


def read_data(event_type: str, fields: Mapping[str, Any]) -> EventData:
    """Read `data` as the newest model of its type; a type unknown here becomes `UnknownData`.

    Raises `InvalidEvent` naming the field.
    """
    kind = EVENT_TYPES.get(event_type)
    if kind is None:
        return UnknownData.model_construct(raw=fields)
    data = validated(kind.model, fields)
    return kind.upcast(data) if kind.upcast else data


def validated(model: type[Model], fields: Mapping[str, Any]) -> Model:
    """Build a model, turning pydantic's report into one `InvalidEvent` line."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise InvalidEvent(describe(error)) from error


def describe(error: ValidationError) -> str:
    """Write what pydantic found as `field: what is wrong`, without echoing long values."""
    return "; ".join(
        f"{_shortened('.'.join(str(step) for step in problem['loc'])) or 'event'}: "
        f"{_shortened(problem['msg'].removeprefix('Value error, '))}"
        for problem in error.errors(include_url=False, include_input=False)[:5]
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"


_LONG = 200
