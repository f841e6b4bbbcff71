"""Database URLs as callers write them, for the driver that synchronous work needs."""

from __future__ import annotations

from typing import Final

from sqlalchemy.engine import URL

_SYNC_DRIVERS: Final = {"sqlite+aiosqlite": "sqlite"}


def sync_url(url: str | URL) -> str | URL:
    """Return the URL with an asynchronous driver replaced by its synchronous sibling."""
    if isinstance(url, URL):
        return url.set(drivername=_SYNC_DRIVERS.get(url.drivername, url.drivername))
    scheme, colon, rest = url.partition(":")
    return _SYNC_DRIVERS.get(scheme, scheme) + colon + rest
