"""A table that somebody edited: the log is signed, and the serials are named."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from certledger import Ledger
from certledger.errors import CrlDisagreement
from certledger.testing.certificates import CA, make_ca
from tests.support.crl import published, serials

OURS = make_ca()
REVOKED, VALID, DELETED, THEIRS = 11, 12, 13, 14
"""Serials of the registry that every test edits."""

Edit = Callable[[str], None]


@pytest.fixture
def edit(ledger: Ledger) -> Edit:
    """Runs SQL on a registry with one certificate of each kind."""
    for serial in (REVOKED, VALID, DELETED):
        ledger.issue(OURS.issue(serial=serial))
    ledger.issue(make_ca("Another CA").issue(serial=THEIRS))
    ledger.revoke(REVOKED, "superseded")
    ledger.revoke(DELETED, "keyCompromise")
    ledger.delete(DELETED)

    def run(statement: str) -> None:
        def work(connection: Connection, _retrying: bool) -> None:
            connection.exec_driver_sql(statement)

        ledger.database.write(work)

    return run


def disagreeing(ledger: Ledger, ca: CA = OURS) -> tuple[int, ...]:
    """What the CRL names; whatever that is, it lists what the log says."""
    result = ledger.crl(ca.certificate, ca.key)
    assert serials(result.crl) == ({REVOKED, DELETED} if ca is OURS else set())
    return result.disagreeing


def test_an_untouched_table_agrees(ledger: Ledger, edit: Edit) -> None:
    assert disagreeing(ledger) == ()
    assert ledger.crl(OURS.certificate, OURS.key, strict=True).disagreeing == ()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE certificates SET status = 'valid'",
        "UPDATE certificates SET status = 'valid', revocation_date = NULL",
        "UPDATE certificates SET revocation_date = '2020-01-01 00:00:00.000000'",
        "UPDATE certificates SET revocation_date = 'no date at all'",
        "UPDATE certificates SET revocation_date = NULL",
        "UPDATE certificates SET revocation_reason = 1",
        "UPDATE certificates SET revocation_reason = NULL",
        "DELETE FROM certificates",
    ],
)
def test_a_revoked_row_that_was_changed_is_named(ledger: Ledger, edit: Edit, change: str) -> None:
    edit(f"{change} WHERE serial_number = '{REVOKED}'")
    assert disagreeing(ledger) == (REVOKED,)


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM retired",
        "UPDATE retired SET last_state = 'valid', revocation_date = NULL",
        "UPDATE retired SET revocation_reason = 9",
        "UPDATE retired SET revocation_date = 'no date at all'",
    ],
)
def test_a_retired_row_that_was_changed_is_named(ledger: Ledger, edit: Edit, change: str) -> None:
    edit(change)
    assert disagreeing(ledger) == (DELETED,)


def test_a_deleted_certificate_that_has_a_row_is_named(ledger: Ledger, edit: Edit) -> None:
    edit(f"UPDATE certificates SET serial_number = '{DELETED}' WHERE serial_number = '{VALID}'")
    assert disagreeing(ledger) == (DELETED,)


@pytest.mark.parametrize(
    "change",
    ["status = 'revoked'", "revocation_date = '2026-01-01 00:00:00.000000'"],
)
def test_a_valid_certificate_that_the_table_calls_revoked_is_named(
    ledger: Ledger, edit: Edit, change: str
) -> None:
    edit(f"UPDATE certificates SET {change} WHERE serial_number = '{VALID}'")
    assert disagreeing(ledger) == (VALID,)


def test_a_revoked_row_under_another_serial_names_both(ledger: Ledger, edit: Edit) -> None:
    edit(f"UPDATE certificates SET serial_number = '999' WHERE serial_number = '{REVOKED}'")
    assert disagreeing(ledger) == (REVOKED, 999)


def test_an_extra_revoked_row_of_an_unknown_serial_is_named(ledger: Ledger, edit: Edit) -> None:
    edit(
        "INSERT INTO certificates SELECT 1000, '999', common_name, status, not_valid_before,"
        " not_valid_after, key_type, certificate_pem, revocation_date, revocation_reason, 'u'"
        f" FROM certificates WHERE serial_number = '{REVOKED}'"
    )
    assert disagreeing(ledger) == (999,)


def test_an_extra_retired_row_is_named(ledger: Ledger, edit: Edit) -> None:
    edit(f"UPDATE retired SET serial_number = '{VALID}'")
    assert disagreeing(ledger) == (VALID, DELETED)


def test_the_certificate_of_another_issuer_is_their_matter(ledger: Ledger, edit: Edit) -> None:
    edit(f"UPDATE certificates SET status = 'revoked' WHERE serial_number = '{THEIRS}'")
    assert disagreeing(ledger) == ()
    assert disagreeing(ledger, make_ca("Another CA")) == (THEIRS,)


def test_a_row_whose_serial_is_no_number_is_left_to_drift(ledger: Ledger, edit: Edit) -> None:
    edit(
        "UPDATE certificates SET status = 'revoked', serial_number = 'nonsense'"
        f" WHERE serial_number = '{VALID}'"
    )
    assert disagreeing(ledger) == ()


def test_strict_refuses_and_records_nothing(ledger: Ledger, edit: Edit) -> None:
    edit(f"UPDATE certificates SET status = 'valid' WHERE serial_number = '{REVOKED}'")
    size = ledger.head().size
    with pytest.raises(CrlDisagreement, match=f"serial {REVOKED}") as caught:
        ledger.crl(OURS.certificate, OURS.key, strict=True)
    assert caught.value.serials == (REVOKED,)
    assert published(ledger) == []
    assert ledger.head().size == size


def test_an_emptied_table_takes_nothing_off_the_crl(ledger: Ledger, edit: Edit) -> None:
    edit("DELETE FROM certificates")
    edit("DELETE FROM retired")
    assert disagreeing(ledger) == (REVOKED, DELETED)
