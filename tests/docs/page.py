"""The pages of the documents, and the blocks of commands, code and output in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent.parent

_FENCE: Final = re.compile(r"(`{3,})(.*)")
_NOT_RUN: Final = re.compile(r"<!-- not run: (.+) -->")


def pages() -> list[Path]:
    """Return every page, relative to the root."""
    found = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    found += sorted((ROOT / "docs").rglob("*.md"))
    return [path.relative_to(ROOT) for path in found if "_build" not in path.parts]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    start: int
    """The index of its first line in the page's lines; the fence is the line before."""
    lines: tuple[str, ...]
    not_run: str | None
    """Why its commands are not run, where it says so."""

    @property
    def stop(self) -> int:
        """The index of the fence that ends it."""
        return self.start + len(self.lines)


@dataclass(frozen=True)
class Command:
    """A command of a console block, with the place of the output that is shown for it."""

    text: str
    start: int
    stop: int


def read_lines(page: Path) -> list[str]:
    """Return the lines of a page."""
    return (ROOT / page).read_text(encoding="utf-8").splitlines()


def blocks(lines: list[str]) -> Iterator[Block]:
    """Yield the fenced blocks of a page. One after `<!-- not run: REASON -->` is not run."""
    at = 0
    while at < len(lines):
        fence = _FENCE.fullmatch(lines[at])
        if fence:
            stop = lines.index(fence[1], at + 1)
            marker = _NOT_RUN.fullmatch(lines[at - 1]) if at else None
            content = tuple(lines[at + 1 : stop])
            language = fence[2].strip().partition(" ")[0]
            yield Block(language, at + 1, content, marker[1] if marker else None)
            at = stop
        at += 1


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a console block: lines after `$ `, gone on with after `> `.

    Raises `ValueError` for output that belongs to no command.
    """
    at = 0
    while at < len(block.lines):
        if not block.lines[at].startswith("$ "):
            message = f"line {block.start + at + 1}: output without a command"
            raise ValueError(message)
        text = [block.lines[at][2:]]
        at += 1
        while at < len(block.lines) and block.lines[at].startswith("> "):
            text.append(block.lines[at][2:])
            at += 1
        start = at
        while at < len(block.lines) and not block.lines[at].startswith("$ "):
            at += 1
        yield Command("\n".join(text), block.start + start, block.start + at)
