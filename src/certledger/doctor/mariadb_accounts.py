"""What an account of MariaDB or MySQL may do to the log beyond what it needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from certledger.doctor.needs import NEEDED, WIDE, WIDE_ON_ALL
from certledger.eventstore.symptom import Mend, Symptom, sql

_NAME: Final = r"`(?:[^`]|``)*`"
_GRANT: Final = re.compile(
    rf"GRANT (?P<privileges>.+?) ON (?P<scope>(?:\*|{_NAME})\.(?:\*|{_NAME})) "
    rf"TO (?P<grantee>PUBLIC|{_NAME}(?:@{_NAME})?)(?P<rest>.*)"
)
_PRIVILEGE: Final = re.compile(r"([A-Z][A-Z_ ]*?)(?: \(([^)]*)\))?(?:, ?|$)")
_SCOPE: Final = re.compile(rf"(\*|{_NAME})\.(\*|{_NAME})")
_PIECE: Final = re.compile(r"\\(.)|(.)", re.DOTALL)
"""A character of a pattern of names: taken as it is, or one that may be a wildcard."""

_POWERS: Final = frozenset(
    {
        "BINLOG ADMIN",
        "BINLOG REPLAY",
        "BINLOG_ADMIN",
        "CREATE USER",
        "FILE",
        "REPLICATION SLAVE ADMIN",
        "REPLICATION_APPLIER",
        "REPLICATION_SLAVE_ADMIN",
        "ROLE_ADMIN",
        "SET USER",
        "SET_ANY_DEFINER",
        "SET_USER_ID",
        "SUPER",
    }
)
"""Privileges of the whole server by which an account comes to others, or past the triggers."""

_LONGEST_NAME: Final = 28
"""With `_app` behind it, the longest name of an account that MySQL takes."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A line of SHOW GRANTS. Names are quoted for SQL."""

    privileges: tuple[tuple[str, str], ...]
    """Each with the columns that it is limited to, "" where it is not."""
    scope: str
    """`*.*`, or a pattern of databases with `.*`, or a table."""
    grantee: str
    option: bool
    """Whether what is granted may be passed on."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who is connected, and where the registry lies; plain names."""

    user: str
    host: str
    schema: str

    @property
    def own(self) -> str:
        """An account of the application's own, quoted for SQL."""
        return f"{_quoted(self.schema[:_LONGEST_NAME] + '_app')}@{_quoted(self.host)}"


def parse_grants(lines: Iterable[str]) -> list[Granted]:
    """Read what SHOW GRANTS tells of privileges on tables."""
    found = [_GRANT.fullmatch(line) for line in lines]
    return [
        Granted(
            tuple((name, columns) for name, columns in _PRIVILEGE.findall(each["privileges"])),
            each["scope"],
            each["grantee"],
            "WITH" in each["rest"] and "GRANT OPTION" in each["rest"],
        )
        for each in found
        if each
    ]


def symptoms_of_account(account: Account, granted: Sequence[Granted]) -> Iterator[Symptom]:
    """Judge what the account may do, itself and by its roles."""
    for each in granted:
        yield from _of_grant(account, each)


def own_account(account: Account) -> tuple[Mend, ...]:
    """Return what makes an account for an application, which is locked and has no password yet."""
    return sql(f"CREATE USER {account.own} ACCOUNT LOCK", *_needed(account, account.own))


def _of_grant(account: Account, each: Granted) -> Iterator[Symptom]:
    level = _level(account, each.scope)
    if level == "elsewhere":
        return
    wide = _wide(each, level)
    if not (wide or each.option):
        return
    named = ", ".join(name for name, _ in wide)
    passing = "may pass on what it is granted (GRANT OPTION)" if each.option else ""
    may = " and ".join(filter(None, (f"has {named}" if named else "", passing)))
    message = f"{each.grantee} {may} on {each.scope}, by which the log can be changed"
    if level == "pattern":
        message += (
            f": let the application connect as an account of its own, such as {account.own}; give "
            "that a password with ALTER USER ... IDENTIFIED BY ... ACCOUNT UNLOCK"
        )
        yield Symptom("weak", "privileges", message, own_account(account))
    else:
        yield Symptom("weak", "privileges", message, sql(*_revoked(account, each, level, wide)))


def _level(account: Account, scope: str) -> str:
    """Tell what a scope is: the registry's `database` alone, a `table` of its log, a `pattern` that
    also means other databases, or what is `elsewhere`.
    """
    database, table = _parts(scope)
    if database == "*":
        return "pattern"
    literal, pattern = _meaning(database)
    if table != "*":
        return "table" if database == account.schema and table in WIDE else "elsewhere"
    if literal == account.schema:
        return "database"
    return "pattern" if pattern.fullmatch(account.schema) else "elsewhere"


def _wide(each: Granted, level: str) -> list[tuple[str, str]]:
    if level == "table":
        wide = WIDE[_parts(each.scope)[1]]
    else:
        wide = WIDE_ON_ALL | (_POWERS if each.scope == "*.*" else frozenset())
    return [(name, columns) for name, columns in each.privileges if name in wide]


def _revoked(
    account: Account, each: Granted, level: str, wide: list[tuple[str, str]]
) -> Iterator[str]:
    if each.option:
        yield f"REVOKE GRANT OPTION ON {each.scope} FROM {each.grantee}"
    if wide:
        names = [f"{name} ({columns})" if columns else name for name, columns in wide]
        yield f"REVOKE {', '.join(names)} ON {each.scope} FROM {each.grantee}"
        if level == "database":
            yield from _needed(account, each.grantee)


def _needed(account: Account, grantee: str) -> Iterator[str]:
    database = _quoted(account.schema)
    pattern = _quoted(re.sub(r"([_%\\])", r"\\\1", account.schema))
    yield f"GRANT CREATE TEMPORARY TABLES ON {pattern}.* TO {grantee}"
    for table, privileges in NEEDED.items():
        yield f"GRANT {', '.join(privileges)} ON {database}.{_quoted(table)} TO {grantee}"


def _parts(scope: str) -> tuple[str, str]:
    """Return the plain names of database and table; "*" for all."""
    database, table = _SCOPE.fullmatch(scope).groups()  # type: ignore[union-attr] # parsed before
    return _plain(database), _plain(table)


def _meaning(name: str) -> tuple[str, re.Pattern[str]]:
    """Return what a database's name in a grant stands for: the name that it was meant as, and the
    pattern of names. Few who write `_` know that it is a wildcard.
    """
    found = _PIECE.findall(name)
    wildcards = {"%": ".*", "_": "."}
    pattern = "".join(wildcards.get(wild) or re.escape(kept or wild) for kept, wild in found)
    return "".join(kept or wild for kept, wild in found), re.compile(pattern, re.DOTALL)


def _plain(name: str) -> str:
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
