"""The lifecycle of certificates: long random histories held against a model, and its rules."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from cryptography.x509 import ReasonFlags

from certledger.db.base_db import BaseDB
from certledger.db.const import RevokeStatus
from certledger.db.models import CertificateRecord
from certledger.errors import CommandIdReused, IllegalTransition
from certledger.eventstore.actor import acting_as
from certledger.eventstore.cert_type import CertType
from certledger.eventstore.reasons import CODE_BY_NAME
from certledger.eventstore.times import naive_utc
from certledger.ledger import Ledger
from certledger.testing.clock import FakeClock
from certledger.testing.histories import CERTIFICATES, NAMES
from certledger.testing.issue import Issue
from certledger.testing.model import Model, Refusals, Row
from certledger.testing.prepared import START, prepare
from certledger.testing.suite import Suite
from certledger.testing.told import COLUMNS

POOL = CERTIFICATES + [
    prepare(serial, "gamma", timedelta(days=serial % 9)) for serial in range(10, 50)
]
"""Of a few serial numbers, each with two certificates, and of many more."""
SERIAL_NUMBERS = sorted({prepared.said.serial for prepared in POOL})
UUIDS = [*(f"folder-{number}" for number in range(1, 9)), None]
STEPS = [0.0, 0.000001, 1, 59, 600, 3_600, 40_000]
"""How many seconds pass."""


class Lifecycle(Suite):
    """What happens to certificates, and in which order it may."""

    commands: ClassVar[int] = 200
    """Of a history."""
    seed: ClassVar[int] = 1

    def test_a_long_history_has_the_answers_of_the_model(
        self, handler: BaseDB, time: FakeClock
    ) -> None:
        time.now = START
        history = History(handler, time, random.Random(self.seed))
        for number in range(self.commands):
            history.go_on()
            if number % 10 == 9:
                history.compare()
        assert history.model.size > self.commands / 4
        assert {"issued", "revoked", "expired", "deleted"} == {
            kind for kinds in history.model.history.values() for kind in kinds
        }

    def test_a_history_tells_everything_in_its_order(
        self, handler: BaseDB, issue: Issue, ledger: Ledger
    ) -> None:
        with acting_as("alice@example.org", comment="CHG-1"):
            handler.register_cert_in_db(issue(serial=1), "u")
        handler.delete_by_uuid("u")
        handler.register_cert_in_db(issue(serial=1), "v")
        with acting_as("bob@example.org"):
            handler.revoke_certificate(1, ReasonFlags.superseded)
        history = ledger.history(1)
        kinds = [event.type.split(".")[-2] for event in history]
        assert kinds == ["issued", "deleted", "issued", "revoked"]
        assert [event.streamversion for event in history] == [0, 1, 2, 3]
        assert [event.authid for event in history][::3] == ["alice@example.org", "bob@example.org"]
        assert list(ledger.events()) == list(history)

    def test_deletion_never_ends_a_revocation(self, ledger: Ledger, issue: Issue) -> None:
        ledger.issue(issue(serial=1), uuid="u")
        ledger.revoke(1)
        ledger.delete(1)
        with pytest.raises(IllegalTransition):
            ledger.issue(issue(serial=1))
        assert ledger.head().size == 3

    def test_a_command_that_is_repeated_by_its_id_happens_once(
        self, ledger: Ledger, issue: Issue
    ) -> None:
        certificate = issue(serial=1)
        commands: list[Callable[[], Any]] = [
            lambda: ledger.issue(certificate, uuid="u", command_id="Issue 1"),
            lambda: ledger.revoke(1, "superseded", command_id="Revoke 1"),
            lambda: ledger.delete(uuid="u", command_id="Delete 1"),
        ]
        for command in commands:
            assert command() == command()
        assert ledger.head().size == 3
        with pytest.raises(CommandIdReused):
            ledger.revoke(1, "keyCompromise", command_id="Revoke 1")

    def test_ids_of_commands_that_a_collation_takes_for_equal_are_not(
        self, ledger: Ledger, issue: Issue
    ) -> None:
        ids = ["a", "A", "ä", "a ", " a"]
        events = [ledger.issue(issue(), command_id=command_id) for command_id in ids]
        assert len({event.id for event in events}) == ledger.head().size == len(ids)


class History:
    """A handler and its model, which are told the same."""

    def __init__(self, handler: BaseDB, clock: FakeClock, rng: random.Random) -> None:
        self.handler = handler
        self.clock = clock
        self.rng = rng
        self.model = Model()

    def go_on(self) -> None:
        """Let time pass, and carry out one command."""
        self.clock.step(seconds=self.rng.choice(STEPS))
        act = self.rng.choices([self._issue, self._revoke, self._delete, self._sweep], [6, 4, 4, 1])
        act[0]()

    def _issue(self) -> None:
        prepared, uuid = self.rng.choice(POOL), self.rng.choice(UUIDS)
        key_type = self.rng.choice([CertType.DEVICE, CertType.CA, CertType.USER])
        said, now = prepared.said, naive_utc(self.clock.now)
        if said.name is None:
            with pytest.raises(IndexError):
                self.handler.register_cert_in_db(prepared.certificate, uuid, key_type)
            return
        refusals = self.model.issue_refusals(said, uuid, now)
        answer = self.handler.register_cert_in_db(prepared.certificate, uuid, key_type)
        assert answer is (not refusals), refusals
        if answer:
            self.model.issue(said, uuid, key_type.value, now)

    def _revoke(self) -> None:
        serial, now = self.rng.choice(SERIAL_NUMBERS), naive_utc(self.clock.now)
        name, code = self.rng.choice(sorted(CODE_BY_NAME.items()))
        refusals = self.model.revoke_refusals(serial, now)
        answer = self.handler.revoke_certificate(serial, ReasonFlags(name))
        assert answer == _revoked(refusals)
        if not refusals:
            self.model.revoke(serial, code, now)

    def _delete(self) -> None:
        held = sorted(row.uuid for row in self.model.rows.values() if row.uuid is not None)
        uuid, now = self.rng.choice([*held, "nobody"]), naive_utc(self.clock.now)
        serial = self.model.by_uuid(uuid)
        refusals = self.model.delete_refusals(serial, now)
        assert self.handler.delete_by_uuid(uuid) is (not refusals)
        if serial is not None:
            self.model.delete(serial, now)

    def _sweep(self) -> None:
        now = naive_utc(self.clock.now)
        due = self.model.due(now)
        # In the order of their ids, which does not show anywhere.
        assert self.handler.update_status_expired() == len(due)
        for serial in due:
            self.model.expire(serial, now)

    def compare(self) -> None:
        """Every answer of the handler is the model's."""
        model, handler, now = self.model, self.handler, naive_utc(self.clock.now)
        assert _values(handler.list_all()) == [row.columns() for row in model.newest_first()]
        for status in ("valid", "revoked", "expired"):
            assert _ids(handler.list_all(status=status)) == _ids(model.newest_first(status))
        assert _ids(handler.list_all(key_type="ca")) == _ids(model.newest_first(key_type="ca"))
        for name in [*NAMES, "gamma"]:
            assert _id(handler.get_by_name(name)) == _id(model.by_name(name, now))
        for serial in SERIAL_NUMBERS[::4]:
            assert _id(handler.get_by_serial(serial)) == _id(model.rows.get(serial))
        for days in (1, 30):
            assert _ids(handler.get_expiring(days)) == _ids(model.expiring(days, now))
        assert [tuple(row) for row in handler.get_revoked_certificates()] == model.on_crl(now)


def _revoked(refusals: Refusals) -> tuple[bool, RevokeStatus]:
    return (False, RevokeStatus.NOT_FOUND) if refusals else (True, RevokeStatus.OK)


def _values(records: list[CertificateRecord]) -> list[tuple[object, ...]]:
    return [tuple(getattr(record, name) for name in COLUMNS) for record in records]


def _ids(rows: list[CertificateRecord] | list[Row]) -> list[int]:
    return [row.id for row in rows]


def _id(row: CertificateRecord | Row | None) -> int | None:
    return None if row is None else row.id
