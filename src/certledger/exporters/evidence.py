"""Evidence archives: the history of one certificate for somebody who trusts nobody here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from certledger.errors import (
    EvidenceError,
    EvidenceRefused,
    InvalidCertificate,
    LogCorrupt,
    MalformedEvidence,
    UnknownSerial,
)
from certledger.eventstore.certificates import load_certificate
from certledger.eventstore.checkpoints import newest_checkpoint
from certledger.eventstore.database import Database
from certledger.eventstore.lifecycle import stream_of
from certledger.eventstore.proving import EntryProof, prove_with
from certledger.eventstore.reader import read_stream
from certledger.eventstore.tlog.checkpoint import OpenedCheckpoint, Trust
from certledger.eventstore.tlog.encoding import from_decimal
from certledger.eventstore.tlog.keys import VerifierKey
from certledger.eventstore.tlog.tlog_proof import TlogProof
from certledger.exporters.bundle import CHECKPOINT, KEY_LINE, Bundle, leaf_name, proof_name
from certledger.exporters.pages import to_html, to_text
from certledger.exporters.readme import FORM, readme_of
from certledger.exporters.stored_zip import pack, unpack
from certledger.exporters.summary import summary_of, title_of

_README: Final = "README.txt"
_TEXT: Final = "summary.txt"
_HTML: Final = "summary.html"
_FOR_PEOPLE: Final = (_README, _TEXT, _HTML)


def export_evidence(database: Database, serial: int) -> bytes:
    """Return the evidence archive of a certificate, against the last stored checkpoint.

    The same log with the same checkpoint gives the same bytes.

    Raises `UnknownSerial`, `NoCheckpoint` where none is stored or an event is newer, `InvalidValue`
    for more events than an archive holds, `LogCorrupt` or another `StorageError`.
    """
    bundle = database.read(lambda connection: _collect(connection, serial))
    return pack(_all_members(bundle))


def _collect(connection: Connection, serial: int) -> Bundle:
    events = read_stream(connection, stream_of(serial))
    if not events:
        message = f"serial {serial}"
        raise UnknownSerial(message)
    checkpoint = newest_checkpoint(connection)
    proofs = [prove_with(connection, event.seq, checkpoint) for event in events]
    try:
        bundle = Bundle.of(VerifierKey.from_text(checkpoint.key), checkpoint.note, proofs)
        check_certificates(bundle)
    except EvidenceError as error:
        raise LogCorrupt(str(error)) from error
    return bundle


def _all_members(bundle: Bundle) -> dict[str, bytes]:
    title, sections = title_of(bundle), summary_of(bundle)
    return {
        _README: readme_of(bundle).encode(),
        _TEXT: to_text(title, sections).encode(),
        _HTML: to_html(title, sections).encode(),
        **dict(bundle.members()),
    }


@dataclass(frozen=True, slots=True)
class CheckedEvidence:
    """An evidence archive that holds."""

    bundle: Bundle
    opened: OpenedCheckpoint
    foreign_texts: bool
    """Whether another version wrote the texts for people, so that they could not be checked."""


def check_evidence(data: bytes, trust: Trust) -> CheckedEvidence:
    """Check an evidence archive, all of it: what is in it must follow from entries that a log which
    is trusted holds.

    Raises `MalformedEvidence` or `EvidenceRefused`.
    """
    members = unpack(data)
    opened = trust.open(_member(members, CHECKPOINT))
    bundle = Bundle.of(_key_of(members), _member(members, CHECKPOINT), _proofs_of(members))
    if not any(signature.is_of(bundle.key) for signature in opened.signatures):
        message = f"the key in it, {bundle.key.name}+{bundle.key.id}, is not one that is trusted"
        raise EvidenceRefused(message)
    for proof in bundle.proofs:
        proof.proof.verify(proof.entry, trust)
    check_certificates(bundle)
    return CheckedEvidence(bundle, opened, _check_members(members, bundle))


def _key_of(members: Mapping[str, bytes]) -> VerifierKey:
    return VerifierKey.from_text(_text_of(members, KEY_LINE).removesuffix("\n"))


def _proofs_of(members: Mapping[str, bytes]) -> list[EntryProof]:
    leaf = leaf_name(0).replace("0", "{}").format
    prefix, suffix = leaf("|").split("|")
    seqs = [
        from_decimal(name.removeprefix(prefix).removesuffix(suffix), "name of an entry")
        for name in members
        if name.startswith(prefix) and name.endswith(suffix)
    ]
    return [
        EntryProof(
            seq, members[leaf_name(seq)], TlogProof.from_bytes(_member(members, proof_name(seq)))
        )
        for seq in seqs
    ]


def _member(members: Mapping[str, bytes], name: str) -> bytes:
    if name not in members:
        message = f"the archive has no {name}"
        raise MalformedEvidence(message)
    return members[name]


def _text_of(members: Mapping[str, bytes], name: str) -> str:
    return _member(members, name).decode("utf-8", "replace")


def check_certificates(bundle: Bundle) -> None:
    """Hold the certificates against the digests and serial numbers that their entries state.

    Raises `EvidenceRefused`.
    """
    for seq, data in bundle.registrations:
        try:
            certificate = load_certificate(data.certificate_pem)
        except InvalidCertificate as error:
            message = f"entry {seq}: {error}"
            raise EvidenceRefused(message) from error
        digest = sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
        if (digest, certificate.serial_number) != (data.sha256, data.serial):
            message = f"entry {seq} holds another certificate than it says"
            raise EvidenceRefused(message)


def _check_members(members: Mapping[str, bytes], bundle: Bundle) -> bool:
    """Compare all members with what follows from the bundle; tell whether the texts for people
    could not be.
    """
    expected = _all_members(bundle)
    foreign = not _text_of(members, _README).startswith(f"{FORM}\n")
    if foreign:
        expected |= {name: _member(members, name) for name in _FOR_PEOPLE}
    for name in (*expected, *members):
        if name not in expected:
            message = f"the archive holds {name!r}, which does not belong there"
            raise MalformedEvidence(message)
        if _member(members, name) != expected[name]:
            message = f"{name} in the archive is not what its entries say: it was changed"
            raise EvidenceRefused(message)
    if list(members) != list(expected):
        raise MalformedEvidence("the members of the archive are not in their order")
    return foreign
