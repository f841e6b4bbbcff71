"""A summary as plain text and as one page of HTML that loads nothing and runs nothing.

Nothing that came from a certificate or a comment can act as markup, as a control of the terminal,
or as a line of its own: what the text says and what was said to it stay apart.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from certledger.exporters.summary import Section
from certledger.text import safe, safe_lines

_WIDTH: Final = 78
_CONTINUED: Final = "| "
_STYLE: Final = """
:root { color-scheme: light; }
body { font: 11pt/1.45 system-ui, sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em;
       color: #111; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.1em; margin: 1.6em 0 .4em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .2em .8em .2em 0;
         border-bottom: 1px solid #ccc; overflow-wrap: anywhere; white-space: pre-wrap; }
th { font-weight: 600; white-space: normal; }
.pairs th { width: 12em; font-weight: normal; color: #555; }
section { break-inside: avoid; }
@page { size: A4; margin: 18mm; }
@media print { body { margin: 0; max-width: none; font-size: 9.5pt; } }
"""


def to_text(title: str, sections: Sequence[Section]) -> str:
    """Write a summary as plain text."""
    lines = [safe(title), "=" * len(safe(title))]
    for section in sections:
        lines += ["", safe(section.title), "-" * len(safe(section.title))]
        lines += [line for sentence in section.sentences for line in _wrapped(sentence)]
        lines += [""] * bool(section.sentences and (section.table or section.pairs))
        lines += _text_table(section.table)
        lines += [line for pair in section.pairs for line in _text_pair(section, pair)]
    return "\n".join(lines) + "\n"


def _wrapped(sentence: str) -> list[str]:
    return textwrap.wrap(
        safe(sentence),
        _WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _text_table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    cells = [[safe(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(padded).rstrip()


def _text_pair(section: Section, pair: tuple[str, str]) -> Iterator[str]:
    width = max(len(safe(label)) for label, _ in section.pairs)
    first, *rest = safe_lines(pair[1]).split("\n")
    yield f"{safe(pair[0]):<{width}}  {first}"
    # A value must not be able to look like the next label.
    yield from (f"{'':<{width}}  {_CONTINUED}{line}" for line in rest)


def to_html(title: str, sections: Sequence[Section]) -> str:
    """Write a summary as a page of HTML, which needs nothing beside it and can be printed."""
    body = "\n".join(_html_section(section) for section in sections)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_html(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{_html(title)}</h1>
{body}
</body>
</html>
"""


def _html_section(section: Section) -> str:
    parts = [f"<h2>{_html(section.title)}</h2>"]
    if section.sentences:
        items = "".join(f"<li>{_html(sentence)}</li>\n" for sentence in section.sentences)
        parts.append(f"<ul>\n{items}</ul>")
    if section.table:
        headings, *rows = section.table
        parts.append(_html_table("", [_row("th", headings), *(_row("td", row) for row in rows)]))
    if section.pairs:
        rows_of_pairs = [
            f'<tr><th scope="row">{_html(label)}</th><td><bdi>{_html(value)}</bdi></td></tr>\n'
            for label, value in section.pairs
        ]
        parts.append(_html_table(' class="pairs"', rows_of_pairs))
    return "<section>\n" + "\n".join(parts) + "\n</section>"


def _html_table(attributes: str, rows: Sequence[str]) -> str:
    return f"<table{attributes}>\n{''.join(rows)}</table>"


def _row(cell: str, texts: Sequence[str]) -> str:
    # Isolated: a name in a script that runs from right to left must not turn its neighbours.
    cells = "".join(f"<{cell}><bdi>{_html(text)}</bdi></{cell}>" for text in texts)
    return f"<tr>{cells}</tr>\n"


def _html(text: str) -> str:
    return escape(safe_lines(text), quote=True)
