"""The command by which a witness cosigns a checkpoint."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from certledger.cli.keys import PASSPHRASE_VARIABLE, read_key
from certledger.eventstore.database import Database
from certledger.eventstore.head import read_head
from certledger.eventstore.tlog.checkpoint import Checkpoint
from certledger.eventstore.tlog.cosignature import CosignatureVerifier, timestamp_of
from certledger.eventstore.tlog.keys import KeyKind, SigningKey
from certledger.eventstore.tlog.note import Note, NoteSigner, NoteVerifier, Signature
from certledger.testing.certificates import make_certificate
from certledger.testing.clock import FakeClock
from tests.support.cli import Commands
from tests.support.log import ORIGIN, fill, make_log
from tests.support.signed import LOG_KEY, OTHER_KEY, VKEY, cosigned, sign_log
from tests.support.tiles import write_tiles


@dataclass(frozen=True)
class Witness:
    """A witness with its key file, beside a log that grows and is published."""

    run: Commands
    database: Database
    folder: Path
    clock: FakeClock

    @property
    def key(self) -> Path:
        return self.folder / "witness.key"

    @property
    def tiles(self) -> Path:
        return self.folder / "tiles"

    def publish(self, name: str, count: int) -> Path:
        """Let the log grow by so many entries, and publish checkpoint and tiles."""
        size = self.database.read(read_head).size
        fill(self.database, self.clock, count, first=size)
        path = self.folder / name
        path.write_bytes(sign_log(self.database, self.folder, self.clock))
        write_tiles(self.database, self.tiles)
        return path

    def options(self, *more: object) -> tuple[object, ...]:
        return ("--key", self.key, "--vkey", VKEY, "--tiles", self.tiles, *more)

    def cosign(self, checkpoint: Path, *more: object, to: str = "cosigned") -> Path:
        target = self.folder / to
        self.run("cosign", checkpoint, *self.options("-o", target, *more))
        return target

    def refuses(self, checkpoint: Path, *more: object, code: int = 1) -> str:
        """The command fails, says so in one line and writes nothing."""
        target = self.folder / "refused"
        error = self.run.fails("cosign", checkpoint, *self.options("-o", target, *more), code=code)
        assert not target.exists()
        return error

    def line_of(self, path: Path) -> Signature:
        """The witness's line, verified; the log's line must be there and verify too."""
        key = read_key(self.key).verifier_key
        note = Note.from_bytes(path.read_bytes())
        opened = note.open([NoteVerifier(LOG_KEY.verifier_key), CosignatureVerifier(key)])
        assert [line.name for line in opened.signatures] == [ORIGIN, "witness.example"]
        return opened.signatures[1]


@pytest.fixture
def witness(
    run: Commands, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Witness]:
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    database = make_log(f"sqlite:///{tmp_path / 'log.db'}", clock)
    made = Witness(run, database, tmp_path, clock)
    run("key", "new", "--witness", "--name", "witness.example", "-o", made.key)
    yield made
    database.close()


# Cosigning


def test_the_first_checkpoint_is_cosigned_with_the_present_time(witness: Witness) -> None:
    before = int(time.time())
    path = witness.cosign(witness.publish("one", 5), "--first")
    assert before <= timestamp_of(witness.line_of(path).signature) <= int(time.time())


def test_each_checkpoint_is_cosigned_after_the_one_before(witness: Witness) -> None:
    last = witness.cosign(witness.publish("new", 3), "--first", to="last")
    for count in (1, 4, 0, 300, 1):
        new = witness.publish("new", count)
        witness.cosign(new, "--since", last, to="last")
        witness.line_of(last)


def test_the_checkpoint_and_the_lines_of_others_stay_byte_for_byte(witness: Witness) -> None:
    new = witness.publish("new", 5)
    new.write_bytes(cosigned(new.read_bytes(), SigningKey("w2", KeyKind.COSIGNATURE, b"2" * 32)))
    path = witness.cosign(new, "--first")
    assert path.read_bytes().startswith(new.read_bytes())
    assert path.read_bytes().count(b"\n") == new.read_bytes().count(b"\n") + 1


def test_cosigning_again_replaces_the_line(witness: Witness) -> None:
    last = witness.cosign(witness.publish("new", 5), "--first", to="last")
    again = witness.cosign(last, "--since", last, to="last")
    assert len(Note.from_bytes(again.read_bytes()).signatures) == 2


def test_no_registry_is_opened_or_made(witness: Witness) -> None:
    witness.cosign(witness.publish("one", 5), "--first")
    assert not witness.run.file.exists()


def test_an_empty_log_can_be_cosigned_and_continued(witness: Witness) -> None:
    last = witness.cosign(witness.publish("empty", 0), "--first", to="last")
    witness.line_of(witness.cosign(witness.publish("new", 7), "--since", last))


def test_the_log_s_key_can_be_in_a_file(witness: Witness) -> None:
    new = witness.publish("new", 5)
    vkey = witness.folder / "log.vkey"
    vkey.write_text(f"{VKEY}\n")
    target = witness.folder / "cosigned"
    options = ("--key", witness.key, "--vkey", vkey, "--tiles", witness.tiles)
    witness.run("cosign", new, *options, "--first", "-o", target)
    witness.line_of(target)


def test_it_can_go_to_standard_output(witness: Witness) -> None:
    new = witness.publish("new", 5)
    result = witness.run("cosign", new, *witness.options("--first", "-o", "-"))
    assert result.stdout_bytes.startswith(new.read_bytes())
    assert "checkpoint of 5 entries cosigned by witness.example; root " in result.stderr


def test_tiles_of_a_log_that_has_grown_on_still_serve(witness: Witness) -> None:
    """Once the full tile is there, the partial one may be gone."""
    old = witness.publish("old", 200)
    witness.publish("new", 100)
    shutil.rmtree(witness.tiles / "tile" / "0" / "000.p")
    witness.line_of(witness.cosign(old, "--first"))


def test_the_whole_way_by_commands_alone(run: Commands, tmp_path: Path) -> None:
    """Log and witness make keys; the log signs and exports; the witness cosigns; all check it."""
    origin, published = "ca.example.org/registry", tmp_path / "published"
    keys = {name: tmp_path / f"{name}.key" for name in ("log", "witness")}
    run("init", "--origin", origin)
    vkey = run("key", "new", "--name", origin, "-o", keys["log"]).stdout.strip()
    named = ("key", "new", "--witness", "--name", "witness.example", "-o", keys["witness"])
    witness_vkey = run(*named).stdout.strip()
    policy = tmp_path / "policy"
    policy.write_text(f"log {vkey}\nwitness w {witness_vkey}\nquorum w\n")
    last = tmp_path / "last"
    options = ("--key", keys["witness"], "--vkey", vkey, "--tiles", published, "-o", last)
    for serial, begin in ((1, ("--first",)), (2, ("--since", last))):
        run.register(make_certificate(serial=serial))
        run("checkpoint", "--key", keys["log"], "-o", tmp_path / "checkpoint")
        run("export", "tiles", published)
        run("cosign", published / "checkpoint", *options, *begin)
        run("check", last, "--policy", policy)
        assert "the quorum" in run.fails("check", tmp_path / "checkpoint", "--policy", policy)
    run("mirror", "check", published, "--vkey", vkey)


# What a witness refuses


def test_a_log_that_its_key_did_not_sign_is_refused(witness: Witness) -> None:
    new = witness.publish("new", 5)
    text = Note.from_bytes(new.read_bytes()).text
    new.write_bytes(Note(text).signed(NoteSigner(OTHER_KEY)).to_bytes())
    assert "no known key signed this" in witness.refuses(new, "--first")


def test_another_log_s_checkpoint_by_a_key_of_this_one_is_refused(witness: Witness) -> None:
    new = witness.publish("new", 5)
    other = Checkpoint("other.example", 5, bytes(32))
    new.write_bytes(Note(other.to_text()).signed(NoteSigner(LOG_KEY)).to_bytes())
    assert "is of the log 'other.example'" in witness.refuses(new, "--first")


def test_a_witness_never_goes_back(witness: Witness) -> None:
    old = witness.publish("old", 5)
    last = witness.cosign(witness.publish("new", 1), "--first", to="last")
    error = witness.refuses(old, "--since", last)
    assert error == (
        "the checkpoint has 5 entries, but 6 were covered before: a witness does not go back"
    )


def signed_by_log(size: int, root: bytes) -> bytes:
    return Note(Checkpoint(ORIGIN, size, root).to_text()).signed(NoteSigner(LOG_KEY)).to_bytes()


@pytest.mark.parametrize("size", [1, 4, 5, 8])
def test_a_log_that_was_rewritten_is_refused(witness: Witness, size: int) -> None:
    """The old checkpoint has a root that the tiles do not lead to."""
    new = witness.publish("new", 8)
    old = witness.folder / "old"
    old.write_bytes(cosigned(signed_by_log(size, b"r" * 32), read_key(witness.key)))
    assert "not the same log" in witness.refuses(new, "--since", old)


def test_tiles_that_are_not_the_checkpoint_s_are_refused(witness: Witness) -> None:
    new = witness.publish("new", 8)
    new.write_bytes(signed_by_log(8, b"r" * 32))
    error = witness.refuses(new, "--first")
    assert error.startswith("the tiles have the root ")
    assert (b"r" * 32).hex() in error


@pytest.mark.parametrize("damage", [b"", b"x" * 8 * 32, b"x" * 9 * 32, b"x" * 100_000])
def test_damaged_tiles_are_refused(witness: Witness, damage: bytes) -> None:
    new = witness.publish("new", 8)
    (witness.tiles / "tile" / "0" / "000.p" / "8").write_bytes(damage)
    witness.refuses(new, "--first")


def test_missing_tiles_are_named(witness: Witness) -> None:
    new = witness.publish("new", 8)
    (witness.tiles / "tile" / "0" / "000.p" / "8").unlink()
    assert "has no tile/0/000.p/8" in witness.refuses(new, "--first")
    witness.publish("newer", 1)
    assert "has no tile/0/000.p/8" in witness.refuses(new, "--first")


def test_beginning_must_be_said(witness: Witness) -> None:
    new = witness.publish("new", 8)
    assert "--first" in witness.refuses(new, code=2)
    assert "--first" in witness.refuses(new, "--first", "--since", new, code=2)


def test_one_that_has_begun_does_not_begin_again(witness: Witness) -> None:
    new = witness.publish("new", 8)
    last = witness.cosign(new, "--first", to="last")
    before = last.read_bytes()
    error = witness.run.fails("cosign", new, *witness.options("--first", "-o", last))
    assert f"{last} was cosigned by this witness before: name it with --since" in error
    assert last.read_bytes() == before
    assert "was cosigned by this witness before" in witness.refuses(last, "--first")


def test_beginning_may_replace_a_file_that_is_something_else(witness: Witness) -> None:
    target = witness.folder / "cosigned"
    target.write_bytes(b"whatever")
    witness.line_of(witness.cosign(witness.publish("new", 8), "--first"))


def test_an_old_checkpoint_without_this_witness_s_line_is_used_with_a_warning(
    witness: Witness,
) -> None:
    old = witness.publish("old", 3)
    new = witness.publish("new", 3)
    target = witness.folder / "cosigned"
    result = witness.run("cosign", new, *witness.options("--since", old, "-o", target))
    assert "does not bear this witness's cosignature" in result.stderr
    witness.line_of(target)


def test_an_old_checkpoint_with_a_false_line_of_this_witness_is_refused(witness: Witness) -> None:
    old = witness.publish("old", 3)
    new = witness.publish("new", 3)
    key = read_key(witness.key).verifier_key
    note = Note.from_bytes(old.read_bytes())
    false = Signature(key.name, key.key_id, bytes(72))
    old.write_bytes(Note(note.text, (*note.signatures, false)).to_bytes())
    assert "does not verify" in witness.refuses(new, "--since", old)


def test_a_log_s_key_does_not_cosign(witness: Witness) -> None:
    new = witness.publish("new", 3)
    log_key = witness.folder / "log.key"
    witness.run("key", "new", "--name", ORIGIN, "-o", log_key)
    options = ("--key", log_key, "--vkey", VKEY, "--tiles", witness.tiles, "--first")
    error = witness.run.fails("cosign", new, *options, "-o", witness.folder / "refused")
    assert "is no witness's key: make one with `certledger key new --witness`" in error


def test_the_witness_s_key_is_not_written_over(witness: Witness) -> None:
    new = witness.publish("new", 3)
    before = witness.key.read_bytes()
    error = witness.run.fails("cosign", new, *witness.options("--first", "-o", witness.key), code=2)
    assert "is needed as it is" in error
    assert witness.key.read_bytes() == before


@pytest.mark.parametrize("vkey", ["", "a+b", "x" * 5000, "a\0b", VKEY[:-4] + "AAAA"])
def test_what_is_no_verifier_key_is_wrong_usage(witness: Witness, vkey: str) -> None:
    new = witness.publish("new", 3)
    options = ("--key", witness.key, "--vkey", vkey, "--tiles", witness.tiles, "--first")
    error = witness.run.fails("cosign", new, *options, "-o", witness.folder / "x", code=2)
    assert "'--vkey'" in error


def test_a_long_file_is_no_checkpoint(witness: Witness) -> None:
    new = witness.publish("new", 3)
    new.write_bytes(b"x" * 100_000)
    assert "so it is no checkpoint" in witness.refuses(new, "--first")
