"""Coroutines and asynchronous generators made of blocking methods."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from certledger.threaded import Threaded, change, job, read, stream
from certledger.worker_threads import WorkerThreads

NAME: ContextVar[str] = ContextVar("name", default="nobody")


class Shelf:
    """Something whose methods block."""

    def __init__(self) -> None:
        self.closed: list[str] = []
        self.taken = 0
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def thread(self, greeting: str, *, name: str = "you") -> tuple[str, str]:
        """Return a greeting and who gives it."""
        return f"{greeting}, {name}", threading.current_thread().name

    def items(self, number: int, *, fail_at: int | None = None) -> Iterator[int]:
        """Yield numbers."""
        try:
            for item in range(number):
                if item == fail_at:
                    raise ValueError("broken")
                self.taken = item + 1
                yield item
        finally:
            self.closed.append(threading.current_thread().name)

    def names(self) -> Iterator[str]:
        """Yield the name in the context, for ever."""
        while True:
            yield NAME.get()

    def slow(self) -> Iterator[str]:
        """Yield one item, and block."""
        try:
            yield "one"
            self.begun.set()
            self.go_on.wait()
            yield "two"
        finally:
            self.closed.append("slow")

    def listed(self) -> Iterator[int]:
        """Return an iterator that cannot be closed."""
        return iter([1, 2])


class AsyncShelf(Threaded[Shelf]):
    """The same for asynchronous code."""

    changed = change(Shelf.thread)
    read = read(Shelf.thread)
    long = job(Shelf.thread)
    items = stream(Shelf.items)
    names = stream(Shelf.names)
    slow = stream(Shelf.slow)
    listed = stream(Shelf.listed)


@asynccontextmanager
async def opened(shelf: Shelf) -> AsyncIterator[AsyncShelf]:
    closed: list[str] = []
    async with AsyncShelf(lambda: shelf, WorkerThreads(), lambda: closed.append("closed")) as made:
        yield made
        assert closed == []
    assert closed == ["closed"]


def use(work: Callable[[AsyncShelf], Any], shelf: Shelf | None = None) -> Shelf:
    """Run a coroutine function on a shelf, and return what is below it."""
    below = shelf or Shelf()

    async def main() -> None:
        async with opened(below) as above:
            await work(above)

    asyncio.run(main())
    return below


def test_a_coroutine_has_name_documentation_and_arguments_of_the_method() -> None:
    assert inspect.iscoroutinefunction(AsyncShelf.read)
    assert inspect.signature(AsyncShelf.read) == inspect.signature(Shelf.thread)
    assert inspect.getdoc(AsyncShelf.read) == inspect.getdoc(Shelf.thread)
    assert AsyncShelf.items.__name__ == "items"


def test_each_kind_of_call_has_threads_of_its_own() -> None:
    async def work(shelf: AsyncShelf) -> None:
        assert await shelf.changed("Hello") == ("Hello, you", "certledger-change_0")
        assert await shelf.read(greeting="Hi", name="Ada") == ("Hi, Ada", "certledger-read_0")
        assert (await shelf.long("Hi"))[1].startswith("certledger-job_")

    use(work)


def test_wrong_arguments_are_a_type_error() -> None:
    async def work(shelf: AsyncShelf) -> None:
        with pytest.raises(TypeError):
            await shelf.read("Hello", unknown=1)  # type: ignore[call-arg] # what is tested

    use(work)


@pytest.mark.parametrize("number", [0, 1, 999, 1_000, 1_001, 5_000])
def test_a_stream_gives_every_item_in_order(number: int) -> None:
    async def work(shelf: AsyncShelf) -> None:
        assert [item async for item in shelf.items(number)] == list(range(number))

    assert len(use(work).closed) == 1


def test_a_stream_of_an_iterator_without_an_end_of_its_own_ends_too() -> None:
    async def work(shelf: AsyncShelf) -> None:
        assert [item async for item in shelf.listed()] == [1, 2]

    use(work)


@pytest.mark.parametrize("place", [0, 1, 999, 1_000, 1_500])
def test_what_comes_before_an_error_is_given_before_it(place: int) -> None:
    async def work(shelf: AsyncShelf) -> None:
        items = shelf.items(2_000, fail_at=place)
        assert [await anext(items) for _ in range(place)] == list(range(place))
        with pytest.raises(ValueError, match="broken"):
            await anext(items)

    use(work)


def test_nothing_begins_before_the_first_item_is_asked_for() -> None:
    async def work(shelf: AsyncShelf) -> None:
        items = shelf.items(5)
        assert shelf.blocking().taken == 0
        assert await anext(items) == 0
        await items.aclose()

    use(work)


def test_a_stream_runs_in_the_context_of_its_call() -> None:
    """Not of the task that happens to iterate: the actor of a change is who asked for it."""

    async def work(shelf: AsyncShelf) -> None:
        NAME.set("caller")
        names = shelf.names()
        NAME.set("other")
        assert [await anext(names) for _ in range(2_500)] == ["caller"] * 2_500
        await names.aclose()

    use(work)


def test_a_consumer_that_stops_ends_the_iterator_soon() -> None:
    async def work(shelf: AsyncShelf) -> None:
        items = shelf.items(1_000_000)
        async for item in items:
            if item == 5:
                break
        await items.aclose()

    below = use(work)
    assert below.closed
    assert below.taken <= 1_000


def test_a_stream_that_is_left_lying_is_ended_with_its_loop() -> None:
    async def work(shelf: AsyncShelf) -> None:
        work.items = shelf.items(1_000_000)  # type: ignore[attr-defined] # outlives the call
        assert await anext(work.items) == 0  # type: ignore[attr-defined] # the same

    below = Shelf()
    threads = WorkerThreads()

    async def main() -> None:
        await work(AsyncShelf(lambda: below, threads, lambda: None))

    asyncio.run(main())
    asyncio.run(threads.end(lambda: None))
    assert len(below.closed) == 1


def test_a_cancelled_consumer_does_not_wait_for_the_step_that_has_begun() -> None:
    below = Shelf()

    async def work(shelf: AsyncShelf) -> None:
        async def consume() -> None:
            async for _ in shelf.slow():
                pass

        task = asyncio.create_task(consume())
        await asyncio.to_thread(below.begun.wait)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert below.closed == []
        below.go_on.set()

    # The end of the threads waits for the step, and for what closes the iterator after it.
    assert use(work, below).closed == ["slow"]
