"""Servers of MariaDB with binary logs, replicas of them, and what is dumped and restored."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from certledger import Ledger
from certledger.errors import ReadOnlyRegistry, StorageUnavailable
from certledger.testing.certificates import make_certificate
from certledger.testing.places import Place, empty_place
from tests.support.mariadb import execute
from tests.support.own_mariadb import OptionedMariaDB, catch_up, replicated
from tests.support.own_servers import NO_MARIADB, mariadb_programs
from tests.support.tls import make_server_certificate


@pytest.fixture(autouse=True, scope="module")
def _programs() -> None:
    if mariadb_programs() is None:
        pytest.skip(NO_MARIADB)


@pytest.fixture(scope="module")
def logging() -> Iterator[OptionedMariaDB]:
    """A server that keeps a binary log."""
    with OptionedMariaDB("--server-id=1", "--log-bin=binlog") as own:
        execute(own.url, "CREATE USER app IDENTIFIED BY 'secret'")
        yield own


@pytest.fixture
def place(logging: OptionedMariaDB) -> Iterator[Place]:
    with empty_place("mariadb", logging.url) as empty:
        execute(empty.url, f"GRANT ALL ON {empty.name}.* TO app")
        yield empty


def for_app(url: str) -> str:
    return url.replace("root@", "app:secret@")


def test_who_may_not_make_triggers_beside_a_binary_log_is_told_so(
    logging: OptionedMariaDB, place: Place
) -> None:
    """And goes on once he may."""
    with pytest.raises(StorageUnavailable, match="log_bin_trust_function_creators = 1"):
        Ledger(for_app(place.url))
    execute(logging.url, "SET GLOBAL log_bin_trust_function_creators = 1")
    try:
        Ledger(for_app(place.url)).close()
    finally:
        execute(logging.url, "SET GLOBAL log_bin_trust_function_creators = 0")
    with Ledger(for_app(place.url), create=False) as ledger:
        ledger.issue(make_certificate(serial=1))
        assert {finding.kind for finding in ledger.verify()} == {"durability"}  # sync_binlog


@pytest.mark.parametrize("kind", ["ROW", "MIXED"])
def test_every_part_works_beside_a_binary_log(
    logging: OptionedMariaDB, place: Place, kind: str
) -> None:
    execute(logging.url, f"SET GLOBAL binlog_format = {kind}", "SET GLOBAL sync_binlog = 1")
    with Ledger(place.url) as ledger:
        for serial in (1, 2, 3):
            ledger.issue(make_certificate(serial=serial))
        ledger.revoke(1)
        ledger.delete(2)
        execute(place.url, "DELETE FROM certificates WHERE id = 3")
        assert ledger.rebuild().missing == 1
        ledger.rebuild(recreate=True)
        assert list(ledger.verify()) == []


def test_a_log_of_statements_is_refused_with_what_to_set(
    logging: OptionedMariaDB, place: Place
) -> None:
    Ledger(place.url).close()
    execute(logging.url, "SET GLOBAL binlog_format = STATEMENT")
    try:
        with (
            Ledger(place.url) as ledger,
            pytest.raises(StorageUnavailable, match="SET GLOBAL binlog_format = MIXED"),
        ):
            ledger.issue(make_certificate())
    finally:
        execute(logging.url, "SET GLOBAL binlog_format = MIXED")


def test_a_replica_serves_what_only_reads() -> None:
    with replicated() as (primary, replica):
        execute(
            primary.url,
            "CREATE DATABASE registry",
            "CREATE USER app IDENTIFIED BY 'secret'",
            "GRANT ALL ON registry.* TO app",
        )
        with Ledger(f"{primary.url}registry") as ledger:
            for serial in (1, 2, 3):
                ledger.issue(make_certificate(serial=serial))
            ledger.revoke(2)
            ledger.rebuild(recreate=True)
            head = ledger.head()
        catch_up(primary, replica)
        with Ledger(for_app(f"{replica.url}registry")) as ledger:
            assert ledger.head() == head
            assert ledger.get(2).status == "revoked"
            assert list(ledger.drift()) == []
            assert {finding.kind for finding in ledger.verify()} <= {"durability"}
            for change in (
                lambda: ledger.issue(make_certificate()),
                lambda: ledger.revoke(1),
                lambda: ledger.rebuild(recreate=True),
            ):
                with pytest.raises(ReadOnlyRegistry, match=r"read-only.*connect to the primary"):
                    change()


def test_a_server_without_a_registry_that_is_read_only_says_so(logging: OptionedMariaDB) -> None:
    with empty_place("mariadb", logging.url) as empty:
        execute(empty.url, f"GRANT ALL ON {empty.name}.* TO app", "SET GLOBAL read_only = 1")
        try:
            with pytest.raises(ReadOnlyRegistry, match="read-only"):
                Ledger(for_app(empty.url))
        finally:
            execute(empty.url, "SET GLOBAL read_only = 0")


@pytest.mark.parametrize("program", ["mariadb-dump", "mysqldump"])
def test_a_registry_comes_back_from_a_dump_word_for_word(place: Place, program: str) -> None:
    client = shutil.which("mariadb") or shutil.which("mysql")
    if shutil.which(program) is None or client is None:
        pytest.skip(f"needs the programs {program} and mariadb")
    with Ledger(place.url) as ledger:
        ledger.issue(make_certificate(f"d'{chr(0x1F600)}\\", serial=1), uuid="a ")
        ledger.revoke(1)
        head = ledger.head()
    with empty_place("mariadb", place.server) as other:
        dump = [program, *_options(place), "--single-transaction", "--routines", place.name]
        text = subprocess.run(dump, check=True, capture_output=True, env=os.environ).stdout
        restore = [client, *_options(other), other.name]
        subprocess.run(restore, check=True, input=text, env=os.environ)
        with Ledger(other.url, create=False) as ledger:
            assert ledger.head() == head
            assert {finding.kind for finding in ledger.verify()} <= {"durability"}
            ledger.delete(1)


def _options(place: Place) -> list[str]:
    url = make_url(place.url)
    own = ["--no-defaults", f"--host={url.host}", f"--port={url.port}", f"--user={url.username}"]
    return [*own, "--protocol=tcp", "--skip-ssl", "--default-character-set=utf8mb4"]


# Connecting as the how-to says


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the user of the servers can read."""
    made = Path(tempfile.mkdtemp(prefix="certledger-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_a_password_is_read_from_an_option_file(place: Place, folder: Path) -> None:
    options = folder / "app.cnf"
    options.write_text("[client]\npassword = secret\n")
    url = place.url.replace("root@", "app@")
    with Ledger(place.url) as ledger:
        ledger.issue(make_certificate(serial=1))
    with Ledger(f"{url}?read_default_file={options}") as ledger:
        assert ledger.get(1).serial_number == "1"
    with pytest.raises(StorageUnavailable, match="Access denied"):
        Ledger(url)


def test_the_certificate_of_the_server_is_checked_where_its_ca_is_given(folder: Path) -> None:
    certificate, key = make_server_certificate(folder)
    other, _ = make_server_certificate(Path(tempfile.mkdtemp(dir=folder)))
    with OptionedMariaDB(f"--ssl-cert={certificate}", f"--ssl-key={key}") as own:
        execute(
            own.url,
            "CREATE DATABASE registry",
            "CREATE USER app IDENTIFIED BY 'secret' REQUIRE SSL",
            "GRANT ALL ON registry.* TO app",
        )
        url = for_app(f"{own.url}registry")
        with Ledger(f"{url}?ssl_ca={certificate}") as ledger:
            ledger.issue(make_certificate(serial=1))
            cipher = "SHOW SESSION STATUS LIKE 'Ssl_cipher'"
            assert ledger.database.read(lambda c: c.exec_driver_sql(cipher).one())[1]
        with Ledger(url) as ledger:  # encrypted too, but with whom is not checked
            assert ledger.get(1).serial_number == "1"
        with pytest.raises(StorageUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            Ledger(f"{url}?ssl_ca={other}")
        named = url.replace("127.0.0.1", "localhost")
        with pytest.raises(StorageUnavailable, match="localhost"):
            Ledger(f"{named}?ssl_ca={certificate}")
        with pytest.raises(StorageUnavailable, match="Access denied"):
            Ledger(f"{url}?ssl_disabled=true")
