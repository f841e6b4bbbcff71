"""Evidence archives: the history of one certificate for somebody who trusts nobody here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from certledger import Ledger, acting_as
from certledger.errors import (
    EvidenceError,
    EvidenceRefused,
    LogCorrupt,
    MalformedEvidence,
    NoCheckpoint,
    UnknownSerial,
)
from certledger.eventstore.certificates import describe_certificate
from certledger.eventstore.events import CrlPublished
from certledger.eventstore.lifecycle import stream_of
from certledger.eventstore.proving import prove_entry
from certledger.eventstore.reader import read_entries
from certledger.eventstore.tlog.checkpoint import TrustedLog
from certledger.eventstore.tlog.keys import SigningKey
from certledger.eventstore.tlog.policy import Policy
from certledger.exporters.evidence import check_evidence, export_evidence
from certledger.exporters.readme import FORM
from certledger.exporters.stored_zip import pack, unpack
from certledger.testing.certificates import make_certificate, pem
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.evidence_texts import archive_of
from tests.support.given import END, SERIAL, START, event, issued
from tests.support.log import ORIGIN, append, new
from tests.support.populated import Populated, populate
from tests.support.signed import (
    LOG_KEY,
    OTHER_KEY,
    TRUST,
    VKEY,
    WITNESS_KEY,
    cosigned,
    sign_log,
    stored_note,
)

Members = dict[str, bytes]


@pytest.fixture
def ledger(url: str, clock: FakeClock) -> Iterator[Ledger]:
    with Ledger(url, clock=clock, origin=ORIGIN) as opened:
        yield opened


@pytest.fixture
def known(ledger: Ledger, clock: FakeClock, tmp_path: Path) -> Populated:
    """The serial numbers of a registry with 19 events, all signed."""
    made = populate(ledger, clock)
    sign_log(ledger.database, tmp_path, clock)
    return made


def members_of(ledger: Ledger, serial: int) -> Members:
    return unpack(export_evidence(ledger.database, serial))


def serials(known: Populated) -> list[int]:
    return [*known.valid, known.revoked, known.expired, known.late, known.deleted, known.again]


def test_the_archive_of_every_certificate_holds_its_whole_history(
    ledger: Ledger, known: Populated
) -> None:
    for serial in serials(known):
        checked = check_evidence(export_evidence(ledger.database, serial), TRUST)
        assert checked.bundle.serial == serial
        assert list(checked.bundle.events) == list(ledger.history(serial))
        assert checked.opened.checkpoint.size == 19
        assert not checked.foreign_texts


def test_its_files_are_the_exact_bytes(ledger: Ledger, known: Populated) -> None:
    members = members_of(ledger, known.revoked)
    seqs = [event.seq for event in ledger.history(known.revoked)]
    assert list(members) == [
        "README.txt",
        "summary.txt",
        "summary.html",
        "certificate.pem",
        "checkpoint",
        "checkpoint.signed",
        "checkpoint.signature",
        "log-key.vkey",
        "log-key.pem",
        *(f"events/{seq}.{suffix}" for seq in seqs for suffix in ("leaf", "tlog-proof")),
    ]

    def stored(connection: Connection) -> Iterator[tuple[str, bytes]]:
        for seq in seqs:
            (row,) = read_entries(connection, seq, seq + 1)
            yield f"events/{seq}.leaf", row.entry or b""
            yield f"events/{seq}.tlog-proof", prove_entry(connection, seq).proof.to_bytes()

    assert dict(ledger.database.read(lambda c: list(stored(c)))).items() <= members.items()
    assert members["checkpoint"] == stored_note(ledger.database)
    assert members["log-key.vkey"].decode() == f"{VKEY}\n"
    assert members["certificate.pem"].decode() == ledger.get(known.revoked).certificate_pem


def test_the_same_state_gives_the_same_bytes(
    ledger: Ledger, known: Populated, url: str, clock: FakeClock
) -> None:
    first = export_evidence(ledger.database, known.revoked)
    clock.step(days=3)
    with Ledger(url) as other:
        assert export_evidence(other.database, known.revoked) == first


def test_every_registration_of_a_serial_number_has_its_certificate(
    ledger: Ledger, known: Populated
) -> None:
    first, deleted, again = ledger.history(known.again)
    members = members_of(ledger, known.again)
    earlier = f"certificate-{first.seq}.pem"
    assert members["certificate.pem"].decode() == again.data.fields()["certificate_pem"]
    assert members[earlier].decode() == first.data.fields()["certificate_pem"]
    assert earlier in members["summary.txt"].decode()
    assert deleted.seq > first.seq


def test_a_deleted_certificate_has_evidence_too(ledger: Ledger, known: Populated) -> None:
    text = members_of(ledger, known.withdrawn)["summary.txt"].decode()
    assert "deleted from the registry; before that it was revoked" in " ".join(text.split())


def test_a_serial_number_that_never_was_has_none(ledger: Ledger, known: Populated) -> None:
    with pytest.raises(UnknownSerial):
        export_evidence(ledger.database, 1)


def test_an_event_newer_than_the_checkpoint_needs_a_new_one(
    ledger: Ledger, known: Populated, clock: FakeClock, tmp_path: Path
) -> None:
    ledger.revoke(known.valid[0])
    with pytest.raises(NoCheckpoint, match="sign one first"):
        export_evidence(ledger.database, known.valid[0])
    export_evidence(ledger.database, known.valid[1])
    sign_log(ledger.database, tmp_path, clock)
    check_evidence(export_evidence(ledger.database, known.valid[0]), TRUST)


def test_without_a_checkpoint_there_is_none(ledger: Ledger) -> None:
    ledger.issue(make_certificate(serial=7))
    with pytest.raises(NoCheckpoint, match="sign one first"):
        export_evidence(ledger.database, 7)


def test_no_evidence_is_made_of_a_log_that_was_edited(
    ledger: Ledger, known: Populated, file: Path
) -> None:
    seq = ledger.history(known.revoked)[0].seq
    raw.edit(file, f"UPDATE log_entry SET entry = x'7b7d' WHERE seq = {seq}")
    with pytest.raises(LogCorrupt, match=f"entry {seq}"):
        export_evidence(ledger.database, known.revoked)


def test_no_evidence_is_made_with_a_gap_in_the_history(
    ledger: Ledger, known: Populated, file: Path
) -> None:
    seq = ledger.history(known.again)[1].seq
    other = stream_of(known.valid[0])
    raw.edit(
        file,
        f"UPDATE log_entry SET subject = '{other}', streamversion = 9 WHERE seq = {seq}",
    )
    with pytest.raises(LogCorrupt, match="one is missing"):
        export_evidence(ledger.database, known.again)


def test_serials_and_names_of_all_kinds_can_be_given_away(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    for serial, name in (
        (2**159 - 1, None),
        (1, "<script>\u202e\n$(reboot)`id`"),
        (2, "例え\x1b[2J"),
    ):
        with acting_as("Ünal <o'brien>", comment="a\nb"):
            ledger.issue(make_certificate(name, serial=serial), uuid=f"'; rm -rf {serial}")
    sign_log(ledger.database, tmp_path, clock)
    for serial in (2**159 - 1, 1, 2):
        check_evidence(export_evidence(ledger.database, serial), TRUST)


# What is refused


def test_it_is_refused_with_another_key_or_for_another_log(
    ledger: Ledger, known: Populated
) -> None:
    data = export_evidence(ledger.database, known.revoked)
    for trust in (
        TrustedLog(ORIGIN, [OTHER_KEY.verifier_key]),
        TrustedLog("other.example", [LOG_KEY.verifier_key]),
        TrustedLog(ORIGIN, []),
    ):
        with pytest.raises(EvidenceRefused):
            check_evidence(data, trust)


def test_the_key_in_it_must_be_the_trusted_one(
    ledger: Ledger, known: Populated, clock: FakeClock, tmp_path: Path, file: Path
) -> None:
    """Both keys signed the checkpoint, but the README leads its reader to the other one."""
    first = stored_note(ledger.database)
    second = sign_log(ledger.database, tmp_path, clock, OTHER_KEY)
    both = first + second.rpartition(b"\n\n")[2]
    raw.edit(file, f"UPDATE log_checkpoint SET note = x'{both.hex()}'")
    data = export_evidence(ledger.database, known.revoked)
    assert OTHER_KEY.verifier_key.to_text() in unpack(data)["log-key.vkey"].decode()
    with pytest.raises(EvidenceRefused, match="is not one that is trusted"):
        check_evidence(data, TRUST)
    check_evidence(data, TrustedLog(ORIGIN, [OTHER_KEY.verifier_key]))


def test_a_policy_s_witnesses_must_have_cosigned_it(
    ledger: Ledger, known: Populated, file: Path
) -> None:
    witness = WITNESS_KEY.verifier_key.to_text()
    policy = Policy.from_bytes(f"log {VKEY}\nwitness w {witness}\nquorum w\n".encode())
    with pytest.raises(EvidenceRefused, match="quorum"):
        check_evidence(export_evidence(ledger.database, known.revoked), policy)
    note = cosigned(stored_note(ledger.database))
    raw.edit(file, f"UPDATE log_checkpoint SET note = x'{note.hex()}'")
    data = export_evidence(ledger.database, known.revoked)
    assert len(check_evidence(data, policy).opened.signatures) == 2
    assert "witness.example" in unpack(data)["summary.txt"].decode()


def test_every_file_in_it_counts(ledger: Ledger, known: Populated) -> None:
    """Each file changed, left out or put elsewhere is noticed."""
    members = members_of(ledger, known.again)
    check_evidence(pack(members), TRUST)
    for name, content in members.items():
        others = {key: value for key, value in members.items() if key != name}
        for changed in (
            others,
            {**others, name: content},
            members | {name: content + b"\n"},
            members | {name: content[:-1]},
            members | {name: content[:-1] + bytes([content[-1] ^ 1])},
            members | {name: content[: len(FORM) + 1]},
            {**others, f"x/{name}": content},
        ):
            if list(changed) != list(members) or changed != members:
                with pytest.raises(EvidenceError):
                    check_evidence(pack(changed), TRUST)


@pytest.mark.parametrize(
    "name", ["more.txt", "events/99.leaf", "events/7.txt", "a/b", "Checkpoint"]
)
def test_a_file_that_does_not_belong_there_is_refused(
    ledger: Ledger, known: Populated, name: str
) -> None:
    members = members_of(ledger, known.revoked)
    with pytest.raises(EvidenceError):
        check_evidence(pack(members | {name: b"{}"}), TRUST)


def without(members: Members, seq: int) -> Members:
    kept = (f"events/{seq}.leaf", f"events/{seq}.tlog-proof")
    return {name: content for name, content in members.items() if name not in kept}


def test_an_event_left_out_of_the_middle_is_noticed(ledger: Ledger, known: Populated) -> None:
    members = members_of(ledger, known.again)
    first, middle, _ = ledger.history(known.again)
    for seq in (first.seq, middle.seq):
        with pytest.raises(EvidenceRefused, match="one is missing"):
            check_evidence(pack(without(members, seq)), TRUST)


def test_an_event_of_another_certificate_does_not_fit_in(ledger: Ledger, known: Populated) -> None:
    members = members_of(ledger, known.valid[0])
    foreign = {
        name: content
        for name, content in members_of(ledger, known.revoked).items()
        if name.startswith("events/")
    }
    with pytest.raises(EvidenceRefused, match="not one certificate's history"):
        check_evidence(pack(members | foreign), TRUST)


def test_proofs_of_another_checkpoint_do_not_fit_in(
    ledger: Ledger, known: Populated, clock: FakeClock, tmp_path: Path
) -> None:
    old = members_of(ledger, known.revoked)
    ledger.issue(make_certificate(serial=7))
    sign_log(ledger.database, tmp_path, clock)
    new = members_of(ledger, known.revoked)
    seq = ledger.history(known.revoked)[0].seq
    name = f"events/{seq}.tlog-proof"
    with pytest.raises(EvidenceRefused, match="another entry or checkpoint"):
        check_evidence(pack(new | {name: old[name]}), TRUST)


@pytest.mark.parametrize("name", ["README.txt", "summary.txt", "summary.html"])
def test_a_text_for_people_that_was_edited_is_refused(
    ledger: Ledger, known: Populated, name: str
) -> None:
    members = members_of(ledger, known.revoked)
    edited = members[name].decode().replace("registry", "Registry")
    with pytest.raises(EvidenceRefused, match=f"{name} in the archive is not what"):
        check_evidence(pack(members | {name: edited.encode()}), TRUST)


def test_texts_of_another_version_are_not_refused_but_told(
    ledger: Ledger, known: Populated
) -> None:
    members = members_of(ledger, known.revoked)
    readme = members["README.txt"].replace(FORM.encode(), b"certledger evidence 9")
    checked = check_evidence(pack(members | {"README.txt": readme}), TRUST)
    assert checked.foreign_texts
    with pytest.raises(EvidenceRefused):
        check_evidence(pack(members | {"README.txt": readme, "log-key.pem": b"x"}), TRUST)
    del members["summary.html"]
    with pytest.raises(MalformedEvidence, match=r"has no summary\.html"):
        check_evidence(pack(members | {"README.txt": readme}), TRUST)


def test_a_certificate_that_is_not_the_recorded_one_is_refused(
    ledger: Ledger, known: Populated
) -> None:
    members = members_of(ledger, known.revoked)
    other = pem(make_certificate(serial=known.revoked))
    with pytest.raises(EvidenceRefused, match=r"certificate\.pem in the archive"):
        check_evidence(pack(members | {"certificate.pem": other}), TRUST)


# A registry that lies: it signed what no certledger writes

FIRST = event(issued(), seq=7)
CRL = {
    "type": CrlPublished.event_type,
    "data": CrlPublished(
        number="1",
        this_update=START,
        next_update=END,
        sha256="a1" * 32,
        entries=0,
        log_size=7,
        issuer="CN=Test CA",
    ),
}


def entry_with(**attributes: object) -> bytes:
    return FIRST.model_copy(update=attributes).to_entry()


@pytest.mark.parametrize(
    ("entries", "match"),
    [
        ({}, "there is no entry in it"),
        ({8: FIRST.to_entry()}, "entry 8 says of itself that it is entry 7"),
        ({7: b"{}"}, "entry 7 is no event of certledger"),
        ({7: entry_with(source="other.example")}, "entry 7 is of the registry 'other.example'"),
        ({7: FIRST.to_entry()}, "entry 7: not a certificate"),
        ({7: entry_with(streamversion=1)}, "one is missing"),
        ({7: entry_with(subject="crl/ab", **CRL)}, "not one certificate's history"),
    ],
)
def test_a_signed_history_that_is_none_is_refused(entries: dict[int, bytes], match: str) -> None:
    with pytest.raises(EvidenceError, match=match):
        check_evidence(archive_of(entries), TRUST)


@pytest.mark.parametrize("other", ["digest", "serial"])
def test_a_signed_entry_with_another_certificate_than_it_says_is_refused(other: str) -> None:
    certificate = make_certificate(serial=SERIAL)
    data = describe_certificate(certificate)
    if other == "digest":
        wrong = data.model_copy(update={"sha256": "a1" * 32})
    else:
        shown = describe_certificate(make_certificate(serial=SERIAL + 1))
        wrong = shown.model_copy(update={"serial_number": str(SERIAL)})
    with pytest.raises(EvidenceRefused, match="entry 7 holds another certificate than it says"):
        check_evidence(archive_of({7: event(wrong, seq=7).to_entry()}), TRUST)
    archive = archive_of({7: event(data, seq=7).to_entry()})
    with pytest.raises(MalformedEvidence, match=r"has no README\.txt"):
        check_evidence(archive, TRUST)  # all else holds


@pytest.mark.parametrize(
    ("key", "match"),
    [(OTHER_KEY, "did not sign the checkpoint"), (WITNESS_KEY, "has the type 0x04; 0x01 is")],
)
def test_a_key_in_the_archive_that_did_not_sign_as_a_log_is_refused(
    key: SigningKey, match: str
) -> None:
    archive = archive_of({7: FIRST.to_entry()}, key.verifier_key.to_text())
    with pytest.raises(EvidenceError, match=match):
        check_evidence(archive, TRUST)


def test_no_evidence_is_made_with_a_certificate_that_contradicts_its_entry(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    """Only a writer that is not certledger could have appended it."""
    data = describe_certificate(make_certificate(serial=SERIAL))
    append(
        ledger.database,
        clock,
        [new(data.model_copy(update={"sha256": "a1" * 32}))],
        expected_version=0,
    )
    sign_log(ledger.database, tmp_path, clock)
    with pytest.raises(LogCorrupt, match="another certificate than it says"):
        export_evidence(ledger.database, SERIAL)


def test_a_certificate_registered_twice_is_in_it_once(
    ledger: Ledger, clock: FakeClock, tmp_path: Path
) -> None:
    certificate = make_certificate(serial=SERIAL)
    for _ in range(2):
        ledger.issue(certificate)
        ledger.delete(SERIAL)
    sign_log(ledger.database, tmp_path, clock)
    names = [name for name in members_of(ledger, SERIAL) if name.startswith("certificate")]
    assert names == ["certificate.pem"]


def test_the_reference_names_every_file_in_an_archive(ledger: Ledger, known: Populated) -> None:
    root = Path(__file__).resolve().parent.parent.parent
    page = (root / "docs" / "reference" / "evidence.md").read_text(encoding="utf-8")
    section = page.partition("## The evidence archive")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    found = [re.sub(r"\b\d+\b", "SEQ", name) for name in members_of(ledger, known.again)]
    assert list(dict.fromkeys(found)) == documented
    assert FORM in page
