"""What weakens the promise of a registry, and what mends it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Mend:
    """One step that mends."""

    language: Literal["sql", "shell", "ini"]
    """`sql`: a statement for the registry's database. `shell`: a command of the machine. `ini`:
    lines of the server's or the pooler's configuration file, which it reads when it is started.
    """
    command: str


@dataclass(frozen=True, slots=True)
class Symptom:
    """One thing that weakens the promise, or is worth knowing."""

    level: Literal["weak", "note"]
    """`weak`: the registry cannot keep what it promises. `note`: good to know."""
    kind: str
    message: str
    mending: tuple[Mend, ...] = ()
    """What mends it, in this order."""

    def __str__(self) -> str:
        """Return the message and what mends, as a line of text."""
        steps = " and ".join(f"`{' '.join(step.command.split())}`" for step in self.mending)
        return f"{self.message}; mend it with {steps}" if steps else self.message


def sql(*statements: str) -> tuple[Mend, ...]:
    """Return the steps of some statements, each of which ends with a semicolon."""
    return tuple(Mend("sql", f"{statement};") for statement in statements)


def shell(*commands: str) -> tuple[Mend, ...]:
    """Return the steps of some commands."""
    return tuple(Mend("shell", command) for command in commands)


def ini(section: str, line: str) -> tuple[Mend, ...]:
    """Return the step of a line in a section of a configuration file."""
    return (Mend("ini", f"[{section}]\n{line}"),)
