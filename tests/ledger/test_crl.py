"""What a CRL lists, how it is numbered and dated, and what the log records of it."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import Connection

from certledger import Ledger
from certledger.crl import MAX_NUMBER, Issuer
from certledger.crl_issuer import PrivateKey
from certledger.errors import ClockBehindLog, InvalidValue, LogCorrupt
from certledger.eventstore.actor import acting_as
from certledger.eventstore.events import CrlPublished
from certledger.eventstore.reasons import CODE_BY_NAME
from tests.support.certificates import CA, make_ca, name_of, shared_key
from tests.support.clock import FakeClock
from tests.support.crl import (
    ca_certificate,
    extensions_of,
    leaf,
    number,
    only_entry,
    published,
    serials,
    sign,
)

OURS = make_ca()


def revoked(ledger: Ledger, ca: CA = OURS, reason: str | None = None, **options: object) -> int:
    """Issue a certificate and revoke it."""
    certificate = ca.issue(**options)  # type: ignore[arg-type] # passed through
    ledger.issue(certificate)
    ledger.revoke(certificate.serial_number, reason)
    return certificate.serial_number


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


def test_serials_of_160_bits_are_listed(ledger: Ledger) -> None:
    serial = 2**159 - 1
    revoked(ledger, serial=serial)
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


# Numbers


def test_numbers_grow_by_one_for_each_key(ledger: Ledger) -> None:
    other = make_ca("Another CA")
    assert [number(sign(ledger)) for _ in range(3)] == [1, 2, 3]
    assert number(sign(ledger, other)) == 1


def test_a_greater_number_is_taken_and_counted_on_from(ledger: Ledger) -> None:
    assert number(sign(ledger, number=1000)) == 1000
    assert number(sign(ledger)) == 1001


@pytest.mark.parametrize("wanted", [-1, 0, 4, 5])
def test_a_number_that_is_not_greater_is_refused(ledger: Ledger, wanted: int) -> None:
    sign(ledger, number=5)
    with pytest.raises(InvalidValue, match=f"number {wanted}: must be greater.* 5"):
        sign(ledger, number=wanted)
    assert len(published(ledger)) == 1


def test_a_number_has_at_most_20_octets(ledger: Ledger) -> None:
    with pytest.raises(InvalidValue, match="20 octets"):
        sign(ledger, number=MAX_NUMBER + 1)
    assert number(sign(ledger, number=MAX_NUMBER)) == MAX_NUMBER
    with pytest.raises(InvalidValue, match="20 octets"):
        sign(ledger)


def test_concurrent_publishers_never_share_a_number(ledger: Ledger, url: str) -> None:
    revoked(ledger)
    numbers: list[int] = []

    def publish() -> None:
        with Ledger(url) as own:
            numbers.extend(number(sign(own)) for _ in range(4))

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 17))
    assert [int(data.number) for data in published(ledger)] == list(range(1, 17))


@pytest.mark.parametrize("days", [0, -1, 4_000_000, 10**12])
def test_days_that_give_no_date_are_refused(ledger: Ledger, days: int) -> None:
    with pytest.raises(InvalidValue, match="days"):
        sign(ledger, days=days)
    assert published(ledger) == []


# What is recorded


def test_the_event_records_what_was_signed(ledger: Ledger, clock: FakeClock) -> None:
    revoked(ledger)
    size = ledger.head().size
    with acting_as("alice@example.org", comment="monthly"):
        result = ledger.crl(OURS.certificate, OURS.key, days=30)
    second = clock.now.replace(microsecond=0)
    assert result.event.data == CrlPublished(
        number="1",
        this_update=second,
        next_update=second + timedelta(days=30),
        sha256=hashlib.sha256(result.crl.public_bytes(Encoding.DER)).hexdigest(),
        entries=1,
        log_size=size,
        issuer="O=Example,CN=Test CA",
        comment="monthly",
    )
    assert result.event.authid == "alice@example.org"
    assert result.event.subject == Issuer(OURS.certificate, OURS.key).subject
    assert list(ledger.events(type="crl")) == [result.event]


def test_an_entry_that_was_changed_stops_the_crl(ledger: Ledger) -> None:
    serial = revoked(ledger, reason="keyCompromise")
    tamper(
        ledger,
        "UPDATE log_entry SET entry = CAST(replace(CAST(entry AS TEXT), 'keyCompromise',"
        f" 'unspecified') AS BLOB) WHERE subject = 'certificate/{serial}'",
    )
    with pytest.raises(LogCorrupt, match="not those that were hashed"):
        sign(ledger)


def test_a_revocation_moved_out_of_its_stream_stops_the_crl(ledger: Ledger) -> None:
    serial = revoked(ledger)
    tamper(
        ledger,
        f"UPDATE log_entry SET subject = 'certificate/1' WHERE streamversion = 1 AND "
        f"subject = 'certificate/{serial}'",
    )
    with pytest.raises(LogCorrupt, match="not found in its stream"):
        sign(ledger)


def test_a_revocation_whose_type_was_hidden_is_still_found_by_the_table(ledger: Ledger) -> None:
    serial = revoked(ledger)
    tamper(ledger, "UPDATE log_entry SET type = 'x' WHERE streamversion = 1")
    assert serials(sign(ledger)) == {serial}


def tamper(ledger: Ledger, statement: str) -> None:
    """Change the log as somebody could who takes its triggers off."""

    def work(connection: Connection, _retrying: bool) -> None:
        connection.exec_driver_sql("DROP TRIGGER log_entry_no_update")
        connection.exec_driver_sql(statement)

    ledger.database.write(work)
