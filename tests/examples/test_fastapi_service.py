"""The example service, run by a real uvicorn and asked over HTTP."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certledger import Ledger
from certledger.testing.certificates import make_ca, make_certificate, pem
from tests.support import raw
from tests.support.processes import ROOT, environment

SERVICE = ROOT / "examples" / "fastapi_service"
ALICE = {"X-Actor": "alice@example.org", "X-Comment": "CHG-1234"}


def start(url: str, folder: Path, listening: socket.socket) -> subprocess.Popen[str]:
    """The service in a process in which a warning is an error."""
    ca = make_ca()
    (folder / "ca.pem").write_bytes(pem(ca.certificate))
    (folder / "ca.key").write_bytes(
        ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    settings = {"CERTLEDGER_DB": url, "CA_CERT": "ca.pem", "CA_KEY": "ca.key"}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "uvicorn", "--app-dir", SERVICE, "app:app",
         "--fd", str(listening.fileno()), "--log-level", "warning"],
        env=environment() | settings,
        cwd=folder,
        pass_fds=[listening.fileno()],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


@contextmanager
def serving(url: str, folder: Path, *, says: str = "") -> Iterator[httpx.Client]:
    """Run the service, which must end well; it may say nothing but this on standard error."""
    # Connections that come before the service accepts them wait in the socket's queue.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = start(url, folder, listening)
        host, port = listening.getsockname()
        try:
            with httpx.Client(base_url=f"http://{host}:{port}", timeout=60) as client:
                yield client
        finally:
            server.send_signal(signal.SIGINT)
            _, said = server.communicate(timeout=60)
    assert server.returncode == 0
    assert says in said if says else said == ""


@pytest.fixture
def service(url: str, tmp_path: Path) -> Iterator[httpx.Client]:
    with serving(url, tmp_path) as client:
        yield client


@cache
def certificate(serial: int) -> bytes:
    return pem(make_certificate(f"host-{serial}", serial=serial))


def register(client: httpx.Client, serial: int, **options: Any) -> httpx.Response:
    content = certificate(serial)
    return client.post("/certificates", content=content, **{"headers": ALICE} | options)


def test_the_life_of_a_certificate(service: httpx.Client, url: str) -> None:
    made = register(service, 1001, params={"key_type": "service"})
    assert made.status_code == 201
    assert made.json()["authid"] == "alice@example.org"

    shown = service.get("/certificates/1001").json()
    assert (shown["common_name"], shown["status"]) == ("host-1001", "valid")
    assert (shown["key_type"], shown["not_valid_after"][-1]) == ("service", "Z")

    revoked = service.post(
        "/certificates/1001/revocation", params={"reason": "keyCompromise"}, headers=ALICE
    )
    assert revoked.json()["type"] == "certledger.certificate.revoked.v1"
    assert [one["serial_number"] for one in service.get("/certificates?status=revoked").json()] == [
        "1001"
    ]
    assert [one["seq"] for one in service.get("/certificates/1001/history").json()] == [0, 1]

    published = service.post("/crl", headers=ALICE)
    assert published.headers["content-type"] == "application/pkix-crl"
    crl = x509.load_der_x509_crl(published.content)
    assert [entry.serial_number for entry in crl] == [1001]

    with Ledger(url) as ledger:
        assert {(event.authid, event.data.comment) for event in ledger.events()} == {
            ("alice@example.org", "CHG-1234")
        }
        assert list(ledger.verify()) == []


def test_refusals_have_the_status_codes_of_their_errors(service: httpx.Client) -> None:
    register(service, 1)
    revocation = "/certificates/1/revocation"
    assert service.get("/certificates/404").status_code == 404
    assert register(service, 1).status_code == 409
    assert service.post(revocation, headers={}).status_code == 422  # nobody asks for it
    assert service.post(revocation, params={"reason": "no"}, headers=ALICE).status_code == 422
    assert service.post(revocation, headers={"X-Actor": "a" * 256}).status_code == 422
    assert service.post("/certificates", content=b"no", headers=ALICE).status_code == 422
    assert service.post(revocation, headers=ALICE).status_code == 200
    refused = service.post(revocation, headers=ALICE)
    assert (refused.status_code, "revoked" in refused.json()["detail"]) == (409, True)


def test_a_request_sent_again_with_its_key_happens_once(service: httpx.Client) -> None:
    headers = ALICE | {"Idempotency-Key": "order-4711"}
    first = register(service, 1, headers=headers)
    again = register(service, 1, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())


def test_many_requests_at_once_have_each_their_actor(service: httpx.Client, url: str) -> None:
    def request(serial: int) -> int:
        return register(service, serial, headers={"X-Actor": f"user-{serial}"}).status_code

    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(request, range(1, 101))) == {201}
    with Ledger(url) as ledger:
        for event in ledger.events():
            assert event.subject == f"certificate/{event.authid.removeprefix('user-')}"


def test_clients_are_not_told_what_fails_behind_the_service(
    url: str, file: Path, tmp_path: Path
) -> None:
    with serving(url, tmp_path, says="no such table") as client:
        assert client.get("/certificates").json() == []
        raw.edit(file, "DROP TABLE certificates")
        failed = client.get("/certificates")
    assert failed.status_code == 503
    assert failed.json() == {"detail": "the registry cannot do this now"}


def test_a_registry_that_cannot_be_opened_keeps_the_service_from_starting(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = start(f"sqlite:///{tmp_path}/missing/registry.db", tmp_path, listening)
        _, said = server.communicate(timeout=60)
    assert server.returncode != 0
    assert "StorageUnavailable" in said
