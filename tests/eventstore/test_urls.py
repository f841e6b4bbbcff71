"""URLs as callers write them, for the drivers that certledger uses."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url

from certledger.errors import InvalidValue
from certledger.eventstore.database import Database
from certledger.eventstore.urls import async_url, sync_url, with_schema


@pytest.mark.parametrize(
    ("written", "sync", "asynchronous"),
    [
        ("sqlite:///x.db", "sqlite:///x.db", "sqlite+aiosqlite:///x.db"),
        ("sqlite+aiosqlite:///x.db", "sqlite:///x.db", "sqlite+aiosqlite:///x.db"),
        ("sqlite+pysqlite://", "sqlite://", "sqlite+aiosqlite://"),
        ("postgresql://h/d", "postgresql+psycopg://h/d", "postgresql+psycopg_async://h/d"),
        ("postgres://h/d", "postgresql+psycopg://h/d", "postgresql+psycopg_async://h/d"),
        (
            "postgresql+psycopg2://u:p@h:5433/d?sslmode=require",
            "postgresql+psycopg://u:p@h:5433/d?sslmode=require",
            "postgresql+psycopg_async://u:p@h:5433/d?sslmode=require",
        ),
        (
            "postgresql+asyncpg://h/d?ssl=verify-full&application_name=ca",
            "postgresql+psycopg://h/d?application_name=ca&sslmode=verify-full",
            "postgresql+psycopg_async://h/d?application_name=ca&sslmode=verify-full",
        ),
        ("mysql://h/d", "mysql+pymysql://h/d", "mysql+aiomysql://h/d"),
        ("mariadb://h/d", "mysql+pymysql://h/d", "mysql+aiomysql://h/d"),
        (
            "mysql+mysqldb://h/d?charset=utf8mb4",
            "mysql+pymysql://h/d?charset=utf8mb4",
            "mysql+aiomysql://h/d?charset=utf8mb4",
        ),
        ("mariadb+asyncmy://h/d", "mysql+pymysql://h/d", "mysql+aiomysql://h/d"),
    ],
)
def test_each_part_gets_the_driver_that_it_needs(
    written: str, sync: str, asynchronous: str
) -> None:
    assert sync_url(written).render_as_string(hide_password=False) == sync
    assert async_url(written).render_as_string(hide_password=False) == asynchronous
    assert sync_url(make_url(written)) == sync_url(written)


@pytest.mark.parametrize("url", ["sqlite+pysqlcipher:///x.db", "oracle://h/d"])
def test_other_drivers_and_databases_are_left_to_their_caller(url: str) -> None:
    assert sync_url(url).render_as_string() == url


@pytest.mark.parametrize(
    ("schema", "options"),
    [
        ("ca1", '-csearch_path="ca1"'),
        ("My CA", '-csearch_path="My\\ CA"'),
        ('a"b', '-csearch_path="a""b"'),
        ("a\\b", '-csearch_path="a\\\\b"'),
    ],
)
def test_a_schema_of_any_name_becomes_an_option_of_libpq(schema: str, options: str) -> None:
    assert with_schema(make_url("postgresql://h/d"), schema).query["options"] == options


def test_a_schema_leaves_the_other_options_in_force() -> None:
    url = with_schema(make_url("postgresql://h/d?options=-cstatement_timeout%3D5s"), "ca")
    assert url.query["options"] == '-cstatement_timeout=5s -csearch_path="ca"'


def test_on_mariadb_a_schema_is_the_database() -> None:
    assert with_schema(make_url("mysql://h/other"), "ca1").database == "ca1"


def test_without_a_schema_the_url_stays_as_it_is() -> None:
    url = make_url("sqlite:///x.db")
    assert with_schema(url, None) is url


def test_a_file_has_no_schemas() -> None:
    with pytest.raises(InvalidValue, match=r"schema 'ca1': sqlite has none; .* file of its own"):
        Database("sqlite:///x.db", schema="ca1")


def test_a_kind_of_database_without_a_backend_is_refused_by_name() -> None:
    with pytest.raises(InvalidValue, match="cannot be kept in oracle"):
        Database("oracle://h/d")


@pytest.mark.parametrize("url", ["postgresql://ca:secret@h/d", "mysql://ca:secret@h/d?x=1"])
def test_a_database_shows_its_url_without_the_password(url: str) -> None:
    assert "secret" not in str(Database(url))
