"""What a session is, as the server tells it, against what the registry needs."""

from __future__ import annotations

import pytest
from sqlalchemy import make_url

from certledger.doctor.sessions import (
    READING,
    WRITING,
    Transport,
    insisting,
    is_local,
    symptoms_of_isolation,
    symptoms_of_pooler,
    symptoms_of_time_zone,
    symptoms_of_transport,
)
from certledger.eventstore.symptom import Mend

STEP = (Mend("sql", "SELECT 1;"),)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(READING, "REPEATABLE-READ"), (READING, "repeatable read"), (WRITING, "READ-COMMITTED")],
)
def test_the_wanted_isolation_is_no_symptom_however_it_is_written(wanted: str, found: str) -> None:
    assert list(symptoms_of_isolation("read", wanted, found)) == []


@pytest.mark.parametrize(
    ("doing", "wanted", "found"),
    [("read", READING, "read committed"), ("write", WRITING, "SERIALIZABLE")],
)
def test_another_isolation_is_weak_and_named(doing: str, wanted: str, found: str) -> None:
    (symptom,) = symptoms_of_isolation(doing, wanted, found)
    assert (symptom.level, symptom.kind) == ("weak", "isolation")
    assert f"that {doing} run at {found.lower()} instead of {wanted}" in symptom.message


@pytest.mark.parametrize("zone", ["UTC", "Etc/UTC", "+00:00"])
def test_a_session_in_utc_is_no_symptom(zone: str) -> None:
    assert list(symptoms_of_time_zone(zone, STEP)) == []


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "SYSTEM", "Europe/London", "+05:45"])
def test_another_time_zone_is_weak(zone: str) -> None:
    (symptom,) = symptoms_of_time_zone(zone, STEP)
    assert (symptom.level, symptom.kind, symptom.mending) == ("weak", "time-zone", STEP)
    assert zone in symptom.message


def test_a_session_of_another_process_than_was_told_comes_from_a_pooler() -> None:
    assert list(symptoms_of_pooler(4711, 4711)) == []
    (symptom,) = symptoms_of_pooler(4711, 12)
    assert (symptom.level, symptom.kind) == ("note", "pooler")
    assert symptom.mending == (Mend("ini", "[pgbouncer]\npool_mode = session"),)


@pytest.mark.parametrize(
    "host",
    ["", "localhost", "127.0.0.1", "127.9.9.9", "::1", "/run/postgresql", "@abstract"],
)
def test_a_connection_that_does_not_leave_the_machine_needs_no_encryption(host: str) -> None:
    assert is_local(host)
    assert list(symptoms_of_transport(Transport(host, False, False), STEP)) == []


@pytest.mark.parametrize("host", ["db.example.org", "192.0.2.7", "2001:db8::7", "local"])
def test_one_that_does_and_is_not_encrypted_is_weak(host: str) -> None:
    (symptom,) = symptoms_of_transport(Transport(host, False, False), STEP)
    assert (symptom.level, symptom.kind, symptom.mending) == ("weak", "tls", STEP)
    assert host in symptom.message


def test_one_whose_server_was_not_authenticated_is_a_note() -> None:
    (symptom,) = symptoms_of_transport(Transport("db.example.org", True, False), STEP)
    assert (symptom.level, symptom.kind) == ("note", "tls")
    assert list(symptoms_of_transport(Transport("db.example.org", True, True), STEP)) == []


def test_a_url_with_further_arguments_tells_no_password() -> None:
    url = make_url("postgresql://app:secret@db.example.org/pki?sslpassword=hidden&sslmode=prefer")
    (step,) = insisting(url, sslmode="verify-full")
    assert step.language == "shell"
    assert "secret" not in step.command
    assert "hidden" not in step.command
    assert "app:***@db.example.org/pki" in step.command
    assert "sslmode=verify-full" in step.command
