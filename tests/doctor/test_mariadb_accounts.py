"""What SHOW GRANTS tells, read and judged."""

from __future__ import annotations

import pytest

from certledger.doctor.mariadb_accounts import (
    Account,
    Granted,
    own_account,
    parse_grants,
    symptoms_of_account,
)
from certledger.doctor.mariadb_server import symptoms_of_server
from certledger.eventstore.durability.mariadb import symptoms_of_settings
from tests.support.doctor import kinds

APP = Account("app", "%", "ca_registry")


def test_lines_of_mariadb_and_mysql_are_read() -> None:
    lines = [
        "GRANT USAGE ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*secret'",
        "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
        "GRANT SELECT, INSERT, UPDATE (`actor`, `type`) ON `ca`.`log_entry` TO `app`@`%`",
        "GRANT REPLICATION SLAVE ADMIN, BINLOG_ADMIN ON *.* TO `r` WITH MAX_QUERIES_PER_HOUR 5",
        "GRANT SELECT ON `it``s`.* TO PUBLIC",
        "GRANT `role` TO `app`@`%`",
        "GRANT PROXY ON ''@'%' TO 'root'@'localhost' WITH GRANT OPTION",
        "GRANT EXECUTE ON PROCEDURE `ca`.`p` TO `app`@`%`",
        "SET DEFAULT ROLE `role` FOR `app`@`%`",
    ]
    assert parse_grants(lines) == [
        Granted((("USAGE", ""),), "*.*", "`app`@`%`", False),
        Granted((("ALL PRIVILEGES", ""),), "*.*", "`root`@`localhost`", True),
        Granted(
            (("SELECT", ""), ("INSERT", ""), ("UPDATE", "`actor`, `type`")),
            "`ca`.`log_entry`",
            "`app`@`%`",
            False,
        ),
        Granted((("REPLICATION SLAVE ADMIN", ""), ("BINLOG_ADMIN", "")), "*.*", "`r`", False),
        Granted((("SELECT", ""),), "`it``s`.*", "PUBLIC", False),
    ]


def commands(line: str) -> list[str]:
    found = list(symptoms_of_account(APP, parse_grants([line])))
    return [step.command for symptom in found for step in symptom.mending]


@pytest.mark.parametrize(
    "line",
    [
        "GRANT USAGE ON *.* TO `app`@`%`",
        "GRANT SELECT ON *.* TO `app`@`%`",
        "GRANT ALL PRIVILEGES ON `other`.* TO `app`@`%` WITH GRANT OPTION",
        "GRANT ALL PRIVILEGES ON `ca\\_registry2`.* TO `app`@`%`",
        "GRANT DELETE ON `other`.`log_entry` TO `app`@`%`",
        "GRANT DELETE ON `ca_registry`.`certificates` TO `app`@`%`",
        "GRANT SELECT, INSERT ON `ca_registry`.`log_entry` TO `app`@`%`",
        "GRANT SELECT, UPDATE ON `ca_registry`.`log_head` TO `app`@`%`",
        "GRANT SELECT, INSERT, CREATE TEMPORARY TABLES ON `ca\\_registry`.* TO `app`@`%`",
    ],
)
def test_what_is_needed_or_elsewhere_is_no_symptom(line: str) -> None:
    assert commands(line) == []


@pytest.mark.parametrize("scope", ["`ca\\_registry`.*", "`ca_registry`.*"])
def test_what_is_too_much_on_the_database_is_replaced_by_what_is_needed(scope: str) -> None:
    """A lone underscore is a wildcard, which few know who write it."""
    first, *needed = commands(f"GRANT ALL PRIVILEGES ON {scope} TO `app`@`%`")
    assert first == f"REVOKE ALL PRIVILEGES ON {scope} FROM `app`@`%`;"
    assert needed[0] == "GRANT CREATE TEMPORARY TABLES ON `ca\\_registry`.* TO `app`@`%`;"
    assert "GRANT SELECT, INSERT ON `ca_registry`.`log_entry` TO `app`@`%`;" in needed


@pytest.mark.parametrize("scope", ["*.*", "`ca%`.*", "`%`.*", "`c__registry`.*"])
def test_what_is_too_much_on_other_databases_too_wants_an_account_of_its_own(scope: str) -> None:
    own = [step.command for step in own_account(APP)]
    assert own[0] == "CREATE USER `ca_registry_app`@`%` ACCOUNT LOCK;"
    assert commands(f"GRANT DELETE ON {scope} TO `app`@`%`") == own


def test_a_privilege_on_columns_is_revoked_with_them() -> None:
    line = "GRANT UPDATE (`actor`, `type`) ON `ca_registry`.`log_entry` TO `app`@`%`"
    assert commands(line) == [
        "REVOKE UPDATE (`actor`, `type`) ON `ca_registry`.`log_entry` FROM `app`@`%`;"
    ]


def test_no_hash_of_a_password_is_told() -> None:
    line = "GRANT ALL PRIVILEGES ON *.* TO `app`@`%` IDENTIFIED BY PASSWORD '*0123ABCD'"
    (found,) = symptoms_of_account(APP, parse_grants([line]))
    assert "0123ABCD" not in f"{found.message} {found.mending}"


def test_the_name_of_an_account_is_one_that_mysql_takes() -> None:
    long = Account("app", "%", "r" * 64)
    assert long.own == f"`{'r' * 28}_app`@`%`"


# Settings

MARIADB = {"version": "10.11.6-MariaDB-log"}
MYSQL = {"version": "8.0.36"}
DURABLE = {
    "innodb_flush_log_at_trx_commit": "1",
    "innodb_doublewrite": "ON",
    "innodb_flush_method": "O_DIRECT",
    "log_bin": "ON",
    "sync_binlog": "1",
}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"innodb_flush_log_at_trx_commit": "3"},
        {"log_bin": "OFF", "sync_binlog": "0"},
        {"innodb_doublewrite": "DETECT_AND_RECOVER"},
    ],
)
def test_a_durable_server_is_no_symptom(changed: dict[str, str]) -> None:
    assert list(symptoms_of_settings(MARIADB | DURABLE | changed)) == []


@pytest.mark.parametrize(
    ("changed", "words", "of_mariadb", "of_mysql"),
    [
        (
            {"innodb_flush_log_at_trx_commit": "2"},
            "innodb_flush_log_at_trx_commit is 2",
            [
                "SET GLOBAL innodb_flush_log_at_trx_commit = 1;",
                "[mysqld]\ninnodb_flush_log_at_trx_commit = 1",
            ],
            ["SET PERSIST innodb_flush_log_at_trx_commit = 1;"],
        ),
        (
            {"sync_binlog": "0"},
            "sync_binlog is 0",
            ["SET GLOBAL sync_binlog = 1;", "[mysqld]\nsync_binlog = 1"],
            ["SET PERSIST sync_binlog = 1;"],
        ),
        (
            {"innodb_doublewrite": "OFF"},
            "innodb_doublewrite is OFF",
            ["[mysqld]\ninnodb_doublewrite = ON"],
            ["[mysqld]\ninnodb_doublewrite = ON"],
        ),
        (
            {"innodb_flush_method": "nosync"},
            "innodb_flush_method is nosync",
            ["[mysqld]\ninnodb_flush_method = O_DIRECT"],
            ["[mysqld]\ninnodb_flush_method = O_DIRECT"],
        ),
        (
            {"Innodb_redo_log_enabled": "OFF"},
            "the redo log is disabled",
            ["ALTER INSTANCE ENABLE INNODB REDO_LOG;"],
            ["ALTER INSTANCE ENABLE INNODB REDO_LOG;"],
        ),
    ],
)
def test_a_server_that_can_lose_changes_is_weak(
    changed: dict[str, str], words: str, of_mariadb: list[str], of_mysql: list[str]
) -> None:
    for server, expected in ((MARIADB, of_mariadb), (MYSQL, of_mysql)):
        (found,) = symptoms_of_settings(server | DURABLE | changed)
        assert (found.level, found.kind) == ("weak", "durability")
        assert words in found.message
        assert [step.command for step in found.mending] == expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"log_bin": "ON", "binlog_format": "STATEMENT"}, ["binary-log"]),
        ({"log_bin": "OFF", "binlog_format": "STATEMENT"}, []),
        ({"log_bin": "ON", "binlog_format": "MIXED"}, []),
        ({"wsrep_on": "ON", "wsrep_sync_wait": "0"}, ["cluster"]),
        ({"wsrep_on": "ON", "wsrep_sync_wait": "7"}, []),
        ({"wsrep_on": "OFF", "wsrep_sync_wait": "0"}, []),
        ({"read_only": "ON"}, ["read-only"]),
    ],
)
def test_what_a_setting_of_the_server_means(changed: dict[str, str], expected: list[str]) -> None:
    assert kinds(symptoms_of_server(MARIADB | changed)) == expected
