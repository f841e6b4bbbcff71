"""Policies: which logs are believed, and which witnesses must have cosigned (C2SP tlog-policy).

A policy is a file of octets, in which names are opaque. URLs are for those who fetch evidence;
it is checked here, so they are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from certledger.errors import EvidenceRefused, MalformedEvidence
from certledger.eventstore.tlog.checkpoint import Checkpoint, OpenedCheckpoint
from certledger.eventstore.tlog.cosignature import CosignatureVerifier
from certledger.eventstore.tlog.encoding import from_decimal
from certledger.eventstore.tlog.keys import KeyKind, VerifierKey
from certledger.eventstore.tlog.note import Note, NoteVerifier, Signature, Verifier

NONE: Final = b"none"

_FORBIDDEN: Final = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")
_BLANKS: Final = re.compile(rb"[ \t]+")
_LOG_KINDS: Final = frozenset({KeyKind.ED25519, KeyKind.ML_DSA_44})
_WITNESS_KINDS: Final = frozenset({KeyKind.COSIGNATURE, KeyKind.ML_DSA_44})


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses and groups, of which a number must have cosigned."""

    threshold: int
    members: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a policy file says; make it with `from_bytes`, which keeps its rules."""

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[bytes, VerifierKey]
    groups: Mapping[bytes, Group]
    """In the order of the file: a group comes after its members."""
    quorum: bytes
    """The name of a witness or a group, or `none`."""

    @classmethod
    def from_bytes(cls, data: bytes) -> Policy:
        """Read a policy file.

        Raises `MalformedEvidence`, which names the line.
        """
        found = _FORBIDDEN.search(data)
        if found:
            message = f"a policy must not hold the octet {ord(found.group()):#04x}"
            raise MalformedEvidence(message)
        *lines, rest = data.split(b"\n")
        if rest:
            raise MalformedEvidence("the last line of the policy does not end in a line feed")
        reader = _Reader()
        for number, line in enumerate(lines, start=1):
            try:
                reader.read(line.strip(b" \t"))
            except MalformedEvidence as error:
                message = f"line {number} of the policy: {error}"
                raise MalformedEvidence(message) from error
        if reader.quorum is None:
            raise MalformedEvidence("the policy has no quorum line")
        return cls(tuple(reader.logs), reader.witnesses, reader.groups, reader.quorum)

    def open(self, data: bytes) -> OpenedCheckpoint:
        """Verify a signed checkpoint: one of the logs signed it, and the quorum cosigned it.

        Raises `MalformedEvidence` or `EvidenceRefused`.
        """
        opened = Note.from_bytes(data).open(self._verifiers())
        checkpoint = Checkpoint.from_text(opened.text)
        if not any(
            log.name == checkpoint.origin and _has_signed(log, opened.signatures)
            for log in self.logs
        ):
            message = f"no log of the policy signed this checkpoint of {checkpoint.origin!r}"
            raise EvidenceRefused(message)
        self._check_quorum(opened.signatures)
        return OpenedCheckpoint(checkpoint, opened.signatures)

    def _verifiers(self) -> list[Verifier]:
        # Lines of ML-DSA-44 keys are passed over, so that such a witness never counts.
        logs = [NoteVerifier(key) for key in self.logs if key.kind is KeyKind.ED25519]
        witnesses = [
            CosignatureVerifier(key)
            for key in self.witnesses.values()
            if key.kind is KeyKind.COSIGNATURE
        ]
        return [*logs, *witnesses]

    def _check_quorum(self, signatures: tuple[Signature, ...]) -> None:
        satisfied = {NONE} | {
            name for name, key in self.witnesses.items() if _has_signed(key, signatures)
        }
        cosigned = sorted(satisfied - {NONE})
        for name, group in self.groups.items():
            if sum(member in satisfied for member in group.members) >= group.threshold:
                satisfied.add(name)
        if self.quorum not in satisfied:
            message = (
                f"the quorum {_shown(self.quorum)} is not met: of its {len(self.witnesses)} "
                f"witnesses cosigned {', '.join(map(_shown, cosigned)) or 'none'}"
            )
            raise EvidenceRefused(message)


class _Reader:
    """What the lines so far have defined."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[bytes, VerifierKey] = {}
        self.groups: dict[bytes, Group] = {}
        self.quorum: bytes | None = None
        self._log_keys: set[bytes] = set()
        self._witness_keys: set[bytes] = set()
        self._members: set[bytes] = set()

    def read(self, line: bytes) -> None:
        if not line or line.startswith(b"#"):
            return
        match _BLANKS.split(line):
            case [b"log", vkey] | [b"log", vkey, _]:
                self.logs.append(_read_key(vkey, _LOG_KINDS, self._log_keys))
            case [b"witness", name, vkey] | [b"witness", name, vkey, _]:
                self._check_new(name)
                self.witnesses[name] = _read_key(vkey, _WITNESS_KINDS, self._witness_keys)
            case [b"group", name, threshold, _, *_] as fields:
                self._read_group(name, threshold, tuple(fields[3:]))
            case [b"quorum", name]:
                self._read_quorum(name)
            case [keyword, *_]:
                message = f"{_shown(keyword)} is no line of a policy with these fields"
                raise MalformedEvidence(message)

    def _read_group(self, name: bytes, threshold: bytes, members: tuple[bytes, ...]) -> None:
        self._check_new(name)
        for member in members:
            self._check_defined(member)
            if member in self._members:
                message = f"{_shown(member)} is a member already; it would count twice"
                raise MalformedEvidence(message)
            self._members.add(member)
        needed = _read_threshold(threshold, len(members))
        self.groups[name] = Group(needed, members)

    def _read_quorum(self, name: bytes) -> None:
        if self.quorum is not None:
            raise MalformedEvidence("there is a quorum line already")
        if name != NONE:
            self._check_defined(name)
        self.quorum = name

    def _check_new(self, name: bytes) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            message = f"the name {_shown(name)} is taken"
            raise MalformedEvidence(message)

    def _check_defined(self, name: bytes) -> None:
        if name not in self.witnesses and name not in self.groups:
            message = f"no line above defines {_shown(name)}"
            raise MalformedEvidence(message)


def _read_key(vkey: bytes, kinds: frozenset[KeyKind], taken: set[bytes]) -> VerifierKey:
    try:
        key = VerifierKey.from_text(vkey.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedEvidence("the name of a key is UTF-8") from error
    if key.kind not in kinds:
        message = f"the key of {key.name} has the type {key.kind:#04x}, which is not for this line"
        raise MalformedEvidence(message)
    if key.public_key in taken:
        message = f"the public key of {key.name} is listed already, if under another name"
        raise MalformedEvidence(message)
    taken.add(key.public_key)
    return key


def _read_threshold(text: bytes, count: int) -> int:
    words = {b"any": 1, b"all": count}
    threshold = words.get(text) or from_decimal(_shown(text), "threshold")
    if not 1 <= threshold <= count:
        message = f"a group of {count} members cannot need {threshold} of them"
        raise MalformedEvidence(message)
    return threshold


def _has_signed(key: VerifierKey, signatures: tuple[Signature, ...]) -> bool:
    return any(signature.is_of(key) for signature in signatures)


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
