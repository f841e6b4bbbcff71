"""The command demo: the main job on real input, each command shown as it is run."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shlex
import sqlite3
import ssl
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click
from cryptography import x509
from rich import box
from rich.table import Table
from rich.text import Text

from certledger.cli.demo_ca import DemoCA
from certledger.cli.failures import FAILED, Failure
from certledger.cli.session import Session, pass_session
from certledger.cli.text import moment, serial_text

_BUNDLES: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
_DATABASE: Final = "issuing.db"
_SHOWN: Final = 48


@click.command()
@click.option("--keep", is_flag=True, help="Keep the folder with all files.")
@pass_session
def demo(session: Session, keep: bool) -> None:
    """Show the main job on real input.

    Registers the certificates of this system's trust store, then lives through the life of a
    small CA: issue, rotate, revoke, expire, delete, a CRL, a rebuild, and a row that somebody
    edited behind the registry's back. Everything happens in a temporary folder; each command is
    printed, to be copied.
    """
    folder = Path(tempfile.mkdtemp(prefix="certledger-demo-"))
    try:
        with _inside(folder):
            stage = _Stage(session)
            stage.say(
                f"Everything happens in {folder}" + ("." if keep else ", removed at the end.")
            )
            _trust_store(stage)
            _small_ca(stage, folder)
            stage.timings()
    finally:
        if not keep:
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    place, variables = Path.cwd(), dict(os.environ)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(place)
        os.environ.clear()
        os.environ.update(variables)


@dataclass
class _Stage:
    """Runs commands, shows them, and takes the time."""

    session: Session
    _times: list[tuple[str, float]] = field(default_factory=list)
    _started: float = field(default_factory=time.perf_counter)

    def title(self, text: str) -> None:
        self.session.terminal.out.print()
        self.session.terminal.say(text, "bold cyan")

    def say(self, text: str) -> None:
        self.session.terminal.say(text, "italic")

    def run(self, *args: str, exit_code: int = 0) -> None:
        """Run a command of certledger; raise `Failure` for another exit code than expected."""
        line = shlex.join(["certledger", *args])
        self.session.terminal.say(f"$ {line}", "bold")
        root: Any = click.get_current_context().find_root().command
        started = time.perf_counter()
        try:
            root.main(list(args), prog_name="certledger")
        except SystemExit as stop:
            code = int(stop.code or 0)
        self._times.append((_in_short(args), time.perf_counter() - started))
        if code != exit_code:
            message = f"the demonstration failed: `{line}` gave {code} instead of {exit_code}"
            raise Failure(message)

    def use(self, database: str) -> None:
        """Choose the registry of the commands to come."""
        url = f"sqlite:///{database}"
        self.session.terminal.say(f"$ export CERTLEDGER_DB={url}", "bold")
        os.environ["CERTLEDGER_DB"] = url

    def sql(self, statement: str) -> None:
        """Change the table as somebody with access to the database could."""
        self.session.terminal.say(f"sqlite> {statement}", "bold red")
        with closing(sqlite3.connect(_DATABASE)) as connection, connection:
            connection.execute(statement)

    def timings(self) -> None:
        self.title("What took how long")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("command")
        table.add_column("ms", justify="right")
        for line, seconds in self._times:
            table.add_row(Text(line), f"{seconds * 1000:,.0f}")
        self.session.terminal.out.print(table)
        seconds = time.perf_counter() - self._started
        self.say(f"{len(self._times)} commands, {seconds:.1f} s in all.")


def _in_short(args: tuple[str, ...]) -> str:
    """Name a command and its first argument, without what stands before it."""
    root: Any = click.get_current_context().find_root().command
    start = next(place for place, arg in enumerate(args) if arg in root.commands)
    first = args[start + 1 : start + 2]
    shown = [arg[:_SHOWN] + "…" if len(arg) > _SHOWN else arg for arg in first]
    return " ".join([args[start], *shown])


def _trust_store(stage: _Stage) -> None:
    stage.title("1. Real certificates: the trust store of this system")
    bundle = _bundle()
    if bundle is None:
        stage.say("There is none here, and no certifi: this part is left out.")
        return
    count = Path(bundle).read_bytes().count(b"-----BEGIN CERTIFICATE-----")
    certificates = x509.load_pem_x509_certificates(Path(bundle).read_bytes())
    distinct = len({certificate.serial_number for certificate in certificates})
    stage.say(
        f"{count} certificates of many CAs, with {distinct} serial numbers between them. A serial "
        "number is unique per issuer only (RFC 5280, section 4.1.2.2), so one registry is for one "
        "CA: where two certificates share a number the second is refused, and named."
    )
    stage.use("trust-store.db")
    stage.run("register", bundle, "--key-type", "ca", exit_code=int(distinct < count))
    stage.run("list", "--limit", "3")
    stage.run("verify")


def _bundle() -> str | None:
    paths = [ssl.get_default_verify_paths().cafile, *_BUNDLES]
    if importlib.util.find_spec("certifi"):
        paths.append(importlib.import_module("certifi").where())
    return next((path for path in paths if path and Path(path).is_file()), None)


def _small_ca(stage: _Stage, folder: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    year, month = timedelta(days=365), timedelta(days=30)
    ca = DemoCA(folder)

    def issue(file: str, name: str, start: datetime, end: datetime) -> int:
        return ca.issue(file, name, start=start, end=end).serial

    stage.title("2. A small CA: certificates of each type go in")
    issue("user.pem", "alice@example.org", now, now + year)
    laptop = issue("device.pem", "laptop-7.example.org", now, now + year)
    issue("internal.pem", "backup.internal", now, now + year)
    old_web = issue("web-2025.pem", "www.example.org", now - year + month, now + month)
    issue("web-2026.pem", "www.example.org", now, now + year)
    issue("sensor.pem", "sensor-3.example.org", now - month, now - timedelta(minutes=1))

    def run(*args: str, actor: str = "", why: str = "", exit_code: int = 0) -> None:
        who = ("--actor", actor) if actor else ()
        comment = ("--comment", why) if why else ()
        stage.run(*who, *comment, *args, exit_code=exit_code)

    stage.use(_DATABASE)
    run("init", "--origin", "demo.example.org/issuing")
    for file, kind in (
        ("ca.pem", "ca"),
        ("user.pem", "user"),
        ("device.pem", "device"),
        ("internal.pem", "internal"),
        ("web-2025.pem", "service"),
    ):
        run("register", file, "--key-type", kind, "--uuid", file.removesuffix(".pem"))

    stage.title("3. One is rotated: the new one is registered, the old one revoked")
    run("register", "web-2026.pem", "--key-type", "service", "--uuid", "web-2026")
    run(
        "revoke", str(old_web), "--reason", "superseded",
        actor="deploy@example.org", why="CHG-1042: yearly rotation",
    )  # fmt: skip

    stage.title("4. One is lost: who revoked it, when, and why")
    run(
        "revoke", hex(laptop), "--reason", "keyCompromise",
        "--requested-at", (now - timedelta(hours=2)).isoformat(),
        "--invalidity-date", (now - timedelta(days=1)).date().isoformat(),
        actor="bob@example.org", why="INC-7: laptop stolen on the train",
    )  # fmt: skip

    stage.title("5. One ends, one is deleted")
    run("register", "sensor.pem", "--uuid", "sensor")
    run("expire")
    run("delete", "internal", actor="carol@example.org", why="decommissioned")

    stage.title("6. What there is now, one certificate's history, the end of the log")
    run("list")
    run("history", str(laptop))
    run("log", "--reverse", "--limit", "5")

    stage.title("7. A CRL from the log, read back")
    run("crl", "--ca-cert", "ca.pem", "--ca-key", "ca.key", "-o", "crl.pem")
    _read_back(stage, ca, folder / "crl.pem")
    _edited_table(stage, run, laptop)


def _read_back(stage: _Stage, ca: DemoCA, path: Path) -> None:
    issuer = x509.load_pem_x509_certificate(path.with_name(ca.certificate.file).read_bytes())
    crl = x509.load_pem_x509_crl(path.read_bytes())
    key: Any = issuer.public_key()
    if not crl.is_signature_valid(key):
        message = "the demonstration failed: the CRL's signature is not the CA's"
        raise Failure(message)
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    stage.say(f"Its signature is the CA's. Number {number}, {len(crl)} entries:")
    for entry in crl:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        stage.session.terminal.say(
            f"  {serial_text(entry.serial_number)}  {moment(entry.revocation_date_utc)}  {reason}"
        )


def _edited_table(stage: _Stage, run: Any, laptop: int) -> None:
    stage.title("8. The table is emptied; a rebuild gives identical rows")
    before = _rows()
    stage.sql("DELETE FROM certificates")
    run("rebuild")
    if _rows() != before:
        message = "the demonstration failed: the rebuilt rows are not those of before"
        raise Failure(message)
    stage.say(f"All {len(before)} rows are equal to those of before, in every column.")

    stage.title("9. Somebody edits a row behind the registry's back: found, and repaired")
    # It plays the intruder; what it puts in is a number.
    edit = (
        "UPDATE certificates SET status = 'valid', revocation_date = NULL, "  # noqa: S608 # see above
        f"revocation_reason = NULL WHERE serial_number = '{laptop}'"
    )
    stage.sql(edit)
    run("drift", exit_code=FAILED)
    stage.say("A CRL made now would still list it: it is made from the log. The table is mended:")
    run("rebuild")
    run("verify")
    run("status")


def _rows() -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(_DATABASE)) as connection:
        return connection.execute("SELECT * FROM certificates ORDER BY id").fetchall()
