"""The settings that a URL of PostgreSQL gives its sessions: `?options=-csearch_path=...`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sqlalchemy.engine import URL

_WORD: Final = re.compile(r"(?:[^\s\\]|\\.)+", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_SEARCH_PATH: Final = re.compile(r"(?:-c\s*|--)search_path=(.*)", re.DOTALL)


def split_search_path(url: URL) -> tuple[str, str | None]:
    """Return the options of a URL without the `search_path`, and that, None where there is none."""
    given = url.query.get("options", "")
    rest, path = [], None
    for option in _options(given if isinstance(given, str) else " ".join(given)):
        found = _SEARCH_PATH.fullmatch(option)
        if found:
            path = _ESCAPED.sub(r"\1", found[1])
        else:
            rest.append(option)
    return " ".join(rest), path


def _options(text: str) -> Iterator[str]:
    """Yield the options as they are written; "-c name=value" is one of them."""
    words = iter(_WORD.findall(text))
    for word in words:
        yield f"-c {next(words, '')}" if word == "-c" else word
