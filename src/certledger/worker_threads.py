"""Threads in which coroutines run calls that block."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import Final, TypeVar

Result = TypeVar("Result")

READERS: Final = 4
"""More of them would wait for the interpreter's lock, fewer for the disk or the network."""

JOBS: Final = 4
"""How many long jobs go on at once. They are rare, and none must wait for another's end."""


class Lane:
    """So many threads, started when calls come, that take calls in their order.

    Safe to use from several threads, each with an event loop of its own, and after a fork.
    """

    def __init__(self, name: str, threads: int) -> None:
        self._name = name
        self._threads = threads
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        _lanes.add(self)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run `work` in a thread, in the context of the calling task, and return its result.

        When the task is cancelled while the call waits for its turn, it never begins. A call that
        has begun goes on to its end, also when nobody waits for that any more.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        call = self.submit(work)
        call.add_done_callback(partial(_tell, loop, ended))
        try:
            await ended
        finally:
            call.cancel()  # has no effect on one that has begun
        return call.result()

    def submit(self, work: Callable[[], Result]) -> Future[Result]:
        """Let a thread run `work` in the caller's context, and do not wait for it."""
        context = copy_context()
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix=self._name)
            return self._pool.submit(context.run, work)

    def end(self) -> Callable[[], None]:
        """Let the threads end after the calls that they have; return what waits for that.

        Calls that come later start new threads.
        """
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is None:
            return lambda: None
        pool.shutdown(wait=False)
        return pool.shutdown

    def after_fork_in_child(self) -> None:
        """Forget the parent's threads, of which one may hold the lock."""
        _abandoned.append(self._pool)
        self._pool = None
        self._lock = threading.Lock()


class WorkerThreads:
    """The lanes of a registry: what takes long in one holds up no other."""

    def __init__(self) -> None:
        self.changes = Lane("certledger-change", 1)
        """For changes of one transaction: the database takes them one by one anyway."""
        self.reads = Lane("certledger-read", READERS)
        """For queries of one transaction."""
        self.jobs = Lane("certledger-job", JOBS)
        """For what goes through the log, or through batches."""

    async def end(self, last: Callable[[], None]) -> None:
        """Let the threads end after the calls that they have, and then run `last`.

        Calls that come later start new threads.
        """
        waits = [lane.end() for lane in (self.changes, self.reads, self.jobs)]

        def work() -> None:
            for wait in waits:
                wait()
            last()

        closing = Lane("certledger-close", 1)
        try:
            await closing.run(work)
        finally:
            closing.end()


def _tell(loop: asyncio.AbstractEventLoop, ended: asyncio.Future[None], _call: object) -> None:
    # A loop that was closed while the call went on has nobody left who waits.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_wake, ended)


def _wake(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


_lanes: weakref.WeakSet[Lane] = weakref.WeakSet()
_abandoned: list[ThreadPoolExecutor | None] = []


def _after_fork_in_child() -> None:
    for lane in list(_lanes):
        lane.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
