"""Zip archives in one spelling: the same members give the same bytes, on every machine.

Nothing is compressed, so that neither a compressor's version changes the bytes nor a small file
grows huge when it is read; all members bear the date 1980-01-01. Only what is exactly so written is
read: there is no room for a second member of a name, for anything before, between or behind the
members, or for headers that contradict each other.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Final, NoReturn
from zlib import crc32

from certledger.errors import InvalidValue, MalformedEvidence

LARGEST: Final = 64 * 1024 * 1024
"""How many bytes an archive has at most."""

_MOST_MEMBERS: Final = 65_535
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(/[A-Za-z0-9][A-Za-z0-9.-]*)*", re.ASCII)
# PKWARE APPNOTE 6.3 §4.3.7, §4.3.12 and §4.3.16, without their variable parts.
_LOCAL: Final = struct.Struct("<4s5H3L2H")
_CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
_END: Final = struct.Struct("<4s4H2LH")
_LOCAL_MARK: Final = b"PK\x03\x04"
_NEEDS: Final = 10
_MADE_BY: Final = 3 << 8 | 20  # Unix, so that the mode counts
_MODE: Final = 0o100644 << 16
_STORED: Final = 0
_FIRST_OF_1980: Final = (0, 1 << 5 | 1)


def pack(members: Mapping[str, bytes]) -> bytes:
    """Write an archive of these members, in their order.

    Raises `InvalidValue` for more than an archive holds, and for a name that is no plain path.
    """
    archive, directory = bytearray(), bytearray()
    for name, content in members.items():
        if not _NAME.fullmatch(name):
            message = f"{name!r} cannot be the name of a member"
            raise InvalidValue(message)
        encoded = name.encode("ascii")
        sizes = (crc32(content), len(content), len(content), len(encoded), 0)
        entry = (_NEEDS, 0, _STORED, *_FIRST_OF_1980, *sizes)
        place = (0, 0, 0, _MODE, len(archive))
        directory += _CENTRAL.pack(b"PK\x01\x02", _MADE_BY, *entry, *place) + encoded
        archive += _LOCAL.pack(_LOCAL_MARK, *entry) + encoded + content
        _check_size(len(archive) + len(directory) + _END.size, len(members))
    count = len(members)
    end = _END.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), len(archive), 0)
    return bytes(archive + directory + end)


def _check_size(size: int, count: int) -> None:
    if size > LARGEST or count > _MOST_MEMBERS:
        message = f"this is too much for one archive: {count:,} members, {size:,} bytes and more"
        raise InvalidValue(message)


def is_archive(data: bytes) -> bool:
    """Tell whether bytes begin as archives do."""
    return data.startswith(_LOCAL_MARK)


def unpack(data: bytes) -> dict[str, bytes]:
    """Read an archive that `pack` wrote.

    Raises `MalformedEvidence` for any other.
    """
    if len(data) > LARGEST:
        _refuse(f"it has more than {LARGEST:,} bytes")
    members: dict[str, bytes] = {}
    at = 0
    while data.startswith(_LOCAL_MARK, at):
        name, content = _read_member(data, at)
        if name in members:
            _refuse(f"it holds {name} twice")
        members[name] = content
        at += _LOCAL.size + len(name) + len(content)
    # Writing it again finds all that is written otherwise, without reading the directory.
    try:
        again = pack(members)
    except InvalidValue:
        again = None
    if again != data:
        _refuse("it is not as it was written: something was added, taken away or packed anew")
    return members


def _read_member(data: bytes, at: int) -> tuple[str, bytes]:
    if len(data) < at + _LOCAL.size:
        _refuse("it is cut off")
    *_, method, _, _, _, _, size, name_size, _ = _LOCAL.unpack_from(data, at)
    start = at + _LOCAL.size + name_size
    name = data[at + _LOCAL.size : start].decode("ascii", "replace")
    if method != _STORED or not _NAME.fullmatch(name) or len(data) < start + size:
        _refuse(f"its member {name[:80]!r} has a foreign name, is compressed or is cut off")
    return name, data[start : start + size]


def _refuse(why: str) -> NoReturn:
    message = f"this is no evidence archive of certledger: {why}"
    raise MalformedEvidence(message)
