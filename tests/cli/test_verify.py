"""The command that checks everything, also against what others have kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from certledger.cli.keys import PASSPHRASE_VARIABLE
from certledger.testing.certificates import make_certificate
from tests.support import raw
from tests.support.cli import Commands
from tests.support.signed import LOG_KEY, WITNESS_KEY

ORIGIN = "ca.example.org/registry"


@pytest.fixture
def signed(run: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Three certificates; checkpoints of one and of all three are kept in a folder."""
    monkeypatch.delenv(PASSPHRASE_VARIABLE, raising=False)
    run("init", "--origin", ORIGIN)
    line = run("key", "new", "--name", ORIGIN, "-o", tmp_path / "log.key").stdout
    (tmp_path / "log.vkey").write_text(line)
    (tmp_path / "kept").mkdir()
    for serial in (1, 2, 3):
        run.register(make_certificate(serial=serial))
        if serial != 2:
            kept = tmp_path / "kept" / f"checkpoint-{serial}"
            run("checkpoint", "--key", tmp_path / "log.key", "-o", kept)
    return run


@pytest.fixture
def cut(signed: Commands) -> Commands:
    """The same, restored from a copy that was made before the third one."""
    file = signed.file
    with raw.opened(file) as sql:
        (frontier,) = sql.execute(
            "SELECT substr(hashes, 33, 32) FROM log_entry WHERE seq = 1"
        ).fetchone()
        (recorded,) = sql.execute("SELECT recorded_at FROM log_entry WHERE seq = 1").fetchone()
    raw.edit(
        file,
        "DELETE FROM log_entry WHERE seq = 2",
        "DELETE FROM certificates WHERE id = 3",
        "DELETE FROM log_checkpoint WHERE size = 3",
        f"UPDATE log_head SET size = 2, root = x'{frontier.hex()}', "
        f"frontier = x'{frontier.hex()}', recorded_at = '{recorded}'",
    )
    return signed


def test_a_stored_checkpoint_of_an_unknown_key_is_noted(signed: Commands) -> None:
    (note,) = signed.json("verify")
    assert (note["level"], note["kind"]) == ("note", "checkpoint-unchecked")
    assert "2 stored checkpoints" in note["message"]


def test_with_the_key_nothing_is_left_to_note(signed: Commands, tmp_path: Path) -> None:
    line = (tmp_path / "log.vkey").read_text().strip()
    for key in (line, tmp_path / "log.vkey"):
        assert signed("verify", "--vkey", key).stdout == "verified 3 entries: no findings\n"


def test_of_several_keys_one_is_enough(signed: Commands, tmp_path: Path) -> None:
    keys = ["--vkey", LOG_KEY.verifier_key.to_text(), "--vkey", tmp_path / "log.vkey"]
    assert signed.json("verify", *keys, "--checkpoint", tmp_path / "kept") == []


def test_a_clean_log_is_clean_by_all_that_is_known(signed: Commands, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.write_text(f"log {(tmp_path / 'log.vkey').read_text().strip()}\nquorum none\n")
    found = signed.json(
        "verify",
        *("--checkpoint", tmp_path / "kept", "--checkpoint", tmp_path / "kept" / "checkpoint-1"),
        *("--vkey", tmp_path / "log.vkey", "--policy", policy),
        *("--state", tmp_path / "log.key.state", "--jobs", 2),
    )
    assert found == []


def test_a_cut_off_log_is_whole_by_itself(cut: Commands, tmp_path: Path) -> None:
    assert cut.json("verify", "--vkey", tmp_path / "log.vkey") == []


@pytest.mark.parametrize(
    "options", [("--checkpoint", "kept"), ("--checkpoint", "kept/checkpoint-3")]
)
def test_a_kept_checkpoint_shows_that_the_log_was_cut_off(
    cut: Commands, tmp_path: Path, options: tuple[str, str]
) -> None:
    option, name = options
    (found,) = cut.json("verify", option, tmp_path / name, "--vkey", tmp_path / "log.vkey", code=1)
    assert (found["kind"], found["seq"]) == ("truncated", 2)
    assert "checkpoint-3 covers 3 entries, the log has 2" in found["message"]


def test_the_signers_mark_shows_that_the_log_was_cut_off(cut: Commands, tmp_path: Path) -> None:
    state = tmp_path / "log.key.state"
    (found,) = cut.json("verify", "--state", state, "--vkey", tmp_path / "log.vkey", code=1)
    assert (found["kind"], found["seq"]) == ("truncated", 2)
    assert "high-water mark" in found["message"]


def test_a_policy_asks_for_its_witnesses(signed: Commands, tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.write_text(
        f"log {(tmp_path / 'log.vkey').read_text().strip()}\n"
        f"witness w {WITNESS_KEY.verifier_key.to_text()}\nquorum w\n"
    )
    found = signed.json("verify", "--checkpoint", tmp_path / "kept", "--policy", policy, code=1)
    assert [each["kind"] for each in found] == ["checkpoint-signature"] * 2
    assert "quorum" in found[0]["message"]


def test_a_mark_that_the_key_did_not_sign_is_a_finding(signed: Commands, tmp_path: Path) -> None:
    state, key = tmp_path / "log.key.state", LOG_KEY.verifier_key.to_text()
    (found,) = [
        each
        for each in signed.json("verify", "--state", state, "--vkey", key, code=1)
        if each["level"] == "finding"
    ]
    assert found["kind"] == "checkpoint-signature"


def test_the_serial_number_is_given_both_ways(signed: Commands) -> None:
    raw.edit(signed.file, "UPDATE log_entry SET actor = 'mallory' WHERE seq = 2")
    found = signed.json("verify", code=1)[0]
    assert (found["kind"], found["seq"]) == ("column", 2)
    assert (found["serial_number"], found["serial_hex"]) == ("3", "0x3")
    assert "3 (0x3)" in signed("verify", code=1).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--checkpoint", "kept"], "--vkey KEY or --policy P goes with --checkpoint"),
        (["--state", "log.key.state"], "--vkey KEY goes with --state"),
        (["--checkpoint", "empty", "--vkey", "log.vkey"], "there is no checkpoint in"),
        (["--checkpoint", "nowhere", "--vkey", "log.vkey"], "does not exist"),
        (["--state", "nowhere", "--vkey", "log.vkey"], "does not exist"),
        (["--vkey", "no key"], "--vkey"),
        (["--vkey", WITNESS_KEY.verifier_key.to_text()], "0x01 is needed"),
        (["--policy", "log.vkey"], "--policy"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_what_cannot_be_used_is_refused_with_2(
    signed: Commands,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert message in signed.fails("verify", *arguments, code=2)
