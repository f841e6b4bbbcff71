"""Checkpoints, proofs and CRLs."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from certledger.errors import SigningRefused
from certledger.eventstore.proving import EntryProof, prove_consistency, prove_entry
from certledger.eventstore.signing import sign_checkpoint
from certledger.eventstore.tables import log_head
from certledger.eventstore.tlog.checkpoint import TrustedLog
from certledger.ledger import Ledger
from certledger.projections.verifying.verify import Outside
from certledger.testing.backend import Backend
from certledger.testing.certificates import make_ca, make_certificate
from certledger.testing.checks.registry import ORIGIN, WithRegistry, findings, key_of_log
from certledger.testing.populated import Populated


class Proving(WithRegistry):
    """What the log proves to those who do not have it, and what a CRL lists."""

    def test_every_entry_has_a_proof_that_verifies_offline(
        self, registry: Ledger, populated: Populated, tmp_path: Path
    ) -> None:
        sign_checkpoint(registry.database, key_of_log(), tmp_path / "state", registry.now)
        trust = TrustedLog(ORIGIN, [key_of_log().verifier_key])
        for event in registry.events():
            proved = _proved(registry, event.seq)
            assert proved.proof.verify(proved.entry, trust).checkpoint.size == 19

    def test_a_log_is_proved_to_continue_its_older_self(
        self, registry: Ledger, populated: Populated, tmp_path: Path
    ) -> None:
        state = tmp_path / "state"
        old = sign_checkpoint(registry.database, key_of_log(), state, registry.now).checkpoint
        for _ in range(5):
            registry.issue(make_certificate())
        sign_checkpoint(registry.database, key_of_log(), state, registry.now)
        proof = registry.database.read(lambda c: prove_consistency(c, 19, 24))
        trust = TrustedLog(ORIGIN, [key_of_log().verifier_key])
        assert proof.verify(old, trust).checkpoint.size == 24
        assert findings(registry, outside=Outside(keys=(key_of_log().verifier_key,))) == []

    def test_a_log_that_was_cut_back_is_not_signed(
        self,
        backend: Backend,
        url: str,
        registry: Ledger,
        populated: Populated,
        tmp_path: Path,
    ) -> None:
        state = tmp_path / "state"
        with backend.stranger(url) as stranger:
            head = stranger.execute(select(log_head)).mappings().one()
        registry.issue(make_certificate())
        sign_checkpoint(registry.database, key_of_log(), state, registry.now)
        with backend.unguarded(url) as intruder:
            intruder.exec_driver_sql("DELETE FROM log_checkpoint")
            intruder.exec_driver_sql("DELETE FROM log_entry WHERE seq = 19")
            intruder.execute(log_head.update().values(**head))
        assert [kind for kind in findings(registry) if kind != "drift"] == []
        with pytest.raises(SigningRefused):
            sign_checkpoint(registry.database, key_of_log(), state, registry.now)

    def test_a_crl_lists_what_the_log_says_is_revoked(
        self, registry: Ledger, populated: Populated
    ) -> None:
        authority = make_ca()
        signed = registry.crl(authority.certificate, authority.key)
        present = {populated.revoked, populated.withdrawn}
        # What ended before it was on a list is on one more (RFC 5280 §3.3).
        assert {entry.serial_number for entry in signed.crl} == present | {populated.late}
        again = registry.crl(authority.certificate, authority.key)
        assert {entry.serial_number for entry in again.crl} == present
        assert findings(registry) == []


def _proved(registry: Ledger, seq: int) -> EntryProof:
    return registry.database.read(lambda connection: prove_entry(connection, seq))
