"""`certledger copy`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from certledger import Ledger
from certledger.cli.main import cli
from tests.copying.contents import SIZE, contents, url_of
from tests.support import raw
from tests.support.log import ORIGIN
from tests.support.processes import ROOT


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["copy", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_it_says_what_was_copied_and_proved(original: Path, target_file: Path) -> None:
    source, target = url_of(original), url_of(target_file)
    result = run(source, target)
    root = contents(source)["head"].root.hex()
    assert result.stdout.splitlines() == [
        f"copied       2,101 entries of {ORIGIN} to {target}, all of them now",
        f"root hash    {root}, from the bytes that came back",
        "checkpoints  3",
        "certificates 2,085 rows, retired 4: what the log demands",
    ]
    assert result.stderr == ""


def test_again_it_says_that_nothing_was_left_to_do(original: Path, target_file: Path) -> None:
    source, target = url_of(original), url_of(target_file)
    run(source, target)
    assert f"to {target}, 0 of them now" in run(source, target).stdout


def test_json_has_the_same(original: Path, target_file: Path) -> None:
    source, target = url_of(original), url_of(target_file)
    told = json.loads(run(source, target, "--format", "json").stdout)
    assert told.pop("seconds") >= 0
    assert told == {
        "source": source,
        "target": target,
        "origin": ORIGIN,
        "log_size": SIZE,
        "root_hash": contents(source)["head"].root.hex(),
        "copied": SIZE,
        "checkpoints": 3,
        "certificates": 2_085,
        "retired": 4,
        "source_size": SIZE,
        "behind": 0,
        "source_drift": 0,
        "source_fault": None,
        "not_copied": [],
    }


def test_what_the_operator_must_know_is_told(source_file: Path, target_file: Path) -> None:
    raw.edit(
        source_file,
        "UPDATE certificates SET status = 'valid' WHERE serial_number = '10000'",
        "CREATE TABLE orders (id INTEGER)",
    )
    lines = run(url_of(source_file), url_of(target_file)).stderr.splitlines()
    assert lines == [
        "not the registry's, and not copied: orders",
        (
            f"warning: the tables of {url_of(source_file)} differ from its log in 1 row, which "
            "`certledger drift` names there; the copy has what the log demands"
        ),
    ]


def test_broken_tables_of_the_source_are_told(source_file: Path, target_file: Path) -> None:
    raw.edit(source_file, "DROP TABLE retired")
    told = run(url_of(source_file), url_of(target_file)).stderr
    assert told.startswith("warning: in the source the table retired is not built as it must be")
    assert told.endswith("the copy was made from the log\n")


def test_a_target_of_something_else_is_refused(original: Path, target_file: Path) -> None:
    Ledger(url_of(target_file)).close()
    told = run(url_of(original), url_of(target_file), code=1).stderr
    assert told.startswith(f"error: {url_of(target_file)} is a registry of its own")
    assert told.endswith("nothing was written\n")


@pytest.mark.parametrize("place", ["SRC", "DST"])
def test_what_is_no_url_is_wrong_usage(original: Path, target_file: Path, place: str) -> None:
    urls = {"SRC": url_of(original), "DST": url_of(target_file)} | {place: "ca.db"}
    told = run(urls["SRC"], urls["DST"], code=2).stderr
    assert f"Invalid value for '{place}': 'ca.db' is no database URL" in told


def test_one_registry_twice_is_wrong_usage(original: Path) -> None:
    assert "source and target at once" in run(url_of(original), url_of(original), code=2).stderr


def test_passwords_are_not_shown(original: Path) -> None:
    url = "postgresql://someone:hunter2@127.0.0.1:1/none"
    told = run(url_of(original), url, code=1)
    assert "hunter2" not in told.output


INTERRUPTED = """
import os, signal, sys
from certledger.cli.main import main
from certledger.copying.target import Target

append = Target.append

def interrupted(self, batch):
    append(self, batch)
    os.kill(os.getpid(), signal.SIGINT)

Target.append = interrupted
main()
"""


def test_interrupted_it_says_how_to_go_on(original: Path, target_file: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, "copy", url_of(original), url_of(target_file)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: interrupted; the same command goes on where it was\n"
    refused = CliRunner().invoke(cli, ["--db", url_of(target_file), "status"])
    assert (refused.exit_code, "1000 of 2101 entries" in refused.stderr) == (1, True)
    assert f"{SIZE - 1_000:,} of them now" in run(url_of(original), url_of(target_file)).stdout
