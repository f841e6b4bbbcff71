"""The facade: the standard registry interface, module for module as callers know it."""

from __future__ import annotations

from certledger.db.async_db_manager import AsyncDBHandler
from certledger.db.async_db_manager import DatabaseManager as AsyncDatabaseManager
from certledger.db.base_db import BaseDB
from certledger.db.const import CertificateStatus, RevokeStatus
from certledger.db.models import CertificateRecord
from certledger.db.sync_db_manager import DatabaseManager as SyncDatabaseManager
from certledger.db.sync_db_manager import SyncDBHandler

__all__ = [
    "AsyncDBHandler",
    "AsyncDatabaseManager",
    "BaseDB",
    "CertificateRecord",
    "CertificateStatus",
    "RevokeStatus",
    "SyncDBHandler",
    "SyncDatabaseManager",
]
