"""Opening: what is no registry stays as it is; read-only ground can be read; many open at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from certledger.errors import (
    FormatTooNew,
    InvalidValue,
    LedgerError,
    LogCorrupt,
    NotARegistry,
    ReadOnlyRegistry,
    StorageUnavailable,
)
from certledger.eventstore.database import Database
from certledger.ledger import Ledger
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support import raw
from tests.support.foreign import NOT_REGISTRIES
from tests.support.processes import finish, run_unprivileged, start


def folder_of(file: Path) -> dict[str, str]:
    """The digest of every file beside this one, and its own."""
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in file.parent.iterdir()}


# Making one


def test_a_missing_file_is_made_into_a_registry(url: str, file: Path, clock: FakeClock) -> None:
    with Ledger(url, clock=clock) as ledger:
        head = ledger.head()
        assert (head.size, head.format, head.created) == (0, 1, clock.now)
        assert re.fullmatch(r"certledger\.invalid/[0-9a-f-]{36}", head.origin)
        assert ledger.file == file
        assert ledger.url == url
    with Ledger(url) as again:
        assert again.head() == head


@pytest.mark.parametrize("made", [None, b"", "no tables"])
def test_nothing_is_made_unless_asked(url: str, file: Path, made: bytes | str | None) -> None:
    if isinstance(made, bytes):
        file.write_bytes(made)
    elif made:
        raw.rows(file, "PRAGMA user_version=7")
    before = folder_of(file)
    with pytest.raises(NotARegistry, match="certledger init"):
        Ledger(url, create=False)
    assert folder_of(file) == before


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_nothing_is_made_in_memory_unless_asked(url: str) -> None:
    with pytest.raises(NotARegistry, match="certledger init"):
        Ledger(url, create=False)
    with Ledger(url) as ledger:
        ledger.issue(make_certificate(serial=1))
        assert ledger.get(1).serial_number == "1"


def test_an_empty_file_becomes_a_registry(url: str, file: Path) -> None:
    file.touch()
    with Ledger(url) as ledger:
        assert ledger.head().size == 0


def test_a_database_without_tables_becomes_a_registry(url: str, file: Path) -> None:
    raw.rows(file, "PRAGMA user_version=7")
    with Ledger(url) as ledger:
        assert ledger.head().size == 0


def test_a_database_object_can_be_given(url: str) -> None:
    database = Database(url)
    with Ledger(database) as ledger:
        assert ledger.database is database


def test_opening_writes_nothing_where_the_tables_are(url: str, file: Path) -> None:
    with Ledger(url) as ledger:
        ledger.issue(make_certificate())
    before = file.read_bytes()
    with Ledger(url) as ledger, raw.opened(file, "busy_timeout=0") as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with Ledger(url, retry_seconds=0) as another:
            assert another.head() == ledger.head()
    assert file.read_bytes() == before


def test_a_file_in_a_folder_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="cannot be opened: see that its folder exists"):
        Ledger(f"sqlite:///{tmp_path}/no/such/folder/x.db", retry_seconds=0)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_registry(tmp_path: Path) -> None:
    with pytest.raises(LedgerError):
        Ledger(f"sqlite:///{tmp_path}", retry_seconds=0)


# The origin


def test_an_origin_names_the_registry_and_every_event(url: str) -> None:
    with Ledger(url, origin="ca.example.org/registry") as ledger:
        event = ledger.issue(make_certificate())
        assert event.source == ledger.head().origin == "ca.example.org/registry"
        assert ledger.status().head.origin == "ca.example.org/registry"


def test_the_origin_can_be_given_until_the_first_event(url: str) -> None:
    Ledger(url).close()
    with Ledger(url, origin="ca.example.org") as ledger:
        assert ledger.head().origin == "ca.example.org"
        ledger.issue(make_certificate())
    with Ledger(url, origin="ca.example.org") as ledger:
        assert ledger.head().size == 1
    with pytest.raises(InvalidValue, match=r"'ca\.example\.org' and cannot become 'other'"):
        Ledger(url, origin="other")


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "x" * 201, "new\nline", "1:2"])
def test_a_bad_origin_is_refused_before_anything_is_made(url: str, file: Path, origin: str) -> None:
    with pytest.raises(InvalidValue, match="is no origin"):
        Ledger(url, origin=origin)
    assert not file.exists()


# What is not ours


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("what", NOT_REGISTRIES)
def test_what_is_no_registry_is_refused_and_stays_as_it_is(
    url: str, file: Path, what: str, create: bool
) -> None:
    make, message = NOT_REGISTRIES[what]
    make(file)
    before = folder_of(file)
    with pytest.raises(NotARegistry, match=message):
        Ledger(url, create=create)
    assert folder_of(file) == before


def test_a_registry_may_stand_beside_tables_of_the_caller(url: str, file: Path) -> None:
    Ledger(url).close()
    raw.edit(file, "CREATE TABLE users (id)")
    with Ledger(url) as ledger:
        assert ledger.issue(make_certificate()).seq == 0


TOO_NEW = {
    "format": "UPDATE log_head SET format = 2",
    "schema": "UPDATE alembic_version SET version_num = '0003'",
    "projector": "UPDATE projection SET version = 2",
}


@pytest.mark.parametrize("what", TOO_NEW)
def test_a_newer_registry_is_refused_and_stays_as_it_is(url: str, file: Path, what: str) -> None:
    with Ledger(url) as ledger:
        ledger.issue(make_certificate())
    raw.edit(file, TOO_NEW[what])
    before = folder_of(file)
    with pytest.raises(FormatTooNew, match=f"{what} is (0003|2), .*upgrade certledger"):
        Ledger(url)
    assert folder_of(file) == before


@pytest.mark.parametrize("table", ["log_head", "log_entry"])
def test_half_a_log_is_damage_and_is_not_made_whole_silently(
    url: str, file: Path, table: str
) -> None:
    with Ledger(url) as ledger:
        ledger.issue(make_certificate())
    with raw.opened(file) as stranger:
        stranger.execute(f"DROP TABLE {table}")
    before = folder_of(file)
    with pytest.raises(LogCorrupt, match="of the log's tables only log_"):
        Ledger(url)
    assert folder_of(file) == before


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM log_head",
        "UPDATE log_head SET size = 'many'",
        "UPDATE log_head SET format = 'new'",
        "UPDATE projection SET version = 'new'",
        "DELETE FROM projection",
        "DELETE FROM alembic_version",
    ],
)
def test_a_damaged_registry_opens_so_that_it_can_be_verified(
    url: str, file: Path, damage: str
) -> None:
    with Ledger(url) as ledger:
        ledger.issue(make_certificate(serial=1))
    raw.edit(file, damage)
    with Ledger(url) as ledger:
        assert [event.seq for event in ledger.history(1)] == [0]
        if "log_head" in damage and "format" not in damage:
            assert "finding" in {finding.level for finding in ledger.verify()}
            with pytest.raises(LogCorrupt, match="log_head"):
                ledger.head()
            with pytest.raises(LogCorrupt, match="log_head"):
                ledger.revoke(1)


# Read-only ground

READER = """
import json, sys
from certledger.errors import LedgerError
from certledger.bulk import Registration
from certledger.eventstore.times import utc_now
from certledger.ledger import Ledger
from certledger.testing.certificates import make_ca, make_certificate
ca = make_ca()
fresh = make_certificate()
with Ledger(sys.argv[1], retry_seconds=1, create=sys.argv[2] == "create") as ledger:
    read = {
        "get": ledger.get(1).serial_number,
        "find": ledger.find("one").serial_number,
        "list": len(ledger.list()),
        "count": ledger.count(),
        "expiring": len(ledger.expiring(365)),
        "revoked": [row.serial_number for row in ledger.revoked()],
        "history": len(ledger.history(2)),
        "events": [event.seq for event in ledger.events(since=utc_now().replace(year=2000))],
        "head": ledger.head().size,
        "status": ledger.status().counts,
        "drift": len(list(ledger.drift())),
        "verify": [finding.kind for finding in ledger.verify()],
    }
    def many():
        return list(ledger.issue_many([Registration(fresh)]))
    writes = {
        "issue": lambda: ledger.issue(fresh),
        "issue_many": many,
        "revoke": lambda: ledger.revoke(1),
        "delete": lambda: ledger.delete(1),
        "expire_due": ledger.expire_due,
        "crl": lambda: ledger.crl(ca.certificate, ca.key),
    }
    refused = {}
    for name, write in writes.items():
        try:
            write()
            refused[name] = "done"
        except LedgerError as error:
            refused[name] = type(error).__name__
    print(json.dumps([read, refused, ledger.head().size]))
"""
READ = {
    "get": "1",
    "find": "1",
    "list": 3,
    "count": 3,
    "expiring": 1,
    "revoked": ["2"],
    "history": 2,
    "events": [0, 1, 2, 3],
    "head": 4,
    "status": {"valid": 2, "revoked": 1},
    "drift": 0,
    "verify": [],
}
WRITES = ["issue", "issue_many", "revoke", "delete", "expire_due", "crl"]


@pytest.fixture
def populated(tmp_path: Path) -> Path:
    """A registry in a folder of its own: one valid, one revoked, one due to expire."""
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "registry.db"
    clock = FakeClock()
    with Ledger(f"sqlite:///{file}") as ledger:
        ledger.issue(make_certificate("one", serial=1))
        ledger.issue(make_certificate("two", serial=2))
        start = clock.now.replace(microsecond=0).replace(year=clock.now.year - 1, day=1)
        ledger.issue(make_certificate("three", serial=3, start=start, days=1))
        ledger.revoke(2)
    return file


def read_all(url: str, option: str = "create") -> None:
    """Every reading command works, every writing one is refused, and nothing was written."""
    read, refused, size = json.loads(run_unprivileged(READER, url, option))
    assert read == READ
    assert refused == dict.fromkeys(WRITES, "ReadOnlyRegistry")
    assert size == 4


@pytest.mark.parametrize("option", ["create", "open"])
@pytest.mark.parametrize(
    ("file_mode", "folder_mode"), [(0o444, 0o755), (0o644, 0o555), (0o444, 0o555)]
)
def test_a_registry_on_read_only_ground_can_be_read(
    populated: Path, file_mode: int, folder_mode: int, option: str
) -> None:
    before = populated.read_bytes()
    populated.chmod(file_mode)
    populated.parent.chmod(folder_mode)
    try:
        read_all(f"sqlite:///{populated}", option)
    finally:
        populated.parent.chmod(0o755)
    assert populated.read_bytes() == before


@pytest.mark.parametrize("folder_mode", [0o755, 0o555])
def test_a_read_only_registry_can_be_read_while_its_owner_writes(
    populated: Path, folder_mode: int
) -> None:
    """What its owner wrote is still in the write-ahead log alone."""
    raw.rows(populated, "PRAGMA user_version")
    with Ledger(f"sqlite:///{populated}") as owner:
        log = Path(f"{populated}-wal")
        owner.issue(make_certificate("four", serial=4))
        owner.delete(4)
        assert log.stat().st_size > 0
        for path in populated.parent.iterdir():
            path.chmod(0o444)
        populated.parent.chmod(folder_mode)
        try:
            read, refused, _ = json.loads(
                run_unprivileged(READER, f"sqlite:///{populated}", "open")
            )
        finally:
            populated.parent.chmod(0o755)
    assert read["head"] == 6
    assert read["events"] == [0, 1, 2, 3, 4, 5]
    assert read | {"head": 4, "events": [0, 1, 2, 3]} == READ
    assert refused == dict.fromkeys(WRITES, "ReadOnlyRegistry")


@pytest.mark.parametrize(
    "url",
    ["sqlite:///{}?mode=ro", "sqlite:///file:{}?mode=ro&uri=true", "sqlite:///{}?immutable=1"],
)
def test_a_url_can_ask_for_reading_only(populated: Path, url: str) -> None:
    before = populated.read_bytes()
    read_all(url.format(populated))
    assert populated.read_bytes() == before


def test_a_url_that_asks_for_reading_only_makes_nothing(tmp_path: Path) -> None:
    for create, error in ((True, LedgerError), (False, NotARegistry)):
        with pytest.raises(error):
            Ledger(f"sqlite:///{tmp_path}/x.db?mode=ro", create=create, retry_seconds=0)
    assert list(tmp_path.iterdir()) == []


def test_a_rebuild_that_would_change_something_is_refused_on_read_only_ground(
    populated: Path,
) -> None:
    raw.edit(populated, "DELETE FROM certificates WHERE id = 1")
    with Ledger(f"sqlite:///{populated}?mode=ro") as ledger:
        with pytest.raises(ReadOnlyRegistry):
            ledger.rebuild()
        assert len(list(ledger.drift())) == 1


def test_the_origin_of_a_read_only_registry_can_be_named_but_not_set(populated: Path) -> None:
    url = f"sqlite:///{populated}?mode=ro"
    with Ledger(url) as ledger:
        origin = ledger.head().origin
    with Ledger(url, origin=origin) as ledger:
        assert ledger.head().size == 4
    with pytest.raises(ReadOnlyRegistry):
        Ledger(url, origin="other.example.org")


def test_nothing_can_be_made_in_a_read_only_folder(tmp_path: Path) -> None:
    script = """
import sys
from certledger.errors import StorageError
from certledger.ledger import Ledger
try:
    Ledger(sys.argv[1], retry_seconds=0)
except StorageError as error:
    print(type(error).__name__, error)
"""
    tmp_path.chmod(0o555)
    try:
        printed = run_unprivileged(script, f"sqlite:///{tmp_path}/x.db")
    finally:
        tmp_path.chmod(0o755)
    assert "cannot be opened: see that its folder exists" in printed
    assert list(tmp_path.iterdir()) == []


# Several processes

OPENER = """
import sys
from certledger.ledger import Ledger
from certledger.testing.certificates import make_certificate
print("ready", flush=True)
for line in sys.stdin:
    certificate = make_certificate()
    with Ledger(line.strip()) as ledger:
        event = ledger.issue(certificate)
        print(ledger.head().origin, event.seq, flush=True)
"""
PROCESSES = 8
ROUNDS = 20


def test_many_processes_can_open_one_new_file_at_once(tmp_path: Path) -> None:
    """Each registers a certificate in the one registry that they make together."""
    processes = [start(OPENER) for _ in range(PROCESSES)]
    answers: list[Callable[[], str]] = []
    for process in processes:
        assert process.stdin is not None
        assert process.stdout is not None
        answers.append(process.stdout.readline)
        assert process.stdout.readline() == "ready\n"
    for number in range(ROUNDS):
        file = tmp_path / f"{number}.db"
        for process in processes:
            assert process.stdin is not None
            print(f"sqlite:///{file}", file=process.stdin, flush=True)
        told = [answer().split() for answer in answers]
        if not all(told):
            break
        (origin,) = {origin for origin, _ in told}
        assert sorted(int(seq) for _, seq in told) == list(range(PROCESSES))
        assert [row["origin"] for row in raw.rows(file, "SELECT * FROM log_head")] == [origin]
    assert finish(processes) == [""] * PROCESSES
    assert number == ROUNDS - 1
