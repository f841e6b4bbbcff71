"""The command line run inside of the test, on one registry."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from cryptography import x509

from certledger.cli.main import cli
from certledger.testing.certificates import pem

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
"""ISO 8601 in UTC, as JSON and CSV have it."""


@dataclass(frozen=True)
class Commands:
    """Runs commands on the registry in `file`."""

    file: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.file}"

    def __call__(self, *args: object, code: int = 0, **options: Any) -> Result:
        """Run a command and check its exit code."""
        result = CliRunner().invoke(cli, ["--db", self.url, *map(str, args)], **options)
        assert result.exit_code == code, (args, result.exit_code, result.output)
        return result

    def json(self, *args: object, code: int = 0) -> Any:
        return json.loads(self(*args, "--format", "json", code=code).stdout)

    def csv(self, *args: object, code: int = 0) -> list[dict[str, str]]:
        text = self(*args, "--format", "csv", code=code).stdout
        return list(csv.DictReader(io.StringIO(text)))

    def fails(self, *args: object, code: int = 1, **options: Any) -> str:
        """Run a command that fails; return its one line of error."""
        result = self(*args, code=code, **options)
        lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert result.stderr.splitlines()[-1:] == lines, result.stderr
        assert "Traceback" not in result.stderr
        return lines[0].removeprefix("error: ")

    def register(self, *certificates: x509.Certificate, options: tuple[str, ...] = ()) -> Path:
        """Register certificates by way of a PEM file."""
        bundle = self.file.parent / "bundle.pem"
        bundle.write_bytes(b"".join(pem(certificate) for certificate in certificates))
        self("register", bundle, *options)
        return bundle

    def edit(self, statement: str) -> None:
        """Change the read model behind the registry's back."""
        connection = sqlite3.connect(self.file)
        with connection:
            connection.execute(statement)
        connection.close()
