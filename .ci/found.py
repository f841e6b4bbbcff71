"""Prints which of the optional tools and servers are here; tests for the others are skipped."""

import shutil
import socket
from pathlib import Path

PROGRAMS = {
    "Chromium": ("chromium", "chromium-browser", "google-chrome"),
    "Go": ("go",),
    "openssl": ("openssl",),
    "strace": ("strace",),
}
FILES = {
    "golang.org/x/mod for Go": Path("/usr/share/gocode/src/golang.org/x/mod/sumdb"),
}
SERVERS = {
    "PostgreSQL": ("127.0.0.1", 5432),
    "MariaDB": ("127.0.0.1", 3306),
}


def listens(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False


def main() -> None:
    for name, (host, port) in SERVERS.items():
        verdict = "found" if listens((host, port)) else "skipped"
        print(f"{verdict:8}{name} at {host}:{port}")
    for name, commands in PROGRAMS.items():
        path = next(filter(None, map(shutil.which, commands)), None)
        print(f"{'found' if path else 'skipped':8}{name}{f' ({path})' if path else ''}")
    for name, place in FILES.items():
        print(f"{'found' if place.exists() else 'skipped':8}{name} ({place})")


if __name__ == "__main__":
    main()
