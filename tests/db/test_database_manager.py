"""`DatabaseManager`, what callers reach through a handler, and opening and closing one."""

from __future__ import annotations

import inspect
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import ForeignKey, Table, event, select
from sqlalchemy import inspect as inspect_database
from sqlalchemy.orm import Mapped, Session, mapped_column

from certledger.db import CertificateRecord, RevokeStatus, SyncDBHandler
from certledger.db.models import Base
from certledger.db.sync_db_manager import DatabaseManager
from certledger.errors import InvalidValue, NotARegistry, ReadOnlyRegistry
from tests.support.certificates import make_certificate
from tests.support.contract import covers
from tests.support.facade import Issue

IN_MEMORY = ["sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite:///:memory:"]


@pytest.fixture
def callers_table() -> Iterator[type[Base]]:
    """A table that a caller declares, with a foreign key to ours."""

    class Owner(Base):
        __tablename__ = "owners"

        id: Mapped[int] = mapped_column(primary_key=True)
        certificate_id: Mapped[int] = mapped_column(ForeignKey("certificates.id"))
        name: Mapped[str]

    yield Owner
    table = Owner.__table__
    assert isinstance(table, Table)
    Base.registry._dispose_cls(Owner)
    Base.metadata.remove(table)


@covers("manager.defaults")
def test_the_manager_takes_a_url_and_whether_to_create() -> None:
    parameters = inspect.signature(DatabaseManager).parameters.values()
    assert [(one.name, one.default) for one in parameters] == [
        ("db_url", "sqlite:///ca_repository.db"),
        ("create_all", True),
    ]


@covers("manager.defaults")
def test_the_default_file_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    DatabaseManager().close()
    assert (tmp_path / "ca_repository.db").is_file()


@covers("manager.alone", "manager.session")
def test_a_manager_works_without_a_handler(url: str) -> None:
    manager = DatabaseManager(url)
    with manager.session() as session:
        assert isinstance(session, Session)
        assert session.scalars(select(CertificateRecord)).all() == []
    manager.close()
    with SyncDBHandler(url) as handler:
        assert handler.register_cert_in_db(make_certificate(), None)


@covers("manager.create_all_off")
def test_without_create_all_there_is_no_ddl(url: str, callers_table: type[Base]) -> None:
    manager = DatabaseManager(url, create_all=False)
    with manager.session() as session:
        assert inspect_database(session.connection()).get_table_names() == []
    manager.close()


@covers("manager.create_all_off")
def test_without_create_all_an_existing_registry_can_be_read(
    handler: SyncDBHandler, issue: Issue, url: str, callers_table: type[Base]
) -> None:
    handler.register_cert_in_db(issue("there"), None)
    manager = DatabaseManager(url, create_all=False)
    statements: list[str] = []
    event.listen(
        manager._engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: statements.append(statement),
    )
    with manager.session() as session:
        assert session.scalars(select(CertificateRecord.common_name)).all() == ["there"]
    manager.close()
    assert not [text for text in statements if text.lstrip().upper().startswith("CREATE")]


@covers("manager.reach_through", "manager.session")
def test_callers_reach_sessions_engine_and_logger_through_the_handler(
    handler: SyncDBHandler, issue: Issue
) -> None:
    handler.register_cert_in_db(issue("reached"), None)
    with handler._db.session() as session:
        assert session.get_bind() is handler._db._engine
        assert session.scalars(select(CertificateRecord.common_name)).all() == ["reached"]
    with handler._db._engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM certificates").scalar() == 1
    assert handler._logger.name == "certledger"
    assert isinstance(handler._db, DatabaseManager)


@covers("manager.session")
def test_a_session_left_open_after_reading_locks_nobody_out(
    handler: SyncDBHandler, issue: Issue
) -> None:
    session = handler._db.session()
    assert session.scalars(select(CertificateRecord)).all() == []
    assert handler.register_cert_in_db(issue(), None) is True
    session.close()


@covers("manager.callers_tables", "manager.session")
def test_a_table_declared_on_base_is_made_and_can_be_written(
    url: str, callers_table: type[Base]
) -> None:
    with SyncDBHandler(url) as handler:
        handler.register_cert_in_db(make_certificate(serial=1), None)
        record = handler.get_by_serial(1)
        assert record is not None
        with handler._db.session() as session:
            session.add(callers_table(certificate_id=record.id, name="Ada"))
            session.commit()
        assert handler.revoke_certificate(1) == (True, RevokeStatus.OK)
        with handler._db.session() as session:
            assert [owner.name for owner in session.scalars(select(callers_table))] == ["Ada"]  # type: ignore[attr-defined] # the class is the fixture's
        assert list(handler._ledger.drift()) == []


@covers("manager.callers_tables")
def test_a_table_declared_later_is_made_when_an_old_registry_is_opened(
    handler: SyncDBHandler, url: str, request: pytest.FixtureRequest
) -> None:
    assert "owners" not in inspect_database(handler._db._engine).get_table_names()
    request.getfixturevalue("callers_table")
    for _ in range(2):
        manager = DatabaseManager(url)
        assert "owners" in inspect_database(manager._engine).get_table_names()
        manager.close()


@covers("manager.callers_tables")
def test_several_may_make_a_callers_table_at_once(url: str, callers_table: type[Base]) -> None:
    start = threading.Barrier(8)

    def make() -> None:
        start.wait()
        DatabaseManager(url).close()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(make) for _ in range(8)]:
            done.result()


@covers("manager.callers_tables")
def test_opening_takes_no_write_lock_where_all_tables_are_there(
    url: str, callers_table: type[Base], hold_lock: Callable[[], sqlite3.Connection]
) -> None:
    DatabaseManager(url).close()
    hold_lock()
    with SyncDBHandler(url) as handler:
        assert handler.list_all() == []


@covers("manager.bypass")
def test_a_write_past_the_log_is_found(handler: SyncDBHandler, issue: Issue) -> None:
    handler.register_cert_in_db(issue(serial=1), None)
    with handler._db.session() as session:
        record = session.scalars(select(CertificateRecord)).one()
        record.status = "revoked"
        session.commit()
    (difference,) = handler._ledger.drift()
    assert (difference.serial_number, difference.kind) == ("1", "changed")
    assert "finding" in {finding.level for finding in handler._ledger.verify()}


@covers("manager.callers_tables")
def test_a_read_only_registry_without_a_callers_table_is_refused(
    url: str, file: Path, request: pytest.FixtureRequest
) -> None:
    DatabaseManager(url).close()
    request.getfixturevalue("callers_table")
    read_only = f"sqlite:///file:{file}?mode=ro&uri=true"
    with pytest.raises(ReadOnlyRegistry):
        SyncDBHandler(read_only)
    manager = DatabaseManager(read_only, create_all=False)
    with manager.session() as session:
        assert session.scalars(select(CertificateRecord)).all() == []
    manager.close()


@covers("handler.close")
def test_a_handler_is_a_context_manager_and_closes_its_connections(url: str, file: Path) -> None:
    with SyncDBHandler(url) as handler:
        handler.register_cert_in_db(make_certificate(), None)
        assert file.with_name(f"{file.name}-wal").exists()
    # The last connection to close takes the write-ahead log away.
    assert not file.with_name(f"{file.name}-wal").exists()
    handler.close()


@covers("handler.tiny_ca_database")
def test_a_database_of_tiny_ca_is_not_opened_and_stays_as_it_is(url: str, file: Path) -> None:
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE certificates (id INTEGER PRIMARY KEY, serial_number VARCHAR)")
        other.execute("INSERT INTO certificates VALUES (1, '5')")
    other.close()
    before = file.read_bytes()
    for open_it in (SyncDBHandler, DatabaseManager):
        with pytest.raises(NotARegistry, match="`certledger "):
            open_it(url)
    assert file.read_bytes() == before


@pytest.mark.parametrize("url", ["no url", "nosuch://x", ""])
def test_what_is_no_url_raises_a_typed_error(url: str) -> None:
    with pytest.raises(InvalidValue):
        SyncDBHandler(url)


@covers("handler.in_memory")
@pytest.mark.parametrize("url", IN_MEMORY)
def test_an_in_memory_registry_is_one_for_all_threads(url: str) -> None:
    certificates = [make_certificate("name", serial=serial) for serial in range(1, 25)]
    start = threading.Barrier(8)

    def work(worker: int) -> None:
        start.wait()
        for certificate in certificates[worker::8]:
            assert handler.register_cert_in_db(certificate, f"{certificate.serial_number}")
            assert handler.get_by_serial(certificate.serial_number) is not None
            assert handler.get_by_name("name") is not None
            assert handler.revoke_certificate(certificate.serial_number)[0]

    with SyncDBHandler(url) as handler:
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(work, worker) for worker in range(8)]:
                done.result()
        assert len(handler.list_all()) == 24
        assert len(list(handler.get_revoked_certificates())) == 24
        with handler._db.session() as session:
            assert len(session.scalars(select(CertificateRecord)).all()) == 24


@covers("handler.in_memory")
def test_two_in_memory_registries_are_two() -> None:
    with SyncDBHandler("sqlite://") as one, SyncDBHandler("sqlite://") as other:
        assert one.register_cert_in_db(make_certificate(), None)
        assert other.list_all() == []
