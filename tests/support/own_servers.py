"""Database servers that a test owns: started by it, killed by it as it likes, and gone with it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import sqlalchemy
from sqlalchemy.pool import NullPool

NOBODY = "nobody"
"""Who runs the servers where the tests run as root, whom PostgreSQL and MariaDB refuse."""

PATIENCE = 60
"""How many seconds a server has to answer, recovery after a kill included."""

ROOMY = 2 * 1024**3
"""As many bytes must be free in memory for a server's data to lie there."""

LAUNCHER = """
import ctypes, os, sys
signal, user, group, *command = sys.argv[1:]
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(int(group))
    os.setuid(int(user))
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, int(signal))  # PR_SET_PDEATHSIG: it ends with its parent
os.execv(command[0], command)
"""


class OwnServer(ABC):
    """A server on a free port of this machine, with its data in a folder of its own.

    It has begun to answer once `start` returns, and ends with the process that started it.
    """

    kind: str
    _stop_signal = signal.SIGQUIT
    url: str
    """Where an administrator connects, without a password."""

    def __init__(self) -> None:
        self.folder = _make_folder()
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._prepare()
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def _prepare(self) -> None:
        """Make the data of an empty server."""

    @abstractmethod
    def _command(self) -> list[str]:
        """The command line of the server in the foreground."""

    def start(self) -> None:
        """Start it, also after it was killed; returns when it answers."""
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [*_launcher(self._stop_signal), *self._command()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = (self.folder / "output").read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"{self.kind} did not start:\n{text[-3000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it and all of its processes by SIGKILL, as when the machine fails."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it without waiting for its clients."""
        self._end(self._stop_signal)

    def close(self) -> None:
        """End it, and remove its data."""
        self._end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        children = _children(self._process.pid)
        self._process.send_signal(number)
        if number is signal.SIGKILL:
            for child in children:
                with suppress(ProcessLookupError):
                    os.kill(child, number)
        self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        engine = sqlalchemy.create_engine(self.url, poolclass=NullPool)
        try:
            with engine.connect():
                return True
        except sqlalchemy.exc.OperationalError:
            return False

    def _run(self, *command: object) -> None:
        """Run a command as the user of the server."""
        done = subprocess.run(
            [*_launcher(signal.SIGKILL), *map(str, command)],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")


class OwnPostgreSQL(OwnServer):
    """A PostgreSQL, by the programs of `pgserver` or of the machine."""

    kind = "postgresql"

    def _prepare(self) -> None:
        found = postgresql_programs()
        assert found is not None, NO_POSTGRESQL
        self._programs = _reachable(found, self.folder)
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"
        self._run(
            self._programs / "initdb",
            *("-D", self.folder / "data", "-U", "postgres", "-A", "trust"),
            *("-E", "UTF8", "--locale=C", "-N"),
        )

    def _command(self) -> list[str]:
        # Another time zone than UTC, so that a datetime that the server shifts is found out.
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "TimeZone": "Asia/Kathmandu",
        }
        options = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
        return [str(self._programs / "postgres"), "-D", str(self.folder / "data"), *options]


class OwnMariaDB(OwnServer):
    """A MariaDB, by the programs of the machine."""

    kind = "mariadb"
    _stop_signal = signal.SIGTERM

    def _prepare(self) -> None:
        found = mariadb_programs()
        assert found is not None, NO_MARIADB
        self._server, maker = found
        self.url = f"mariadb+pymysql://root@127.0.0.1:{self.port}/"
        self._run(
            *(maker, "--no-defaults", f"--datadir={self.folder / 'data'}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        )

    def _command(self) -> list[str]:
        settings = {
            "datadir": self.folder / "data",
            "socket": self.folder / "socket",
            "pid-file": self.folder / "pid",
            "bind-address": "127.0.0.1",
            "port": self.port,
            "default-time-zone": "+05:45",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [self._server, "--no-defaults", *options]


NO_POSTGRESQL = (
    "needs PostgreSQL: CERTLEDGER_TEST_POSTGRESQL with a URL, or its programs on this machine, "
    "or the package pgserver (Python 3.12 and earlier)"
)
NO_MARIADB = "needs the programs of a MariaDB server on this machine"


def postgresql_programs() -> Path | None:
    """The folder that has initdb and postgres."""
    spec = find_spec("pgserver")
    folders = [] if spec is None or spec.origin is None else [Path(spec.origin).parent]
    folders = [folder / "pginstall" / "bin" for folder in folders]
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    on_path = shutil.which("postgres")
    folders += [] if on_path is None else [Path(on_path).parent]
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


def mariadb_programs() -> tuple[str, str] | None:
    """The server, and the program that makes its data."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
    server = shutil.which("mariadbd", path=path)
    maker = shutil.which("mariadb-install-db", path=path)
    return (server, maker) if server and maker else None


def _make_folder() -> Path:
    """A folder of the server's user, in memory where there is room, directly in a public one."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOMY
    folder = Path(tempfile.mkdtemp(prefix="certledger-", dir=memory if roomy else None))
    if os.geteuid() == 0:
        shutil.chown(folder, NOBODY)
    return folder


def _reachable(programs: Path, folder: Path) -> Path:
    """The programs, copied where the server's user may not go to them (a checkout of root's)."""
    if os.geteuid() != 0 or all(parent.stat().st_mode & 0o5 == 0o5 for parent in programs.parents):
        return programs
    copy = folder / "programs"
    shutil.copytree(programs.parent, copy, symlinks=True)
    for path in (copy, *copy.rglob("*")):
        path.chmod(path.stat().st_mode | 0o555)
    return copy / programs.name


def _launcher(signal_at_parents_end: signal.Signals) -> list[str]:
    """What starts a program as a user whom servers accept."""
    user = pwd.getpwnam(NOBODY)
    numbers = [int(signal_at_parents_end), user.pw_uid, user.pw_gid]
    return [sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, numbers)]


def _children(pid: int) -> list[int]:
    """The processes of a server: PostgreSQL puts each into a session of its own."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = (
                stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1]
            )
            if int(parent) == pid:
                found.append(int(stat.parent.name))
    return found


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
