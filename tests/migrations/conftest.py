"""Registries of the first schema, on every kind of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from certledger.eventstore.database import Database
from tests.support.old_schema import Old, copy_first, make_first
from tests.support.servers import empty_place

KINDS = ("sqlite", "postgresql", "mariadb")


@pytest.fixture(params=KINDS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Old]:
    if request.param == "sqlite":
        copy_first(tmp_path / "old.db")
        yield Old(f"sqlite:///{tmp_path}/old.db", f"sqlite:///{tmp_path}/new.db")
        return
    server = request.getfixturevalue(f"{request.param}_server")
    with empty_place(request.param, server) as place, empty_place(request.param, server) as other:
        make_first(place.url)
        yield Old(place.url, other.url)


@pytest.fixture
def database(old: Old) -> Iterator[Database]:
    """The registry of the first schema."""
    opened = Database(old.url, retry_seconds=20)
    yield opened
    opened.close()


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """The file that an earlier version wrote, to be changed at will."""
    file = tmp_path / "first.db"
    copy_first(file)
    return file
