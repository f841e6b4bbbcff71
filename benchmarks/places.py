"""Where a registry that is measured lies: a new file, schema or database for each round."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from certledger.testing.places import empty_place

Place = Callable[[], AbstractContextManager[str]]
"""Lends the URL of a new, empty place."""


def files_in(folder: Path) -> Place:
    """Return what lends URLs of SQLite files in a folder."""

    @contextmanager
    def place() -> Iterator[str]:
        yield f"sqlite:///{folder / secrets.token_hex(6)}.db"

    return place


def places_on(kind: str, server: str) -> Place:
    """Return what lends URLs of schemas (PostgreSQL) or databases (MariaDB) on a server."""

    @contextmanager
    def place() -> Iterator[str]:
        with empty_place(kind, server) as found:
            yield found.url

    return place
