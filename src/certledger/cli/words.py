"""An event in words (who, when, what, why), and as JSON and CSV give it."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from certledger.cli.output import Listing
from certledger.cli.text import counted, day, moment, safe, safe_lines, serial_fields
from certledger.eventstore.event import Event
from certledger.eventstore.events import (
    CertificateData,
    CrlPublished,
    Deleted,
    Expired,
    Issued,
    Revoked,
)
from certledger.eventstore.times import to_rfc3339

_STYLES: Final = {Issued: "green", Revoked: "red", Expired: "yellow", Deleted: "magenta"}
_SHORT_NAME: Final = 16
_SHORT_SERIAL: Final = 44
COLUMNS: Final = (
    "seq",
    "recordedtime",
    "time",
    "type",
    "subject",
    "serial_number",
    "serial_hex",
    "actor",
    "authtype",
    "what",
    "comment",
    "id",
)
"""Of the CSV; JSON has `what` replaced by the event's own attributes and `data`."""


def what(event: Event) -> str:
    """Tell in words what happened."""
    match event.data:
        case Issued() as data:
            return _issued(data)
        case Revoked() as data:
            return _revoked(data, event)
        case Expired() as data:
            return f"expired: its validity ended {moment(data.not_valid_after)}"
        case Deleted() as data:
            return f"deleted{f' (uuid {data.uuid})' if data.uuid else ''}; its history stays"
        case CrlPublished() as data:
            return (
                f"CRL number {data.number} published: "
                f"{counted(data.entries, 'entry', 'entries')}, "
                f"next update {moment(data.next_update)}"
            )
    return f"an event of the type {event.type}, which this version does not know"


def _issued(data: Issued) -> str:
    name = data.common_name or "certificate without a common name"
    uuid = f", uuid {data.uuid}" if data.uuid else ""
    return (
        f"registered {data.key_type} {name}, valid "
        f"{day(data.not_valid_before)} to {day(data.not_valid_after)}{uuid}"
    )


def _revoked(data: Revoked, event: Event) -> str:
    parts = [f"revoked: {data.reason}"]
    if data.revocation_date != event.recordedtime:
        parts.append(f"effective {moment(data.revocation_date)}")
    if data.requested_at is not None:
        parts.append(f"requested {moment(data.requested_at)}")
    if data.invalidity_date is not None:
        parts.append(f"key doubtful since {moment(data.invalidity_date)}")
    if data.hold_instruction is not None:
        parts.append(f"hold instruction {data.hold_instruction}")
    return ", ".join(parts)


def event_fields(event: Event) -> dict[str, object]:
    """Return an event as JSON gives it: the same members for every type, null without a value."""
    return {
        "seq": event.seq,
        "id": event.id,
        "type": event.type,
        "subject": event.subject,
        **_serial_fields(event),
        "time": to_rfc3339(event.time),
        "recordedtime": to_rfc3339(event.recordedtime),
        "actor": event.authid,
        "authtype": event.authtype,
        "comment": event.data.comment,
        "streamversion": event.streamversion,
        "correlationid": event.correlationid,
        "causationid": event.causationid,
        "timesource": event.timesource,
        "clocktime": None if event.clocktime is None else to_rfc3339(event.clocktime),
        "extensions": dict(event.extensions),
        "data": event.data.fields(),
    }


def _serial_fields(event: Event) -> dict[str, object]:
    if isinstance(event.data, CertificateData):
        return serial_fields(event.data.serial)
    kind, _, number = event.subject.partition("/")
    if kind == "certificate":
        return serial_fields(number)
    return {"serial_number": None, "serial_hex": None}


def _flat(event: Event) -> tuple[dict[str, object]]:
    return ({**event_fields(event), "what": what(event)},)


def _why(event: Event) -> str:
    return safe_lines(event.data.comment or "")


def _what(event: Event) -> Text:
    return Text(safe(what(event)), _STYLES.get(type(event.data), ""))


def _subject(event: Event) -> str:
    fields = _serial_fields(event)
    if fields["serial_number"] is None:
        kind, _, name = event.subject.partition("/")
        return f"{safe(kind)} {safe(name[:_SHORT_NAME])}…"
    both = safe(f"{fields['serial_number']} ({fields['serial_hex']})")
    return both if len(both) <= _SHORT_SERIAL else both.replace(" ", "\n")


HISTORY: Final = Listing[Event](
    headings=("when", "who", "what", "why"),
    cells=lambda event: (moment(event.recordedtime), safe(event.authid), _what(event), _why(event)),
    fields=event_fields,
    columns=COLUMNS,
    flat=_flat,
    empty="",
)
"""The events of one certificate."""

LOG: Final = Listing[Event](
    headings=("seq", "when, who", "what", "why"),
    cells=lambda event: (
        str(event.seq),
        f"{moment(event.recordedtime)}\n{safe(event.authid)}",
        Text.assemble((_subject(event), "bold"), "\n", _what(event)),
        _why(event),
    ),
    fields=event_fields,
    columns=COLUMNS,
    flat=_flat,
    empty="no entries",
)
"""The events of all streams."""
