"""The contract of the facade as a list of rules, so that none can be without its test.

A test that shows a rule bears `@covers("its.id")`, and has the ids as its attribute `rules`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

Test = TypeVar("Test", bound=Callable[..., Any])

RULES: Final = {
    # Names
    "names.root": "the contract's names can be imported from certledger itself",
    "names.modules": "and from the submodules of certledger.db that callers know",
    "names.db": "certledger.db exports exactly the documented names",
    "names.alias": "SyncDatabaseManager is the sync DatabaseManager",
    "key_type.values": "CertType has the documented members and values",
    "key_type.spellings": "tiny_ca's members and codes are understood in any case",
    "key_type.unknown": "an unknown key type is refused with the list of the known",
    "status.values": "CertificateStatus is a StrEnum of four values",
    "revoke_status.values": "the texts of RevokeStatus are exact",
    # CertificateRecord
    "record.id": "surrogate primary key, grows with time",
    "record.serial_number": "decimal string, unique, indexed",
    "record.common_name": "the CN, not unique",
    "record.status": "a status value, by default valid",
    "record.not_valid_before": "naive UTC",
    "record.not_valid_after": "naive UTC, indexed",
    "record.key_type": "a CertType value, by default device",
    "record.certificate_pem": "the whole certificate",
    "record.revocation_date": "naive UTC, None unless revoked",
    "record.revocation_reason": "the CRLReason's number, None unless revoked",
    "record.uuid": "the folder of the files, None where there are none",
    "record.keywords": "records are made with keyword arguments",
    "record.unknown_keyword": "an unknown keyword is a TypeError",
    "record.detached": "every column of a returned record is readable after the call",
    "record.truthy": "records and handlers are truthy",
    # Calls
    "call.names": "names, order and defaults of all arguments are exact",
    "call.keywords": "every argument may be given by keyword",
    "call.positions": "every argument may be given by position",
    "call.serial_keyword": "revoke_certificate also takes the keyword serial, out of sight",
    "call.abstract": "BaseDB is abstract in all nine methods",
    # register_cert_in_db
    "register.durable": "True once durable",
    "register.duplicate_serial": "False, logged, nothing changed",
    "register.duplicate_uuid": "False, logged, nothing changed",
    "register.failure": "any failure: False, logged, nothing changed",
    "register.no_cn": "IndexError, only here",
    "register.expired": "an expired certificate is VALID; the next sweep expires it",
    "register.first_cn": "of several CNs the first",
    "register.bytes_cn": "a CN of bytes is decoded as UTF-8",
    "register.default_key_type": "device where none is given",
    "register.cn_limits": "at most 512 characters, no NUL",
    "register.log_line": "the log says plainly what failed",
    # uuid
    "uuid.text": "any text of 1 to 255 characters, kept as given",
    "uuid.too_long": "256 characters are refused",
    "uuid.empty": "an empty one is refused",
    "uuid.object": "UUID objects by str()",
    "uuid.none": "many certificates may have none",
    "uuid.free_again": "free again after deletion",
    # Looking up
    "get_by_serial.any_status": "whatever its status",
    "get_by_serial.missing": "None",
    "get_by_name.valid": "only VALID",
    "get_by_name.missing": "None",
    "get_by_name.not_past_end": "of two VALID the one not past its end",
    "get_by_name.latest_start": "then the one with the latest not_valid_before",
    "get_by_name.highest_id": "then the one with the highest id",
    # list_all
    "list.newest_first": "id descending",
    "list.filters": "status and key type combine",
    "list.pages": "limit and offset",
    "list.default_limit": "100",
    "list.unknown": "an unknown status or key type: [] and a warning",
    "list.negative": "a negative limit or offset: [] and a warning",
    # get_expiring
    "expiring.window": "VALID with now < not_valid_after <= now + window, soonest first",
    "expiring.default": "30 days",
    "expiring.huge": "a window too large for a date means all",
    "expiring.negative": "[]",
    # get_revoked_certificates
    "revoked.generator": "a generator",
    "revoked.rows": "rows by attribute and by position",
    "revoked.order": "by revocation date and serial",
    "revoked.past_end": "not those whose certificate is past its end",
    "revoked.window": "not those revoked 365 days ago or longer",
    "revoked.no_window": "window=None gives every one within its validity",
    "revoked.deleted": "deletion never ends a revocation",
    "revoked.one_query": "all rows are fetched before the first is yielded",
    "revoked.raises": "raises when the database fails",
    # revoke_certificate
    "revoke.ok": "(True, OK), with date and reason",
    "revoke.not_valid": "(False, NOT_FOUND) unless VALID",
    "revoke.failure": "(False, UNKNOWN_ERROR) after logging",
    "revoke.default_reason": "unspecified",
    "revoke.reasons": "a flag, a name in any case, a code or None, with RFC 5280's number",
    "revoke.remove_from_crl": "refused",
    "revoke.bad_reason": "(False, UNKNOWN_ERROR)",
    # delete_by_uuid
    "delete.row": "the row goes, the log keeps its history",
    "delete.missing": "False",
    "delete.none_or_empty": "False, nothing deleted",
    # update_status_expired
    "sweep.rows": "every VALID one past its end, and how many",
    "sweep.nothing_due": "0, without the write lock",
    "sweep.error": "0 on error, after logging",
    "sweep.later_batch": "a failure in a later batch: what was committed",
    # Failing and logging
    "log.change": "every change INFO",
    "log.refusal": "a refusal WARNING",
    "log.failure": "a database failure ERROR with the exception",
    "log.silent": "nothing is printed unless the application asks",
    "log.default": "DEFAULT_LOGGER where none is given, else the one given",
    "fail.locked": "a locked database: None, False, [], 0",
    "fail.broken": "a broken database: None, False, [], 0",
    "fail.raise_errors": "raise_errors=True raises the typed error",
    # DatabaseManager
    "manager.defaults": "names and defaults of its arguments",
    "manager.alone": "works without a handler",
    "manager.create_all_off": "issues no DDL",
    "manager.session": "a session on the read model that locks nobody out",
    "manager.reach_through": "handler._db.session(), handler._db._engine, handler._logger",
    "manager.callers_tables": "tables declared on Base are created too",
    "manager.bypass": "a write past the log is found",
    "handler.close": "close() and context manager",
    "handler.tiny_ca_database": "opening a database of tiny_ca raises, naming what adopts it",
    "handler.in_memory": "in-memory URLs work across threads",
    # A drop-in
    "drop_in.isinstance": "our handlers pass tiny_ca's isinstance",
    "drop_in.no_import": "tiny_ca is not imported for those who do not use it",
    "drop_in.manager": "CertLifecycleManager works over our handler",
}


def covers(*rules: str) -> Callable[[Test], Test]:
    """Say which rules a test shows."""
    unknown = [rule for rule in rules if rule not in RULES]
    assert not unknown, f"not in RULES: {unknown}"

    def keep(test: Test) -> Test:
        test.rules = rules  # type: ignore[attr-defined] # a mark on the function
        return test

    return keep
