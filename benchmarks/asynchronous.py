"""The asynchronous handler beside tiny_ca's, and many tasks at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import quantiles
from uuid import uuid4

from benchmarks import certificates
from benchmarks.registries import small_registry, url_of
from benchmarks.results import Figure, Result, Spread, at_least
from benchmarks.rounds import Contender, Sample, interleave, timed
from benchmarks.setting import Setting
from certledger import AsyncDBHandler

OURS = "AsyncDBHandler"
RIVAL = "tiny_ca, async"
BURST = "200 tasks"
PAGE = 100
_TASKS = 200
_HEARTBEAT = 0.001

Work = Callable[[AsyncDBHandler], Awaitable[None]]


class _Rounds:
    def __init__(self, setting: Setting, scratch: Path) -> None:
        self._setting = setting
        self._scratch = scratch
        self._sizes = setting.sizes
        self._files = certificates.pem_files(setting.folder, setting.sizes.files)
        self._looked_up = self._files[: setting.sizes.rows]
        chosen = random.Random(1).sample(self._looked_up, min(len(self._looked_up), 500))
        self._serials = [each.serial_number for each in certificates.load(chosen)]
        self._ours, self._theirs = scratch / "ours.db", scratch / "theirs.db"
        self.latencies: list[list[float]] = []
        """Seconds from the start of a burst to the answer of each of its tasks, by round."""
        self.lags: list[list[float]] = []
        """Seconds by which the event loop was late during a burst, by round."""

    def prepare(self) -> None:
        """Make what is looked up."""
        small_registry(self._ours, self._looked_up)
        if self._setting.rival is not None:
            self._setting.rival.open(url_of(self._theirs))
            self._setting.rival.fill(self._looked_up)
            self._setting.rival.close()

    def contenders(self) -> dict[str, Contender]:
        found: dict[str, Contender] = {
            f"register, {OURS}": self._register,
            f"get_by_serial, {OURS}": self._get,
            f"list_all, {OURS}": self._list,
            BURST: self._burst,
        }
        if self._setting.rival is not None:
            found |= {
                f"register, {RIVAL}": self._rival_register,
                f"get_by_serial, {RIVAL}": self._rival_get,
                f"list_all, {RIVAL}": self._rival_list,
            }
        return found

    def _some(self, number: int, count: int) -> list[Path]:
        start = number * count % (len(self._files) - count + 1)
        return self._files[start : start + count]

    def _register(self, number: int) -> Sample:
        files = self._some(number, self._sizes.one_by_one)
        pairs = [(each, str(uuid4())) for each in certificates.load(files)]

        async def work(handler: AsyncDBHandler) -> None:
            while pairs:
                assert await handler.register_cert_in_db(*pairs.pop())

        return _measure(self._scratch / f"register-{number}.db", len(files), work)

    def _get(self, number: int) -> Sample:
        serials = random.Random(number).choices(self._serials, k=self._sizes.calls)

        async def work(handler: AsyncDBHandler) -> None:
            for serial in serials:
                assert await handler.get_by_serial(serial) is not None

        return _measure(self._ours, len(serials), work)

    def _list(self, _number: int) -> Sample:
        times = max(1, self._sizes.calls // 20)

        async def work(handler: AsyncDBHandler) -> None:
            for _ in range(times):
                assert await handler.list_all(limit=PAGE)

        return _measure(self._ours, times, work)

    def _burst(self, number: int) -> Sample:
        """Let half of the tasks register, the others look up."""
        files = self._some(number, min(_TASKS // 2, len(self._files)))
        pairs = [(each, str(uuid4())) for each in certificates.load(files)]
        done: list[float] = []

        async def work(handler: AsyncDBHandler) -> None:
            started = time.perf_counter()

            async def registration() -> None:
                assert await handler.register_cert_in_db(*pairs.pop())
                done.append(time.perf_counter() - started)

            async def look_up() -> None:
                assert await handler.get_by_serial(1) is None
                done.append(time.perf_counter() - started)

            late: list[float] = []
            heart = asyncio.create_task(_heartbeat(late))
            await asyncio.gather(*(each() for _ in files for each in (registration, look_up)))
            heart.cancel()
            self.lags.append(late)

        sample = _measure(self._scratch / f"burst-{number}.db", 2 * len(files), work)
        assert len(done) == sample.count
        self.latencies.append(done)
        return sample

    def _rival_register(self, number: int) -> Sample:
        files = self._some(number, self._sizes.one_by_one)
        return self._rival(
            "register_async",
            self._scratch / f"rival-{number}.db",
            files=[str(file) for file in files],
            uuids=[str(uuid4()) for _ in files],
        )

    def _rival_get(self, number: int) -> Sample:
        serials = random.Random(number).choices(self._serials, k=self._sizes.calls)
        texts = [str(each) for each in serials]
        return self._rival("get_by_serial_async", self._theirs, serials=texts)

    def _rival_list(self, _number: int) -> Sample:
        times = max(1, self._sizes.calls // 20)
        return self._rival("list_all_async", self._theirs, times=times, limit=PAGE)

    def _rival(self, do: str, file: Path, **arguments: object) -> Sample:
        assert self._setting.rival is not None
        return self._setting.rival.measure(do, url=url_of(file), **arguments)


def _measure(file: Path, count: int, work: Work) -> Sample:
    """Time the work on an open handler, in an event loop of its own."""

    async def measured() -> Sample:
        async with AsyncDBHandler(url_of(file)) as handler:
            assert await handler.get_by_serial(0) is None  # opens the registry
            with timed(count) as sample:
                await work(handler)
        return sample

    return asyncio.run(measured())


async def _heartbeat(late: list[float]) -> None:
    while True:
        due = time.perf_counter() + _HEARTBEAT
        await asyncio.sleep(_HEARTBEAT)
        late.append(time.perf_counter() - due)


def run(setting: Setting) -> Result:
    with setting.scratch() as scratch:
        rounds = _Rounds(setting, scratch)
        rounds.prepare()
        samples = interleave(rounds.contenders(), setting.rounds)
    result = Result(
        "async",
        f"calls awaited one after another, on SQLite, and {_TASKS} tasks at once of which half "
        "register and half look up; tiny_ca as shipped, by aiosqlite",
        dict(sorted(samples.items())),
    )
    for call, shown, factor in (
        ("register", "register", 2.0),
        ("get_by_serial", "get_by_serial", 1.0),
        ("list_all", f"list_all({PAGE})", 1.0),
    ):
        result.ratio(
            f"{shown}, time of tiny_ca / ours",
            f"{call}, {RIVAL}",
            f"{call}, {OURS}",
            at_least(factor),
        )
    result.figures.append(_p99("burst, p99 of an answer", rounds.latencies))
    result.figures.append(_p99("burst, p99 of the event loop's lag", rounds.lags))
    return result


def _p99(what: str, rounds: list[list[float]]) -> Figure:
    values = [quantiles([*each, each[-1]], n=100)[98] * 1e3 for each in rounds if each]
    return Figure(what, "ms", Spread.of(values or [0.0]))
