"""A key signs only what continues all that it has signed before."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certledger.errors import (
    LedgerError,
    LogCorrupt,
    MalformedEvidence,
    SigningRefused,
    StorageError,
)
from certledger.eventstore.checkpoints import StoredCheckpoint, stored_checkpoints
from certledger.eventstore.database import Database
from certledger.eventstore.high_water import alone, read_mark, write_mark
from certledger.eventstore.merkle import EMPTY_ROOT
from certledger.eventstore.signing import SignedCheckpoint, sign_checkpoint
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.eventstore.tlog.note import Note, NoteSigner
from certledger.testing.clock import FakeClock
from tests.support import processes, raw
from tests.support.intruder import forge, intruder
from tests.support.log import ORIGIN, fill, make_log
from tests.support.signed import LOG_KEY, OTHER_KEY, TRUST, WITNESS_KEY

KEY = LOG_KEY.verifier_key
Sign = Callable[..., SignedCheckpoint]


@pytest.fixture
def log(url: str, clock: FakeClock) -> Iterator[Database]:
    """A log of five entries."""
    database = make_log(url, clock)
    fill(database, clock, 5)
    yield database
    database.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "log.key.state"


@pytest.fixture
def sign(log: Database, state: Path, clock: FakeClock) -> Sign:
    """Signs the log as it stands with its key and mark, but for what a test says."""

    def run(
        database: Database = log, key: SigningKey = LOG_KEY, mark: Path = state, **options: bool
    ) -> SignedCheckpoint:
        return sign_checkpoint(database, key, mark, clock, **options)

    return run


def stored(database: Database) -> list[StoredCheckpoint]:
    return database.read(lambda c: list(stored_checkpoints(c)))


def marked(state: Path) -> int | None:
    mark = read_mark(state, KEY)
    return None if mark is None else mark.size


def refused(
    database: Database, sign: Callable[[], object], match: str, kind: type[LedgerError]
) -> None:
    """Signing is refused, and neither the registry nor any file is changed by it."""
    assert database.file is not None
    files = {
        path: path.read_bytes() for path in database.file.parent.iterdir() if "state" in path.name
    }
    before = stored(database)
    with pytest.raises(kind, match=match):
        sign()
    assert stored(database) == before
    for path, data in files.items():
        assert path.read_bytes() == data


# What is signed


def test_a_checkpoint_is_signed_marked_and_stored(
    log: Database, sign: Sign, state: Path, clock: FakeClock
) -> None:
    signed = sign()
    opened = TRUST.open(signed.note)
    assert opened.checkpoint == signed.checkpoint
    assert (signed.checkpoint.origin, signed.checkpoint.size) == (ORIGIN, 5)
    assert state.read_bytes() == signed.note
    (row,) = stored(log)
    assert row == StoredCheckpoint(
        0, 5, signed.checkpoint.root, KEY.to_text(), clock.now, signed.note
    )


def test_an_empty_log_can_be_signed_and_then_continued(
    tmp_path: Path, sign: Sign, clock: FakeClock
) -> None:
    database = make_log(f"sqlite:///{tmp_path / 'empty.db'}", clock)
    assert sign(database).checkpoint == Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    fill(database, clock, 3)
    assert sign(database).checkpoint.size == 3
    assert [row.size for row in stored(database)] == [0, 3]
    database.close()


def test_a_log_that_grew_is_signed_at_every_size(
    log: Database, sign: Sign, clock: FakeClock
) -> None:
    for size in range(6, 70):
        fill(log, clock, 1, first=size)
        assert sign().checkpoint.size == size
    assert [row.size for row in stored(log)] == list(range(6, 70))


def test_the_same_head_signed_twice_is_stored_once(log: Database, sign: Sign) -> None:
    first = sign()
    assert sign() == first
    assert len(stored(log)) == 1


def test_two_keys_of_the_log_can_take_turns(
    log: Database, sign: Sign, tmp_path: Path, clock: FakeClock
) -> None:
    sign()
    sign(key=OTHER_KEY, mark=tmp_path / "other.state")
    fill(log, clock, 2, first=10)
    sign()
    sign(key=OTHER_KEY, mark=tmp_path / "other.state")
    assert [row.size for row in stored(log)] == [5, 5, 7, 7]


def test_a_log_in_memory_can_be_signed(tmp_path: Path, sign: Sign, clock: FakeClock) -> None:
    database = make_log("sqlite://", clock)
    fill(database, clock, 4)
    assert sign(database).checkpoint.size == 4
    database.close()


def test_a_mark_behind_a_link_stays_behind_it(
    log: Database, sign: Sign, state: Path, tmp_path: Path, clock: FakeClock
) -> None:
    """Two names of one mark never become two marks."""
    link = tmp_path / "link.state"
    link.symlink_to(state)
    sign(mark=link)
    assert link.is_symlink()
    fill(log, clock, 1, first=10)
    sign(mark=state)
    assert marked(link) == marked(state) == 6


# Whose log and whose key


@pytest.mark.parametrize("origin", ["example.org/other", ORIGIN + "/2", ORIGIN.upper()])
def test_a_key_of_another_name_is_refused(log: Database, sign: Sign, origin: str) -> None:
    key = SigningKey(origin, KeyKind.ED25519, b"k" * 32)
    refused(log, lambda: sign(key=key), f"named '{origin}' but .* '{ORIGIN}'", SigningRefused)


def test_another_log_is_refused(tmp_path: Path, sign: Sign, url: str, clock: FakeClock) -> None:
    """The origin of an empty log can be changed with SQL; the mark knows it."""
    database = make_log(f"sqlite:///{tmp_path / 'empty.db'}", clock)
    sign(database)
    with raw.opened(tmp_path / "empty.db") as sql:
        sql.execute("UPDATE log_head SET origin = 'example.org/other'")
    refused(database, lambda: sign(database), "use the registry's own key", SigningRefused)
    database.close()


def test_a_witness_s_key_signs_no_log(log: Database, sign: Sign, state: Path) -> None:
    key = SigningKey(ORIGIN, KeyKind.COSIGNATURE, b"k" * 32)
    for witness in (key, WITNESS_KEY):
        refused(
            log,
            lambda k=witness: sign(key=k),  # type: ignore[misc] # binds the loop's value
            "has the type 0x04; 0x01 is needed",
            MalformedEvidence,
        )
    assert not state.exists()


# What was signed before


def test_a_log_that_was_cut_off_is_refused(log: Database, sign: Sign, file: Path) -> None:
    """The head is put back with SQL as it was when the log had three entries."""
    sign()
    with intruder(file, log=True) as sql:
        sql.execute("DELETE FROM log_entry WHERE seq >= 3")
        forge(sql, lambda _seq, _members: None)
    message = "the log has 3 entries, but this key has signed that it had 5: it was cut off"
    refused(log, sign, message, SigningRefused)


def test_a_log_that_was_cut_off_without_its_head_is_damaged(
    log: Database, sign: Sign, file: Path, state: Path
) -> None:
    raw.edit(file, "DELETE FROM log_entry WHERE seq >= 3")
    refused(log, sign, "entry 3: the hash of the subtree", LogCorrupt)
    assert not state.exists()


def test_a_restored_backup_is_refused_until_the_log_is_longer_and_then_too(
    log: Database, sign: Sign, file: Path, clock: FakeClock
) -> None:
    log.close()
    backup = shutil.copy(file, file.with_name("backup.db"))
    fill(log, clock, 3, first=10)
    sign()
    log.close()
    for path in file.parent.glob(f"{file.name}-*"):
        path.unlink()
    shutil.copy(backup, file)
    message = "has 5 entries, but .* that it had 8: it was cut off, or an old backup was restored"
    refused(log, sign, message, SigningRefused)
    fill(log, clock, 3, first=20)
    refused(log, sign, "first 8 entries are not those that this key has signed", SigningRefused)
    fill(log, clock, 30, first=30)
    refused(log, sign, "the history was rewritten; nothing was signed", SigningRefused)


@pytest.mark.parametrize("grown", [0, 1, 11])
@pytest.mark.parametrize("seq", [0, 2, 4])
def test_rewritten_entries_are_refused_although_the_tree_fits_again(
    log: Database, sign: Sign, file: Path, clock: FakeClock, seq: int, grown: int
) -> None:
    sign()
    if grown:
        fill(log, clock, grown, first=10)

    def change(at: int, members: dict[str, object]) -> None:
        if at == seq:
            members["authid"] = "mallory"

    with intruder(file, log=True) as sql:
        forge(sql, change)
    refused(log, sign, r"the first 5 entries are not those .* was rewritten", SigningRefused)


def test_entries_rewritten_after_the_last_checkpoint_cannot_be_seen(
    log: Database, sign: Sign, file: Path, clock: FakeClock
) -> None:
    """What nobody has signed yet, nothing protects: sign often."""
    sign()
    fill(log, clock, 2, first=10)

    def change(at: int, members: dict[str, object]) -> None:
        if at == 5:
            members["authid"] = "mallory"

    with intruder(file, log=True) as sql:
        forge(sql, change)
    assert sign().checkpoint.size == 7


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        ("UPDATE log_head SET root = zeroblob(32)", "frontier does not add up to the root"),
        ("UPDATE log_entry SET hashes = zeroblob(32) WHERE seq = 4", "the stored hashes make"),
        ("UPDATE log_entry SET hashes = zeroblob(96) WHERE seq = 3", "the stored hashes make"),
        ("DELETE FROM log_head", "log_head has 0 rows"),
    ],
)
def test_a_head_that_is_not_the_entries_is_never_signed(
    log: Database, sign: Sign, file: Path, state: Path, damage: str, match: str
) -> None:
    """Not even the first time: no proof could be made from it."""
    raw.edit(file, damage)
    refused(log, sign, match, LogCorrupt)
    assert not state.exists()


def test_a_damaged_mark_is_refused(log: Database, sign: Sign, state: Path) -> None:
    sign()
    state.write_bytes(state.read_bytes()[:-3])
    refused(log, sign, "put the right file back", SigningRefused)


def test_a_mark_of_another_key_is_refused(
    log: Database, sign: Sign, tmp_path: Path, state: Path
) -> None:
    sign(key=OTHER_KEY, mark=tmp_path / "other.state")
    shutil.copy(tmp_path / "other.state", state)
    refused(log, sign, "is not the last checkpoint of this key", SigningRefused)


# A mark that is missing or old


def test_without_its_mark_a_key_that_has_signed_signs_no_more(
    log: Database, sign: Sign, state: Path, clock: FakeClock
) -> None:
    sign()
    state.unlink()
    fill(log, clock, 1, first=10)
    refused(log, sign, "of size 5 that this key signed.*checkpoint --begin-state", SigningRefused)
    assert not state.exists()


def test_the_mark_can_be_begun_anew_from_the_stored_checkpoint(
    log: Database, sign: Sign, state: Path, clock: FakeClock
) -> None:
    sign()
    state.unlink()
    fill(log, clock, 1, first=10)
    assert sign(begin_state=True).checkpoint.size == marked(state) == 6


def test_a_new_key_begins_its_mark_without_being_asked(
    log: Database, sign: Sign, tmp_path: Path
) -> None:
    sign()
    assert sign(key=OTHER_KEY, mark=tmp_path / "other.state").checkpoint.size == 5


def test_beginning_anew_still_wants_the_log_to_continue_what_is_stored(
    log: Database, sign: Sign, state: Path, file: Path
) -> None:
    sign()
    state.unlink()

    def change(at: int, members: dict[str, object]) -> None:
        if at == 1:
            members["authid"] = "mallory"

    with intruder(file, log=True) as sql:
        forge(sql, change)
    refused(log, lambda: sign(begin_state=True), "history was rewritten", SigningRefused)


@pytest.mark.parametrize(
    "change",
    [
        "note = CAST(substr(note, 2) AS BLOB)",
        "note = CAST(replace(note, x'0a350a', x'0a340a') AS BLOB)",
    ],
)
def test_beginning_anew_believes_only_what_the_key_signed(
    log: Database, sign: Sign, state: Path, file: Path, change: str
) -> None:
    sign()
    state.unlink()
    raw.edit(file, f"UPDATE log_checkpoint SET {change}")
    refused(
        log, lambda: sign(begin_state=True), "checkpoint 0 of the registry is not", SigningRefused
    )


def test_with_a_mark_a_forged_checkpoint_in_the_registry_does_not_stop_the_signer(
    log: Database, sign: Sign, file: Path
) -> None:
    """`verify` reports it. Whoever can write to the database could add one at any time."""
    sign()
    row = raw.rows(file, "SELECT * FROM log_checkpoint")[0]
    with raw.opened(file) as sql:
        raw.insert(sql, "log_checkpoint", row | {"number": 1, "note": b"forged"})
    sign()
    assert [found.note for found in stored(log)] == [row["note"], b"forged"]


def test_an_old_mark_does_not_hide_what_the_registry_knows_to_be_signed(
    log: Database, sign: Sign, state: Path, file: Path, clock: FakeClock
) -> None:
    """The mark is restored from a backup, and entries after it are rewritten."""
    sign()
    old = state.read_bytes()
    fill(log, clock, 2, first=10)
    sign()
    state.write_bytes(old)

    def change(at: int, members: dict[str, object]) -> None:
        if at == 6:
            members["authid"] = "mallory"

    with intruder(file, log=True) as sql:
        forge(sql, change)
    refused(log, sign, "the first 7 entries are not those", SigningRefused)


def test_an_old_mark_of_an_honest_log_moves_on(
    log: Database, sign: Sign, state: Path, clock: FakeClock
) -> None:
    sign()
    old = state.read_bytes()
    fill(log, clock, 2, first=10)
    sign()
    state.write_bytes(old)
    assert sign().checkpoint.size == marked(state) == 7


def test_begin_state_does_not_set_aside_a_mark_that_is_there(
    log: Database, sign: Sign, state: Path
) -> None:
    sign()
    longer = Note(Checkpoint(ORIGIN, 9, bytes(32)).to_text()).signed(NoteSigner(LOG_KEY))
    write_mark(state, longer.to_bytes())
    refused(log, lambda: sign(begin_state=True), "signed that it had 9", SigningRefused)


# Crashes

KILLED = """
import os, signal, sys
from pathlib import Path
from certledger.eventstore import signing
from certledger.eventstore.database import Database
from certledger.eventstore.times import utc_now
from tests.support.signed import LOG_KEY
def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(signing, sys.argv[3], killed)
signing.sign_checkpoint(Database(sys.argv[1]), LOG_KEY, Path(sys.argv[2]), utc_now)
"""


def killed_at(place: str, url: str, state: Path) -> None:
    """Another process signs, and is killed when it comes to a function."""
    process = processes.start(KILLED, url, state, place)
    process.communicate(timeout=processes.TIMEOUT)
    assert process.returncode == -signal.SIGKILL


def test_a_signer_killed_between_mark_and_registry_goes_on_at_the_next_try(
    log: Database, sign: Sign, state: Path, url: str, clock: FakeClock
) -> None:
    """The mark comes first: what it does not know was given to nobody."""
    killed_at("store_checkpoint", url, state)
    assert marked(state) == 5
    assert stored(log) == []
    assert sign().note == state.read_bytes()
    assert [row.size for row in stored(log)] == [5]
    fill(log, clock, 2, first=10)
    killed_at("store_checkpoint", url, state)
    fill(log, clock, 2, first=20)
    assert sign().checkpoint.size == 9
    assert [row.size for row in stored(log)] == [5, 9]


def test_a_signer_killed_before_its_mark_has_stored_nothing(
    log: Database, sign: Sign, state: Path, url: str
) -> None:
    killed_at("write_mark", url, state)
    assert marked(state) is None
    assert stored(log) == []
    assert sign().checkpoint.size == 5


def test_what_cannot_be_stored_is_marked_all_the_same(
    log: Database, sign: Sign, state: Path, file: Path
) -> None:
    raw.edit(file, "ALTER TABLE log_checkpoint RENAME COLUMN stored_at TO stored_when")
    # Reading fails first where this key has signed before; here it cannot even be asked.
    with pytest.raises(StorageError):
        sign()
    assert marked(state) is None
    raw.edit(
        file,
        "ALTER TABLE log_checkpoint RENAME COLUMN stored_when TO stored_at",
        "CREATE TRIGGER no_more BEFORE INSERT ON log_checkpoint "
        "BEGIN SELECT RAISE(ABORT, 'no more'); END",
    )
    with pytest.raises(StorageError, match="no more"):
        sign()
    assert marked(state) == 5
    raw.edit(file, "DROP TRIGGER IF EXISTS no_more")
    # `edit` puts triggers back; so this one goes by itself.
    with raw.opened(file) as sql:
        sql.execute("DROP TRIGGER no_more")
    assert sign().checkpoint.size == 5
    assert len(stored(log)) == 1


# Signers at once

SIGNER = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from certledger.errors import SigningRefused
from certledger.eventstore.database import Database
from certledger.eventstore.signing import sign_checkpoint
from certledger.eventstore.times import utc_now
from tests.support.log import fill
from tests.support.signed import LOG_KEY
url, state, first, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
database = Database(url)
sys.stdin.readline()
for number in range(count):
    fill(database, utc_now, 1, first=first + number)
    try:
        signed = sign_checkpoint(database, LOG_KEY, state, utc_now)
        print(json.dumps([signed.checkpoint.size, signed.checkpoint.root.hex()]), flush=True)
    except SigningRefused as error:
        print(json.dumps([None, str(error)]), flush=True)
"""
COUNT = 25


def race(*commands: tuple[object, ...]) -> list[list[tuple[int | None, str]]]:
    """Let signers begin at once, and return what each signed, in its order."""
    started = [processes.start(SIGNER, *arguments) for arguments in commands]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = processes.finish(started)
    return [[tuple(json.loads(line)) for line in output.splitlines()] for output in outputs]


def test_two_signers_of_one_log_sign_one_root_for_each_size(
    log: Database, url: str, state: Path
) -> None:
    results = race((url, state, 1000, COUNT), (url, state, 2000, COUNT))
    roots: dict[int | None, set[str]] = {}
    for size, root in (pair for result in results for pair in result):
        roots.setdefault(size, set()).add(root)
    assert None not in roots
    assert all(len(found) == 1 for found in roots.values())
    assert marked(state) == 5 + 2 * COUNT
    rows = stored(log)
    assert [row.number for row in rows] == list(range(len(rows)))
    assert {row.size for row in rows} == set(roots)
    assert len({row.note for row in rows}) == len(rows)


def test_two_signers_of_a_log_and_its_copy_never_sign_two_roots_of_one_size(
    log: Database, url: str, file: Path, state: Path
) -> None:
    """The copy grows another way. The one that signs first, by the shared mark, is the log."""
    log.close()
    copy = shutil.copy(file, file.with_name("copy.db"))
    results = race((url, state, 1000, COUNT), (f"sqlite:///{copy}", state, 2000, COUNT))
    roots: dict[int, set[str]] = {}
    for size, root in (pair for result in results for pair in result):
        if size is not None:
            roots.setdefault(size, set()).add(root)
    assert all(len(found) == 1 for found in roots.values())
    winners = [result for result in results if any(size is not None for size, _ in result)]
    assert len(winners) == 1
    assert all(size is not None for size, _ in winners[0])


def test_a_signer_waits_for_another_no_longer_than_it_was_told(
    log: Database, state: Path, clock: FakeClock
) -> None:
    with alone(state), pytest.raises(SigningRefused, match="another signer has been at work"):
        sign_checkpoint(log, LOG_KEY, state, clock, wait_seconds=0)
    assert stored(log) == []
