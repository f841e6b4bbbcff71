"""`DatabaseManager`, what callers reach through a handler, and opening and closing one."""

from __future__ import annotations

import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event, select

from certledger.db import CertificateRecord, SyncDBHandler
from certledger.db.models import Base
from certledger.db.sync_db_manager import DatabaseManager
from certledger.errors import InvalidValue, ReadOnlyRegistry
from certledger.testing.certificates import make_certificate
from certledger.testing.issue import Issue
from certledger.testing.rules import covers

IN_MEMORY = ["sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite:///:memory:"]


@covers("manager.defaults")
def test_the_manager_takes_a_url_and_whether_to_create() -> None:
    parameters = inspect.signature(DatabaseManager).parameters.values()
    assert [(one.name, one.default) for one in parameters] == [
        ("db_url", "sqlite:///ca_repository.db"),
        ("create_all", True),
        ("schema", None),
    ]


@covers("manager.defaults")
def test_the_default_file_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    DatabaseManager().close()
    assert (tmp_path / "ca_repository.db").is_file()


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
