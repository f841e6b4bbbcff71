"""Asynchronous handlers and ledgers, called as if they were synchronous."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from inspect import isasyncgen, iscoroutine
from types import TracebackType
from typing import Any, Final, Self

from certledger.db.base_db import BaseDB

CALLS_PER_LOOP: Final = 5
"""After so many calls a thread goes on with a new event loop, as programs do that call
`asyncio.run` for each of their jobs."""


class Blocking(BaseDB):
    """Calls the coroutines of `wrapped` on event loops, one of each thread's own at a time.

    Everything else that is asked of it is `wrapped`'s.
    """

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped
        self._loops = _Loops()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what is wrapped, and all loops."""
        self._call("close")
        self._loops.close()

    def register_cert_in_db(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("register_cert_in_db", *args, **kwargs)

    def get_by_serial(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("get_by_serial", *args, **kwargs)

    def get_by_name(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("get_by_name", *args, **kwargs)

    def list_all(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("list_all", *args, **kwargs)

    def get_expiring(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("get_expiring", *args, **kwargs)

    def get_revoked_certificates(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("get_revoked_certificates", *args, **kwargs)

    def revoke_certificate(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("revoke_certificate", *args, **kwargs)

    def delete_by_uuid(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("delete_by_uuid", *args, **kwargs)

    def update_status_expired(self, *args: Any, **kwargs: Any) -> Any:
        return self._call("update_status_expired", *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.wrapped, name)
        if not callable(value):
            return value
        return lambda *args, **kwargs: self._finished(value(*args, **kwargs))

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._finished(getattr(self.wrapped, name)(*args, **kwargs))

    def _finished(self, result: Any) -> Any:
        if iscoroutine(result):
            return self._loops.run(result)
        return _each(result) if isasyncgen(result) else result


_END: Final = object()


def _each(items: AsyncGenerator[Any, Any]) -> Generator[Any, None, None]:
    """Yield what an asynchronous generator does, all of it on one loop."""

    async def following() -> Any:
        return await anext(items, _END)

    with asyncio.Runner() as runner:
        try:
            while (item := runner.run(following())) is not _END:
                yield item
        finally:
            runner.run(_close(items))


async def _close(items: AsyncGenerator[Any, Any]) -> None:
    await items.aclose()


class _Loops:
    """An event loop for each thread, and a new one now and then."""

    def __init__(self) -> None:
        self._mine = threading.local()
        self._open: set[asyncio.AbstractEventLoop] = set()
        self._lock = threading.Lock()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        left = getattr(self._mine, "left", 0)
        if left == 0 or self._mine.loop.is_closed():
            self._renew()
            left = CALLS_PER_LOOP
        self._mine.left = left - 1
        return self._mine.loop.run_until_complete(work)

    def _renew(self) -> None:
        with self._lock:
            before = getattr(self._mine, "loop", None)
            if before is not None:
                self._open.discard(before)
                before.close()
            self._mine.loop = asyncio.new_event_loop()
            self._open.add(self._mine.loop)

    def close(self) -> None:
        with self._lock:
            for loop in self._open:
                loop.close()
            self._open.clear()
