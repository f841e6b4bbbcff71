"""The threads in which coroutines run calls that block."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from certledger.worker_threads import Lane, WorkerThreads
from tests.support.processes import run


@pytest.fixture
def lane() -> Iterator[Lane]:
    """One thread."""
    lane = Lane("test", 1)
    yield lane
    lane.end()()


class Busy:
    """A call that has begun, and goes on until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._let_go = threading.Event()
        self.ended = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        self._let_go.wait()
        self.ended.set()
        return "ended"

    def let_go(self) -> None:
        self._let_go.set()

    async def has_begun(self) -> None:
        await asyncio.to_thread(self.begun.wait)


@pytest.fixture
def busy() -> Iterator[Busy]:
    call = Busy()
    yield call
    call.let_go()


def test_a_call_gives_its_result_or_raises_its_error(lane: Lane) -> None:
    assert asyncio.run(lane.run(lambda: 42)) == 42
    with pytest.raises(ZeroDivisionError):
        asyncio.run(lane.run(lambda: 1 // 0))


def test_calls_run_in_the_lanes_own_threads_in_their_order(lane: Lane) -> None:
    order: list[tuple[int, str]] = []

    def note(number: int) -> None:
        order.append((number, threading.current_thread().name))

    async def main() -> None:
        await asyncio.gather(*(lane.run(lambda n=n: note(n)) for n in range(20)))  # type: ignore[misc] # binds the loop's value

    asyncio.run(main())
    assert order == [(number, "test_0") for number in range(20)]


def test_no_more_calls_run_at_once_than_there_are_threads() -> None:
    lane, running, most = Lane("test", 3), [], []
    lock = threading.Lock()
    full = threading.Barrier(3)

    def work() -> None:
        with lock:
            running.append(1)
            most.append(len(running))
        full.wait()
        with lock:
            running.pop()

    async def main() -> None:
        await asyncio.gather(*(lane.run(work) for _ in range(30)))

    asyncio.run(main())
    lane.end()()
    assert max(most) == 3


def test_a_call_sees_the_context_of_its_task_and_changes_only_its_copy(lane: Lane) -> None:
    name: ContextVar[str] = ContextVar("name")

    def work() -> str:
        seen = name.get()
        name.set("changed")
        return seen

    async def task(mine: str) -> tuple[str, str]:
        name.set(mine)
        return await lane.run(work), name.get()

    async def main() -> list[tuple[str, str]]:
        return await asyncio.gather(*(task(mine) for mine in ("a", "b", "c")))

    assert asyncio.run(main()) == [("a", "a"), ("b", "b"), ("c", "c")]


def test_a_cancelled_call_that_waits_for_its_turn_never_begins(lane: Lane, busy: Busy) -> None:
    begun: list[str] = []

    async def main() -> None:
        before = asyncio.create_task(lane.run(busy))
        await busy.has_begun()
        waiting = asyncio.create_task(lane.run(lambda: begun.append("cancelled")))
        await asyncio.sleep(0)
        waiting.cancel()
        after = asyncio.create_task(lane.run(lambda: begun.append("after")))
        await asyncio.sleep(0)
        busy.let_go()
        await asyncio.gather(before, after)
        assert waiting.cancelled()

    asyncio.run(main())
    assert begun == ["after"]


def test_a_cancelled_call_that_has_begun_goes_on_to_its_end_without_its_task(
    lane: Lane, busy: Busy
) -> None:
    async def main() -> None:
        task = asyncio.create_task(lane.run(busy))
        await busy.has_begun()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert not busy.ended.is_set()
        busy.let_go()
        assert await lane.run(busy.ended.is_set)

    asyncio.run(main())


def test_a_call_that_outlives_its_event_loop_disturbs_nobody(
    lane: Lane, busy: Busy, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        asyncio.create_task(lane.run(busy))  # noqa: RUF006 # the end of the loop cancels it
        await busy.has_begun()

    asyncio.run(main())
    busy.let_go()
    assert asyncio.run(lane.run(lambda: "next")) == "next"
    assert caplog.records == []


def test_a_lane_serves_one_event_loop_after_another(lane: Lane) -> None:
    assert [asyncio.run(lane.run(lambda n=n: n)) for n in range(5)] == [0, 1, 2, 3, 4]  # type: ignore[misc] # binds the loop's value


def test_a_lane_serves_event_loops_of_several_threads_at_once(lane: Lane) -> None:
    start = threading.Barrier(4)

    def loop(number: int) -> int:
        async def main() -> int:
            start.wait()
            return sum(await asyncio.gather(*(lane.run(lambda: number) for _ in range(50))))

        return asyncio.run(main())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(loop, range(4))) == [0, 50, 100, 150]


def test_the_event_loop_goes_on_while_a_call_blocks(lane: Lane, busy: Busy) -> None:
    async def main() -> str:
        task = asyncio.create_task(lane.run(busy))
        await busy.has_begun()
        busy.let_go()  # which only a loop that goes on gets to
        return await task

    assert asyncio.run(main()) == "ended"


def test_a_busy_lane_holds_up_no_other(busy: Busy) -> None:
    async def main() -> None:
        threads = WorkerThreads()
        waiting = [asyncio.create_task(threads.changes.run(busy)) for _ in range(50)]
        await busy.has_begun()
        assert await threads.reads.run(lambda: "read") == "read"
        assert await threads.jobs.run(lambda: "job") == "job"
        busy.let_go()
        await asyncio.gather(*waiting)
        await threads.end(lambda: None)

    asyncio.run(main())


def test_the_end_waits_for_all_calls_and_then_does_the_last(busy: Busy) -> None:
    done: list[str] = []

    async def main() -> None:
        threads = WorkerThreads()
        calls = [
            asyncio.create_task(threads.changes.run(busy)),
            asyncio.create_task(threads.changes.run(lambda: done.append("queued"))),
        ]
        await busy.has_begun()
        end = asyncio.create_task(threads.end(lambda: done.append("last")))
        await asyncio.sleep(0)
        assert not end.done()
        busy.let_go()
        await asyncio.gather(*calls, end)

    asyncio.run(main())
    assert done == ["queued", "last"]
    assert [thread.name for thread in threading.enumerate() if "certledger" in thread.name] == []


def test_calls_after_the_end_start_new_threads() -> None:
    async def main() -> None:
        threads = WorkerThreads()
        for _ in range(3):
            assert await threads.reads.run(lambda: 1) == 1
            await threads.end(lambda: None)

    asyncio.run(main())


SCRIPT = """
import asyncio, os, sys, threading
from certledger.worker_threads import Lane
lane = Lane("test", 1)
"""


@pytest.mark.parametrize(
    ("script", "output"),
    [
        ("asyncio.run(lane.run(lambda: print('done')))", "done\n"),
        ("lane.submit(lambda: print('done'))", "done\n"),
        ("asyncio.run(lane.run(lambda: print('done')))\ndel lane", "done\n"),
    ],
    ids=["used", "still running", "dropped"],
)
def test_a_process_that_never_ends_its_threads_ends_without_a_word(
    script: str, output: str
) -> None:
    assert run(SCRIPT + script) == output


def test_a_child_of_a_fork_starts_threads_of_its_own() -> None:
    script = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
asyncio.run(lane.run(lambda: None))
pid = os.fork()
name = asyncio.run(lane.run(lambda: threading.current_thread().name))
if pid == 0:
    sys.exit(name != "test_0")
print(name, os.waitpid(pid, 0)[1])
"""
    assert run(SCRIPT + script) == "test_0 0\n"
