"""What a CRL lists, how it is numbered and dated, and what the log records of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from certledger import Ledger
from certledger.crl import CrlContent, Issuer, sign_crl
from certledger.crl_issuer import PrivateKey
from certledger.errors import ClockBehindLog, InvalidCertificate
from certledger.eventstore.reasons import CODE_BY_NAME
from certledger.projections.crl_entries import CrlEntry
from certledger.testing.certificates import CA, make_ca, name_of, shared_key
from certledger.testing.clock import FakeClock
from certledger.unit_of_work import random_id
from tests.support.crl import (
    ca_certificate,
    extensions_of,
    leaf,
    number,
    only_entry,
    published,
    revoked,
    serials,
    sign,
)

OURS = make_ca()


def test_a_revoked_certificate_is_listed_and_a_valid_one_is_not(ledger: Ledger) -> None:
    ledger.issue(OURS.issue())
    serial = revoked(ledger)
    assert serials(sign(ledger)) == {serial}


def test_a_crl_of_no_entries_leaves_the_list_out(ledger: Ledger) -> None:
    crl = sign(ledger)
    assert len(crl) == 0
    assert number(crl) == 1
    assert published(ledger)[0].entries == 0
    assert crl.next_update_utc is not None
    before, _, rest = crl.tbs_certlist_bytes.partition(
        f"{crl.next_update_utc:%y%m%d%H%M%SZ}".encode()
    )
    assert before
    assert rest[0] == 0xA0, "RFC 5280 §5.1.2.6: after nextUpdate come the extensions"


def test_the_crl_names_issuer_key_and_dates(ledger: Ledger, clock: FakeClock) -> None:
    crl = sign(ledger, days=3)
    second = clock.now.replace(microsecond=0)
    assert crl.issuer == OURS.certificate.subject
    assert crl.last_update_utc == second
    assert crl.next_update_utc == second + timedelta(days=3)
    assert crl.is_signature_valid(OURS.key.public_key())
    identifier = crl.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    key = OURS.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    assert identifier.value.key_identifier == key.value.digest
    assert not identifier.critical


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa.generate_private_key(65537, 2048), "sha256WithRSAEncryption"),
        (ec.generate_private_key(ec.SECP384R1()), "ecdsa-with-SHA384"),
        (ed25519.Ed25519PrivateKey.generate(), "ed25519"),
        (ed448.Ed448PrivateKey.generate(), "ed448"),
    ],
    ids=["RSA", "P-384", "Ed25519", "Ed448"],
)
def test_every_kind_of_key_signs(ledger: Ledger, key: PrivateKey, algorithm: str) -> None:
    crl = ledger.crl(ca_certificate(key), key).crl
    assert crl.is_signature_valid(key.public_key())
    assert crl.signature_algorithm_oid._name == algorithm


@pytest.mark.parametrize("reason", [name for name in CODE_BY_NAME if name != "unspecified"])
def test_a_reason_is_given(ledger: Ledger, reason: str) -> None:
    revoked(ledger, reason=reason)
    (extension,) = extensions_of(only_entry(sign(ledger)))
    assert extension == x509.CRLReason(x509.ReasonFlags(reason))


def test_unspecified_is_left_out(ledger: Ledger) -> None:
    revoked(ledger, reason="unspecified")
    assert list(extensions_of(only_entry(sign(ledger)))) == []


def test_the_dates_are_given_in_whole_seconds(ledger: Ledger, clock: FakeClock) -> None:
    certificate = OURS.issue()
    ledger.issue(certificate)
    invalid = datetime(2026, 3, 1, 12, 0, 0, 999_999, tzinfo=UTC)
    date = datetime(2026, 3, 2, 12, 0, 0, 999_999, tzinfo=UTC)
    clock.now = datetime.now(UTC)
    ledger.revoke(certificate.serial_number, revocation_date=date, invalidity_date=invalid)
    entry = only_entry(sign(ledger))
    assert entry.revocation_date_utc == date.replace(microsecond=0)
    assert list(extensions_of(entry)) == [x509.InvalidityDate(datetime(2026, 3, 1, 12, 0, 0))]  # noqa: DTZ001 # cryptography compares naive ones


def test_a_revocation_before_1950_is_dated_1950(ledger: Ledger) -> None:
    """UTCTime begins there; one strange date must not stop all CRLs to come."""
    certificate = OURS.issue()
    ledger.issue(certificate)
    ledger.revoke(certificate.serial_number, revocation_date=datetime(1900, 1, 1, tzinfo=UTC))
    assert only_entry(sign(ledger)).revocation_date_utc == datetime(1950, 1, 1, tzinfo=UTC)


def test_entries_are_ordered_by_date_then_serial(ledger: Ledger, clock: FakeClock) -> None:
    later = [revoked(ledger, serial=serial) for serial in (9, 5)]
    clock.step(hours=1)
    last = revoked(ledger, serial=7)
    assert [entry.serial_number for entry in sign(ledger)] == [*sorted(later), last]


def content(*numbers: int) -> CrlContent:
    """What a CRL of these serials is to say."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    entries = tuple(CrlEntry(serial, at, 0, None) for serial in numbers)
    return CrlContent(entries, 1, at, 0, len(entries), ())


def test_serials_are_listed_that_rfc_5280_allows_no_ca_to_issue() -> None:
    strange = (0, 2**159, 2**160 - 1)
    issuer = Issuer(OURS.certificate, OURS.key)
    crl = sign_crl(issuer, content(*strange), datetime(2026, 1, 8, tzinfo=UTC))
    assert serials(crl) == set(strange)


def test_a_negative_serial_cannot_be_listed_and_is_named() -> None:
    issuer = Issuer(OURS.certificate, OURS.key)
    with pytest.raises(InvalidCertificate, match="serial -5"):
        sign_crl(issuer, content(-5), datetime(2026, 1, 8, tzinfo=UTC))


def test_a_registry_in_memory_publishes_too() -> None:
    with Ledger("sqlite://") as ledger:
        serial = revoked(ledger)
        assert serials(sign(ledger)) == {serial}


# Whose certificates


def test_certificates_of_another_name_are_left_out(ledger: Ledger) -> None:
    other = make_ca("Another CA")
    ours, theirs = revoked(ledger), revoked(ledger, other)
    assert serials(sign(ledger)) == {ours}
    assert serials(sign(ledger, other)) == {theirs}


def test_certificates_of_the_same_name_but_another_key_are_left_out(ledger: Ledger) -> None:
    renewed = shared_key("renewed")
    ca = CA(ca_certificate(renewed, name=OURS.certificate.subject), renewed)
    ours, theirs = revoked(ledger), revoked(ledger, ca)
    assert serials(sign(ledger)) == {ours}
    assert serials(sign(ledger, ca)) == {theirs}


def test_without_a_key_identifier_the_signature_decides(ledger: Ledger) -> None:
    name = OURS.certificate.subject
    ours, theirs = leaf(name, OURS.key), leaf(name, shared_key("another"))
    for certificate in (ours, theirs):
        ledger.issue(certificate)
        ledger.revoke(certificate.serial_number)
    assert serials(sign(ledger)) == {ours.serial_number}


# For how long


def test_a_certificate_deleted_while_revoked_stays(ledger: Ledger) -> None:
    serial = revoked(ledger)
    ledger.delete(serial)
    result = ledger.crl(OURS.certificate, OURS.key)
    assert serials(result.crl) == {serial}
    assert result.disagreeing == ()


def test_a_certificate_deleted_while_valid_is_not_listed(ledger: Ledger) -> None:
    certificate = OURS.issue()
    ledger.issue(certificate)
    ledger.delete(certificate.serial_number)
    assert serials(sign(ledger)) == set()


def test_an_ended_certificate_is_on_one_more_crl(ledger: Ledger, clock: FakeClock) -> None:
    serial = revoked(ledger, days=10)
    assert serials(sign(ledger)) == {serial}
    clock.step(days=20)
    assert serials(sign(ledger)) == {serial}, "RFC 5280 §3.3: one CRL beyond its end"
    assert serials(sign(ledger)) == set()


def test_the_last_second_of_a_validity_belongs_to_it(ledger: Ledger, clock: FakeClock) -> None:
    end = clock.now.replace(microsecond=0) + timedelta(days=1)
    serial = revoked(ledger, end=end)
    clock.now = end + timedelta(milliseconds=900)
    for _ in range(3):
        assert serials(sign(ledger)) == {serial}


def test_a_crl_of_the_last_second_is_not_past_the_end(ledger: Ledger, clock: FakeClock) -> None:
    end = clock.now.replace(microsecond=0) + timedelta(days=1)
    serial = revoked(ledger, end=end)
    clock.now = end
    sign(ledger)
    clock.step(seconds=1)
    assert serials(sign(ledger)) == {serial}
    assert serials(sign(ledger)) == set()


def test_a_revocation_that_slips_in_while_a_crl_is_signed_is_on_the_next(
    ledger: Ledger, url: str, clock: FakeClock
) -> None:
    certificate = OURS.issue(days=10)
    ledger.issue(certificate)
    clock.step(days=20)

    def slip_in() -> str:
        ledger.revoke(certificate.serial_number, after_expiry=True)
        return random_id()

    with Ledger(url, clock=clock, new_id=slip_in) as signing:
        assert serials(sign(signing)) == set()
    assert serials(sign(ledger)) == {certificate.serial_number}


def test_a_crl_built_before_the_revocation_does_not_count(ledger: Ledger, clock: FakeClock) -> None:
    certificate = OURS.issue(days=10)
    ledger.issue(certificate)
    clock.step(days=20)
    sign(ledger)
    ledger.revoke(certificate.serial_number, after_expiry=True)
    assert serials(sign(ledger)) == {certificate.serial_number}
    assert serials(sign(ledger)) == set()


def test_a_crl_under_a_former_name_does_not_count(ledger: Ledger, clock: FakeClock) -> None:
    former = ca_certificate(OURS.key, name=name_of("Former name"))
    serial = revoked(ledger, days=10)
    clock.step(days=20)
    assert serials(ledger.crl(former, OURS.key).crl) == set()
    crl = sign(ledger)
    assert serials(crl) == {serial}
    assert number(crl) == 2


def test_a_serial_issued_again_after_its_end_drops_out(ledger: Ledger, clock: FakeClock) -> None:
    serial = revoked(ledger, days=10)
    ledger.delete(serial)
    clock.step(days=20)
    ledger.issue(OURS.issue(serial=serial))
    result = ledger.crl(OURS.certificate, OURS.key)
    assert serials(result.crl) == set()
    assert result.disagreeing == (), "the retired row of the former life is right"


def test_a_second_life_revoked_and_deleted_is_listed_as_the_first_was(
    ledger: Ledger, clock: FakeClock
) -> None:
    serial = revoked(ledger, days=10)
    ledger.delete(serial)
    clock.step(days=20)
    revoked(ledger, serial=serial, reason="superseded")
    ledger.delete(serial)
    result = ledger.crl(OURS.certificate, OURS.key)
    assert list(extensions_of(only_entry(result.crl))) == [
        x509.CRLReason(x509.ReasonFlags.superseded)
    ]
    assert result.disagreeing == ()


# Dates when the clock is set back


def test_this_update_does_not_go_back_with_the_clock(ledger: Ledger, clock: FakeClock) -> None:
    first = sign(ledger)
    clock.step(hours=-2)
    assert sign(ledger).last_update_utc == first.last_update_utc


def test_no_revocation_is_dated_after_the_crl(ledger: Ledger, clock: FakeClock) -> None:
    revoked(ledger)
    clock.step(hours=-2)
    crl = sign(ledger)
    assert only_entry(crl).revocation_date_utc == crl.last_update_utc


def test_a_crl_of_a_clock_ahead_ends_no_entry_early(ledger: Ledger, clock: FakeClock) -> None:
    serial = revoked(ledger, end=clock.now.replace(microsecond=0) + timedelta(hours=6))
    clock.step(hours=12)
    sign(ledger)
    clock.step(hours=-12)
    for _ in range(3):
        assert serials(sign(ledger)) == {serial}


def test_far_behind_the_log_nothing_is_published_unless_the_log_is_wrong(
    ledger: Ledger, url: str, clock: FakeClock
) -> None:
    clock.step(days=400)
    sign(ledger)
    right = clock.step(days=-400).replace(microsecond=0)
    with pytest.raises(ClockBehindLog):
        sign(ledger)
    with Ledger(url, clock=clock, allow_clock_behind=True) as told:
        crl = sign(told)
    assert (number(crl), crl.last_update_utc) == (2, right)
