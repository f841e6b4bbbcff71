"""What is looked at on MariaDB and MySQL, by queries that every account may make."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.engine import URL

from certledger.doctor.checks import Check
from certledger.doctor.clocks import measure, symptoms_of_offset
from certledger.doctor.mariadb_accounts import Account, Granted, parse_grants, symptoms_of_account
from certledger.doctor.mariadb_server import SETTINGS, symptoms_of_server
from certledger.doctor.needs import OTHERS
from certledger.doctor.sessions import (
    READING,
    WRITING,
    Transport,
    insisting,
    symptoms_of_isolation,
    symptoms_of_time_zone,
    symptoms_of_transport,
)
from certledger.eventstore.backends.mariadb_catalog import foreign_engines
from certledger.eventstore.backends.mariadb_errors import code_of
from certledger.eventstore.durability.mariadb import change, is_mariadb
from certledger.eventstore.symptom import Mend, Symptom, ini
from certledger.eventstore.times import Clock, aware_utc

_VARIABLES: Final = text("SHOW VARIABLES WHERE Variable_name IN :names").bindparams(
    bindparam("names", expanding=True)
)
# MySQL, and MariaDB from 11.1 on, have the first; both are told of the session.
_ISOLATION: Final = ("transaction_isolation", "tx_isolation")
_TIME_ZONE: Final = text("SELECT @@session.time_zone")
_CLOCK: Final = text("SELECT utc_timestamp(6)")
_CIPHER: Final = text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
_ACCOUNT: Final = text("SELECT current_user(), database()")
_GRANTS: Final = text("SHOW GRANTS")
_ROLES: Final = text("SELECT DISTINCT role_name FROM information_schema.applicable_roles")
_ACTIVE_ROLE: Final = text("SELECT current_role()")
_ROLES_OF_MYSQL: Final = text(
    "SELECT DISTINCT role_name, role_host FROM information_schema.applicable_roles"
)
_NOT_TO_BE_TAKEN_ON: Final = 1959
"""A role that is granted to another one only: that one's privileges tell of it."""


def checks_of_reading(url: URL, clock: Clock) -> tuple[Check, ...]:
    """Return the checks of a transaction that reads."""

    def transport(connection: Connection) -> Iterator[Symptom]:
        return symptoms_of_transport(read_transport(connection), _with_tls(connection, url))

    def offset(connection: Connection) -> Iterator[Symptom]:
        return symptoms_of_offset(measure(lambda: _time(connection), clock))

    return (
        Check("the isolation of what is read", lambda c: _isolation(c, "read", READING)),
        Check("the time zone", _time_zone),
        Check("the settings of the server", lambda c: symptoms_of_server(_read(c, SETTINGS))),
        Check("how the tables are stored", _engines),
        Check("the privileges", lambda c: symptoms_of_account(read_account(c), read_grants(c))),
        Check("the encryption", transport),
        Check("the server's clock", offset),
    )


def checks_of_writing() -> tuple[Check, ...]:
    """Return the checks of a transaction that could write."""
    return (Check("the isolation of what is written", lambda c: _isolation(c, "write", WRITING)),)


def _isolation(connection: Connection, doing: str, wanted: str) -> Iterator[Symptom]:
    (level, *_) = _read(connection, _ISOLATION).values()
    return symptoms_of_isolation(doing, wanted, level)


def _time_zone(connection: Connection) -> Iterator[Symptom]:
    found = _read(connection, ("version",))
    mending = change(found, "time_zone", "'+00:00'")
    if len(mending) > 1:  # at the start it is set by another name
        mending = (mending[0], *ini("mysqld", "default_time_zone = '+00:00'"))
    return symptoms_of_time_zone(str(connection.execute(_TIME_ZONE).scalar()), mending)


def _engines(connection: Connection) -> Iterator[Symptom]:
    return foreign_engines(connection, OTHERS)  # those of the log are looked at on every database


def read_account(connection: Connection) -> Account:
    """Return who is connected, and where the registry lies."""
    account, schema = connection.execute(_ACCOUNT).one()
    user, _, host = account.rpartition("@")
    return Account(user, host, schema)


def read_grants(connection: Connection) -> list[Granted]:
    """Return what the account is granted, itself and by the roles that it may take on."""
    lines = list(connection.scalars(_GRANTS))
    if is_mariadb(_read(connection, ("version",))):
        lines += _by_taking_on_roles(connection)
    else:
        lines += _with_roles(connection)
    return list(dict.fromkeys(parse_grants(lines)))


def _by_taking_on_roles(connection: Connection) -> list[str]:
    """Return what MariaDB's roles are granted, which it tells only to who has taken them on."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    before = connection.execute(_ACTIVE_ROLE).scalar()
    lines: list[str] = []
    try:
        for role in connection.scalars(_ROLES).all():
            if _take_on(connection, quote(role)):
                lines += connection.scalars(_GRANTS)
    finally:
        _take_on(connection, "NONE" if before is None else quote(before))
    return lines


def _take_on(connection: Connection, role: str) -> bool:
    driver: Any = connection.connection.dbapi_connection
    with driver.cursor() as cursor:
        try:
            cursor.execute(f"SET ROLE {role}")
        except connection.dialect.loaded_dbapi.Error as error:
            if code_of(error) != _NOT_TO_BE_TAKEN_ON:
                raise
            return False
        return True


def _with_roles(connection: Connection) -> list[str]:
    """Return what MySQL's roles give the account, as if they were granted to itself."""
    quote = connection.dialect.identifier_preparer.quote_identifier
    found = connection.execute(_ROLES_OF_MYSQL).all()
    roles = ", ".join(f"{quote(name)}@{quote(host)}" for name, host in found)
    using = text(f"SHOW GRANTS FOR current_user() USING {roles}")
    return list(connection.scalars(using)) if roles else []


def read_transport(connection: Connection) -> Transport:
    """Return how the connection travels."""
    driver: Any = connection.connection.dbapi_connection
    (_, cipher) = connection.execute(_CIPHER).one()
    context = getattr(driver, "ctx", None)
    checked = isinstance(context, ssl.SSLContext) and context.verify_mode == ssl.CERT_REQUIRED
    host = driver.unix_socket or driver.host
    return Transport(str(host), bool(cipher), bool(cipher) and checked)


def _with_tls(connection: Connection, url: URL) -> tuple[Mend, ...]:
    """Return what lets the server offer TLS, where it does not, and the client insist on it."""
    offered = _read(connection, ("have_ssl",)).get("have_ssl", "YES") == "YES"
    server = () if offered else ini("mysqld", "ssl_cert = server.pem\nssl_key = server.key")
    return (*server, *insisting(url, ssl_ca="ca.pem"))


def _read(connection: Connection, names: tuple[str, ...]) -> dict[str, str]:
    rows = connection.execute(_VARIABLES, {"names": list(names)})
    return {name: str(value) for name, value in rows}


def _time(connection: Connection) -> datetime:
    return aware_utc(connection.execute(_CLOCK).scalar_one())
