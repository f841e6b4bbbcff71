"""A copy that was broken off, wherever that was, goes on and comes out whole."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from certledger import Ledger
from certledger.copying import copy
from certledger.errors import IncompleteCopy, NotARegistry
from certledger.testing.proxy import Proxy
from tests.copying.contents import KINDS, SIZE, contents, findings, url_of
from tests.support.processes import start

PlaceOf = Callable[[str], str]

KILLED = """
import os, signal, sys
from importlib import import_module
from certledger.copying import copy

source, target, place, number, moment = sys.argv[1:]
module, _, path = place.partition(":")
*owners, name = path.split(".")
owner = import_module(f"certledger.{module}")
for each in owners:
    owner = getattr(owner, each)
inner = getattr(owner, name)
left = int(number)

def outer(*values, **named):
    global left
    left -= 1
    if left == 0 and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = inner(*values, **named)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(owner, name, outer)
copy(source, target)
"""

POINTS = {
    "before the tables are made": ("projections.schema:_make_unless_made", 1, "before"),
    "while the tables are made": ("projections.schema:set_mark", 1, "before"),
    "when the tables are made": ("projections.schema:_make_unless_made", 1, "after"),
    "while the first entries are written": ("copying.target:insert_rows", 1, "after"),
    "while later entries are written": ("copying.target:insert_rows", 2, "after"),
    "when the first entries are written": ("copying.target:Target.append", 1, "after"),
    "when all entries are written": ("copying.target:Target.append", 3, "after"),
    "while checkpoints are written": ("copying.target:insert_checkpoint", 2, "after"),
    "when checkpoints are written": ("copying.target:Target.add_checkpoints", 1, "after"),
    "when the log is proved": ("copying.copier:prove_log", 1, "after"),
    "while the tables are filled": ("projections.differences:Pair.insert_missing", 1, "after"),
    "when the tables are filled": ("copying.copier:rebuild", 1, "after"),
    "while it is finished": ("copying.target:finish_mark", 1, "after"),
}
ON_SERVERS = (
    "while the tables are made",
    "while later entries are written",
    "while the tables are filled",
    "while it is finished",
)


def killed(source: str, target: str, point: str) -> None:
    with start(KILLED, source, target, *POINTS[point]) as process:
        assert process.wait() == -signal.SIGKILL, process.communicate()


def check_resumed(source: str, target: str) -> None:
    with pytest.raises((IncompleteCopy, NotARegistry)):
        Ledger(target, create=False)
    copy(source, target)
    assert contents(target) == contents(source)
    assert findings(target) == []


@pytest.mark.parametrize("point", POINTS)
def test_killed_it_goes_on(original: Path, target_file: Path, point: str) -> None:
    source, target = url_of(original), url_of(target_file)
    killed(source, target, point)
    check_resumed(source, target)


@pytest.mark.parametrize("point", ON_SERVERS)
@pytest.mark.parametrize("kind", KINDS[1:])
def test_killed_it_goes_on_on_a_server(
    original: Path, place_of: PlaceOf, kind: str, point: str
) -> None:
    source, target = url_of(original), place_of(kind)
    killed(source, target, point)
    check_resumed(source, target)


def test_killed_when_it_is_finished_the_registry_can_be_used(
    original: Path, target_file: Path
) -> None:
    source, target = url_of(original), url_of(target_file)
    point = ("copying.target:Target.finish", 1, "after")
    with start(KILLED, source, target, *point) as process:
        assert process.wait() == -signal.SIGKILL
    Ledger(target, create=False).close()
    assert contents(target) == contents(source)


def test_what_is_there_is_not_written_again(original: Path, target_file: Path) -> None:
    source, target = url_of(original), url_of(target_file)
    killed(source, target, "when the first entries are written")
    report = copy(source, target)
    assert (report.size, report.copied) == (SIZE, SIZE - 1_000)


def test_an_unfinished_copy_says_what_to_do(original: Path, target_file: Path) -> None:
    source, target = url_of(original), url_of(target_file)
    killed(source, target, "when the first entries are written")
    with pytest.raises(IncompleteCopy) as refused:
        Ledger(target)
    assert (refused.value.present, refused.value.wanted) == (1_000, SIZE)
    assert f"certledger copy SRC '{target}'" in str(refused.value)


def test_an_unfinished_copy_is_no_source(original: Path, target_file: Path, tmp_path: Path) -> None:
    source, target = url_of(original), url_of(target_file)
    killed(source, target, "when the first entries are written")
    with pytest.raises(IncompleteCopy):
        copy(target, url_of(tmp_path / "third.db"))
    assert not (tmp_path / "third.db").exists()


def test_interrupted_from_the_keyboard_it_goes_on(original: Path, target_file: Path) -> None:
    source, target = url_of(original), url_of(target_file)

    def interrupt(done: int, _total: int) -> None:
        if done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy(source, target, progress=interrupt)
    check_resumed(source, target)


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "not-committed"])
@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_connection_cut_at_a_commit_is_no_end(
    original: Path, place_of: PlaceOf, kind: str, committed: bool
) -> None:
    source, target = url_of(original), place_of(kind)
    with Proxy(target) as proxy:

        def cut(done: int, _total: int) -> None:
            if 0 < done < SIZE / 2 and not proxy.lost:
                proxy.lose_next_commit(committed=committed)

        report = copy(source, proxy.url, progress=cut)
        assert proxy.lost == 1
    assert (report.size, report.copied) == (SIZE, SIZE)
    assert contents(target) == contents(source)
