"""The command: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from benchmarks import (
    asynchronous,
    bulk,
    evidence,
    large,
    queries,
    register,
    replay,
    servers,
    sweep,
    verifying,
)
from benchmarks.document import renew
from benchmarks.machine import describe_machine, versions
from benchmarks.report import setting_of, text_of
from benchmarks.results import Result
from benchmarks.rival import Rival, RivalMissing, install
from benchmarks.setting import Setting
from benchmarks.sizes import SIZES

BENCHMARKS: Final[dict[str, Callable[[Setting], Result]]] = {
    "register": register.run,
    "register-postgresql": servers.run_postgresql,
    "register-mariadb": servers.run_mariadb,
    "async": asynchronous.run,
    "bulk": bulk.run,
    "replay": replay.run,
    "queries": queries.run,
    "sweep": sweep.run,
    "large": large.run,
    "evidence": evidence.run,
    "verifying": verifying.run,
}

_ROOT: Final = Path(__file__).parent.parent
_NEEDS_RIVAL: Final = frozenset({"register", "register-postgresql", "async", "queries", "sweep"})
ROUNDS: Final = 5
KINDS: Final = ("postgresql", "mariadb")


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the registry beside its references and print ratios.",
    )
    add = parser.add_argument
    add("--size", choices=SIZES, default="full", help="how much is measured (default: full)")
    add(
        "--quick", dest="size", action="store_const", const="quick", help="the same as --size quick"
    )
    add("--only", action="append", choices=BENCHMARKS, help="measure this one; may be repeated")
    add("--rounds", type=_positive, default=ROUNDS, help=f"how often (default: {ROUNDS})")
    add(
        "--folder",
        type=Path,
        default=_ROOT / "build" / "benchmarks",
        help="where the databases lie, on a real disk; what takes long to make is kept there "
        "(default: build/benchmarks)",
    )
    add("--output", type=Path, help="the JSON file (default: one in benchmarks/results)")
    add("--without-tiny-ca", action="store_true", help="leave tiny_ca out, install nothing")
    add(
        "--tiny-ca-python",
        type=Path,
        metavar="PYTHON",
        help="an interpreter that has tiny_ca (default: it is installed into the folder)",
    )
    for kind in KINDS:
        add(
            f"--{kind}",
            metavar="URL",
            default=os.environ.get(f"CERTLEDGER_TEST_{kind.upper()}"),
            help=f"a {kind} server on which schemas or databases may be made "
            f"(default: $CERTLEDGER_TEST_{kind.upper()})",
        )
    add(
        "--document",
        type=Path,
        metavar="RESULTS",
        help="measure nothing; put the figures of this JSON file into the document",
    )
    return parser.parse_args(given)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        message = f"{text} is less than 1"
        raise argparse.ArgumentTypeError(message)
    return number


def main(given: Sequence[str] | None = None) -> int:
    arguments = _arguments(given)
    if arguments.document is not None:
        renew(arguments.document)
        return 0
    arguments.folder.mkdir(parents=True, exist_ok=True)
    names = arguments.only or list(BENCHMARKS)
    with ExitStack() as stack:
        rival = None
        if not arguments.without_tiny_ca and _NEEDS_RIVAL & set(names):
            rival = _rival(arguments, stack)
        given_urls = {kind: getattr(arguments, kind) for kind in KINDS}
        servers_given = {kind: url for kind, url in given_urls.items() if url and "://" in url}
        setting = Setting(
            SIZES[arguments.size], arguments.rounds, arguments.folder, rival, servers_given
        )
        report = _measure(setting, arguments.size, names)
    output = arguments.output or _default_output(report)
    output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(report, indent=2, ensure_ascii=False)
    output.write_text(text + "\n", encoding="utf-8")
    print(f"\nwritten to {output}")
    return 0


def _rival(arguments: argparse.Namespace, stack: ExitStack) -> Rival | None:
    try:
        python = arguments.tiny_ca_python or install(arguments.folder)
        return stack.enter_context(Rival(python))
    except RivalMissing as error:
        print(f"tiny_ca cannot be installed and is left out: {error}", file=sys.stderr)
        return None


def _measure(setting: Setting, size: str, names: Sequence[str]) -> dict[str, Any]:
    report: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "size": size,
        "rounds": setting.rounds,
        "machine": describe_machine(setting.folder),
        "versions": versions(),
        "benchmarks": [],
    }
    print(setting_of(report))
    for name in names:
        started = time.monotonic()
        setting.say(f"measuring {name}")
        result = BENCHMARKS[name](setting)
        if setting.rival is None and name in _NEEDS_RIVAL:
            result.notes.append("tiny_ca was left out")
        found = result.json()
        report["benchmarks"].append(found)
        print(f"\n{text_of(found)}", flush=True)
        setting.say(f"{name} took {time.monotonic() - started:.0f} s")
    return report


def _default_output(report: dict[str, Any]) -> Path:
    return Path(__file__).parent / "results" / f"{report['date']}-{report['size']}.json"


if __name__ == "__main__":
    sys.exit(main())
