"""The servers that tests are given or start: they answer, end, and come back as they were."""

from __future__ import annotations

import socket

import pytest
import sqlalchemy
from sqlalchemy.pool import NullPool

from tests.support.own_servers import OwnServer
from tests.support.servers import Place, administrator, empty_place, is_required, skip_without


@pytest.fixture(params=["postgresql", "mariadb"])
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["own_postgresql", "own_mariadb"])
def own(request: pytest.FixtureRequest) -> OwnServer:
    found: OwnServer = request.getfixturevalue(request.param)
    return found


def connect(url: str) -> sqlalchemy.Connection:
    backend = sqlalchemy.make_url(url)
    driver = {"postgresql": "psycopg"}.get(backend.drivername, "pymysql")
    engine = sqlalchemy.create_engine(
        backend.set(drivername=f"{backend.drivername}+{driver}"), poolclass=NullPool
    )
    return engine.connect()


def test_two_tests_on_one_server_do_not_see_each_other(place: Place) -> None:
    with empty_place(place.kind, place.server) as other:
        with connect(place.url) as connection:
            connection.exec_driver_sql("CREATE TABLE mine (x INT)")
            connection.commit()
        with connect(other.url) as connection:
            assert sqlalchemy.inspect(connection).get_table_names() == []


def test_a_session_that_a_test_forgot_does_not_keep_its_place_from_being_dropped(
    place: Place,
) -> None:
    with empty_place(place.kind, place.server) as other:
        forgotten = connect(other.url)
        forgotten.exec_driver_sql("CREATE TABLE mine (x INT)")
        forgotten.commit()
        forgotten.exec_driver_sql("SELECT * FROM mine").all()
    with administrator(place.server) as connection:
        assert other.name not in sqlalchemy.inspect(connection).get_schema_names()
    forgotten.invalidate()
    forgotten.close()


def test_a_server_of_a_test_keeps_what_was_committed_when_it_is_killed(own: OwnServer) -> None:
    with empty_place(own.kind, own.url) as place:
        with connect(place.url) as connection:
            connection.exec_driver_sql("CREATE TABLE mine (x INT)")
            connection.exec_driver_sql("INSERT INTO mine VALUES (1)")
            connection.commit()
        own.kill()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", own.port))
        own.start()
        with connect(place.url) as connection:
            assert connection.exec_driver_sql("SELECT x FROM mine").all() == [(1,)]


@pytest.mark.parametrize(
    ("required", "outcome"),
    [("", "Skipped"), ("mariadb", "Skipped"), ("postgresql,mariadb", "Failed")],
)
def test_a_skip_fails_where_the_server_is_required(
    monkeypatch: pytest.MonkeyPatch, required: str, outcome: str
) -> None:
    monkeypatch.setenv("CERTLEDGER_TEST_REQUIRE", required)
    assert is_required("postgresql") == (outcome == "Failed")
    with pytest.raises(BaseException, match="needs a server") as caught:
        skip_without("postgresql", "needs a server")
    assert type(caught.value).__name__ == outcome
