"""What an evidence archive holds: the whole history of one certificate, and the proof of it.

Everything in the archive follows from four things: a verifier key, a signed checkpoint, entries,
and their proofs. To read an archive is therefore to take these, verify them, and write it anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certledger.errors import EvidenceRefused, InvalidEvent, MalformedEvidence
from certledger.eventstore.event import Event, read_event
from certledger.eventstore.events import Issued
from certledger.eventstore.proving import EntryProof
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.keys import KeyKind, VerifierKey
from certledger.eventstore.tlog.note import Note, Signature, require_kind
from certledger.eventstore.tlog.tlog_proof import TlogProof

CHECKPOINT: Final = "checkpoint"
SIGNED_TEXT: Final = "checkpoint.signed"
RAW_SIGNATURE: Final = "checkpoint.signature"
KEY_LINE: Final = "log-key.vkey"
KEY_PEM: Final = "log-key.pem"
CERTIFICATE: Final = "certificate.pem"

_SUBJECT: Final = re.compile(r"certificate/(0|-?[1-9][0-9]{0,59})")


def leaf_name(seq: int) -> str:
    """Return the name of the member that holds an entry's exact bytes."""
    return f"events/{seq}.leaf"


def proof_name(seq: int) -> str:
    """Return the name of the member that holds an entry's proof."""
    return f"events/{seq}.tlog-proof"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The parts of which an evidence archive is made. Nothing in them is verified yet."""

    key: VerifierKey
    note: Note
    checkpoint: Checkpoint
    signature: Signature
    """The line of `key` in the note."""
    proofs: tuple[EntryProof, ...]
    events: tuple[Event, ...]
    """What the entries of `proofs` say."""

    @classmethod
    def of(cls, key: VerifierKey, checkpoint: bytes, proofs: Sequence[EntryProof]) -> Bundle:
        """Read the parts, and check that they are the history of one certificate in one log.

        Raises `MalformedEvidence` or `EvidenceRefused`.
        """
        require_kind(key, KeyKind.ED25519)
        note = Note.from_bytes(checkpoint)
        read = Checkpoint.from_text(note.text)
        _check_proofs(checkpoint, proofs)
        events = tuple(_read_event(proof) for proof in proofs)
        _check_history(read.origin, events)
        return cls(key, note, read, _line_of(key, note), tuple(proofs), events)

    @property
    def serial(self) -> int:
        """The serial number of the certificate."""
        return int(self.events[0].subject.removeprefix("certificate/"))

    @property
    def registrations(self) -> list[tuple[int, Issued]]:
        """Where the certificate was registered, and what that recorded: a deleted one can be
        registered again.
        """
        found = ((event.seq, event.data) for event in self.events)
        return [(seq, data) for seq, data in found if isinstance(data, Issued)]

    def certificates(self) -> dict[str, str]:
        """Return the certificates of all registrations in PEM by their members' names, the last
        one first.
        """
        found: dict[str, str] = {}
        for seq, data in reversed(self.registrations):
            if data.certificate_pem not in found.values():
                name = f"certificate-{seq}.pem" if found else CERTIFICATE
                found[name] = data.certificate_pem
        return found

    def members(self) -> Iterator[tuple[str, bytes]]:
        """Yield the members of the archive that a program reads."""
        for name, certificate in self.certificates().items():
            yield name, certificate.encode()
        yield CHECKPOINT, self.note.to_bytes()
        yield SIGNED_TEXT, self.note.text.encode()
        yield RAW_SIGNATURE, self.signature.signature
        yield KEY_LINE, f"{self.key.to_text()}\n".encode()
        yield KEY_PEM, _pem_of(self.key)
        for proof in self.proofs:
            yield leaf_name(proof.seq), proof.entry
            yield proof_name(proof.seq), proof.proof.to_bytes()


def _check_proofs(checkpoint: bytes, proofs: Sequence[EntryProof]) -> None:
    for proof in proofs:
        if proof.proof != TlogProof(proof.seq, proof.proof.hashes, checkpoint):
            message = f"the proof of entry {proof.seq} is of another entry or checkpoint"
            raise EvidenceRefused(message)


def _read_event(proof: EntryProof) -> Event:
    try:
        event = read_event(proof.entry)
    except InvalidEvent as error:
        message = f"entry {proof.seq} is no event of certledger: {error}"
        raise MalformedEvidence(message) from error
    if event.seq != proof.seq:
        message = f"entry {proof.seq} says of itself that it is entry {event.seq}"
        raise EvidenceRefused(message)
    return event


def _check_history(origin: str, events: Sequence[Event]) -> None:
    if not events:
        raise MalformedEvidence("there is no entry in it")
    subject = events[0].subject
    for version, event in enumerate(events):
        if event.source != origin:
            message = f"entry {event.seq} is of the registry {event.source!r}, not of {origin!r}"
            raise EvidenceRefused(message)
        if event.subject != subject or not _SUBJECT.fullmatch(subject):
            message = f"entry {event.seq} is about {event.subject}: not one certificate's history"
            raise EvidenceRefused(message)
        if event.streamversion != version:
            message = (
                f"entry {event.seq} is event {event.streamversion} of its certificate, where "
                f"event {version} is expected: one is missing, or they are in disorder"
            )
            raise EvidenceRefused(message)


def _line_of(key: VerifierKey, note: Note) -> Signature:
    for signature in note.signatures:
        if signature.is_of(key) and key.verifies(note.text.encode(), signature.signature):
            return signature
    message = f"the key {key.name}+{key.id} did not sign the checkpoint"
    raise EvidenceRefused(message)


def _pem_of(key: VerifierKey) -> bytes:
    public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
    return public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
