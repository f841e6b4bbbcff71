"""What is looked at on PostgreSQL, by queries that every role may make."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.engine import URL

from certledger.doctor.checks import Check
from certledger.doctor.clocks import measure, symptoms_of_offset
from certledger.doctor.needs import OTHERS
from certledger.doctor.postgresql_roles import Grant, Membership, Powers, Role, symptoms_of_role
from certledger.doctor.postgresql_server import SETTINGS, symptoms_of_server
from certledger.doctor.sessions import (
    READING,
    WRITING,
    Transport,
    insisting,
    symptoms_of_isolation,
    symptoms_of_pooler,
    symptoms_of_time_zone,
    symptoms_of_transport,
)
from certledger.eventstore.backends.postgresql_catalog import identity, settings, unlogged
from certledger.eventstore.durability.postgresql import set_for
from certledger.eventstore.symptom import Mend, Symptom, sql
from certledger.eventstore.tables import LOG_TABLES
from certledger.eventstore.times import Clock, aware_utc

_SETTING: Final = text("SELECT current_setting(:name)")
_STANDBY: Final = text("SELECT pg_is_in_recovery()")
_PROCESS: Final = text("SELECT pg_backend_pid()")
_CLOCK: Final = text("SELECT clock_timestamp() AT TIME ZONE 'UTC'")
_ENCRYPTED: Final = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")

_ROLE: Final = text(
    """
    SELECT quote_ident(rolname), rolsuper, rolreplication, rolcreaterole,
           current_setting('server_version_num')::int,
           quote_ident(current_database()), quote_ident(current_schema()),
           quote_ident(CASE current_schema() WHEN 'public' THEN 'certledger'
                       ELSE current_schema() END || '_app')
    FROM pg_roles WHERE rolname = session_user
    """
)
# By which of the roles that it was made a member of does the role come to powers? A role that owns
# something of the registry is one of these, too.
_MEMBERSHIPS: Final = text(
    """
    WITH me AS (SELECT oid FROM pg_roles WHERE rolname = session_user),
    owners AS (
      SELECT c.relowner AS owner FROM pg_class c
      WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relname IN :tables
      UNION SELECT proowner FROM pg_trigger
      JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_class c ON c.oid = tgrelid
      WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
        AND c.relname IN :tables AND NOT tgisinternal
      UNION SELECT nspowner FROM pg_namespace WHERE nspname = current_schema()
      UNION SELECT datdba FROM pg_database WHERE datname = current_database()
    ),
    mighty AS (
      SELECT oid, CASE
        WHEN rolsuper THEN format('%I is a superuser', rolname)
        WHEN rolname = 'pg_write_all_data' THEN 'it may change every table'
        WHEN rolname = 'pg_write_server_files' THEN 'it may write the files of the server'
        WHEN rolname = 'pg_execute_server_program' THEN 'it may run programs on the server'
        WHEN rolcreaterole AND current_setting('server_version_num')::int < 160000
          THEN format('%I has CREATEROLE', rolname)
        ELSE format('%I owns the log, its guards, its schema or its database', rolname)
        END AS powers
      FROM pg_roles
      WHERE rolsuper OR oid IN (SELECT owner FROM owners)
        OR rolname IN ('pg_write_all_data', 'pg_write_server_files', 'pg_execute_server_program')
        OR (rolcreaterole AND current_setting('server_version_num')::int < 160000)
    )
    SELECT string_agg(DISTINCT mighty.powers, '; '), quote_ident(pg_get_userbyid(m.roleid))
    FROM me JOIN pg_auth_members m ON m.member = me.oid
    JOIN mighty ON mighty.oid <> me.oid AND pg_has_role(m.roleid, mighty.oid, 'MEMBER')
    GROUP BY m.roleid ORDER BY 2
    """
).bindparams(bindparam("tables", expanding=True))
_OWNED: Final = text(
    """
    SELECT 'the database ' || quote_ident(datname) FROM pg_database
    WHERE datname = current_database() AND pg_get_userbyid(datdba) = session_user
    UNION ALL
    SELECT 'the schema ' || quote_ident(nspname) FROM pg_namespace
    WHERE nspname = current_schema() AND pg_get_userbyid(nspowner) = session_user
    UNION ALL
    SELECT 'the table ' || quote_ident(relname) FROM pg_class
    WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relname IN :tables
      AND pg_get_userbyid(relowner) = session_user
    UNION ALL
    SELECT 'the function ' || quote_ident(proname)
    FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relname IN :tables
      AND NOT tgisinternal AND pg_get_userbyid(proowner) = session_user
    """
).bindparams(bindparam("tables", expanding=True))
_GRANTS: Final = text(
    """
    WITH acls AS (
      SELECT relname, relowner, relacl AS acl FROM pg_class
      WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relname IN :tables
      UNION ALL
      SELECT relname, relowner, attacl FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
      WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relname IN :tables
    )
    SELECT DISTINCT
      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
      relname, privilege_type, is_grantable
    FROM acls, aclexplode(acl)
    WHERE grantee <> relowner
      AND (grantee = 0 OR pg_has_role(session_user, grantee, 'MEMBER'))
    ORDER BY 1, 2, 3, 4
    """
).bindparams(bindparam("tables", expanding=True))
_PARAMETERS_HAVE_GRANTS: Final = 150_000
_WITHOUT_TRIGGERS: Final = text(
    """
    SELECT DISTINCT
      CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
    FROM pg_parameter_acl, aclexplode(paracl)
    WHERE parname = 'session_replication_role'
      AND (grantee = 0 OR pg_has_role(session_user, grantee, 'MEMBER'))
    ORDER BY 1
    """
)
_LOG: Final = {"tables": list(LOG_TABLES)}
_CHECKED: Final = frozenset({"verify-ca", "verify-full"})


def checks_of_reading(url: URL, clock: Clock) -> tuple[Check, ...]:
    """Return the checks of a transaction that reads."""

    def transport(connection: Connection) -> Iterator[Symptom]:
        return symptoms_of_transport(read_transport(connection), _with_tls(connection, url))

    def offset(connection: Connection) -> Iterator[Symptom]:
        return symptoms_of_offset(measure(lambda: _time(connection), clock))

    return (
        Check("the isolation of what is read", _isolation_of_reading),
        Check("the session", _session),
        Check("the settings of the server", _server),
        Check("how the tables are stored", _tables),
        Check("the privileges", lambda c: symptoms_of_role(read_role(c), read_powers(c))),
        Check("the encryption", transport),
        Check("the server's clock", offset),
    )


def checks_of_writing() -> tuple[Check, ...]:
    """Return the checks of a transaction that could write."""
    return (Check("the isolation of what is written", _isolation_of_writing),)


def _isolation_of_reading(connection: Connection) -> Iterator[Symptom]:
    return symptoms_of_isolation("read", READING, _setting(connection, "transaction_isolation"))


def _isolation_of_writing(connection: Connection) -> Iterator[Symptom]:
    return symptoms_of_isolation("write", WRITING, _setting(connection, "transaction_isolation"))


def _session(connection: Connection) -> Iterator[Symptom]:
    mending = set_for(identity(connection), "timezone", "UTC")
    yield from symptoms_of_time_zone(_setting(connection, "TimeZone"), mending)
    told = _driver(connection).info.backend_pid
    yield from symptoms_of_pooler(told, connection.execute(_PROCESS).scalar_one())


def _server(connection: Connection) -> Iterator[Symptom]:
    standby = connection.execute(_STANDBY).scalar_one()
    found = settings(connection, SETTINGS)
    return symptoms_of_server(found, identity(connection), standby=standby)


def _tables(connection: Connection) -> Iterator[Symptom]:
    return unlogged(connection, OTHERS)  # those of the log are looked at on every database


def read_role(connection: Connection) -> Role:
    """Return who is logged in."""
    return Role(*connection.execute(_ROLE).one())


def read_powers(connection: Connection) -> Powers:
    """Return all that the role, and each whose member it is, may do to the log."""
    version = connection.execute(_ROLE).one()[4]
    without = version >= _PARAMETERS_HAVE_GRANTS
    return Powers(
        memberships=[Membership(*row) for row in connection.execute(_MEMBERSHIPS, _LOG)],
        owned=connection.scalars(_OWNED, _LOG).all(),
        grants=[Grant(*row) for row in connection.execute(_GRANTS, _LOG)],
        without_triggers=connection.scalars(_WITHOUT_TRIGGERS).all() if without else (),
    )


def read_transport(connection: Connection) -> Transport:
    """Return how the connection travels."""
    info = _driver(connection).info
    mode = info.get_parameters().get("sslmode", "")
    encrypted = bool(connection.execute(_ENCRYPTED).scalar())
    return Transport(info.host, encrypted, mode in _CHECKED)


def _with_tls(connection: Connection, url: URL) -> tuple[Mend, ...]:
    """Return what lets the server offer TLS, where it does not, and the client insist on it."""
    offered = _setting(connection, "ssl") == "on"
    server = () if offered else sql("ALTER SYSTEM SET ssl = 'on'", "SELECT pg_reload_conf()")
    return (*server, *insisting(url, sslmode="verify-full"))


def _time(connection: Connection) -> datetime:
    return aware_utc(connection.execute(_CLOCK).scalar_one())


def _setting(connection: Connection, name: str) -> str:
    return str(connection.execute(_SETTING, {"name": name}).scalar_one())


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
