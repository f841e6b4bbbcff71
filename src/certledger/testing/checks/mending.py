"""Drift and rebuild."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from certledger.ledger import Ledger
from certledger.testing.backend import Backend, Flavour
from certledger.testing.certificates import make_certificate
from certledger.testing.checks.registry import WithRegistry, findings
from certledger.testing.clock import FakeClock
from certledger.testing.populated import Populated
from certledger.testing.raw import Raw
from certledger.testing.tasks import open_ledger
from certledger.testing.whole import check_whole

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


class Mending(WithRegistry):
    """Every row and column that is not as the log says is named, and mended."""

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


def _read_model(url: str) -> tuple[dict[int, Any], dict[int, Any]]:
    with Raw(url) as raw:
        return raw.certificates(), raw.retired()
