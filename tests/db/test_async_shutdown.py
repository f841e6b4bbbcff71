"""Programs that use the asynchronous handler end without a word, however they end."""

from __future__ import annotations

from pathlib import Path

import pytest

from certledger import Ledger
from tests.support.quiet import run_quietly

BEGIN = """
import asyncio, gc, sys, threading
from sqlalchemy import text
from certledger import AsyncDatabaseManager, AsyncDBHandler
from certledger.testing.certificates import make_certificate

handler = AsyncDBHandler(sys.argv[1])
certificate = make_certificate(serial=1)

async def use():
    assert await handler.register_cert_in_db(certificate, "one")
    assert await handler.get_by_serial(1) is not None
    return [row async for row in handler.get_revoked_certificates()]

async def use_session(database=handler._db):
    async with database.get_session() as session:
        await session.execute(text("SELECT count(*) FROM certificates"))
        await session.commit()
"""

ENDS = {
    "never used": "",
    "closed": """
async def main():
    async with handler:
        await use()
        await use_session()
asyncio.run(main())
""",
    "never closed": "asyncio.run(use())",
    "never closed, with a session": """
asyncio.run(use())
asyncio.run(use_session())
""",
    "never closed, with nothing but a session": "asyncio.run(use_session())",
    "a manager by itself": """
manager = AsyncDatabaseManager(sys.argv[1])
asyncio.run(manager.init_db())
asyncio.run(use_session(manager))
""",
    "dropped": """
asyncio.run(use())
asyncio.run(use_session())
threads = [one for one in threading.enumerate() if one.name.startswith("certledger")]
assert threads
del handler, use_session
while any(thread.is_alive() for thread in threads):  # until the process is timed out
    gc.collect()  # again, as the last call may still have been on its way out of its thread
    threads[0].join(0.01)
""",
    "closed on another event loop": """
asyncio.run(use())
asyncio.run(handler.close())
asyncio.run(handler.close())
""",
    "closed by two at once": """
async def main():
    await use()
    await asyncio.gather(handler.close(), handler.close())
asyncio.run(main())
""",
    "ended by an exception": """
async def main():
    await use()
    sys.exit(0)
asyncio.run(main())
""",
    "with tasks that are not done": """
async def main():
    await use()
    tasks = [asyncio.create_task(handler.list_all()) for _ in range(50)]
    tasks += [asyncio.create_task(handler.revoke_certificate(1)) for _ in range(50)]
    await asyncio.sleep(0)
asyncio.run(main())
""",
    "with a stream that is not read to its end": """
ledger = handler._ledger
async def main():
    await use()
    global events
    events = ledger.events()
    await anext(events)
    verifying = ledger.verify()
    async for _ in verifying:
        break
asyncio.run(main())
""",
    "with a stream on a loop that is gone": """
ledger = handler._ledger
asyncio.run(use())
loop = asyncio.new_event_loop()
events = ledger.events()
loop.run_until_complete(anext(events))
loop.close()
""",
    "from several threads": """
def work():
    asyncio.run(use_session())
asyncio.run(use())
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
""",
    "beside a process that was forked": """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads
asyncio.run(use())
pid = os.fork()
assert asyncio.run(handler.get_by_serial(1)) is not None
asyncio.run(use_session())
if pid:
    assert os.waitpid(pid, 0)[1] == 0
""",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_program_ends_without_a_word(end: str, url: str) -> None:
    run_quietly(BEGIN + ENDS[end], url)


@pytest.mark.parametrize("end", ["closed", "never closed, with a session", "dropped"])
def test_a_program_with_a_registry_in_memory_ends_without_a_word(end: str) -> None:
    run_quietly(BEGIN + ENDS[end], "sqlite+aiosqlite://")


def test_the_end_of_a_program_waits_for_a_change_that_has_begun(url: str, file: Path) -> None:
    script = """
import sqlite3
asyncio.run(use())
other = sqlite3.connect(sys.argv[1].removeprefix("sqlite:///"), isolation_level=None)
other.execute("BEGIN IMMEDIATE")
begun = threading.Event()

class Begun:
    def __index__(self):
        begun.set()  # the change has come to its thread
        return 1

async def main():
    task = asyncio.create_task(handler.revoke_certificate(Begun()))
    await asyncio.to_thread(begun.wait)

asyncio.run(main())
other.execute("ROLLBACK")
other.close()
"""
    run_quietly(BEGIN + script, url)
    with Ledger(url) as after:
        assert after.get(1).status == "revoked"
