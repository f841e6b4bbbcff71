"""Checking an exported tree without the registry, and against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from certledger import Ledger
from certledger.errors import EvidenceError, EvidenceRefused
from certledger.eventstore.tlog.checkpoint import TrustedLog
from certledger.exporters.mirror import check_mirror, compare_with_registry
from tests.support.exported import Publisher, certificate
from tests.support.log import ORIGIN
from tests.support.signed import OTHER_KEY, TRUST


def test_an_export_is_right(publisher: Publisher) -> None:
    publisher.publish(300)
    assert check_mirror(publisher.folder, TRUST).size == 300


def test_a_checkpoint_by_another_key_is_refused(publisher: Publisher) -> None:
    publisher.publish(3)
    with pytest.raises(EvidenceRefused):
        check_mirror(publisher.folder, TrustedLog(ORIGIN, [OTHER_KEY.verifier_key]))


PATHS = ("tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_a_flipped_bit_in_any_file_is_found(publisher: Publisher, path: str, place: str) -> None:
    publisher.publish(300)
    file = publisher.folder / path
    data = bytearray(file.read_bytes())
    data[{"first": 0, "middle": len(data) // 2, "last": -1}[place]] ^= 1
    file.write_bytes(data)
    with pytest.raises(EvidenceError):
        check_mirror(publisher.folder, TRUST)


@pytest.mark.parametrize("path", PATHS)
def test_a_missing_file_is_named(publisher: Publisher, path: str) -> None:
    publisher.publish(300)
    (publisher.folder / path).unlink()
    with pytest.raises(EvidenceRefused, match=path.replace(".", r"\.")):
        check_mirror(publisher.folder, TRUST)


@pytest.mark.parametrize("path", PATHS)
def test_a_cut_off_file_is_found(publisher: Publisher, path: str) -> None:
    publisher.publish(300)
    file = publisher.folder / path
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(EvidenceError):
        check_mirror(publisher.folder, TRUST)


def test_a_registry_that_went_on_has_the_same_beginning(publisher: Publisher) -> None:
    publisher.publish(300)
    publisher.grow(310)
    checkpoint = check_mirror(publisher.folder, TRUST)
    assert compare_with_registry(publisher.folder, checkpoint, publisher.ledger.database) == 310


def test_a_registry_of_another_history_is_told(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(3)
    checkpoint = check_mirror(publisher.folder, TRUST)
    with Ledger(f"sqlite:///{tmp_path}/other.db", origin=ORIGIN) as other:
        other.issue(certificate(1))
        with pytest.raises(EvidenceRefused, match="differ within their first 1 entries"):
            compare_with_registry(publisher.folder, checkpoint, other.database)


def test_a_registry_of_another_name_is_told(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish(1)
    checkpoint = check_mirror(publisher.folder, TRUST)
    with (
        Ledger(f"sqlite:///{tmp_path}/other.db", origin="other.example/log") as other,
        pytest.raises(EvidenceRefused, match="other"),
    ):
        compare_with_registry(publisher.folder, checkpoint, other.database)
