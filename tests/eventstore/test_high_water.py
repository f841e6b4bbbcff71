"""The signer's mark: outside of the database, whole after any crash, and one signer's at a time."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from certledger.errors import SigningRefused
from certledger.eventstore.high_water import alone, read_mark, state_path, write_mark
from certledger.eventstore.merkle import EMPTY_ROOT
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.eventstore.tlog.note import Note, NoteSigner
from tests.support import processes
from tests.support.log import ORIGIN
from tests.support.signed import LOG_KEY, OTHER_KEY, cosigned

KEY = LOG_KEY.verifier_key

HOLD = """
import sys
from pathlib import Path
from certledger.eventstore.high_water import alone
with alone(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.readline()
"""

FORK = """
import os, sys
from pathlib import Path
from certledger.eventstore.high_water import alone
with alone(Path(sys.argv[1])):
    child = os.fork()
    if child == 0:
        sys.stdin.readline()
        os._exit(0)
with alone(Path(sys.argv[1]), 0):
    print("locked again", flush=True)
sys.stdin.readline()
"""


def note_of(size: int, key: SigningKey = LOG_KEY, origin: str = ORIGIN) -> bytes:
    root = bytes([size]) * 32 if size else EMPTY_ROOT
    return Note(Checkpoint(origin, size, root).to_text()).signed(NoteSigner(key)).to_bytes()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return state_path(tmp_path / "log.key")


def test_the_mark_lies_beside_the_key_file() -> None:
    assert state_path(Path("/keys/log.key")) == Path("/keys/log.key.state")


def test_without_a_file_there_is_no_mark(state: Path) -> None:
    assert read_mark(state, KEY) is None


@pytest.mark.parametrize("size", [0, 1, 200])
def test_what_is_written_is_read_again(state: Path, size: int) -> None:
    write_mark(state, note_of(size))
    assert state.read_bytes() == note_of(size)
    mark = read_mark(state, KEY)
    assert mark is not None
    assert (mark.origin, mark.size) == (ORIGIN, size)


def test_a_mark_replaces_the_one_before_and_leaves_nothing_beside_it(state: Path) -> None:
    write_mark(state, note_of(3))
    write_mark(state, note_of(5))
    mark = read_mark(state, KEY)
    assert mark is not None
    assert mark.size == 5
    assert list(state.parent.iterdir()) == [state]
    assert stat.S_IMODE(state.stat().st_mode) == 0o600


def test_a_mark_that_cannot_be_put_in_place_leaves_nothing_behind(state: Path) -> None:
    state.mkdir()
    (state / "file").touch()
    with pytest.raises(OSError, match=r"log\.key\.state"):
        write_mark(state, note_of(3))
    assert list(state.parent.iterdir()) == [state]


def test_a_mark_that_a_witness_cosigned_is_still_one(state: Path) -> None:
    write_mark(state, cosigned(note_of(3)))
    assert read_mark(state, KEY) is not None


FOREIGN = SigningKey("example.org/other", KeyKind.ED25519, b"k" * 32)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"3",
        note_of(3)[:-1],
        note_of(3)[1:],
        note_of(3).replace(b"\n3\n", b"\n4\n"),
        note_of(3) + note_of(4),
        b"\xff" + note_of(3),
        note_of(3, OTHER_KEY),
        note_of(3, FOREIGN, "example.org/other"),
        note_of(3, LOG_KEY, "example.org/other"),
        b"x" * 100_000,
    ],
    ids=[
        "empty",
        "a line feed",
        "a number",
        "cut off at the end",
        "cut off at the start",
        "another size",
        "two of them",
        "no UTF-8",
        "another key of the name",
        "another log's key",
        "another log",
        "long",
    ],
)
def test_what_is_not_this_key_s_last_checkpoint_is_refused(state: Path, data: bytes) -> None:
    state.write_bytes(data)
    with pytest.raises(SigningRefused, match="put the right file back, or name it with --state"):
        read_mark(state, KEY)


@pytest.mark.parametrize("at", range(0, len(note_of(3)), 7))
def test_a_flipped_bit_is_refused(state: Path, at: int) -> None:
    data = bytearray(note_of(3))
    data[at] ^= 1
    state.write_bytes(data)
    with pytest.raises(SigningRefused):
        read_mark(state, KEY)


# One signer at a time


def test_one_signer_after_another_gets_the_lock(state: Path) -> None:
    for _ in range(3):
        with alone(state, 0):
            pass


def test_a_second_signer_waits_and_then_says_who_is_in_the_way(state: Path) -> None:
    with (
        alone(state),
        pytest.raises(SigningRefused, match=r"another signer .*log\.key\.state for 0\.05 seconds"),
        alone(state, 0.05),
    ):
        pytest.fail("two hold the lock")


def test_signers_of_other_marks_do_not_wait(state: Path) -> None:
    with alone(state), alone(state.with_name("other.state"), 0):
        pass


def test_the_lock_of_a_killed_signer_is_free(state: Path) -> None:
    process = processes.start(HOLD, state)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(SigningRefused), alone(state, 0):
        pytest.fail("two hold the lock")
    process.kill()
    process.communicate(timeout=processes.TIMEOUT)
    with alone(state, 0):
        pass


def test_a_process_forked_meanwhile_does_not_keep_the_lock(state: Path) -> None:
    process = processes.start(FORK, state)
    assert processes.finish([process]) == ["locked again\n"]
