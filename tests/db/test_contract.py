"""Every name, signature and column of the contract is as written."""

from __future__ import annotations

import importlib
import inspect
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

import pytest

import certledger
from certledger.db import (
    AsyncDBHandler,
    BaseDB,
    CertificateRecord,
    CertificateStatus,
    RevokeStatus,
    SyncDBHandler,
)
from certledger.testing.contract.calling import REQUIRED, SIGNATURES
from certledger.testing.rules import RULES, covers

NAMES = {
    "certledger": {
        "AsyncDBHandler",
        "AsyncDatabaseManager",
        "Base",
        "BaseDB",
        "CertType",
        "CertificateRecord",
        "CertificateStatus",
        "DatabaseManager",
        "DEFAULT_LOGGER",
        "RevokeStatus",
        "SyncDBHandler",
        "SyncDatabaseManager",
    },
    "certledger.db": {
        "AsyncDBHandler",
        "AsyncDatabaseManager",
        "BaseDB",
        "CertificateRecord",
        "CertificateStatus",
        "RevokeStatus",
        "SyncDBHandler",
        "SyncDatabaseManager",
    },
    "certledger.db.async_db_manager": {"AsyncDBHandler", "DatabaseManager"},
    "certledger.db.base_db": {"BaseDB"},
    "certledger.db.const": {"CertificateStatus", "RevokeStatus"},
    "certledger.db.models": {"Base", "CertificateRecord"},
    "certledger.db.sync_db_manager": {"DatabaseManager", "SyncDBHandler"},
}

COLUMNS = {
    "id": int,
    "serial_number": str,
    "common_name": str,
    "status": str,
    "not_valid_before": datetime,
    "not_valid_after": datetime,
    "key_type": str,
    "certificate_pem": str,
    "revocation_date": datetime,
    "revocation_reason": int,
    "uuid": str,
}
MAY_BE_NONE = {"revocation_date", "revocation_reason", "uuid"}


def test_every_column_has_a_rule() -> None:
    assert {f"record.{name}" for name in COLUMNS} <= set(RULES)


@covers("names.root", "names.modules")
@pytest.mark.parametrize("module", NAMES)
def test_the_names_of_the_contract_can_be_imported(module: str) -> None:
    missing = {name for name in NAMES[module] if not hasattr(importlib.import_module(module), name)}
    assert missing == set()


@covers("names.db")
@pytest.mark.parametrize("module", [name for name in NAMES if name != "certledger"])
def test_a_module_exports_what_is_documented_and_nothing_else(module: str) -> None:
    assert set(importlib.import_module(module).__all__) == NAMES[module]


@covers("names.alias")
def test_the_database_managers_have_their_second_names() -> None:
    manager = importlib.import_module("certledger.db.sync_db_manager").DatabaseManager
    assert certledger.DatabaseManager is manager
    assert importlib.import_module("certledger.db").SyncDatabaseManager is manager
    manager = importlib.import_module("certledger.db.async_db_manager").DatabaseManager
    assert certledger.AsyncDatabaseManager is manager
    assert importlib.import_module("certledger.db").AsyncDatabaseManager is manager


@covers("key_type.values")
def test_the_key_types_are_the_documented_ones() -> None:
    assert {member.name: member.value for member in certledger.CertType} == {
        "USER": "user",
        "SERVICE": "service",
        "DEVICE": "device",
        "INTERNAL": "internal",
        "CA": "ca",
    }


@covers("status.values")
def test_the_statuses_are_the_documented_ones() -> None:
    assert issubclass(CertificateStatus, StrEnum)
    assert {member.name: member.value for member in CertificateStatus} == {
        "VALID": "valid",
        "REVOKED": "revoked",
        "EXPIRED": "expired",
        "UNKNOWN": "unknown",
    }


@covers("revoke_status.values")
def test_the_texts_of_a_revocations_outcome_are_exact() -> None:
    assert issubclass(RevokeStatus, Enum)
    assert {member.name: member.value for member in RevokeStatus} == {
        "OK": "success",
        "NOT_FOUND": "The certificate was not revoked because there is no valid certificate "
        "with the specified serial number.",
        "UNKNOWN_ERROR": "The certificate was not revoked due to an internal error. "
        "Please review the service logs.",
    }


@covers("call.names")
@pytest.mark.parametrize("registry", [BaseDB, SyncDBHandler, AsyncDBHandler])
@pytest.mark.parametrize("method", SIGNATURES)
def test_names_order_and_defaults_of_arguments_are_exact(
    registry: type[BaseDB], method: str
) -> None:
    parameters = list(inspect.signature(getattr(registry, method)).parameters.values())[1:]
    by_position = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert [(one.name, one.default) for one in by_position] == list(SIGNATURES[method].items())


@covers("call.names")
@pytest.mark.parametrize("handler", [SyncDBHandler, AsyncDBHandler])
def test_a_handler_is_made_with_a_url_a_logger_and_a_choice_about_errors(
    handler: type[BaseDB],
) -> None:
    parameters = inspect.signature(handler).parameters
    assert [(one.name, one.default) for one in parameters.values()] == [
        ("db_url", REQUIRED),
        ("logger", None),
        ("raise_errors", False),
        ("schema", None),
    ]
    for name in ("raise_errors", "schema"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY


@covers("call.abstract")
def test_the_interface_is_abstract_in_exactly_its_nine_methods() -> None:
    assert BaseDB.__abstractmethods__ == set(SIGNATURES)
    assert issubclass(SyncDBHandler, BaseDB)
    assert issubclass(AsyncDBHandler, BaseDB)
    with pytest.raises(TypeError):
        BaseDB()  # type: ignore[abstract] # what is tested


@covers(
    "record.id",
    "record.serial_number",
    "record.common_name",
    "record.status",
    "record.not_valid_before",
    "record.not_valid_after",
    "record.key_type",
    "record.certificate_pem",
    "record.revocation_date",
    "record.revocation_reason",
    "record.uuid",
)
def test_the_table_has_exactly_the_columns_of_the_contract() -> None:
    table: Any = CertificateRecord.__table__
    assert table.name == "certificates"
    assert {column.name: column.type.python_type for column in table.columns} == COLUMNS
    assert {column.name for column in table.columns if column.nullable} == MAY_BE_NONE
    assert [column.name for column in table.primary_key] == ["id"]
