"""The summary of an evidence archive for people: what is shown, by whom, and what is not shown.

Values come from certificates and from whoever typed a comment. They are kept as they are here;
`pages` makes them harmless.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from certledger.errors import LedgerError
from certledger.eventstore.event import Event
from certledger.eventstore.events import (
    CertificateData,
    Deleted,
    Expired,
    Issued,
    Revoked,
)
from certledger.eventstore.lifecycle import Phase, State, fold
from certledger.eventstore.merkle import leaf_hash
from certledger.eventstore.proving import EntryProof
from certledger.eventstore.times import to_rfc3339
from certledger.eventstore.tlog.encoding import to_base64
from certledger.exporters.bundle import Bundle, leaf_name
from certledger.text import counted, moment, serial_hex, serial_text

_HAPPENED: Final[dict[type, str]] = {
    Issued: "registered",
    Revoked: "revoked",
    Expired: "expired",
    Deleted: "deleted from the registry",
}
_TOLD_ELSEWHERE: Final = frozenset({"serial_number", "certificate_pem", "comment"})


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the summary: sentences, then a table, then labels with values."""

    title: str
    sentences: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    """Its first row are the headings."""
    pairs: tuple[tuple[str, str], ...] = ()


def title_of(bundle: Bundle) -> str:
    """Return the title of the summary."""
    return f"Evidence for certificate {serial_text(bundle.serial)}"


def summary_of(bundle: Bundle) -> list[Section]:
    """Return what people should know of an archive whose proofs were verified."""
    return [
        Section("In short", (*_in_short(bundle),), pairs=(*_overview(bundle),)),
        Section("History, times in UTC", table=(*_history(bundle),)),
        *_certificates(bundle),
        *map(_entry, bundle.events, bundle.proofs),
        Section("What this shows", _shown(bundle)),
        Section("What this does not show", _NOT_SHOWN),
        Section("How to check this", _checking(bundle)),
    ]


def happened(event: Event) -> str:
    """Tell in a word or two what an event is."""
    return _HAPPENED.get(type(event.data), f"event of the type {event.type}")


def _in_short(bundle: Bundle) -> Iterator[str]:
    size = counted(bundle.checkpoint.size, "entry", "entries")
    yield (
        f"The registry {bundle.checkpoint.origin} recorded "
        f"{counted(len(bundle.events), 'event')} of this certificate. Its log of {size} holds "
        "them, and the registry has signed that log."
    )
    yield f"After the last of these events the certificate is {_state(bundle)}."


def _state(bundle: Bundle) -> str:
    try:
        state = fold(bundle.events)
    except LedgerError:
        return "in a state that this version cannot tell"
    if state.phase is Phase.DELETED:
        return f"deleted from the registry; before that it was {_phase(state, state.last_phase)}"
    return _phase(state, state.phase)


def _phase(state: State, phase: Phase) -> str:
    if phase is Phase.REVOKED and state.revoked is not None:
        return f"revoked as of {moment(state.revoked.revocation_date)}: {state.revoked.reason}"
    return f"{phase}"


def _overview(bundle: Bundle) -> Iterator[tuple[str, str]]:
    checkpoint = bundle.checkpoint
    yield "serial number", f"{bundle.serial}"
    yield "in hex", serial_hex(bundle.serial)
    yield "registry", checkpoint.origin
    yield "events", f"{len(bundle.events)}"
    yield "entries in the log", f"{checkpoint.size:,}"
    yield "root of the log", f"{to_base64(checkpoint.root)} ({checkpoint.root.hex()})"
    yield "signed by the key", bundle.key.to_text()
    others = [s for s in bundle.note.signatures if s is not bundle.signature]
    for other in others:
        yield "also signed by", f"{other.name}+{other.key_id.hex()} (a line that was not checked)"


def _history(bundle: Bundle) -> Iterator[tuple[str, ...]]:
    yield "entry", "recorded", "what", "who (asserted)"
    for event in bundle.events:
        yield str(event.seq), moment(event.recordedtime), happened(event), event.authid


def _certificates(bundle: Bundle) -> Iterator[Section]:
    registrations = {data.certificate_pem: data for _, data in bundle.registrations}
    for name, pem in bundle.certificates().items():
        data = registrations[pem]
        yield Section(
            f"The certificate in {name}",
            pairs=(
                ("common name", data.common_name or "(none)"),
                ("issuer", data.issuer or "(none)"),
                ("valid from", moment(data.not_valid_before)),
                ("valid until", moment(data.not_valid_after)),
                ("SHA-256 of its DER", data.sha256),
            ),
        )


def _entry(event: Event, proof: EntryProof) -> Section:
    return Section(f"Entry {event.seq}: {happened(event)}", pairs=(*_event_pairs(event, proof),))


def _event_pairs(event: Event, proof: EntryProof) -> Iterator[tuple[str, str]]:
    yield "who (asserted)", f"{event.authid} ({event.authtype})"
    yield "why", event.data.comment or "(no comment)"
    yield "recorded", to_rfc3339(event.recordedtime)
    source = ", the beginning of its validity" if event.timesource else ""
    yield "happened", f"{to_rfc3339(event.time)}{source}"
    if event.clocktime is not None:
        yield "by the clock of the computer", to_rfc3339(event.clocktime)
    for name, value in event.data.fields().items():
        if name not in _TOLD_ELSEWHERE or not isinstance(event.data, CertificateData):
            yield name.replace("_", " "), _plain(value)
    for name in ("correlationid", "causationid"):
        if getattr(event, name) is not None:
            yield name, getattr(event, name)
    for name, value in event.extensions.items():
        yield name, _plain(value)
    yield "type of the event", event.type
    yield "id of the event", event.id
    yield "exact bytes", f"{leaf_name(event.seq)}, {len(proof.entry)} bytes"
    yield "SHA-256 of the bytes", sha256(proof.entry).hexdigest()
    yield "leaf hash", leaf_hash(proof.entry).hex()


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _shown(bundle: Bundle) -> tuple[str, ...]:
    size = counted(bundle.checkpoint.size, "entry", "entries")
    return _sentences(f"""
        The holder of the registry's key signed a log of {size}, in which the entries above stand
        exactly so, at exactly these places. No byte of them can be changed without breaking the
        proof.

        Each entry numbers the events of its certificate. The numbers run from 0 on without a gap:
        by the registry's own count, none of the events before the last one here is missing.

        Whoever holds this checkpoint can demand a proof that any later log of the registry begins
        with this one. A log that was rewritten cannot give it.
    """)


def _sentences(text: str) -> tuple[str, ...]:
    return tuple(" ".join(block.split()) for block in text.split("\n\n"))


_NOT_SHOWN: Final = _sentences("""
    Who acted: the actor is asserted, not authenticated. The registry recorded the name that it
    was given.

    When it happened: the times are those of the registry's clock, or what somebody stated. A
    checkpoint bears no time of its own; the cosignature of a witness does.

    That what was entered is true: a false statement is recorded as faithfully as a true one.

    That nothing came later: further events of this certificate may follow, behind the last one
    here, within the signed log or after it. Ask for newer evidence, or check a whole copy of the
    log.

    That everybody is shown the same log: compare the checkpoint with those that others got from
    the registry, or ask for the cosignatures of witnesses.

    Whose key it is: the key in this archive proves nothing by itself. Get the registry's key line
    in another way, and compare.
""")


def _checking(bundle: Bundle) -> tuple[str, ...]:
    return _sentences(f"""
        With certledger: `certledger check FILE.zip --vkey KEY`, where KEY is the registry's key
        line, which you got in another way.

        Without certledger: README.txt beside this summary has the commands for openssl and
        sha256sum.

        To make this archive anew: `certledger evidence {bundle.serial} -o FILE.zip` gives the
        same bytes as long as the registry signs no newer checkpoint.
    """)
