"""`python -m tests.docs --update [PAGE...]` writes real outputs into the documents.

Only outputs that differ by more than times, ids and the like are replaced.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.docs.page import ROOT, pages, read_lines
from tests.docs.runner import programs_missing, run_page


def main() -> None:
    """Run the pages, and name or replace what is no longer true."""
    parser = argparse.ArgumentParser(prog="python -m tests.docs", description=__doc__)
    parser.add_argument("--update", action="store_true", help="replace outputs that changed")
    parser.add_argument("pages", nargs="*", type=Path, help="only these")
    arguments = parser.parse_args()
    for page in arguments.pages or pages():
        missing = programs_missing(page)
        if missing:
            print(f"{page}: not run, there is no {', '.join(missing)}")  # noqa: T201 # its job
            continue
        count = _refresh(page, update=arguments.update)
        if count:
            what = "replaced" if arguments.update else "to be replaced"
            print(f"{page}: {count} outputs {what}")  # noqa: T201 # its job


def _refresh(page: Path, *, update: bool) -> int:
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as scratch:
        results = run_page(page, Path(folder), Path(scratch))
    changed = [ran for ran in results if not ran.agrees]
    if update and changed:
        lines = read_lines(page)
        for ran in reversed(changed):
            lines[ran.start : ran.stop] = [line.rstrip() for line in ran.actual]
        (ROOT / page).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(changed)


main()
