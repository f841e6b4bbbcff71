"""What a role of PostgreSQL may do to the log beyond what it needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from certledger.doctor.needs import WIDE, by_privileges
from certledger.eventstore.symptom import Mend, Symptom, sql

_CREATEROLE_IS_WEAKER: Final = 160_000
"""From this version on, a role that may create roles cannot let itself into others."""

_WITHOUT_TRIGGERS: Final = "session_replication_role"


@dataclass(frozen=True, slots=True)
class Role:
    """Who is logged in. Names are quoted for SQL here and below."""

    name: str
    superuser: bool
    replication: bool
    createrole: bool
    version: int
    """Of the server, as `server_version_num`."""
    database: str
    schema: str
    own: str
    """A name for a role of the application's own."""


@dataclass(frozen=True, slots=True)
class Membership:
    """A role whose powers the role has."""

    powers: str
    """What such a role may do, in words."""
    granted: str
    """The role that it was made a member of, by which it has them."""


@dataclass(frozen=True, slots=True)
class Grant:
    """A privilege on a table of the log, or on a column of it."""

    grantee: str
    """The role, one whose member it is, or PUBLIC."""
    table: str
    """Its plain name."""
    privilege: str
    grantable: bool


@dataclass(frozen=True, slots=True)
class Powers:
    """All that a role has beside its attributes."""

    memberships: Sequence[Membership] = ()
    owned: Sequence[str] = ()
    """What of the registry is the role's own, in words."""
    grants: Sequence[Grant] = ()
    without_triggers: Sequence[str] = ()
    """The grantees by which the role may set `session_replication_role`."""


def symptoms_of_role(role: Role, powers: Powers) -> Iterator[Symptom]:
    """Judge what the role may do. A superuser may do all the rest, too."""
    if role.superuser:
        message = (
            f"{role.name} is a superuser, whom nothing keeps from changing the log: let the "
            f"application connect as a role of its own, such as {role.own}"
        )
        yield _weak(message, own_role(role))
        return
    yield from _of_attributes(role)
    yield from _of_memberships(role, powers.memberships)
    if powers.owned:
        message = (
            f"{role.name} owns {', '.join(powers.owned)}, so it can switch the triggers off or "
            f"drop the log: let the application connect as a role of its own, such as {role.own}"
        )
        yield _weak(message, own_role(role))
    yield from _of_grants(role, powers.grants)
    if powers.without_triggers:
        revoked = [
            f"REVOKE SET, ALTER SYSTEM ON PARAMETER {_WITHOUT_TRIGGERS} FROM {grantee}"
            for grantee in powers.without_triggers
        ]
        yield _weak(f"{role.name} may run statements past the triggers", sql(*revoked))


def own_role(role: Role) -> tuple[Mend, ...]:
    """Return what makes a role for an application, which has no password yet."""
    # The registry is found in the schema that the session looks at first.
    path = f"ALTER ROLE {role.own} IN DATABASE {role.database} SET search_path = {role.schema}"
    return sql(f"CREATE ROLE {role.own} LOGIN", path, *_needed(role, role.own))


def _needed(role: Role, grantee: str) -> Iterator[str]:
    yield f"GRANT USAGE ON SCHEMA {role.schema} TO {grantee}"
    yield f"GRANT TEMPORARY ON DATABASE {role.database} TO {grantee}"
    for privileges, tables in by_privileges().items():
        names = ", ".join(f"{role.schema}.{table}" for table in tables)
        yield f"GRANT {', '.join(privileges)} ON {names} TO {grantee}"


def _of_attributes(role: Role) -> Iterator[Symptom]:
    if role.replication:
        message = f"{role.name} has REPLICATION: it can read and hold back all that is written"
        yield _weak(message, sql(f"ALTER ROLE {role.name} NOREPLICATION"))
    if role.createrole and role.version < _CREATEROLE_IS_WEAKER:
        message = f"{role.name} has CREATEROLE: it can let itself into the role that owns the log"
        yield _weak(message, sql(f"ALTER ROLE {role.name} NOCREATEROLE"))


def _of_memberships(role: Role, memberships: Sequence[Membership]) -> Iterator[Symptom]:
    for membership in memberships:
        message = f"{role.name} is a member of {membership.granted}: {membership.powers}"
        revoked = f"REVOKE {membership.granted} FROM {role.name}"
        # By the membership it may have had what it needs, too.
        yield _weak(message, sql(revoked, *_needed(role, role.name)))


def _of_grants(role: Role, grants: Sequence[Grant]) -> Iterator[Symptom]:
    for grantee in dict.fromkeys(grant.grantee for grant in grants):
        own = [grant for grant in grants if grant.grantee == grantee]
        wide = _wide(own)
        if wide:
            allowed = "; ".join(f"{', '.join(wide[table])} on {table}" for table in wide)
            by = "" if grantee == role.name else f" by what {grantee} is granted"
            revoked = [
                f"REVOKE {', '.join(wide[table])} ON {role.schema}.{table} FROM {grantee} CASCADE"
                for table in wide
            ]
            yield _weak(f"{role.name} has{by} {allowed}: it needs none of it", sql(*revoked))
        yield from _of_options(role, grantee, own, wide)


def _wide(grants: Sequence[Grant]) -> dict[str, list[str]]:
    wide: dict[str, list[str]] = {}
    for grant in grants:
        privileges = wide.setdefault(grant.table, [])
        if grant.privilege in WIDE[grant.table] and grant.privilege not in privileges:
            privileges.append(grant.privilege)
    return {table: sorted(privileges) for table, privileges in wide.items() if privileges}


def _of_options(
    role: Role, grantee: str, grants: Sequence[Grant], wide: dict[str, list[str]]
) -> Iterator[Symptom]:
    passed_on = [
        grant
        for grant in grants
        if grant.grantable and grant.privilege not in wide.get(grant.table, [])
    ]
    tables = dict.fromkeys(grant.table for grant in passed_on)
    if tables:
        revoked = [
            f"REVOKE GRANT OPTION FOR ALL ON {role.schema}.{table} FROM {grantee} CASCADE"
            for table in tables
        ]
        message = f"{role.name} may pass on its privileges on {', '.join(tables)} (GRANT OPTION)"
        yield _weak(message, sql(*revoked))


def _weak(message: str, mending: tuple[Mend, ...]) -> Symptom:
    return Symptom("weak", "privileges", message, mending)
