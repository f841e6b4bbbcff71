"""A certificate registry in which every change is an event in one hashed, append-only log."""

from certledger.async_ledger import AsyncLedger
from certledger.bulk import Outcome, Registration
from certledger.db import (
    AsyncDatabaseManager,
    AsyncDBHandler,
    BaseDB,
    CertificateRecord,
    CertificateStatus,
    RevokeStatus,
    SyncDatabaseManager,
    SyncDBHandler,
)
from certledger.db.models import Base
from certledger.db.sync_db_manager import DatabaseManager
from certledger.errors import LedgerError
from certledger.eventstore.actor import acting_as
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.event import Event
from certledger.ledger import DEFAULT_LOGGER, Ledger

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_LOGGER",
    "AsyncDBHandler",
    "AsyncDatabaseManager",
    "AsyncLedger",
    "Base",
    "BaseDB",
    "CertType",
    "CertificateRecord",
    "CertificateStatus",
    "DatabaseManager",
    "Event",
    "Ledger",
    "LedgerError",
    "Outcome",
    "Registration",
    "RevokeStatus",
    "SyncDBHandler",
    "SyncDatabaseManager",
    "acting_as",
]
