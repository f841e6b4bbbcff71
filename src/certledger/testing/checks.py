"""Drift, rebuild, verify, the guards of the log, proofs and CRLs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy
from sqlalchemy import Connection, select

from certledger.errors import LogCorrupt, SigningRefused
from certledger.eventstore.proving import EntryProof, prove_consistency, prove_entry
from certledger.eventstore.signing import sign_checkpoint
from certledger.eventstore.tables import log_entry, log_head
from certledger.eventstore.tlog.checkpoint import TrustedLog
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.ledger import Ledger
from certledger.projections.verifying.verify import Outside
from certledger.testing.backend import Backend, Flavour
from certledger.testing.certificates import make_ca, make_certificate
from certledger.testing.clock import FakeClock
from certledger.testing.populated import Populated, populate
from certledger.testing.raw import Raw
from certledger.testing.suite import Suite
from certledger.testing.tasks import open_ledger
from certledger.testing.whole import check_whole

ORIGIN: Final = "registry.example.org/suite"

EDITS: Final = {
    "serial_number": "'42'",
    "common_name": "'evil.example.org'",
    "status": "'valid'",
    "not_valid_before": "'2001-01-01 00:00:00.000000'",
    "not_valid_after": "'2099-01-01 00:00:00.000000'",
    "key_type": "'ca'",
    "certificate_pem": "''",
    "revocation_date": "NULL",
    "revocation_reason": "0",
    "uuid": "'another'",
}
"""Column to another value than the revoked certificate has."""

STRAY: Final = """INSERT INTO certificates (id, serial_number, common_name, status,
    not_valid_before, not_valid_after, key_type, certificate_pem) VALUES ({key}, '666', 'stray',
    'valid', '2026-01-01 00:00:00.000000', '2027-01-01 00:00:00.000000', 'device', '-')"""

FORBIDDEN: Final = [
    "UPDATE log_entry SET actor = 'nobody'",
    "UPDATE log_entry SET entry = NULL WHERE seq = 3",
    "DELETE FROM log_entry",
    "DELETE FROM log_entry WHERE seq = 18",
    "UPDATE log_head SET size = 3",
    "UPDATE log_head SET origin = 'other.example.org'",
    "DELETE FROM log_head",
    "UPDATE log_checkpoint SET size = 1",
    "DELETE FROM log_checkpoint",
]
"""What the triggers refuse."""

AGAIN: Final = "seq, hashes, event_id, subject, streamversion, type, actor, recorded_at, entry"
TAMPERED: Final = {
    "an entry's bytes": "UPDATE log_entry SET entry = {other} WHERE seq = 4",
    "an entry without bytes": "UPDATE log_entry SET entry = NULL WHERE seq = 4",
    "the hashes of a row": "UPDATE log_entry SET hashes = {other} WHERE seq = 4",
    "the copy of the actor": "UPDATE log_entry SET actor = 'Mallory' WHERE seq = 4",
    "the copy of the time": "UPDATE log_entry SET recorded_at = '2001-01-01' WHERE seq = 4",
    "the copy of the uuid": "UPDATE log_entry SET uuid = 'another' WHERE seq = 4",
    "a gap": "DELETE FROM log_entry WHERE seq = 4",
    "an end cut off": "DELETE FROM log_entry WHERE seq = 18",
    "a head that says less": "UPDATE log_head SET size = 18",
    "another root": "UPDATE log_head SET root = {other}",
    "another origin": "UPDATE log_head SET origin = 'other.example.org'",
}
"""What somebody does who has taken the triggers away; `{other}` is a value of another row."""


def findings(ledger: Any, **options: Any) -> list[str]:
    return [found.kind for found in ledger.verify(**options) if found.level == "finding"]


class Checks(Suite):
    """Everything that finds and mends what is not as the log says."""

    @pytest.fixture(autouse=True)
    def _of_certledger(self, backend: Backend) -> None:
        backend.require_certledger()

    @pytest.fixture
    def registry(self, url: str, clock: FakeClock) -> Iterator[Ledger]:
        """An open registry of this origin."""
        with Ledger(url, origin=ORIGIN, clock=clock) as ledger:
            yield ledger

    @pytest.fixture
    def populated(self, registry: Ledger, clock: FakeClock) -> Populated:
        """What the registry holds then: 19 events."""
        return populate(registry, clock)

    # Drift and rebuild

    def test_nothing_differs_in_a_registry_that_nobody_edited(
        self, registry: Ledger, populated: Populated
    ) -> None:
        assert list(registry.drift()) == []
        assert findings(registry) == []

    def test_every_edited_column_is_named_and_mended(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated, flavour: Flavour
    ) -> None:
        with backend.stranger(url) as stranger, open_ledger(url, flavour) as ledger:
            key = registry.get(populated.revoked).id
            before = _read_model(url)
            for column, value in EDITS.items():
                stranger.exec_driver_sql(
                    f"UPDATE certificates SET {column} = {value} WHERE id = {key}"
                )
                (found,) = ledger.drift()
                assert (found.table, found.key, found.kind) == ("certificates", key, "changed")
                assert list(found.columns) == [column]
                assert "drift" in findings(ledger)
                assert ledger.rebuild().changed == 1
                assert _read_model(url) == before

    def test_missing_and_unexpected_rows_are_told_and_mended(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated
    ) -> None:
        backend.require_shared()
        before = _read_model(url)
        edits = ["DELETE FROM certificates WHERE id = 2", "DELETE FROM retired"]
        strays = [STRAY.format(key=key) for key in (-5, 10**6)]
        with backend.stranger(url) as stranger:
            stranger.exec_driver_sql(edits[0])
            stranger.exec_driver_sql(edits[1])
            stranger.exec_driver_sql(strays[0])
        told = {(found.table, found.kind) for found in registry.drift()}
        assert told == {
            ("certificates", "missing"),
            ("certificates", "unexpected"),
            ("retired", "missing"),
        }
        report = registry.rebuild()
        assert (report.missing, report.unexpected, report.changed) == (4, 1, 0)
        with backend.stranger(url) as stranger:
            stranger.exec_driver_sql(strays[1])
        assert registry.rebuild().unexpected == 1
        assert _read_model(url) == before

    def test_values_that_only_a_collation_takes_for_equal_differ(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated
    ) -> None:
        name = registry.get(populated.revoked).common_name
        with backend.stranger(url) as stranger:
            for other in (name.upper(), f"{name} ", name.replace("o", "ó")):
                stranger.exec_driver_sql(
                    f"UPDATE certificates SET common_name = '{other}' "
                    f"WHERE serial_number = '{populated.revoked}'"
                )
                (found,) = registry.drift()
                assert found.columns["common_name"] == (other, name)

    def test_swapped_and_rotated_unique_values_are_mended(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated
    ) -> None:
        backend.require_shared()
        before = _read_model(url)
        with backend.stranger(url) as stranger:
            keys = sorted(before[0])
            serials = [before[0][key][1] for key in keys]
            aside = [f"aside {key}" for key in keys]
            for values in (aside, serials[1:] + serials[:1]):
                for key, value in zip(keys, values, strict=True):
                    stranger.exec_driver_sql(
                        f"UPDATE certificates SET serial_number = '{value}' WHERE id = {key}"
                    )
        assert registry.rebuild().changed == len(keys)
        assert _read_model(url) == before

    def test_a_rebuild_while_others_write_ends_with_what_the_log_says(
        self,
        backend: Backend,
        url: str,
        registry: Ledger,
        populated: Populated,
        clock: FakeClock,
    ) -> None:
        backend.require_shared()
        begun, enough = threading.Event(), threading.Event()

        def write() -> int:
            number = 0
            try:
                with Ledger(url, clock=clock) as other:
                    while not enough.is_set():
                        certificate = make_certificate()
                        other.issue(certificate)
                        other.revoke(certificate.serial_number)
                        number += 1
                        begun.set()
            finally:
                begun.set()
            return number

        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(write) for _ in range(2)]
            try:
                begun.wait()
                for _ in range(3):
                    with backend.stranger(url) as stranger:
                        stranger.exec_driver_sql("UPDATE certificates SET key_type = 'ca'")
                        stranger.exec_driver_sql("DELETE FROM retired")
                    assert registry.rebuild().differences > 0
            finally:
                enough.set()
            assert min(writer.result() for writer in writers) > 0
        check_whole(url)

    def test_an_edited_table_cannot_stop_or_fake_a_revocation(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated
    ) -> None:
        serial = populated.valid[0]
        with backend.stranger(url) as stranger:
            stranger.exec_driver_sql(f"DELETE FROM certificates WHERE serial_number = '{serial}'")
            stranger.exec_driver_sql(STRAY.format(key=registry.head().size + 1))
        registry.revoke(serial)
        assert registry.get(serial).status == "revoked"
        registry.issue(make_certificate(serial=666))
        assert registry.get(666).common_name == "device.example.org"

    # The log

    @pytest.mark.parametrize("statement", FORBIDDEN)
    def test_plain_sql_cannot_change_the_log(
        self,
        backend: Backend,
        url: str,
        registry: Ledger,
        populated: Populated,
        tmp_path: Path,
        statement: str,
    ) -> None:
        sign_checkpoint(registry.database, _key(), tmp_path / "state", registry.now)
        with backend.stranger(url) as stranger:
            before = _log(stranger)
            with pytest.raises(sqlalchemy.exc.DBAPIError, match="log_"):
                stranger.exec_driver_sql(statement)
            assert _log(stranger) == before

    @pytest.mark.parametrize("place", [3, 18, 20, -1])
    def test_an_entry_can_be_added_at_the_next_position_only(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated, place: int
    ) -> None:
        with (
            backend.stranger(url) as stranger,
            pytest.raises(sqlalchemy.exc.DBAPIError, match="log_entry"),
        ):
            stranger.exec_driver_sql(
                f"INSERT INTO log_entry ({AGAIN}) SELECT {place}, hashes, 'new', 'new', 0, type, "
                "actor, recorded_at, entry FROM log_entry WHERE seq = 3"
            )
        assert registry.head().size == 19
        assert findings(registry) == []

    @pytest.mark.parametrize("what", TAMPERED)
    def test_what_was_done_to_the_log_without_its_triggers_is_found(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated, what: str
    ) -> None:
        with backend.unguarded(url) as intruder:
            other = "(SELECT hashes FROM (SELECT * FROM log_entry WHERE seq = 0) AS one)"
            intruder.exec_driver_sql(TAMPERED[what].format(other=other))
        assert findings(registry)

    def test_missing_triggers_are_found(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated
    ) -> None:
        with backend.unguarded(url):
            assert set(findings(registry)) == {"trigger-missing"}
        assert findings(registry) == []

    def test_a_change_of_an_edited_stream_is_refused(
        self, backend: Backend, url: str, registry: Ledger, populated: Populated
    ) -> None:
        with backend.unguarded(url) as intruder:
            intruder.exec_driver_sql(
                f"UPDATE log_entry SET actor = 'x', entry = hashes "
                f"WHERE subject = 'certificate/{populated.valid[0]}'"
            )
        with pytest.raises(LogCorrupt):
            registry.revoke(populated.valid[0])

    # Proofs

    def test_every_entry_has_a_proof_that_verifies_offline(
        self, registry: Ledger, populated: Populated, tmp_path: Path
    ) -> None:
        sign_checkpoint(registry.database, _key(), tmp_path / "state", registry.now)
        trust = TrustedLog(ORIGIN, [_key().verifier_key])
        for event in registry.events():
            proved = _proved(registry, event.seq)
            assert proved.proof.verify(proved.entry, trust).checkpoint.size == 19

    def test_a_log_is_proved_to_continue_its_older_self(
        self, registry: Ledger, populated: Populated, tmp_path: Path
    ) -> None:
        state = tmp_path / "state"
        old = sign_checkpoint(registry.database, _key(), state, registry.now).checkpoint
        for _ in range(5):
            registry.issue(make_certificate())
        sign_checkpoint(registry.database, _key(), state, registry.now)
        proof = registry.database.read(lambda c: prove_consistency(c, 19, 24))
        trust = TrustedLog(ORIGIN, [_key().verifier_key])
        assert proof.verify(old, trust).checkpoint.size == 24
        assert findings(registry, outside=Outside(keys=(_key().verifier_key,))) == []

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
        sign_checkpoint(registry.database, _key(), state, registry.now)
        with backend.unguarded(url) as intruder:
            intruder.exec_driver_sql("DELETE FROM log_checkpoint")
            intruder.exec_driver_sql("DELETE FROM log_entry WHERE seq = 19")
            intruder.execute(log_head.update().values(**head))
        assert [kind for kind in findings(registry) if kind != "drift"] == []
        with pytest.raises(SigningRefused):
            sign_checkpoint(registry.database, _key(), state, registry.now)

    # CRLs

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


def _key() -> SigningKey:
    return SigningKey(ORIGIN, KeyKind.ED25519, b"k" * 32)


def _proved(registry: Ledger, seq: int) -> EntryProof:
    return registry.database.read(lambda connection: prove_entry(connection, seq))


def _read_model(url: str) -> tuple[dict[int, Any], dict[int, Any]]:
    with Raw(url) as raw:
        return raw.certificates(), raw.retired()


def _log(connection: Connection) -> list[Any]:
    return [
        connection.execute(select(log_entry).order_by(log_entry.c.seq)).all(),
        connection.execute(select(log_head)).all(),
    ]
