"""How the nine methods are called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509

from certledger.db.base_db import BaseDB
from certledger.db.const import RevokeStatus
from certledger.eventstore.cert_type import CertType
from certledger.testing.issue import Issue
from certledger.testing.rules import covers
from certledger.testing.suite import Suite

REQUIRED = inspect.Parameter.empty

SIGNATURES: dict[str, dict[str, object]] = {
    "register_cert_in_db": {"cert": REQUIRED, "uuid": REQUIRED, "key_type": CertType.DEVICE},
    "get_by_serial": {"serial": REQUIRED},
    "get_by_name": {"common_name": REQUIRED},
    "list_all": {"status": None, "key_type": None, "limit": 100, "offset": 0},
    "get_expiring": {"within_days": 30},
    "get_revoked_certificates": {},
    "revoke_certificate": {
        "serial_number": REQUIRED,
        "reason": x509.ReasonFlags.unspecified,
    },
    "delete_by_uuid": {"uuid": REQUIRED},
    "update_status_expired": {},
}
"""Method to the names and defaults of its arguments."""


def by_keyword(method: Callable[..., Any], names: list[str], values: tuple[Any, ...]) -> Any:
    return method(**dict(zip(names, values, strict=True)))


def by_position(method: Callable[..., Any], names: list[str], values: tuple[Any, ...]) -> Any:
    assert len(names) == len(values)
    return method(*values)


class Calling(Suite):
    """Names, order and defaults of arguments."""

    @covers("call.names")
    def test_names_order_and_defaults_of_arguments_are_exact(self, handler: BaseDB) -> None:
        wrapped = getattr(handler, "wrapped", handler)
        for method, expected in SIGNATURES.items():
            parameters = inspect.signature(getattr(wrapped, method)).parameters.values()
            found = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
            assert [(one.name, one.default) for one in found] == list(expected.items()), method

    @covers("call.keywords", "call.positions")
    @pytest.mark.parametrize("how", [by_keyword, by_position], ids=["keywords", "positions"])
    def test_every_argument_may_be_given_by_name_and_by_position(
        self, handler: BaseDB, issue: Issue, how: Callable[..., Any]
    ) -> None:
        certificate = issue("all.example.org")
        serial = certificate.serial_number

        def call(method: str, *values: Any) -> Any:
            return how(getattr(handler, method), list(SIGNATURES[method]), values)

        assert call("register_cert_in_db", certificate, "u", CertType.SERVICE) is True
        assert call("get_by_serial", serial).uuid == "u"
        assert call("get_by_name", "all.example.org").uuid == "u"
        assert [row.uuid for row in call("list_all", "valid", "service", 5, 0)] == ["u"]
        assert [row.uuid for row in call("get_expiring", 100)] == ["u"]
        assert call("update_status_expired") == 0
        assert call("revoke_certificate", serial, x509.ReasonFlags.superseded)[0] is True
        assert [row.revocation_reason for row in call("get_revoked_certificates")] == [4]
        assert call("delete_by_uuid", "u") is True

    @covers("call.serial_keyword")
    def test_revoke_takes_the_keyword_of_the_published_example(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        certificate = issue()
        handler.register_cert_in_db(certificate, "u")
        revoke: Any = handler.revoke_certificate
        reason = x509.ReasonFlags.key_compromise
        assert revoke(serial=certificate.serial_number, reason=reason) == (True, RevokeStatus.OK)
        visible: Any = getattr(handler, "wrapped", handler)
        names = list(inspect.signature(visible.revoke_certificate).parameters)
        assert names == ["serial_number", "reason"]

    @covers("call.serial_keyword")
    def test_revoke_needs_the_serial_number_once(self, handler: BaseDB) -> None:
        revoke: Any = handler.revoke_certificate
        with pytest.raises(TypeError):
            revoke()
        with pytest.raises(TypeError):
            revoke(serial=1, serial_number=1)
        with pytest.raises(TypeError):
            revoke(1, serial=1)
