"""On what kind of file system a file lies."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certledger.eventstore.symptom import Mend, Symptom

NETWORK: Final = frozenset(
    {
        "9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "drvfs", "gfs2", "glusterfs",
        "gpfs", "lustre", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "orangefs", "prl_fs", "smb2",
        "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "webdav",
    }
)  # fmt: skip
"""Types whose locks or shared memory reach other machines unreliably, or not at all."""

_MEMORY: Final = frozenset({"ramfs", "tmpfs"})
_FUSE: Final = "fuse."
_LOCAL_FUSE: Final = frozenset({"fuse.ext2", "fuse.ext4", "fuse.ntfs", "fuse.zfs"})

MAGIC: Final = {
    0x01021997: "9p",
    0x01021994: "tmpfs",
    0x0BD00BD0: "lustre",
    0x00C36400: "ceph",
    0x19830326: "beegfs",
    0x47504653: "gpfs",
    0x517B: "smbfs",
    0x5346414F: "afs",
    0x564C: "ncpfs",
    0x6969: "nfs",
    0x65735546: "fuse",
    0x73757245: "coda",
    0x7461636F: "ocfs2",
    0x786F4256: "vboxsf",
    0x01161970: "gfs2",
    0x858458F6: "ramfs",
    0xFE534D42: "smb2",
    0xFF534D42: "cifs",
}
"""`f_type` of statfs(2) on Linux to type."""

_ESCAPED: Final = re.compile(r"\\([0-7]{3})")
_BSD_MOUNT: Final = re.compile(r".+? on (?P<point>.+) \((?P<kind>[^,)]+)(?:, (?P<options>.*))?\)")
_STATFS_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class Mount:
    """What is mounted where."""

    point: str
    kind: str
    options: frozenset[str]


def read_mount(path: Path) -> Mount | None:
    """Return the mount that a file lies on, None where the system does not tell."""
    return mount_of(path.resolve(), _mounts()) or _by_statfs(path)


def mount_of(path: Path, mounts: Sequence[Mount]) -> Mount | None:
    """Return the mount of an absolute path: the deepest, of several at one point the last."""
    parents = {str(parent): depth for depth, parent in enumerate([path, *path.parents])}
    under = [mount for mount in mounts if mount.point in parents]
    return min(reversed(under), key=lambda mount: parents[mount.point], default=None)


def parse_mounts(text: str) -> list[Mount]:
    """Read the lines of /proc/mounts (fstab(5)), in which blanks of a name are octal numbers."""
    fields = [line.split(" ") for line in text.splitlines()]
    return [
        Mount(_unescaped(each[1]), each[2], frozenset(each[3].split(",")))
        for each in fields
        if len(each) >= 4  # noqa: PLR2004 # device, point, type, options
    ]


def parse_bsd_mounts(text: str) -> list[Mount]:
    """Read what mount(8) prints on macOS."""
    found = [_BSD_MOUNT.fullmatch(line) for line in text.splitlines()]
    return [
        Mount(each["point"], each["kind"], frozenset((each["options"] or "").split(", ")))
        for each in found
        if each
    ]


def is_network(kind: str) -> bool:
    """Tell whether files of this type of file system lie on another machine."""
    if kind.startswith(_FUSE):
        return kind not in _LOCAL_FUSE
    return kind in NETWORK


def symptoms_of_mount(mount: Mount | None, file: Path, move: tuple[Mend, ...]) -> Iterator[Symptom]:
    """Judge the file system of a registry; `move` takes it to another one."""
    if mount is None:
        message = f"on what kind of file system {file} lies could not be looked at"
        yield Symptom("note", "not-examined", message)
    elif is_network(mount.kind):
        message = (
            f"{file} lies on a network file system ({mount.kind} at {mount.point}): SQLite's locks "
            "and its write-ahead log need one of this machine"
        )
        yield Symptom("weak", "file-system", message, move)
    elif mount.kind in _MEMORY:
        message = f"{file} lies in memory ({mount.kind} at {mount.point}): it ends with the machine"
        yield Symptom("weak", "file-system", message, move)
    elif mount.options & {"nobarrier", "barrier=0"}:
        message = (
            f"{mount.point} is mounted without write barriers: a power failure can lose "
            "acknowledged changes"
        )
        remount = Mend("shell", f"mount -o remount,barrier=1 {mount.point}")
        yield Symptom("weak", "file-system", message, (remount,))


def _mounts() -> list[Mount]:
    try:
        if sys.platform == "darwin":
            run = subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=True)
            return parse_bsd_mounts(run.stdout)
        return parse_mounts(Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace"))
    except (OSError, subprocess.SubprocessError):
        return []


def _by_statfs(path: Path) -> Mount | None:
    """Ask the kernel for the type alone, where it does not list what is mounted."""
    if sys.platform != "linux":
        return None
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None).statfs(os.fsencode(path), buffer) != 0:
        return None
    number = int.from_bytes(buffer.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder)
    kind = MAGIC.get(number & 0xFFFFFFFF, "local")
    return Mount(str(path.parent), kind, frozenset())


def _unescaped(name: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), name)
