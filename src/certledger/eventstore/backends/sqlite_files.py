"""SQLite's files: what a URL names, what the ground allows, and a look that changes nothing."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from sqlalchemy.engine import URL

_OWN_ARGUMENTS: Final = frozenset({"mode", "immutable", "cache", "vfs", "nolock", "psow"})
"""Of SQLite's URI file names."""


def is_in_memory(url: URL) -> bool:
    """Tell whether the URL names a database that lives in this process only."""
    if url.get_backend_name() != "sqlite":
        return False
    name = url.database or ""
    return name in {"", ":memory:", "file::memory:"} or url.query.get("mode") == "memory"


def file_of(url: URL) -> Path | None:
    """Return the path of an SQLite file, None for other databases and those in memory."""
    if url.get_backend_name() != "sqlite" or is_in_memory(url):
        return None
    name = url.database or ""
    return Path(unquote(urlsplit(name).path) if name.startswith("file:") else name)


def connectable(url: URL) -> URL:
    """Return a URL by which SQLite sees its own arguments, such as `mode=ro`, and can read a file
    on read-only ground: in WAL mode it otherwise wants to write beside it.
    """
    name = url.database or ""
    if name.startswith("file:"):
        url = url.set(query={**url.query, "uri": "true"})
    elif name not in {"", ":memory:"} and _OWN_ARGUMENTS & set(url.query):
        url = _with_arguments(url, Path(name))
    path = file_of(url)
    if path is None or not path.is_file() or is_opened_read_only(url):
        return url
    return _with_arguments(url, path, **_what_the_ground_allows(path))


def is_opened_read_only(url: URL) -> bool:
    """Tell whether the URL itself says that nothing is to be written."""
    return url.query.get("mode") == "ro" or "immutable" in url.query


def _what_the_ground_allows(path: Path) -> dict[str, str]:
    folder_writable = os.access(path.parent, os.W_OK)
    if os.access(path, os.W_OK) and folder_writable:
        return {}
    # `immutable` ignores the write-ahead log: right only where there is nothing in it.
    if not folder_writable and _is_empty(Path(f"{path}-wal")):
        return {"mode": "ro", "immutable": "1"}
    return {"mode": "ro"}


def _is_empty(file: Path) -> bool:
    return not file.exists() or file.stat().st_size == 0


def _with_arguments(url: URL, path: Path, **arguments: str) -> URL:
    if not arguments and not _OWN_ARGUMENTS & set(url.query):
        return url
    return url.set(
        database=path.resolve().as_uri().replace("file://", "file:"),
        query={**url.query, **arguments, "uri": "true"},
    )


def peek_tables(path: Path) -> frozenset[str] | None:
    """Return the names of a file's tables without changing a byte of it; None where only a real
    opening can tell, as after a crash.

    Setting up a connection switches the file to WAL, which is not to be done to others' files.
    Raises `sqlite3.DatabaseError` for a file that is not an SQLite database.
    """
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    if _is_empty(Path(f"{path}-wal")):
        uri += "&immutable=1"  # otherwise a file in WAL mode gets files beside it
    try:
        connection = sqlite3.connect(uri, uri=True)
        try:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return frozenset(name for (name,) in rows)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_NOTADB:  # the primary code
            raise
        return None


def size_of(path: Path | None) -> int | None:
    """Return the bytes of a database file and the write-ahead log beside it."""
    if path is None:
        return None
    files = (path, Path(f"{path}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
