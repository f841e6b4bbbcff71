"""A certificate registry as a web service."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from fastapi import Body, Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict

from certledger import AsyncLedger, CertificateRecord, Event, LedgerError, acting_as, errors

logger = logging.getLogger(__name__)


class CA(NamedTuple):
    """The certificate and the private key that sign CRLs."""

    certificate: x509.Certificate
    key: Any


def read_ca(certificate: str, key: str) -> CA:
    """Read PEM files."""
    return CA(
        x509.load_pem_x509_certificate(Path(certificate).read_bytes()),
        load_pem_private_key(Path(key).read_bytes(), password=None),
    )


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Open the registry before the first request, and close it after the last."""
    ca = read_ca(os.environ["CA_CERT"], os.environ["CA_KEY"])
    async with AsyncLedger(os.environ["CERTLEDGER_DB"]) as ledger:
        yield {"ledger": ledger, "ca": ca}  # the state of every request


async def the_ledger(request: Request) -> AsyncLedger:
    """Return the one registry of all requests."""
    ledger: AsyncLedger = request.state.ledger
    return ledger


async def the_actor(
    x_actor: Annotated[str, Header()], x_comment: Annotated[str | None, Header()] = None
) -> AsyncIterator[None]:
    """Take who makes a change, and why, from headers that an authenticating proxy sets."""
    with acting_as(x_actor, comment=x_comment):
        yield


Registry = Annotated[AsyncLedger, Depends(the_ledger)]
RequestId = Annotated[str | None, Header(alias="Idempotency-Key")]
"""With the same key a request can be sent again: what it asks for happens once."""
Utc = Annotated[datetime, AfterValidator(lambda naive: naive.replace(tzinfo=UTC))]


class Certificate(BaseModel):
    """A certificate as clients see it."""

    model_config = ConfigDict(from_attributes=True)
    serial_number: str
    common_name: str
    status: str
    key_type: str
    not_valid_after: Utc
    revocation_date: Utc | None
    revocation_reason: int | None


class Recorded(BaseModel):
    """The entry of the log that a change has become."""

    model_config = ConfigDict(from_attributes=True)
    seq: int
    type: str
    subject: str
    authid: str
    recordedtime: datetime


REFUSALS: dict[type[LedgerError], int] = {
    errors.UnknownSerial: 404,
    errors.DuplicateSerial: 409,
    errors.DuplicateUuid: 409,
    errors.IllegalTransition: 409,
    errors.CommandIdReused: 409,
    errors.InvalidCertificate: 422,
    errors.InvalidValue: 422,
}

app = FastAPI(title="Certificate registry", lifespan=lifespan)
changes = [Depends(the_actor)]


@app.exception_handler(LedgerError)
async def refuse(_request: Request, error: LedgerError) -> JSONResponse:
    """Answer an error of the registry: refusals with their reason, failures without."""
    for refusal, code in REFUSALS.items():
        if isinstance(error, refusal):
            return JSONResponse({"detail": str(error)}, code)
    logger.error("a request failed", exc_info=error)  # names the database: not for clients
    return JSONResponse({"detail": "the registry cannot do this now"}, 503)


@app.post("/certificates", status_code=201, dependencies=changes, response_model=Recorded)
async def register(
    registry: Registry,
    certificate: Annotated[bytes, Body(media_type="application/x-pem-file")],
    key_type: str = "device",
    request_id: RequestId = None,
) -> Event:
    """Register a certificate in PEM or DER."""
    return await registry.issue(certificate, key_type=key_type, command_id=request_id)


@app.post("/certificates/{serial}/revocation", dependencies=changes, response_model=Recorded)
async def revoke(
    registry: Registry, serial: int, reason: str | None = None, request_id: RequestId = None
) -> Event:
    """Revoke a valid certificate for a reason of RFC 5280."""
    return await registry.revoke(serial, reason, command_id=request_id)


@app.get("/certificates", response_model=list[Certificate])
async def list_certificates(
    registry: Registry, status: str | None = None, limit: int = 100, offset: int = 0
) -> list[CertificateRecord]:
    """List certificates, the newest first."""
    return await registry.list(status=status, limit=limit, offset=offset)


@app.get("/certificates/{serial}", response_model=Certificate)
async def show(registry: Registry, serial: int) -> CertificateRecord:
    """Show a certificate."""
    return await registry.get(serial)


@app.get("/certificates/{serial}/history", response_model=list[Recorded])
async def history(registry: Registry, serial: int) -> list[Event]:
    """Tell what happened to a certificate and who did it, the oldest first."""
    return [*await registry.history(serial)]


@app.post("/crl", dependencies=changes, response_class=Response)
async def publish_crl(registry: Registry, request: Request, days: int = 7) -> Response:
    """Sign a CRL of what the log says is revoked, record it, and return it in DER."""
    signed = await registry.crl(*request.state.ca, days=days)
    return Response(signed.crl.public_bytes(Encoding.DER), media_type="application/pkix-crl")
