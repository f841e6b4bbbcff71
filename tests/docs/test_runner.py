"""The runner of the documents: what it makes equal, and that it notices all else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.masks import masked
from tests.docs.page import blocks, commands
from tests.docs.runner import Shell


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("at 2026-01-31 23:59:59Z by", "at 2027-02-28 00:00:01Z by"),
        ('"time": "2026-01-31T23:59:59.000001Z"', '"time": "2027-02-28T00:00:00.5Z"'),
        ("to 2026-01-31", "to 2027-02-28"),
        ("Revocation Date: Nov 24 14:16:47 2026 GMT", "Revocation Date: Dec  1 14:16:47 2027 GMT"),
        ("0f8fad5b-d9cb-469f-a165-70867728950e", "11111111-2222-4333-8444-555555555555"),
        ("root hash     " + "a1" * 32, "root hash     " + "b2" * 32),
        ("root " + "Aa1+" * 10 + "/bc=", "root " + "Bb2/" * 10 + "+de="),
        ("log+0123abcd+" + "A" * 44, "log+ffffffff+" + "B" * 44),
        ("— log " + "A/" * 45 + "Q=", "— log " + "B+" * 45 + "w="),
        ("— witness " + "A" * 102 + "==", "— witness " + "B" * 102 + "=="),
        ("replayed 7 entries in 0.0 s", "replayed 7 entries in 12.3 s"),
        ("size          126,976 bytes", "size          8,192 bytes"),
        ("subject=CN = web.example.org", "subject=CN=web.example.org"),
        ("a cell   ", "a cell"),
    ],
)
def test_what_differs_from_run_to_run_is_made_equal(one: str, other: str) -> None:
    assert masked([one]) == masked([other])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("revoked 1001 (0x3e9): keyCompromise", "revoked 1002 (0x3ea): keyCompromise"),
        ("at 2026-01-31 23:59:59Z by alice", "at 2026-01-31 23:59:59Z by bob"),
        ("to 2026-01-31", "to 2026-01-31 23:59:59Z"),
        ("log+0123abcd+" + "A" * 44, "log+0123abcd+" + "A" * 40),
        ("— log " + "A" * 91 + "=", "— witness " + "A" * 91 + "="),
        ("replayed 7 entries in 0.0 s", "replayed 8 entries in 0.0 s"),
        ("read 2: 2 registered, 0 refused", "read 2: 1 registered, 1 refused"),
        ("versions certledger 0.1.0", "versions certledger 0.2.0"),
        ("CN=web.example.org", "CN=mail.example.org"),
        ("  cell", " cell"),
    ],
)
def test_every_other_difference_is_seen(one: str, other: str) -> None:
    assert masked([one]) != masked([other])


def test_a_command_goes_on_after_the_second_prompt_and_has_its_output_below() -> None:
    lines = ["```console", "$ echo a \\", "> b", "a b", "$ true", "```"]
    (block,) = blocks(lines)
    first, second = commands(block)
    assert first.text == "echo a \\\nb"
    assert lines[first.start : first.stop] == ["a b"]
    assert second.text == "true"
    assert second.start == second.stop


def test_output_without_a_command_is_a_fault() -> None:
    (block,) = blocks(["```console", "out of nowhere", "```"])
    with pytest.raises(ValueError, match="output without a command"):
        list(commands(block))


def test_the_reason_for_not_running_a_block_stands_before_it() -> None:
    (block,) = blocks(["<!-- not run: it takes a day -->", "```console", "$ sleep 86400", "```"])
    assert block.not_run == "it takes a day"


def test_the_shell_keeps_variables_folder_and_status_between_commands(tmp_path: Path) -> None:
    shell = Shell(tmp_path, tmp_path)
    try:
        shell.run("export WHO=alice; mkdir sub; cd sub")
        assert shell.run("echo $WHO; basename $PWD; false") == ["alice", "sub"]
        assert shell.run("echo $?") == ["1"]
        assert shell.run("echo $?; cat; echo err >&2; echo $COLUMNS $CERTLEDGER_DB") == [
            "0",
            "err",
            "80",
        ]
    finally:
        shell.close()
