"""Finding the blocks of a PEM file (RFC 7468), good and bad ones, a line at a time."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

_BEGIN: Final = re.compile(rb"-----BEGIN ([ -~]+?)-----")
_END: Final = re.compile(rb"-----END ([ -~]+?)-----")
_LONGEST_LINE: Final = 65_536
_AROUND: Final = b" \t\r\n\xef\xbb\xbf"
"""Blanks, and the byte order mark that some editors put first."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a PEM file."""

    label: str
    line: int
    """Where it begins, from 1."""
    contents: bytes | None
    """The decoded bytes; None for a private key, which is not read, and for a damaged block."""
    damage: str = ""

    @property
    def is_private_key(self) -> bool:
        """Whether the label speaks of a private key, whatever its format."""
        return "PRIVATE KEY" in self.label


def read_blocks(stream: BinaryIO) -> Iterator[Block]:
    """Yield the blocks of a PEM file; text around them is passed over.

    The lines of a private key are dropped as they are read.
    """
    open_block: tuple[str, int] | None = None
    body: list[bytes] = []
    for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b""), start=1):
        text = line.strip(_AROUND)
        if begin := _BEGIN.fullmatch(text):
            if open_block:
                yield _cut_off(*open_block)
            open_block, body = (begin[1].decode("ascii"), number), []
        elif end := _END.fullmatch(text):
            yield _closed(open_block, body, end[1].decode("ascii"), number)
            open_block = None
        elif open_block and "PRIVATE KEY" not in open_block[0]:
            body.append(text)
    if open_block:
        yield _cut_off(*open_block)


def _closed(open_block: tuple[str, int] | None, body: list[bytes], label: str, line: int) -> Block:
    if open_block is None:
        return Block(label, line, None, f"there is no line BEGIN {label} before this END")
    if open_block[0] != label:
        return _cut_off(*open_block)
    return _block(*open_block, body)


def _cut_off(label: str, line: int) -> Block:
    return Block(label, line, None, f"there is no line END {label}: it is cut off")


def _block(label: str, line: int, body: list[bytes]) -> Block:
    if "PRIVATE KEY" in label:
        return Block(label, line, None)
    try:
        return Block(label, line, base64.b64decode(b"".join(body), validate=True))
    except binascii.Error as error:
        return Block(label, line, None, f"its base64 is damaged ({error})")
