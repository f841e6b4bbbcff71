"""`DatabaseManager`, callers' sessions and tables, and what certledger's handlers have besides."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
import sqlalchemy
from sqlalchemy import ForeignKey, Table, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from certledger.db.base_db import BaseDB
from certledger.db.const import RevokeStatus
from certledger.db.models import Base, CertificateRecord
from certledger.db.sync_db_manager import DatabaseManager, SyncDBHandler
from certledger.errors import LedgerError, NotARegistry
from certledger.ledger import Ledger
from certledger.testing.backend import Backend, Flavour
from certledger.testing.clock import FakeClock
from certledger.testing.issue import Issue
from certledger.testing.rules import covers
from certledger.testing.suite import Open, Suite
from certledger.testing.told import record_of

Result = TypeVar("Result")


def in_session(handler: BaseDB, work: Callable[[Session], Result]) -> Result:
    """Run `work` in a session that a caller gets from the handler."""
    sync, wrapped = handler, getattr(handler, "wrapped", None)
    if wrapped is None:
        with sync._db.session() as session:  # type: ignore[attr-defined] # of certledger's
            return work(session)

    async def run() -> Result:
        async with wrapped._db.get_session() as session:
            result: Result = await session.run_sync(work)
            return result

    return asyncio.run(run())


def tables(backend: Backend, url: str) -> set[str]:
    with backend.stranger(url) as stranger:
        return set(sqlalchemy.inspect(stranger).get_table_names())


class Managing(Suite):
    """Sessions on the read model, tables of callers, and databases that are there already."""

    @pytest.fixture(autouse=True)
    def _of_certledger(self, backend: Backend) -> None:
        """Only certledger's own handlers have managers."""
        backend.require_certledger()

    @pytest.fixture
    def callers_table(self) -> Iterator[type[Base]]:
        """A table that a caller declares, with a foreign key to ours."""

        class Owner(Base):
            __tablename__ = "owners"

            id: Mapped[int] = mapped_column(primary_key=True)
            certificate_id: Mapped[int] = mapped_column(ForeignKey("certificates.id"))
            name: Mapped[str] = mapped_column(sqlalchemy.String(100))

        yield Owner
        table = Owner.__table__
        assert isinstance(table, Table)
        Base.registry._dispose_cls(Owner)
        Base.metadata.remove(table)

    @covers("manager.reach_through", "manager.session")
    def test_callers_reach_sessions_through_the_handler(
        self, handler: BaseDB, issue: Issue
    ) -> None:
        handler.register_cert_in_db(issue("reached"), None)
        names = in_session(
            handler, lambda session: session.scalars(select(CertificateRecord.common_name)).all()
        )
        assert names == ["reached"]

    @covers("manager.reach_through")
    def test_callers_reach_engine_and_logger_through_the_handler(
        self, handler: Any, issue: Issue, flavour: Flavour
    ) -> None:
        handler.register_cert_in_db(issue(), None)
        engine = handler._db._engine if flavour == "sync" else handler._db.engine.sync_engine
        assert engine.dialect.is_async == (flavour == "async")
        assert handler._logger.name == "certledger.testing"

    @covers("manager.alone", "manager.session")
    def test_a_manager_works_without_a_handler(
        self, backend: Backend, url: str, issue: Issue
    ) -> None:
        backend.require_shared()
        manager = DatabaseManager(url)
        with manager.session() as session:
            assert session.scalars(select(CertificateRecord)).all() == []
        manager.close()
        with SyncDBHandler(url) as handler:
            assert handler.register_cert_in_db(issue(), None)

    @covers("manager.create_all_off")
    def test_without_create_all_there_is_no_ddl(
        self, backend: Backend, callers_table: type[Base]
    ) -> None:
        backend.require_shared()
        with backend.empty() as url:
            manager = DatabaseManager(url, create_all=False)
            with manager.session() as session:
                assert sqlalchemy.inspect(session.connection()).get_table_names() == []
            manager.close()
            assert tables(backend, url) == set()

    @covers("manager.session")
    def test_a_session_left_open_after_reading_locks_nobody_out(
        self, backend: Backend, handler: Any, issue: Issue, flavour: Flavour
    ) -> None:
        backend.require_shared()
        if flavour == "sync":
            with handler._db.session() as session:
                assert session.scalars(select(CertificateRecord)).all() == []
                assert handler.register_cert_in_db(issue(), None) is True
            return

        async def both() -> None:
            async with handler.wrapped._db.get_session() as session:
                assert (await session.scalars(select(CertificateRecord))).all() == []
                assert await handler.wrapped.register_cert_in_db(issue(), None) is True

        asyncio.run(both())

    @covers("manager.callers_tables", "manager.session")
    def test_a_table_declared_on_base_is_made_and_can_be_written(
        self, callers_table: type[Base], open_again: Open, issue: Issue
    ) -> None:
        opened = open_again()
        handler = opened.handler
        handler.register_cert_in_db(issue(serial=1), None)
        row = record_of(handler, 1).id

        def write(session: Session) -> None:
            session.add(callers_table(certificate_id=row, name="Ada"))
            session.commit()

        in_session(handler, write)
        assert handler.revoke_certificate(1) == (True, RevokeStatus.OK)
        name: Any = callers_table.name  # type: ignore[attr-defined] # the class is the fixture's
        assert in_session(handler, lambda session: session.scalars(select(name)).all()) == ["Ada"]
        assert opened.ledger is not None
        assert list(opened.ledger.drift()) == []

    @covers("manager.callers_tables")
    def test_a_table_declared_later_is_made_when_an_old_registry_is_opened(
        self,
        backend: Backend,
        url: str,
        handler: BaseDB,
        open_again: Open,
        request: pytest.FixtureRequest,
    ) -> None:
        handler.list_all()
        assert "owners" not in tables(backend, url)
        request.getfixturevalue("callers_table")
        for _ in range(2):
            open_again().handler.list_all()
            assert "owners" in tables(backend, url)

    @covers("manager.callers_tables")
    def test_several_may_make_a_callers_table_at_once(
        self, backend: Backend, url: str, callers_table: type[Base], open_again: Open
    ) -> None:
        backend.require_shared()
        start = threading.Barrier(8)

        def make() -> None:
            start.wait()
            assert open_again().handler.list_all() == []

        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(make) for _ in range(8)]:
                done.result()
        assert "owners" in tables(backend, url)

    @covers("manager.callers_tables")
    def test_opening_takes_no_write_lock_where_all_tables_are_there(
        self, backend: Backend, url: str, callers_table: type[Base], open_again: Open
    ) -> None:
        open_again().handler.list_all()
        with backend.locked(url):
            assert open_again(retry_seconds=0.1, raise_errors=True).handler.list_all() == []

    @covers("manager.bypass")
    def test_a_write_past_the_log_is_found(
        self, handler: BaseDB, issue: Issue, ledger: Ledger
    ) -> None:
        handler.register_cert_in_db(issue(serial=1), None)

        def edit(session: Session) -> None:
            session.scalars(select(CertificateRecord)).one().status = "revoked"
            session.commit()

        in_session(handler, edit)
        (difference,) = ledger.drift()
        assert (difference.serial_number, difference.kind) == ("1", "changed")
        assert "finding" in {finding.level for finding in ledger.verify()}

    @covers("record.keywords", "record.status", "record.key_type", "record.id")
    def test_a_record_can_be_made_and_stored_by_a_caller(
        self, handler: BaseDB, clock: FakeClock
    ) -> None:
        now = clock.now.replace(tzinfo=None)

        def store(session: Session) -> tuple[object, ...]:
            record = CertificateRecord(
                serial_number="5",
                common_name="made",
                not_valid_before=now,
                not_valid_after=now,
                certificate_pem="",
            )
            session.add(record)
            session.commit()
            return record.id, record.status, record.key_type, record.uuid

        assert in_session(handler, store) == (1, "valid", "device", None)
        assert record_of(handler, 5).not_valid_after == now

    @covers("record.detached")
    def test_a_record_can_join_a_callers_session(self, handler: BaseDB, issue: Issue) -> None:
        handler.register_cert_in_db(issue(serial=1), "u")
        record = record_of(handler, 1)

        def join(session: Session) -> str | None:
            joined = session.merge(record)
            session.refresh(joined)
            assert not session.dirty
            return joined.uuid

        assert in_session(handler, join) == "u"

    @covers("handler.close")
    def test_a_handler_that_was_closed_may_be_closed_again(
        self, handler: Any, issue: Issue
    ) -> None:
        with handler as entered:
            assert entered.register_cert_in_db(issue(), None) is True
        handler.close()

    @covers("handler.tiny_ca_database")
    def test_a_database_of_tiny_ca_is_not_opened_and_stays_as_it_is(
        self, backend: Backend, open_again: Open
    ) -> None:
        backend.require_shared()
        with backend.empty() as url:
            with backend.stranger(url) as stranger:
                stranger.exec_driver_sql(
                    "CREATE TABLE certificates (id INTEGER PRIMARY KEY, serial_number VARCHAR(9))"
                )
                stranger.exec_driver_sql("INSERT INTO certificates VALUES (1, '5')")
            with pytest.raises(NotARegistry, match="`certledger "):
                Ledger(url)
            with pytest.raises(LedgerError):
                DatabaseManager(url)
            assert tables(backend, url) == {"certificates"}
            with backend.stranger(url) as stranger:
                rows = stranger.exec_driver_sql("SELECT * FROM certificates").all()
            assert rows == [(1, "5")]
