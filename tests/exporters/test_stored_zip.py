"""Zip archives in one spelling."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certledger.errors import InvalidValue, MalformedEvidence
from certledger.exporters.stored_zip import LARGEST, is_archive, pack, unpack
from tests.support.evidence import flipped

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9.-]{0,9}(/[A-Za-z0-9]{1,5})?", fullmatch=True)
MEMBERS = st.dictionaries(NAMES, st.binary(max_size=60), min_size=1, max_size=5)
SOME = {"README.txt": b"read me\n", "events/7.leaf": b"{}", "empty": b""}


@given(MEMBERS)
def test_members_go_there_and_back_in_their_order(members: dict[str, bytes]) -> None:
    data = pack(members)
    assert is_archive(data)
    assert list(unpack(data).items()) == list(members.items())


@given(MEMBERS)
def test_others_read_them_too(members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(io.BytesIO(pack(members))) as archive:
        assert archive.testzip() is None
        assert {info.filename: archive.read(info) for info in archive.infolist()} == members
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.skipif(shutil.which("unzip") is None, reason="there is no unzip on the path")
def test_unzip_makes_plain_files_of_them(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(pack(SOME))
    subprocess.run(["unzip", "-q", "a.zip", "-d", "out"], cwd=tmp_path, check=True)
    for name, content in SOME.items():
        path = tmp_path / "out" / name
        assert path.read_bytes() == content
        assert path.stat().st_mode & 0o777 == 0o644


@given(st.data())
def test_an_archive_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    archive = pack(SOME)
    changed = flipped(archive, data.draw(st.integers(0, 8 * len(archive) - 1)))
    with pytest.raises(MalformedEvidence):
        unpack(changed)


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_an_archive_that_is_written_alike_or_malformed(
    start: bytes, end: bytes
) -> None:
    archive = pack(SOME)
    for data in (start, archive + end, start + archive, archive[: len(start)] + end):
        try:
            members = unpack(data)
        except MalformedEvidence:
            continue
        assert pack(members) == data


def zipped(*members: tuple[str, bytes], **options: int) -> bytes:
    """An archive as Python's zipfile writes it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", **options) as archive:  # type: ignore[call-overload]
        for name, content in members:
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.mark.parametrize(
    "archive",
    [
        zipped(("../outside", b"x")),
        zipped(("/etc/passwd", b"x")),
        zipped(("C:\\x", b"x")),
        zipped(("a//b", b"x")),
        zipped(("a/../b", b"x")),
        zipped((".hidden", b"x")),
        zipped(("folder/", b"")),
        zipped(("n\u00e4me", b"x")),
        zipped(("README.txt", b"x" * 1000), compression=zipfile.ZIP_DEFLATED),
        zipped(("README.txt", b"x")),
        b"",
        b"PK\x03\x04",
        pack(SOME)[:-1],
        pack(SOME) + b"\0",
        b"\0" + pack(SOME),
    ],
)
def test_paths_out_of_the_archive_and_foreign_archives_are_refused(archive: bytes) -> None:
    with pytest.raises(MalformedEvidence, match="no evidence archive of certledger"):
        unpack(archive)


@pytest.mark.parametrize(
    "archive",
    [zipped(("../x", b"x")), zipped(("x", b"x" * 99), compression=zipfile.ZIP_DEFLATED)],
)
def test_the_member_that_is_foreign_is_named(archive: bytes) -> None:
    with pytest.raises(MalformedEvidence, match=r"its member '.*x' has a foreign name, is comp"):
        unpack(archive)


def test_a_second_member_of_a_name_is_refused() -> None:
    one = pack({"a": b"1"})
    local = one.partition(b"PK\x01\x02")[0]
    with pytest.raises(MalformedEvidence, match="holds a twice"):
        unpack(local + one)


def test_a_hidden_member_that_the_directory_does_not_name_is_refused() -> None:
    one = pack({"a": b"1"})
    local = pack({"b": b"2"}).partition(b"PK\x01\x02")[0]
    with pytest.raises(MalformedEvidence, match="not as it was written"):
        unpack(local + one)


def test_more_than_an_archive_holds_is_neither_written_nor_read() -> None:
    with pytest.raises(InvalidValue, match="too much for one archive"):
        pack({"a": bytes(LARGEST)})
    with pytest.raises(MalformedEvidence, match="more than"):
        unpack(bytes(LARGEST + 1))
    local = pack({"00000": b""}).partition(b"PK\x01\x02")[0]
    many = (local.replace(b"00000", f"{number:05}".encode()) for number in range(70_000))
    with pytest.raises(MalformedEvidence):
        unpack(b"".join(many))


@pytest.mark.parametrize("name", ["", "../a", "/a", "a b", "\u00e4", ".a", "a/"])
def test_a_name_that_could_do_harm_is_not_written(name: str) -> None:
    with pytest.raises(InvalidValue, match="name of a member"):
        pack({name: b""})
