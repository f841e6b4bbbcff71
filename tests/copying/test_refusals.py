"""What is no empty database and no part of this copy is left as it is."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from certledger import Ledger
from certledger.copying import copy
from certledger.errors import CopyRefused, InvalidValue, NotARegistry, UpgradeNeeded
from certledger.eventstore.database import Database
from certledger.testing.certificates import make_certificate
from tests.copying.contents import SIZE, contents, image, url_of
from tests.support import raw
from tests.support.log import ORIGIN
from tests.support.old_schema import copy_first

PlaceOf = Callable[[str], str]


def refused(source: Path, target: Path, error: type[Exception], match: str) -> None:
    """The copy is refused, and the target keeps every byte."""
    before = image(target)
    with pytest.raises(error, match=match):
        copy(url_of(source), url_of(target))
    assert image(target) == before


def test_a_registry_of_its_own(original: Path, target_file: Path) -> None:
    with Ledger(url_of(target_file), origin="other.example/log") as ledger:
        ledger.issue(make_certificate("other.example.org"))
    refused(
        original, target_file, CopyRefused, "of its own and no copy: other.example/log, of size 1"
    )


def test_a_registry_without_entries(original: Path, target_file: Path) -> None:
    Ledger(url_of(target_file), origin=ORIGIN).close()
    refused(original, target_file, CopyRefused, "of size 0; give a database without tables")


def test_a_file_that_was_copied_as_a_file(original: Path, target_file: Path) -> None:
    shutil.copyfile(original, target_file)
    refused(original, target_file, CopyRefused, f"of its own and no copy: {ORIGIN}, of size {SIZE}")


def test_a_copy_of_another_registry(original: Path, target_file: Path, tmp_path: Path) -> None:
    with Ledger(url_of(tmp_path / "other.db"), origin="other.example/log") as ledger:
        ledger.issue(make_certificate("other.example.org"))
    copy(url_of(tmp_path / "other.db"), url_of(target_file))
    refused(original, target_file, CopyRefused, "a copy of another registry, other.example/log")


def test_a_copy_of_another_registry_with_the_same_name(
    original: Path, target_file: Path, tmp_path: Path
) -> None:
    Ledger(url_of(tmp_path / "other.db"), origin=ORIGIN).close()
    copy(url_of(tmp_path / "other.db"), url_of(target_file))
    refused(original, target_file, CopyRefused, "a copy of another registry")


def test_a_copy_that_is_used_already(original: Path, target_file: Path) -> None:
    copy(url_of(original), url_of(target_file))
    with Ledger(url_of(target_file)) as ledger:
        ledger.revoke(10_002)
    refused(
        original,
        target_file,
        CopyRefused,
        f"has {SIZE + 1} entries, the source has {SIZE}: it is used already, or the source is an",
    )


def test_two_registries_that_went_different_ways(source_file: Path, target_file: Path) -> None:
    copy(url_of(source_file), url_of(target_file))
    with Ledger(url_of(target_file)) as ledger:
        ledger.revoke(10_002)
    with Ledger(url_of(source_file)) as ledger:
        ledger.revoke(10_003)
    refused(
        source_file, target_file, CopyRefused, f"no part of the source: the root .* {SIZE + 1} ent"
    )


def test_a_copy_with_checkpoints_of_its_own(
    source_file: Path, target_file: Path, original: Path
) -> None:
    copy(url_of(source_file), url_of(target_file))
    raw.edit(
        target_file,
        "INSERT INTO log_checkpoint SELECT 3, size, root, key, stored_at, note "
        "FROM log_checkpoint WHERE number = 2",
    )
    refused(original, target_file, CopyRefused, "has 4 stored checkpoints, the source has 3")


def test_a_database_of_something_else(original: Path, target_file: Path) -> None:
    with closing(sqlite3.connect(target_file)) as stranger:
        stranger.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    refused(original, target_file, NotARegistry, r"tables of something else \(orders\)")


def test_a_registry_of_an_older_version(original: Path, target_file: Path) -> None:
    copy_first(target_file)
    refused(original, target_file, UpgradeNeeded, "db upgrade")


def test_a_registry_is_not_copied_onto_itself(source_file: Path, tmp_path: Path) -> None:
    refused(source_file, source_file, InvalidValue, "source and target at once")
    (tmp_path / "link.db").symlink_to(source_file)
    refused(source_file, tmp_path / "link.db", InvalidValue, "source and target at once")
    with Ledger(url_of(source_file)) as ledger, pytest.raises(InvalidValue):
        copy(ledger.database, ledger.database)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_place_on_a_server_is_not_copied_onto_itself(
    original: Path, place_of: PlaceOf, kind: str
) -> None:
    url = place_of(kind)
    copy(url_of(original), url)
    with pytest.raises(InvalidValue, match="source and target at once"):
        copy(url, url)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_database_that_does_not_exist(original: Path, place_of: PlaceOf, kind: str) -> None:
    missing = place_of(kind).replace("certledger_test_", "certledger_none_")
    with pytest.raises(NotARegistry, match="certledger_none_"):
        copy(url_of(original), missing)


def test_a_target_that_somebody_else_writes_to(original: Path, target_file: Path) -> None:
    """Who had it open before the copy began is not kept from writing; the copy finds out."""
    writer = Database(url_of(target_file))

    def write(done: int, _total: int) -> None:
        if done == SIZE:
            raw.edit(
                target_file,
                "INSERT INTO log_entry SELECT seq + 1, hashes, 'id', 'subject', 0, type, actor, "
                f"NULL, recorded_at, entry FROM log_entry WHERE seq = {SIZE - 1}",
                f"UPDATE log_head SET size = {SIZE + 1}",
            )

    with pytest.raises(CopyRefused, match=f"it had {SIZE} entries, now it has {SIZE + 1}"):
        copy(url_of(original), writer, progress=write)
    writer.close()


def test_of_two_copies_at_once_one_goes_on(original: Path, target_file: Path) -> None:
    def second(done: int, _total: int) -> None:
        if 0 < done < SIZE / 2:
            copy(url_of(original), url_of(target_file))

    with pytest.raises(CopyRefused, match="that no other copy goes on"):
        copy(url_of(original), url_of(target_file), progress=second)
    assert contents(url_of(target_file)) == contents(url_of(original))
    Ledger(url_of(target_file), create=False).close()


def test_a_refusal_leaves_the_source_as_it_is(source_file: Path, target_file: Path) -> None:
    before = contents(url_of(source_file))
    Ledger(url_of(target_file)).close()
    with pytest.raises(CopyRefused):
        copy(url_of(source_file), url_of(target_file))
    assert contents(url_of(source_file)) == before
