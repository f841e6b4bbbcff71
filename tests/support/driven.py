"""The state machine without its rules: a registry in a real file beside its model, and what must
hold after each step.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant

from certledger.db import RevokeStatus, SyncDBHandler
from certledger.errors import LedgerError
from certledger.eventstore.times import naive_utc
from certledger.ledger import Ledger
from certledger.projections.models import CertificateRecord
from certledger.testing.clock import FakeClock
from certledger.testing.histories import NAMES, SERIALS
from certledger.testing.model import Model, Refusals, Row
from certledger.testing.prepared import START
from certledger.testing.raw import CERTIFICATES as COLUMNS
from certledger.testing.raw import Values
from tests.support.raw_file import RawFile, stored

# Nothing here tests durability, so the file may live in memory.
FOLDER = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None

SILENT = logging.getLogger("certledger.state_machine")
SILENT.setLevel(logging.CRITICAL)


class DrivenRegistry(RuleBasedStateMachine):
    """Opens the registry, carries out commands as the model allows them, and checks."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=FOLDER))
        self.clock = FakeClock(START)
        self.model = Model()
        self.edited = False
        """Whether the tables were changed by SQL since they were last repaired."""
        self.open(allow_clock_behind=False)
        self.raw = RawFile(self.folder / "registry.db")

    @property
    def now(self) -> datetime:
        return naive_utc(self.clock.now)

    def open(self, *, allow_clock_behind: bool) -> None:
        self.ledger = Ledger(
            f"sqlite:///{self.folder}/registry.db",
            clock=self.clock,
            allow_clock_behind=allow_clock_behind,
            logger=SILENT,
        )
        self.handler = SyncDBHandler.over(self.ledger, SILENT)
        self.model.allow_clock_behind = allow_clock_behind

    def teardown(self) -> None:
        try:
            self._check_the_whole()
        finally:
            self.raw.close()
            self.ledger.close()
            shutil.rmtree(self.folder)

    def _check_the_whole(self) -> None:
        for serial, kinds in self.model.history.items():
            assert [event.type.split(".")[-2] for event in self.ledger.history(serial)] == kinds
        if self.edited:
            self.ledger.rebuild()
        assert [finding for finding in self.ledger.verify() if finding.level == "finding"] == []
        assert self.differing() == set()

    def command(
        self, refusals: Refusals, act: Callable[[], object], *, facade: bool = False
    ) -> bool:
        """Carry out a command, and tell whether it succeeded.

        It must be refused for one of the reasons, or succeed where there are none. `facade`: the
        answer is the contract's, not an event or an error.
        """
        if not refusals:
            answer = act()
            assert not facade or answer in (True, (True, RevokeStatus.OK))
            return True
        if facade and "IndexError" not in refusals:
            assert act() in _refused(refusals)
            return False
        with pytest.raises((LedgerError, IndexError)) as caught:
            act()
        assert refusals & {kind.__name__ for kind in type(caught.value).__mro__}
        return False

    @invariant()
    def the_log_is_dense_and_hashed(self) -> None:
        assert self.raw.check_log() == self.model.size

    @invariant()
    def drift_is_what_differs(self) -> None:
        differing = self.differing()
        assert differing == set() or self.edited
        assert {(found.table, found.key) for found in self.ledger.drift()} == differing

    @invariant()
    def the_facade_gives_what_the_model_has(self) -> None:
        if self.edited:
            return
        model, handler, now = self.model, self.handler, self.now
        assert _values(handler.list_all()) == [row.columns() for row in model.newest_first()]
        for status in ("valid", "revoked", "expired"):
            assert _ids(handler.list_all(status=status)) == _ids(model.newest_first(status))
        assert _ids(handler.list_all(key_type="ca")) == _ids(model.newest_first(key_type="ca"))
        for name in NAMES:
            assert _id(handler.get_by_name(name)) == _id(model.by_name(name, now))
        for serial in SERIALS:
            assert _id(handler.get_by_serial(serial)) == _id(model.rows.get(serial))
        for days in (1, 30):
            assert _ids(handler.get_expiring(days)) == _ids(model.expiring(days, now))
        assert [tuple(row) for row in handler.get_revoked_certificates()] == model.on_crl(now)

    def differing(self) -> set[tuple[str, int]]:
        """Table and key of the rows that are not as the model has them."""
        wanted = {row.id: stored(row.columns()) for row in self.model.rows.values()}
        gone = {gone.seq: stored(gone.columns()) for gone in self.model.retired}
        return {("certificates", key) for key in _differing_keys(wanted, self.raw.table())} | {
            ("retired", key) for key in _differing_keys(gone, self.raw.retired())
        }

    def check_row(self, serial: int) -> None:
        """Whatever was edited: a command sets the row of its certificate right."""
        row = self.model.rows.get(serial)
        wanted = {} if row is None else {row.id: stored(row.columns())}
        found = self.raw.table()
        held = {key: values for key, values in found.items() if values[1] == str(serial)}
        assert held == wanted


def _refused(refusals: Refusals) -> list[object]:
    """What the facade may answer to a command that may be refused for these reasons."""
    not_found = {"UnknownSerial", "IllegalTransition"}
    answers: list[object] = [False]
    if refusals & not_found:
        answers.append((False, RevokeStatus.NOT_FOUND))
    if refusals - not_found:
        answers.append((False, RevokeStatus.UNKNOWN_ERROR))
    return answers


def _differing_keys(wanted: dict[int, Values], found: dict[int, Values]) -> set[int]:
    return {key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)}


def _values(records: list[CertificateRecord]) -> list[Values]:
    return [tuple(getattr(record, name) for name in COLUMNS) for record in records]


def _ids(rows: list[CertificateRecord] | list[Row]) -> list[int]:
    return [row.id for row in rows]


def _id(row: CertificateRecord | Row | None) -> int | None:
    return None if row is None else row.id
