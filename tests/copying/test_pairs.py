"""A registry is the same after its move, whatever databases it moves between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from certledger import Ledger
from certledger.copying import copy
from certledger.eventstore.database import Database
from tests.copying.contents import KINDS, SIZE, contents, findings, url_of
from tests.support.servers import Place

PlaceOf = Callable[[str], str]

every_target = pytest.mark.parametrize("to", KINDS)


@every_target
@pytest.mark.parametrize("start", KINDS)
def test_every_value_arrives(original: Path, place_of: PlaceOf, start: str, to: str) -> None:
    source, target = url_of(original), place_of(to)
    if start != "sqlite":
        source = place_of(start)
        copy(url_of(original), source)
    report = copy(source, target)
    assert contents(target) == contents(url_of(original))
    assert findings(target) == []
    assert (report.size, report.copied, report.checkpoints) == (SIZE, SIZE, 3)
    assert (report.source_drift, report.source_fault, report.behind) == (0, None, 0)


@every_target
def test_the_registry_goes_on_where_it_is_now(original: Path, place_of: PlaceOf, to: str) -> None:
    target = place_of(to)
    copy(url_of(original), target)
    with Ledger(target, create=False) as ledger:
        assert ledger.revoke(10_002).seq == SIZE
        assert [*ledger.drift()] == []
        assert [found for found in ledger.verify() if found.level == "finding"] == []


@every_target
def test_copied_again_nothing_is_written(original: Path, place_of: PlaceOf, to: str) -> None:
    target = place_of(to)
    first = copy(url_of(original), target)
    again = copy(url_of(original), target)
    assert again == replace(first, copied=0, seconds=again.seconds)


@every_target
def test_an_empty_registry_keeps_its_name_and_age(
    tmp_path: Path, place_of: PlaceOf, to: str
) -> None:
    source, target = url_of(tmp_path / "empty.db"), place_of(to)
    with Ledger(source, origin="ca.example.org/new") as ledger:
        head = ledger.head()
    report = copy(source, target)
    assert (report.origin, report.size, report.root) == (head.origin, 0, head.root)
    with Ledger(target, create=False) as ledger:
        assert ledger.head() == head


def test_postgresql_knows_the_tables_before_they_are_used(
    original: Path, postgresql: Place
) -> None:
    """Without statistics it would go through the whole log for the streams of a few."""
    copy(url_of(original), postgresql.url)
    with postgresql.administrator() as sql:
        counted = sql.exec_driver_sql(
            "SELECT relname, reltuples FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace "
            f"WHERE nspname = '{postgresql.name}' AND relname IN ('log_entry', 'certificates')"
        )
        assert dict(counted.all()) == {"log_entry": SIZE, "certificates": 2_085}


def test_a_registry_in_memory_is_copied_from_and_to(original: Path, target_file: Path) -> None:
    memory = Database("sqlite://")
    copy(url_of(original), memory)
    with Ledger(memory, create=False):
        copy(memory, url_of(target_file))
    assert contents(url_of(target_file)) == contents(url_of(original))


def test_two_databases_in_memory_are_two(original: Path) -> None:
    first, second = Database("sqlite://"), Database("sqlite://")
    copy(url_of(original), first)
    assert copy(first, second).copied == SIZE
    first.close()
    second.close()
