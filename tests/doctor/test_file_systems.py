"""On what kind of file system a registry lies, by what Linux and macOS tell."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from certledger.doctor.file_systems import (
    MAGIC,
    NETWORK,
    Mount,
    is_network,
    mount_of,
    parse_bsd_mounts,
    parse_mounts,
    read_mount,
    symptoms_of_mount,
)
from certledger.eventstore.symptom import Mend, Symptom

LINUX = r"""/dev/vda1 / ext4 rw,relatime 0 0
proc /proc proc rw,nosuid 0 0
tmpfs /dev/shm tmpfs rw 0 0
server:/export /mnt/nfs nfs4 rw,vers=4.2,hard 0 0
//server/share /mnt/my\040share cifs rw 0 0
user@server:/data /mnt/ssh fuse.sshfs rw,user_id=0 0 0
host /mnt/9p 9p rw,trans=virtio 0 0
/dev/vdb1 /mnt/nfs/local xfs rw,nobarrier 0 0
/dev/vdc1 /srv ext3 rw,barrier=0,data=ordered 0 0
/dev/vdd1 /twice ext4 rw 0 0
server:/over /twice nfs rw 0 0
"""

MACOS = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
devfs on /dev (devfs, local, nobrowse)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
//user@server/share on /Volumes/My Share (smbfs, nodev, nosuid, mounted by user)
server:/export on /Volumes/export (nfs)
"""
MOVE = (Mend("shell", "certledger copy SRC DST"),)


def judged(path: str, text: str = LINUX) -> list[Symptom]:
    return list(symptoms_of_mount(mount_of(Path(path), parse_mounts(text)), Path(path), MOVE))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/registry.db", "ext4"),
        ("/mnt/nfs/registry.db", "nfs4"),
        ("/mnt/nfs/deep/er/registry.db", "nfs4"),
        ("/mnt/nfsx/registry.db", "ext4"),
        ("/mnt/my share/registry.db", "cifs"),
        ("/mnt/nfs/local/registry.db", "xfs"),
        ("/twice/registry.db", "nfs"),
    ],
)
def test_a_file_lies_on_the_deepest_mount_above_it_and_the_last_at_one_point(
    path: str, kind: str
) -> None:
    found = mount_of(Path(path), parse_mounts(LINUX))
    assert found is not None
    assert found.kind == kind


def test_the_mounts_of_macos_are_read_too() -> None:
    mounts = parse_bsd_mounts(MACOS)
    assert [mount.kind for mount in mounts] == ["apfs", "devfs", "apfs", "smbfs", "nfs"]
    found = mount_of(Path("/Volumes/My Share/registry.db"), mounts)
    assert found is not None
    assert is_network(found.kind)
    assert "local" in mounts[0].options


@pytest.mark.parametrize("kind", [*sorted(NETWORK), "fuse.sshfs", "fuse.glusterfs", "fuse.s3fs"])
def test_a_network_file_system_is_weak(kind: str) -> None:
    (found,) = symptoms_of_mount(Mount("/mnt", kind, frozenset()), Path("/mnt/r.db"), MOVE)
    assert (found.level, found.kind, found.mending) == ("weak", "file-system", MOVE)
    assert f"{kind} at /mnt" in found.message


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "apfs", "overlay", "fuse.ext4"])
def test_a_file_system_of_this_machine_is_no_symptom(kind: str) -> None:
    assert list(symptoms_of_mount(Mount("/", kind, frozenset({"rw"})), Path("/r.db"), MOVE)) == []


def test_a_file_system_in_memory_is_weak() -> None:
    (found,) = judged("/dev/shm/registry.db")
    assert (found.level, found.kind, found.mending) == ("weak", "file-system", MOVE)
    assert "ends with the machine" in found.message


@pytest.mark.parametrize(
    ("path", "point"), [("/mnt/nfs/local/r.db", "/mnt/nfs/local"), ("/srv/r.db", "/srv")]
)
def test_a_file_system_without_write_barriers_is_weak(path: str, point: str) -> None:
    (found,) = judged(path)
    assert (found.level, found.kind) == ("weak", "file-system")
    assert found.mending == (Mend("shell", f"mount -o remount,barrier=1 {point}"),)


def test_an_unknown_file_system_is_a_note() -> None:
    (found,) = symptoms_of_mount(None, Path("/r.db"), MOVE)
    assert (found.level, found.kind) == ("note", "not-examined")


def test_the_numbers_of_linux_name_network_file_systems_or_those_in_memory() -> None:
    unknown = {kind for kind in MAGIC.values() if not is_network(kind)}
    assert unknown == {"fuse", "ramfs", "tmpfs"}


def test_the_mount_of_a_real_file_is_that_which_the_system_tells(tmp_path: Path) -> None:
    run = subprocess.run(
        ["df", "-P", tmp_path], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}
    )
    point = run.stdout.splitlines()[-1].split("% ", 1)[1]
    found = read_mount(tmp_path)
    assert found is not None
    assert found.point == point
