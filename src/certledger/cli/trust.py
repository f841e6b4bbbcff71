"""Whom a command that checks evidence trusts: a log's key, or a policy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from certledger.errors import EvidenceRefused, MalformedEvidence
from certledger.eventstore.tlog.checkpoint import OpenedCheckpoint, Trust, TrustedLog
from certledger.eventstore.tlog.keys import VerifierKey
from certledger.eventstore.tlog.policy import Policy


def trust_in(vkey: VerifierKey | None, policy: Path | None, origin: str | None = None) -> Trust:
    """Return what decides which checkpoints are believed, from exactly one of key and policy.

    `origin` is the log's name, that of the key unless given.
    """
    if (vkey is None) == (policy is None):
        raise click.UsageError("say whom to trust: either --vkey KEY or --policy P")
    try:
        if vkey is not None:
            return TrustedLog(origin or vkey.name, [vkey])
        found = Policy.from_bytes(b"" if policy is None else policy.read_bytes())
        return found if origin is None else _OfOrigin(found, origin)
    except MalformedEvidence as error:
        hint = "'--policy'" if vkey is None else "'--vkey'"
        raise click.BadParameter(str(error), param_hint=hint) from error


@dataclass(frozen=True, slots=True)
class _OfOrigin:
    """Trusts what another does, of one log alone."""

    trust: Trust
    origin: str

    def open(self, data: bytes) -> OpenedCheckpoint:
        opened = self.trust.open(data)
        if opened.checkpoint.origin != self.origin:
            message = f"it is of the log {opened.checkpoint.origin!r}, not of {self.origin!r}"
            raise EvidenceRefused(message)
        return opened
