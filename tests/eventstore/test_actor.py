"""Who acts and why follows the calls of a `with` block, and nothing else."""

from __future__ import annotations

import asyncio
import contextvars
import os
import pwd
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from certledger.errors import InvalidValue
from certledger.eventstore.actor import Actor, acting_as, current_actor

ACCOUNT = pwd.getpwuid(os.getuid()).pw_name


def test_without_a_block_the_actor_is_the_account_of_the_process() -> None:
    assert current_actor() == Actor(ACCOUNT, "user")


def test_the_account_is_not_what_the_environment_says() -> None:
    """$LOGNAME and the like can be set to anything by anybody."""
    lie = dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME"), "mallory")
    code = "from certledger.eventstore.actor import current_actor; print(current_actor().authid)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | lie,
        capture_output=True,
        check=True,
        text=True,
    )
    assert run.stdout.strip() == ACCOUNT


def test_the_block_names_the_actor_and_ends_with_it() -> None:
    with acting_as(
        "alice@example.org",
        authtype="app_user",
        comment="CHG-1234\nsecond line",
        correlation_id="c1",
        causation_id="c2",
    ) as actor:
        assert current_actor() is actor
        assert actor == Actor("alice@example.org", "app_user", "CHG-1234\nsecond line", "c1", "c2")
    assert current_actor() == Actor(ACCOUNT)


def test_the_inner_of_two_blocks_wins_as_a_whole() -> None:
    with acting_as("alice", authtype="app_user", comment="outer", correlation_id="c1"):
        with acting_as("bob"):
            assert current_actor() == Actor("bob", "user")
        assert current_actor() == Actor("alice", "app_user", "outer", "c1")


def test_without_a_name_the_actor_stays_and_only_the_rest_is_set() -> None:
    with acting_as("alice", authtype="app_user", comment="outer"), acting_as(comment="inner"):
        assert current_actor() == Actor("alice", "app_user", "inner")
    with acting_as(correlation_id="c1"):
        assert current_actor() == Actor(ACCOUNT, "user", None, "c1")


def test_an_empty_comment_is_none() -> None:
    with acting_as("alice", comment=""):
        assert current_actor().comment is None


def test_the_block_ends_with_an_exception_too() -> None:
    with pytest.raises(RuntimeError, match="stop"), acting_as("alice"):
        raise RuntimeError("stop")
    assert current_actor() == Actor(ACCOUNT)


def test_a_refused_actor_leaves_the_outer_one() -> None:
    with acting_as("alice"):
        with pytest.raises(InvalidValue), acting_as("a\nb"):
            pass
        assert current_actor().authid == "alice"


def test_a_thread_has_the_actor_of_its_own_blocks_only() -> None:
    barrier = threading.Barrier(2, timeout=30)

    def act(name: str) -> tuple[str, str]:
        before = current_actor().authid
        with acting_as(name):
            barrier.wait()
            return before, current_actor().authid

    with acting_as("alice"), ThreadPoolExecutor(2) as pool:
        results = list(pool.map(act, ["bob", "carol"]))
        assert current_actor().authid == "alice"
    assert results == [(ACCOUNT, "bob"), (ACCOUNT, "carol")]


def test_a_thread_that_copies_the_context_has_its_actor() -> None:
    with acting_as("alice"), ThreadPoolExecutor(1) as pool:
        context = contextvars.copy_context()
        assert pool.submit(context.run, current_actor).result().authid == "alice"
        assert asyncio.run(asyncio.to_thread(current_actor)).authid == "alice"


def test_tasks_of_one_loop_do_not_see_each_other_s_actor() -> None:
    async def act(name: str, mine: asyncio.Event, other: asyncio.Event) -> tuple[str, str]:
        before = current_actor().authid
        with acting_as(name):
            mine.set()
            await other.wait()
            return before, current_actor().authid

    async def both() -> tuple[tuple[str, str], ...]:
        first, second = asyncio.Event(), asyncio.Event()
        with acting_as("alice"):
            tasks = asyncio.gather(act("bob", first, second), act("carol", second, first))
        assert current_actor().authid == ACCOUNT
        return tuple(await tasks)

    assert asyncio.run(both()) == (("alice", "bob"), ("alice", "carol"))


@pytest.mark.parametrize("authtype", ["app_user", "user", "service_account", "api_key", "system"])
def test_every_kind_of_actor_is_accepted(authtype: str) -> None:
    with acting_as("x" * 255, authtype=authtype) as actor:
        assert actor.authtype == authtype


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"authid": ""}, r"actor: has 0 characters; 1 to 255 are allowed"),
        ({"authid": "x" * 256}, r"actor: has 256 characters"),
        ({"authid": "alice\nbob"}, r"actor 'alice\\nbob': holds the character U\+000A"),
        ({"authid": "\x1b[31m"}, r"U\+001B"),
        ({"authid": "\ud800"}, r"U\+D800"),
        ({"authid": "\uffff"}, r"U\+FFFF"),
        ({"authid": "alice", "authtype": "root"}, r"authtype 'root': known are app_user, user, "),
        ({"authid": "alice", "authtype": ""}, r"authtype ''"),
        ({"authid": "alice", "correlation_id": ""}, r"correlation_id: has 0 characters"),
        ({"authid": "alice", "causation_id": "a\tb"}, r"causation_id 'a\\tb': .*U\+0009"),
        ({"authid": "alice", "comment": "a\x00b"}, r"comment: holds a NUL"),
        ({"authid": "alice", "comment": "a\udcffb"}, r"comment: .* half of a surrogate pair"),
    ],
)
def test_a_value_that_an_event_cannot_hold_is_refused_at_once(
    values: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidValue, match=why), acting_as(**values):
        pass
